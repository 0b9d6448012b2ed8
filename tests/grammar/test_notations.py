"""XGrammar's EBNF and plain Lark: what is refused, and where; the expressions of Python."""

import re

import lark
import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit import grammar
from policykit.diagnostics import Place, PolicyError
from policykit.engines.vllm.grammars import grammar_of
from policykit.grammar.python_regex import Unsupported, read
from policykit.grammar.text_grammars import lark_pattern
from policykit.ir.grammar import GrammarKind

PLACE = Place("case")

EBNF = [
    ('root ::= "a" | ', "PK210", 1, 16),
    ('root ::= ( | "a")', "PK210", 1, 17),
    ("root ::= ", "PK210", 1, 10),
    ("root ::= .", "PK210", 1, 10),
    ('root ::= "a"\nx\n::= "b"', "PK210", 3, 1),
    ('root ::= x y\nx ::= "a" y ::= "b"', "PK210", 2, 13),
    ('root ::= "a"\nroot ::= "b"', "PK210", 2, 1),
    ('root ::= 1\n1 ::= "y"', "PK210", 1, 10),
    (r'root ::= "\q"', "PK210", 1, 11),
    (r"root ::= [\d]", "PK210", 1, 11),
    (r'root ::= "\ud800"', "PK210", 1, 11),
    ('root ::= "a"{,2}', "PK210", 1, 13),
    ('root ::= "a"{2,1}', "PK210", 1, 13),
    ('root ::= "a"{1001}', "PK206", 1, 13),
    ('root ::= "a"{99999999999999999999}', "PK206", 1, 13),
    ("root ::= []", "PK208", 1, 10),
    ("root ::= root", "PK208", 1, 1),
    ("root ::= undefined", "PK211", 1, 10),
    ('start ::= "a"', "PK211", 1, 1),
    ('root ::= "a" (="b") ', "PK216", 1, 14),
    ('root ::= TagDispatch(("<a>", x))\nx ::= "q"', "PK216", 1, 10),
    ("root ::= Token(1)", "PK216", 1, 10),
]
PLAIN = [
    ('start: "a', "PK210", 1, 8),
    ('x: "a"', "PK210", 1, 1),
    ('start: ""', "PK210", 1, 1),
    ('start: "ab".."c"', "PK210", 1, 1),
    ("start: b", "PK211", 1, 1),
    ('%declare X\nstart: "a" X', "PK211", 1, 1),
    ("start: /a*?b/", "PK212", 1, 1),
    ("start: /(?=a)b/", "PK212", 1, 1),
    (r"start: /(a)\1/", "PK212", 1, 1),
    (r"start: /\bx/", "PK212", 1, 1),
    ("start: /a*/", "PK212", 1, 1),
    ("start: /(?a:b)/", "PK212", 1, 1),
    ("start: /[/", "PK212", 1, 1),
    ('\n%import .local.x\nstart: "a"', "PK216", 2, 9),
    ('%import other.X\nstart: "a"', "PK216", 1, 9),
    ('start: start "a"', "PK208", 1, 1),
    ("start: " + "(" * 3000 + '"a"' + ")" * 3000, "PK206", 1, 1),
    ('start: A "ab"\nA: /a+/\n%ignore /#.*/', "PK216", 1, 1),
]


@pytest.mark.parametrize(("source", "code", "line", "column"), EBNF)
def test_what_is_no_ebnf_is_refused_with_its_place(source: str, code: str, line: int, column: int) -> None:
    with pytest.raises(PolicyError) as refused:
        pk.Grammar.from_ebnf(source, PLACE)
    found = refused.value.diagnostics[0]
    assert (found.code, found.place and (found.place.line, found.place.column)) == (code, (line, column))


@pytest.mark.parametrize(("source", "code", "line", "column"), PLAIN)
def test_what_is_no_plain_lark_is_refused_with_its_place(source: str, code: str, line: int, column: int) -> None:
    with pytest.raises(PolicyError) as refused:
        pk.Grammar.from_plain_lark(source, PLACE)
    found = refused.value.diagnostics[0]
    assert (found.code, found.place and (found.place.line, found.place.column)) == (code, (line, column))


def test_lark_misses_texts_that_the_expression_matches() -> None:
    """The departure that the notation's description names."""
    spec = pk.Grammar.from_plain_lark('start: A "."\nA: /a|ab/')
    assert grammar.matches(spec, "ab.")
    with pytest.raises(lark.exceptions.LarkError):
        lark.Lark('start: A "."\nA: /a|ab/', lexer="dynamic_complete").parse("ab.")


def test_a_lexeme_does_not_take_the_first_byte_of_what_follows() -> None:
    """For the engine, which reads bytes, `à` begins as `é` does: this is no plain grammar to the analysis."""
    source = "start: A B\nA: /[a-zé]+/\nB: /à/"
    assert not grammar.matches(grammar.lark(source, PLACE), "aà")
    assert grammar.lark(source, PLACE).shape is None
    assert grammar.matches(grammar.plain_lark(source, PLACE), "aéà")
    assert grammar.lark("start: A B\nA: /[a-zé]+/\nB: /中/", PLACE).shape is not None


def test_requests_with_rules_are_read_as_gbnf_or_else_as_ebnf() -> None:
    both = grammar_of("GRAMMAR", 'root ::= "a" | "b"')
    lines = grammar_of("GRAMMAR", 'root ::= "a"\n  | "b"')
    assert both is not None
    assert lines is not None
    assert (both.kind, lines.kind) == (GrammarKind.GBNF, GrammarKind.EBNF)
    with pytest.raises(PolicyError, match="`\\*` that can be repeated"):
        grammar_of("GRAMMAR", "root ::= *")


ATOMS = st.sampled_from(
    [
        "a",
        "é",
        "[ab]",
        "[^a]",
        ".",
        r"\d",
        r"\w",
        r"\S",
        "(?:ab|c)",
        "(?i:s)",
        "(x)",
        "[a-f-]",
        r"[\]\\]",
        "(?s:.)",
        r"\.",
    ]
)
SUFFIXES = st.sampled_from(["", "", "*", "+", "?", "{2}", "{,2}", "{1,}"])
EXPRESSIONS = st.lists(st.tuples(ATOMS, SUFFIXES), min_size=1, max_size=4).map(lambda p: "".join(a + s for a, s in p))
TEXTS = st.lists(st.sampled_from(list("abcxsS1ſé.\\]-\n٣ ")), max_size=6).map("".join)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, st.lists(TEXTS, min_size=1, max_size=8))
def test_expressions_are_read_as_python_reads_them(source: str, texts: list[str]) -> None:
    spec = grammar.lark(f"start: A\nA: {lark_pattern(read(source))}", PLACE)
    for text in texts:
        assert grammar.matches(spec, text) == (re.fullmatch(source, text) is not None), text


@pytest.mark.parametrize("source", ["a*?", "(?=a)", "(?<!a)b", "^a", r"(a)\1", "a++", "(?>a)", r"\B", "(", "\ud800"])
def test_expressions_that_no_mask_reads(source: str) -> None:
    with pytest.raises(Unsupported):
        read(source)


def test_a_plan_keeps_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("plans")
    made = [
        pk.Grammar.from_ebnf('root ::= "yes"\n | "no"'),
        pk.Grammar.from_plain_lark('start: _either{"yes", "no"}\n_either{x, y}: x | y'),
    ]
    for spec in made:
        plan = pk.compile(None, spec)
        plan.save(folder / "plan.json")
        loaded = pk.load_plan(folder / "plan.json")
        assert loaded.digest == plan.digest
        assert loaded.verify("no").decision is pk.Decision.ALLOW
        assert loaded.verify("maybe").decision is pk.Decision.BLOCK
