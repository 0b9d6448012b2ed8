"""Grammars that trap together with a policy, by name, and the pieces of the analysis against plain definitions."""

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from policykit.automata import Pattern, RegexAutomaton, parse_regex
from policykit.automata.nfa import build
from policykit.compile.product import Nothing, Safe, Trimmed, Undecided, analyse
from policykit.compile.rules import class_text, equal
from policykit.compile.survey import Survey
from policykit.compile.symbols import join_symbols
from policykit.ir.grammar import Cfg, Production, Symbol, Terminal
from policykit.ir.regex import complement, literal_text, ranges_of
from policykit.text import view

from .product_oracle import PLACE, Ban, Engine, Tiny, is_alive, passes, stuck

RETURNS = (Ban("phrase", "guaranteed returns"),)


@dataclass(frozen=True)
class Case:
    """``refused`` are texts of the grammar in which a ban finds something."""

    name: str
    grammar: Tiny
    bans: tuple[Ban, ...]
    outcome: type
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def deep_branches(levels: int) -> Tiny:
    rules: dict[str, tuple[tuple[str, ...], ...]] = {"start": (("x0", "END"), ("x0", "STOP"))}
    for level in range(levels):
        below = (f"x{level + 1}",) if level + 1 < levels else ()
        rules[f"x{level}"] = (("A", *below), ("B", *below))
    rules[f"x{levels - 1}"] = (("A", "LAST"), ("B",))
    return Tiny(rules, {"A": "a", "B": "b", "LAST": " guaranteed", "END": " returns", "STOP": "[.]"})


TRAPS = (
    Case(
        "the phrase stands behind a separator",
        Tiny(
            {"start": (("WORD", "COLON", "SALE"), ("WORD", "SEMICOLON", "FINE"))},
            {"WORD": "[a-z]+", "COLON": ":", "SALE": " guaranteed returns", "SEMICOLON": ";", "FINE": " fine"},
        ),
        RETURNS,
        Trimmed,
        ("returns; fine", "x; fine"),
        ("x: guaranteed returns",),
    ),
    Case(
        "a free word in front of the rest of the phrase",
        Tiny({"start": (("WORD", "REST"),)}, {"WORD": "[a-z]+", "REST": " returns"}),
        RETURNS,
        Trimmed,
        ("guaranteedly returns", "returns returns"),
        ("guaranteed returns",),
    ),
    Case(
        "an enum of sentences",
        Tiny(
            {"start": (("SENTENCE",), ("SENTENCE", "SPACE", "start"))},
            {"SENTENCE": r"(we offer guaranteed returns|we offer guaranteed rates|no returns)[.]", "SPACE": " "},
        ),
        RETURNS,
        Trimmed,
        ("we offer guaranteed rates. no returns.", "no returns."),
        ("we offer guaranteed returns.", "no returns. we offer guaranteed returns."),
    ),
    Case(
        "a language that completes a phrase across terminals",
        Tiny(
            {"start": (("verb", "SPACE", "noun"),), "verb": (("BUY",), ("SELL",)), "noun": (("GOLD",), ("BONDS",))},
            {"SPACE": " ", "BUY": "buy", "SELL": "sell", "GOLD": "gold", "BONDS": "bonds"},
        ),
        (Ban("phrase", "sell bonds"), Ban("phrase", "sell gold")),
        Trimmed,
        ("buy gold", "buy bonds"),
        ("sell gold", "sell bonds"),
    ),
    Case(
        "recursive nesting",
        Tiny(
            {"start": (("OPEN", "start", "CLOSE"), ("YES",), ("NO",))},
            {"OPEN": "[(]", "CLOSE": " returns[)]", "YES": "guaranteed", "NO": "no"},
        ),
        RETURNS,
        Trimmed,
        ("guaranteed", "(no returns)", "((no returns) returns)"),
        ("(guaranteed returns)", "((guaranteed returns) returns)"),
    ),
    Case(
        "deep branches",
        deep_branches(12),
        RETURNS,
        Trimmed,
        ("ab" * 6 + ".", "ab" * 6 + " returns", "a" * 12 + " guaranteed."),
        ("a" * 12 + " guaranteed returns",),
    ),
    Case(
        "an expression that forces a phrase",
        Tiny({"start": (("TEXT",),)}, {"TEXT": "(our|the) guaranteed[ -]returns[.!]"}),
        RETURNS,
        Nothing,
    ),
    Case(
        "choices, one of them forbidden in full width",
        Tiny({"start": (("ONE",), ("TWO",))}, {"ONE": "ＧＵＡＲＡＮＴＥＥＤ returns", "TWO": "ＦＩＮＥ returns"}),
        RETURNS,
        Trimmed,
        ("ＦＩＮＥ returns",),
        ("ＧＵＡＲＡＮＴＥＥＤ returns",),
    ),
    Case(
        "a list that must end on another word",
        Tiny(
            {"start": (("ITEM",), ("start", "COMMA", "ITEM"))},
            {"ITEM": "(returns|guaranteed|none)", "COMMA": "[, ]"},
        ),
        (*RETURNS, Ban("ending", "none")),
        Trimmed,
        ("returns guaranteed", "none,guaranteed,returns"),
        ("none", "guaranteed returns", "none guaranteed returns guaranteed"),
    ),
    Case(
        "a rule that never ends",
        Tiny({"start": (("A", "x"), ("B",)), "x": (("B", "x"),)}, {"A": "a", "B": "b"}),
        RETURNS,
        Trimmed,
        ("b",),
    ),
)

SAFE = (
    Case("free text", Tiny({"start": (("TEXT",),)}, {"TEXT": r"[^\n]*"}), RETURNS, Safe, ("returns guaranteed", "")),
    Case(
        "a free word in front of a fixed one",
        Tiny({"start": (("WORD", "REST"),)}, {"WORD": "[a-z]+", "REST": " rates"}),
        RETURNS,
        Safe,
        ("guaranteed rates",),
    ),
    Case("only the empty text", Tiny({"start": ((),)}, {}), RETURNS, Safe, ("",)),
)


def mask_of(case: Case) -> list[str]:
    """The grammars whose masks are combined."""
    result = analyse(case.grammar.cfg, [ban.automaton for ban in case.bans])
    assert isinstance(result, case.outcome), result
    return [case.grammar.lark, result.lark] if isinstance(result, Trimmed) else [case.grammar.lark]


def takes(engine: Engine, text: str) -> bool:
    """Whether the engine accepts a whole text. Leaves the engine anywhere."""
    return all(engine.push(character) for character in text) and engine.accepts()


@pytest.mark.parametrize("case", TRAPS + SAFE, ids=lambda case: case.name)
def test_named(case: Case) -> None:
    mask = mask_of(case)
    assert all(takes(Engine(lark), text) for lark in mask for text in case.accepted)
    assert all(takes(Engine(case.grammar.lark), text) for text in case.refused)
    assert not any(takes(Engine(mask[-1]), text) for text in case.refused if case.outcome is Trimmed)
    assert all(passes(text, case.bans) for text in case.accepted)
    assert not any(passes(text, case.bans) for text in case.refused)


@pytest.mark.parametrize("case", [c for c in TRAPS + SAFE if c.outcome is not Nothing], ids=lambda case: case.name)
def test_random_runs_never_end_in_a_dead_end(case: Case) -> None:
    engines = [Engine(lark) for lark in mask_of(case)]
    characters = "".join(sorted(set("abgnrx:;.(), " + "".join(case.accepted + case.refused))))
    choose = random.Random(case.name)
    for _ in range(100):
        text = run(engines, case.bans, characters, choose)
        assert text is not None


def run(engines: list[Engine], bans: tuple[Ban, ...], characters: str, choose: random.Random) -> str | None:
    """A random text of at most 40 characters; None in a dead end."""
    text = ""
    ended = False
    while len(text) < 40 and not ended:
        onward = [c for c in characters if is_alive(text + c, bans) and all(admits(e, c) for e in engines)]
        may_end = all(e.accepts() for e in engines) and passes(text, bans)
        if not onward and not may_end:
            return None
        ended = not onward or (may_end and choose.random() < 0.2)
        if not ended:
            text += choose.choice(onward)
            assert all(e.push(text[-1]) for e in engines)
    for engine in engines:
        for character in reversed(text):
            engine.pop(character)
    return text


def admits(engine: Engine, character: str) -> bool:
    data = list(character.encode())
    return engine.matcher.validate_tokens(data) == len(data)


def test_the_oracle_sees_a_trap() -> None:
    grammar = Tiny({"start": (("A", "B"), ("A", "C"), ("C", "B"))}, {"A": "a", "B": "b", "C": "c"})
    bans = (Ban("ending", "b"),)
    assert stuck([grammar.lark], bans, "abc", 2, 4) == ["ab", "c", "cb"]
    result = analyse(grammar.cfg, [ban.automaton for ban in bans])
    assert isinstance(result, Trimmed)
    assert Engine(result.lark).texts("abc", 3) == {"ac"}


UNDECIDED = (
    ("an assertion", Tiny({"start": (("A",),)}, {"A": r"a\b"}), 20_000, "asserts something"),
    ("a lexeme that goes on", Tiny({"start": (("A", "B"),)}, {"A": "a+", "B": "ab"}), 20_000, "`A` may go on as `A`"),
    (
        "a longer lexeme beside it",
        Tiny({"start": (("A", "B"), ("C",))}, {"A": "a", "B": "b", "C": "abc"}),
        20_000,
        "`A` may go on as `C`",
    ),
    (
        "two readings of one word, and only behind one of them a longer lexeme",
        Tiny({"start": (("A", "B", "C"), ("D", "E"))}, {"A": "a", "B": "b", "C": "c", "D": "[ax]", "E": "bcd"}),
        20_000,
        "`B` may go on as `E`",
    ),
    ("too many states", Tiny({"start": (("A",),)}, {"A": "[a-z]{300}"}), 200, "over the budget of 200 states"),
    ("terminals that are too large", Tiny({"start": (("A",),)}, {"A": "[a-z]{999}"}), 20, "terminals alone"),
)


@pytest.mark.parametrize(("grammar", "budget", "why"), [case[1:] for case in UNDECIDED], ids=[c[0] for c in UNDECIDED])
def test_undecided(grammar: Tiny, budget: int, why: str) -> None:
    result = analyse(grammar.cfg, [ban.automaton for ban in RETURNS], budget)
    assert isinstance(result, Undecided)
    assert why in result.why


@pytest.mark.parametrize("bodies", [(("A", "start"),), (("x", "start", "A"),), (("start",),)])
def test_a_start_that_only_calls_itself_has_nothing(bodies: tuple[tuple[str, ...], ...]) -> None:
    grammar = Tiny({"start": bodies, "x": (("A",), ())}, {"A": "a"})
    assert isinstance(analyse(grammar.cfg, [ban.automaton for ban in RETURNS]), Nothing)


def test_the_quick_proof_reaches_where_the_exact_one_is_over_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"start": (("term",), ("term", "PLUS", "start")), "term": (("NAME",), ("OPEN", "start", "CLOSE"))}
    grammar = Tiny(rules, {"NAME": "[a-z]+", "PLUS": " ", "OPEN": "[(]", "CLOSE": "[)]"})
    letters = "bcdfghjklmnpqrstvwxz"
    automata = [Ban("phrase", f"{one} {two}").automaton for one, two in pairwise(letters)]
    assert isinstance(analyse(grammar.cfg, automata, 1_000), Safe)
    monkeypatch.setattr(Survey, "never_traps", lambda self: False)
    assert isinstance(analyse(grammar.cfg, automata, 1_000), Undecided)
    assert isinstance(analyse(grammar.cfg, automata), Safe)


def test_a_ban_on_the_empty_text_leaves_nothing_of_it() -> None:
    automaton = RegexAutomaton(build(view("compat"), Pattern(parse_regex("^$", PLACE))))
    assert isinstance(analyse(Cfg("start", (Production("start", (), PLACE),), ()), [automaton]), Nothing)


def test_without_policies_a_grammar_is_safe() -> None:
    assert isinstance(analyse(TRAPS[0].grammar.cfg, []), Safe)


def test_policies_on_several_views_count_together() -> None:
    grammar = Tiny({"start": (("A",),)}, {"A": "[éa]b"})
    on = [("raw", "ab"), ("unmarked", "eb")]
    automata = [RegexAutomaton(build(view(name), Pattern(parse_regex(text, PLACE)))) for name, text in on]
    assert isinstance(analyse(grammar.cfg, automata[:1]), Trimmed)
    assert isinstance(analyse(grammar.cfg, automata), Nothing)


NASTY = '\0\t\n\r "#$&()*+,-./:;<=>?@[\\]^_`{|}~aZ09\x7f\x80\u00ad\ud7ff\ue000\ufeff\uffff\U00010000\U0010ffff'


@given(st.sets(st.sampled_from(NASTY), min_size=1), st.booleans())
def test_a_class_is_read_back_as_written(members: set[str], rest: bool) -> None:
    ranges = ranges_of([(ord(c), ord(c)) for c in members])
    if rest:
        ranges = complement(ranges_of([*ranges, (0xD800, 0xDFFF)]))
    engine = Engine(f"start: A\nA: /{class_text(ranges)}/")
    assert {c for c in NASTY if admits(engine, c)} == (set(NASTY) - members if rest else members)


GROUPS = st.integers(1, 8).flatmap(
    lambda n: st.lists(
        st.frozensets(st.lists(st.integers(-2, n - 1), max_size=2).map(tuple), max_size=3), min_size=n, max_size=n
    )
)


@given(GROUPS)
def test_equal_is_the_coarsest_stable_partition(groups: list[frozenset[tuple[int, ...]]]) -> None:
    naive = [0] * len(groups)
    for _ in groups:
        signs = [
            (naive[x], frozenset(tuple(naive[s] if s >= 0 else s for s in a) for a in g)) for x, g in enumerate(groups)
        ]
        naive = [signs.index(sign) for sign in signs]
    found = equal(groups)
    assert [found.index(b) for b in found] == [naive.index(b) for b in naive]


def test_joint_symbols_tell_apart_exactly_what_terminals_and_policies_do() -> None:
    choose = random.Random(0)
    nfas = [build(view("raw"), Pattern(parse_regex(source, PLACE))) for source in ("[a-zé]+", "x[^a-m]")]
    automata = [ban.automaton for ban in (*RETURNS, Ban("substring", "kg"))]
    symbols = join_symbols([nfa.alphabet for nfa in nfas], [frozenset(range(nfa.alphabet.n)) for nfa in nfas], automata)
    ranges = sorted((low, high, i) for i in range(symbols.n) for low, high in symbols.ranges([i]))
    assert ranges_of([(low, high) for low, high, _ in ranges]) == ((0, 0xD7FF), (0xE000, 0x10FFFF))
    assert all(one[1] < other[0] for one, other in pairwise(ranges))

    def kind(point: int) -> object:
        image = view("compat").image(point)
        words = [tuple(automaton.alphabet.of(c) for c in image) for automaton in automata]
        return tuple(nfa.alphabet.of(chr(point)) for nfa in nfas), tuple(words)

    edges = [(low, i) for low, _, i in ranges] + [(high, i) for _, high, i in ranges]
    seen: dict[object, int] = {}
    for point, symbol in [*edges, *((choose.randint(low, high), i) for low, high, i in ranges)]:
        assert seen.setdefault(kind(point), symbol) == symbol, hex(point)
    assert len(seen) == symbols.n


# ---- lists of texts


LISTED = st.lists(st.text("ab -A", max_size=5), min_size=1, max_size=7, unique=True)
BANS = st.lists(
    st.builds(Ban, st.sampled_from(("phrase", "substring", "ending")), st.sampled_from(("a b", "ab", "b", "ba a"))),
    min_size=1,
    max_size=2,
)


def list_of(texts: list[str]) -> Cfg:
    symbols = [Symbol(f"T{i}", True) for i in range(len(texts))]
    terminals = tuple(Terminal(s.name, literal_text(text), PLACE) for s, text in zip(symbols, texts, strict=True))
    return Cfg("start", tuple(Production("start", (symbol,), PLACE) for symbol in symbols), terminals)


@given(LISTED, BANS)
def test_of_a_list_exactly_what_passes_is_left(texts: list[str], bans: list[Ban]) -> None:
    wanted = {text for text in texts if passes(text, bans)}
    result = analyse(list_of(texts), [ban.automaton for ban in bans])
    match result:
        case Safe():
            assert wanted == set(texts)
        case Nothing():
            assert not wanted
        case Trimmed(lark):
            assert wanted not in (set(), set(texts))
            assert Engine(lark).texts("ab -A", 5) == wanted
        case _:
            raise AssertionError(result)


def test_a_long_list_takes_no_table() -> None:
    """Four thousand choices, of which one is forbidden, are far over the budget of the table, and decided."""
    texts = [f"choice {i} of many" for i in range(4_095)]
    result = analyse(list_of([*texts, "guaranteed returns"]), [RETURNS[0].automaton])
    assert isinstance(result, Trimmed)
    assert "guaranteed" not in result.lark
    assert isinstance(analyse(list_of(texts), [RETURNS[0].automaton]), Safe)


def test_what_a_list_may_hold_is_read_back_as_written() -> None:
    texts = ["a", 'say "a\\b"', "new\nline", "tab\t", "schön", "日本", "\u00ad", "😀", "x guaranteed returns"]
    result = analyse(list_of(texts), [RETURNS[0].automaton])
    assert isinstance(result, Trimmed)
    assert all(takes(Engine(result.lark), text) for text in texts[:-1])
    assert not takes(Engine(result.lark), texts[-1])
