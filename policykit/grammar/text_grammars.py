"""Grammars of plain text: Lark, regular expressions, choices."""

import json
import re
from collections.abc import Sequence
from typing import Final

from policykit.automata import parse_regex, unparse
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.grammar.bnf import ROOT
from policykit.grammar.class_notation import misread_complement
from policykit.grammar.ebnf import parse as parse_ebnf
from policykit.grammar.engine import has_no_text, lark_program, refusal, syntax_refusal
from policykit.grammar.gbnf import parse as parse_gbnf
from policykit.grammar.lark_shape import cfg_of
from policykit.grammar.lark_syntax import expressions
from policykit.grammar.lexing import reaching, splits_uniquely, unfinishable
from policykit.grammar.plain_lark import read as read_plain_lark, render, scannerless
from policykit.grammar.positions import TooLarge
from policykit.grammar.rules import Rules, to_lark
from policykit.grammar.scalars import is_void, of_characters
from policykit.grammar.void_terminals import void_terminals
from policykit.ir.grammar import Cfg, GrammarKind, GrammarShape, GrammarSpec, Production, Symbol, Terminal
from policykit.ir.lark import lark_string, without_token_names
from policykit.ir.later import Later
from policykit.ir.plan import Enforcement, Level, Rows
from policykit.ir.regex import Alternation, Assertion, Concat, Look, Regex, literal_text

MAX_CHARACTERS: Final = 1_000_000
MAX_CHOICES: Final = 20_000

# The engine's messages are `at LINE(COLUMN): what`, or `LINE(COLUMN): what`.
_MESSAGE: Final = re.compile(r"(?:at )?(?P<line>\d+)\((?P<column>\d+)\): (?P<what>.*)", re.DOTALL)
_KINDS: Final = (
    ("PK211", ("unknown name", "unknown grammar", "Unknown common")),
    ("PK212", ("invalid regex", "regex parse error", "lookarounds not supported")),
    ("PK206", ("too large", "too big", "too complex", "too many", "limit", "fuel", "exceed", "too deeply")),
    ("PK216", ("not supported", "only supported", "Unimplemented", "failed to compile JSON schema")),
)


def lark(source: str, place: Place) -> GrammarSpec:
    """The grammar of a Lark source in llguidance's dialect; lexemes are taken as long as possible.

    Raises:
        PolicyError: PK206, PK208, PK210, PK211, PK212 or PK216, with line and column where the engine gives them.
    """
    _check_size(source, place)
    if "x-guidance" in source:
        message = "`x-guidance` switches the engine's checks and may not stand in a grammar"
        raise PolicyError.of("PK216", message, place)
    if any(map(misread_complement, expressions(source))):
        message = "a class is read otherwise by the masking engine: U+D7FF and U+E000 stand in it, apart"
        raise PolicyError.of("PK212", message, place, "add the range `\\x{D7FF}-\\x{E000}`, which says no more")
    program = lark_program(source)
    # Which tokens there are is the vocabulary's to say (`named_tokens`); all else is looked at without them.
    over_bytes = lark_program(without_token_names(source))
    refused = syntax_refusal(program) or refusal(over_bytes)
    if refused is not None:
        raise PolicyError([_diagnostic(refused, place)])
    cfg = cfg_of(source, place)
    if cfg is not None and (stuck := unfinishable(cfg)):
        heads = dict.fromkeys(p.head for p in stuck if "@" not in p.head)
        places = {p.head: p.place for p in reversed(stuck)}
        advice = "give it an alternative that does not refer back to it"
        raise PolicyError(
            Diagnostic("PK208", f"the rule `{head}` can never be completed", places[head], advice) for head in heads
        )
    if has_no_text(over_bytes):
        raise PolicyError.of("PK208", "no text belongs to the grammar", place, "give the start a terminal that matches")
    if cfg is None and (void := dict(void_terminals(without_token_names(source)))):
        raise PolicyError(
            Diagnostic("PK208", f"the terminal `{name}` matches no text", _place_in(source, at, place), _NO_TEXT)
            for name, at in void.items()
        )
    shape = cfg if cfg is not None and splits_uniquely(cfg) else None
    return _specification(GrammarKind.LARK, source, program, shape, place)


_NO_TEXT: Final = "leave something in it, or take out what names it"


def _place_in(source: str, at: int, place: Place) -> Place:
    line, column = place.line + source.count("\n", 0, at), at - source.rfind("\n", 0, at)
    return Place(place.file, line, column, line, column + 1)


def gbnf(source: str, place: Place) -> GrammarSpec:
    """The grammar of a GBNF source (:mod:`policykit.grammar.gbnf`).

    Raises:
        PolicyError: PK206, PK208, PK210, PK211 or PK216, with line and column.
    """
    _check_size(source, place)
    return _of_rules(GrammarKind.GBNF, source, parse_gbnf(source, place), place)


def ebnf(source: str, place: Place) -> GrammarSpec:
    """The grammar of an EBNF source as XGrammar writes it (:mod:`policykit.grammar.ebnf`).

    Raises:
        PolicyError: PK206, PK208, PK210, PK211 or PK216, with line and column.
    """
    _check_size(source, place)
    return _of_rules(GrammarKind.EBNF, source, parse_ebnf(source, place), place)


def plain_lark(source: str, place: Place) -> GrammarSpec:
    """The grammar of a Lark file as the library `lark` reads it (:mod:`policykit.grammar.plain_lark`).

    Terminals are lexemes where the grammar reads the same with the longest ones; else the mask goes by characters.

    Raises:
        PolicyError: PK206, PK208, PK210, PK211, PK212 or PK216.
    """
    _check_size(source, place)
    cfg, ignored = read_plain_lark(source, place)
    if unfinishable(cfg):
        raise PolicyError.of("PK208", "a rule can never be completed", place, "give it a way to end")
    is_plain = splits_uniquely(cfg)
    long = None if is_plain else _reaching(cfg, ignored, place)
    if not is_plain and long is None:
        return _of_rules(GrammarKind.PLAIN_LARK, source, scannerless(cfg), place, cfg.start)
    if not is_plain and not splits_uniquely(cfg, ignored):
        message = (
            f"the ignored text `{long}` may hold what follows it, in a grammar that is not read by longest lexemes"
        )
        raise PolicyError.of("PK216", message, place, "end it with a character of its own, such as a line feed")
    program = lark_program(render(cfg))
    if (refused := refusal(program)) is not None:
        raise PolicyError.of(_code(refused), _first_line(refused), place)
    return _specification(GrammarKind.PLAIN_LARK, source, program, cfg if is_plain else None, place)


def _reaching(cfg: Cfg, ignored: frozenset[str], place: Place) -> str | None:
    """Ignored text that ends only where it can go on no longer, as a reading by characters does not know."""
    try:
        return reaching(cfg, ignored)
    except TooLarge as error:
        raise PolicyError.of("PK206", "the grammar's expressions are too large to compare", place) from error


def _of_rules(kind: GrammarKind, source: str, rules: Rules, place: Place, start: str = ROOT) -> GrammarSpec:
    written = to_lark(rules, start)
    program = lark_program(written)
    if (refused := refusal(program)) is not None:
        raise PolicyError.of(_code(refused), _first_line(refused), place)
    cfg = cfg_of(written, place)
    if cfg is not None and any("@" not in production.head for production in unfinishable(cfg)):
        raise PolicyError.of("PK208", "a rule can never be completed", place, "give it a way to end")
    shape = cfg if cfg is not None and splits_uniquely(cfg) else None
    return _specification(kind, source, program, shape, place)


def regex(source: str, place: Place) -> GrammarSpec:
    """The grammar whose texts are matched as a whole by an RE2 expression (classes as Unicode reads them).

    Raises:
        PolicyError: the expression's own diagnostics (PK1xx), PK206 or PK212.
    """
    _check_size(source, place)
    language = _unanchored(parse_regex(source, place))
    if _asserts(language):
        message = "a grammar's expression may assert nothing but the start and the end of the text"
        raise PolicyError.of("PK212", message, place, "spell the neighbouring characters out")
    if is_void(language):
        raise PolicyError.of("PK208", "the expression matches no text", place, "leave characters in its classes")
    program = lark_program(f"start: TEXT\nTEXT: {lark_pattern(language)}")
    if (refused := refusal(program)) is not None:
        code = "PK206" if _code(refused) == "PK206" else "PK212"
        raise PolicyError.of(code, f"the expression is refused: {_first_line(refused)}", place)
    shape = Cfg("start", (Production("start", (Symbol("TEXT", True),), place),), (Terminal("TEXT", language, place),))
    return _specification(GrammarKind.REGEX, source, program, shape, place)


def choices(texts: Sequence[str], place: Place) -> GrammarSpec:
    """The grammar of exactly these texts.

    Raises:
        PolicyError: PK213 (none, not text, or one twice), PK206.
    """
    if not texts:
        raise PolicyError.of("PK213", "there are no choices", place, "list at least one text")
    faults = [
        Diagnostic("PK213", f"choice {i + 1} is not a text", place)
        for i, text in enumerate(texts)
        if not isinstance(text, str) or not _is_text(text)  # pyright: ignore[reportUnnecessaryIsInstance]
    ]
    if faults:
        raise PolicyError(faults)
    if (
        twice := [text for i, text in enumerate(texts) if text in texts[:i]]
        if len(texts) <= 2_000
        else _repeated(texts)
    ):
        raise PolicyError(Diagnostic("PK213", f"the choice `{text}` is listed twice", place) for text in twice)
    source = json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))
    if len(texts) > MAX_CHOICES:
        raise PolicyError.of("PK206", f"{len(texts):,} choices, the limit is {MAX_CHOICES:,}", place)
    _check_size(source, place)
    program = lark_program("start: " + " | ".join(lark_string(text) for text in texts))
    if (refused := refusal(program)) is not None:
        raise PolicyError([_diagnostic(refused, place)])
    symbols = tuple((Symbol(f"choice {i + 1}", True), text) for i, text in enumerate(texts))
    shape = Cfg(
        "start",
        tuple(Production("start", (symbol,), place) for symbol, _ in symbols),
        tuple(Terminal(symbol.name, literal_text(text), place) for symbol, text in symbols),
    )
    return _specification(GrammarKind.CHOICES, source, program, shape, place)


def _specification(kind: GrammarKind, source: str, program: str, shape: GrammarShape, place: Place) -> GrammarSpec:
    rows = Rows((Enforcement("grammar", "start", Level.DECODE, "masked", place),))
    return GrammarSpec(kind, source, program, False, Later.of(rows), Later.of(shape), place)


def lark_pattern(language: Regex) -> str:
    """An expression as the dialect writes it."""
    return "/" + unparse(of_characters(language)).replace("/", "\\/").replace("\n", "\\n") + "/"


def _is_text(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _repeated(texts: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    return [text for text in texts if text in seen or seen.add(text)]


def _check_size(source: str, place: Place) -> None:
    if len(source) > MAX_CHARACTERS:
        message = f"the grammar is {len(source):,} characters long, the limit is {MAX_CHARACTERS:,}"
        raise PolicyError.of("PK206", message, place)
    if not _is_text(source):
        raise PolicyError.of("PK210", "an unpaired surrogate is no character", place, "write the character itself")


def _unanchored(language: Regex) -> Regex:
    """The expression without the anchors that a whole-text match implies."""
    items = language.items if isinstance(language, Concat) else (language,)
    while items and items[0] == Assertion(Look.TEXT_START):
        items = items[1:]
    while items and items[-1] == Assertion(Look.TEXT_END):
        items = items[:-1]
    return items[0] if len(items) == 1 else Concat(items)


def _asserts(language: Regex) -> bool:
    match language:
        case Assertion():
            return True
        case Concat(items) | Alternation(items):
            return any(map(_asserts, items))
        case _:
            item = getattr(language, "item", None)
            return item is not None and _asserts(item)


def _first_line(refused: str) -> str:
    found = _MESSAGE.match(refused)
    what = found["what"] if found else refused
    lines = [line.strip() for line in what.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [refused])[0][:200]


def _code(refused: str) -> str:
    lowered = refused.lower()
    return next((code for code, words in _KINDS if any(word.lower() in lowered for word in words)), "PK210")


def _diagnostic(refused: str, place: Place) -> Diagnostic:
    code = _code(refused)
    what = _first_line(refused)
    text = what[:1].lower() + what[1:]
    if code == "PK211":
        text = re.sub(r'"([^"]*)"', r"`\1`", text)
    found = _MESSAGE.match(refused)
    if found is None:
        return Diagnostic(code, text, place)
    line = int(found["line"]) + place.line - 1
    column = int(found["column"])
    return Diagnostic(code, text, Place(place.file, line, column, line, column + 1))
