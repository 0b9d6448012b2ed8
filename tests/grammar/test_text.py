"""Lark, expressions and choices: judged whole, and their shape against lark's own parser and RE2."""

import random

import lark
import pytest
import re2
from hypothesis import given, settings, strategies as st

from policykit import grammar
from policykit.diagnostics import Place, PolicyError
from policykit.ir.grammar import Cfg
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Regex, Repeat

PLACE = Place("case.lark")

SHAPED = {
    "sequence": 'start: "a" "b"? "c"*',
    "recursive": 'start: "(" start ")" | ITEM\nITEM: /[xy]/ DIGIT~1..2\nDIGIT: "0".."3"',
    "list": 'start: "[" [item ("," item)*] "]"\nitem: WORD | start\nWORD: /[a-c]+/',
    "counts": 'start: word~2..3 end\nword: "a" | "b"\nend: "!"~2',
    "braces": 'start: "a"{2} "b"{1,2} "c"{,2} "d"{1,}',
    "case": 'start: "Ab"i /c[d]/i',
    "lines": 'start: one\n    | two   // both\n\n# a comment\none: "1"\ntwo: "2" "\\n"',
    "keyword or name": 'start: "if" ":" | NAME ";"\nNAME: /[a-z]+/',
    "escapes": 'start: "\\"" /\\// "\\t"',
    "empty": 'start: "a" inner "b"\ninner: | "c" inner',
}
OPAQUE = {
    "two lexemes that blur": 'start: A "ab"\nA: /a+/',
    "a longer lexeme swallows": 'start: ("a" | "ab") ("c" | "bcd")',
    "ignored text": 'start: "a" "b"\n%ignore / +/',
    "import": "%import common.INT\nstart: INT",
    "inline schema": 'start: "x" %json {"type": "null"}',
    "special token": 'start: "a" <tool>',
    "intersection": "start: A\nA: /[ab]+/ & ~/.*bb.*/",
    "lazy": "start: a\na[lazy]: /a+b/",
    "class read otherwise": "start: /\\w+/",
    "many copies": 'start: "a"~1..5000',
}


def write(regex: Regex, rng: random.Random) -> str:
    match regex:
        case Empty() | Assertion():
            return ""
        case Chars(literal, on_view):
            low, high = rng.choice((*literal, *on_view))
            return chr(rng.randint(low, min(high, low + 50)))
        case Concat(items):
            return "".join(write(item, rng) for item in items)
        case Alternation(items):
            return write(rng.choice(items), rng)
        case Repeat(item, least, most):
            top = least + 2 if most is None else most
            return "".join(write(item, rng) for _ in range(rng.randint(least, top)))


def derive(cfg: Cfg, head: str, rng: random.Random, depth: int = 0) -> str:
    """A random text of the shape; past some depth the shortest-looking production is taken."""
    terminals = {terminal.name: terminal.regex for terminal in cfg.terminals}
    options = [p.body for p in cfg.productions if p.head == head]
    if depth > 6:
        nested = [sum(not s.is_terminal for s in body) for body in options]
        options = [body for body, n in zip(options, nested, strict=True) if n == min(nested)]
    body = rng.choice(options)
    return "".join(
        write(terminals[s.name], rng) if s.is_terminal else derive(cfg, s.name, rng, depth + 1) for s in body
    )


@pytest.mark.parametrize("name", SHAPED)
def test_the_shape_is_the_language(name: str) -> None:
    source = SHAPED[name]
    spec = grammar.lark(source, PLACE)
    assert isinstance(spec.shape, Cfg)
    assert {s.name for p in spec.shape.productions for s in p.body if s.is_terminal} == {
        t.name for t in spec.shape.terminals
    }
    oracle = (
        None if "{" in source else lark.Lark(source.replace("//", "#") if name == "lines" else source, lexer="dynamic")
    )
    rng = random.Random(name)
    texts = {derive(spec.shape, "start", rng) for _ in range(60)}
    for text in texts:
        assert grammar.matches(spec, text), text
        if oracle is not None:
            oracle.parse(text)
    for text in texts:
        broken = text[:-1] + "%" if text else "%"
        assert not grammar.matches(spec, broken)


@pytest.mark.parametrize("name", OPAQUE)
def test_what_the_shape_cannot_say_is_opaque(name: str) -> None:
    assert grammar.lark(OPAQUE[name], PLACE).shape is None


atoms = st.sampled_from(
    ["a", "b", "[ab]", "[^a]", ".", "é", "\\d", "\\.", "(?:ab|c)", "(?i:x)", "\\x{4e2d}", "/", "\\n"]
)
suffixes = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "{0,3}?"])
expressions = st.lists(st.tuples(atoms, suffixes), min_size=1, max_size=4).map(lambda p: "".join(a + s for a, s in p))
samples = st.lists(st.sampled_from(list("abcxX.é中1/\n")), max_size=6).map("".join)


@settings(max_examples=120, deadline=None)
@given(expressions, st.lists(samples, min_size=1, max_size=6))
def test_expressions_match_as_re2_does(source: str, texts: list[str]) -> None:
    spec = grammar.regex(source, PLACE)
    for text in texts:
        assert grammar.matches(spec, text) == (re2.fullmatch(source, text) is not None), text


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("^a|b$", "a", None),
        ("^ab$", "ab", True),
        ("^ab$", "ab\n", False),
        ("a|b", "b", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_anchors(source: str, text: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(PolicyError, match="PK212"):
            grammar.regex(source, PLACE)
    else:
        assert grammar.matches(grammar.regex(source, PLACE), text) is expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=6, unique=True), st.lists(st.text(max_size=6), max_size=4))
def test_choices_are_exactly_themselves(texts: list[str], others: list[str]) -> None:
    spec = grammar.choices(texts, PLACE)
    for text in texts + others + [t + "x" for t in texts] + [t[:-1] for t in texts]:
        assert grammar.matches(spec, text) == (text in texts)
    found = grammar.GrammarValidator(spec).check("no such text at all")
    assert [v.keyword for v in found] == ["choices"]
    assert isinstance(spec.shape, Cfg)
    assert len(spec.shape.productions) == len(texts)
