"""What fuzzing has found: each was accepted and could not be written, let through, never ready, or failed otherwise."""

import re
from collections.abc import Callable

import pytest
from lark import Lark
from lark.exceptions import LarkError

from policykit import grammar
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.lark_groups import MAX_SEQUENCES, with_groups_apart
from policykit.ir.grammar import GrammarSpec

PLACE = Place("case")
ALL_BUT = r"\u0000-\ud7ff\ue000-\U0010ffff"


@pytest.mark.parametrize(
    ("make", "source"),
    [
        (grammar.regex, r"[^\x00-\x{10ffff}]"),
        (grammar.regex, r"a[^\x00-\x{d7ff}\x{e000}-\x{10ffff}]"),
        (grammar.gbnf, 'root ::= [^\\u0000-\\U0010ffff] "x"'),
        (grammar.gbnf, f'root ::= [^{ALL_BUT}]+ | "a" root'),
        (grammar.plain_lark, 'start: A "x"\nA: /[^\\x00-\\U0010ffff]/\n'),
        (grammar.lark, 'start: A "x"\nA: /[^\\x00-\\U0010ffff]/\n'),
        (grammar.lark, "start: A\nA: /a+/ & /b+/\n"),
    ],
)
def test_what_no_text_belongs_to_is_unsatisfiable(make: Callable[[str, Place], GrammarSpec], source: str) -> None:
    with pytest.raises(PolicyError) as raised:
        make(source, PLACE)
    assert raised.value.diagnostics[0].code == "PK208"


@pytest.mark.parametrize(
    ("make", "source"),
    [
        (grammar.regex, r"[^\x{d7f0}-\x{d7ff}\x{e000}-\x{e00f}]"),
        (grammar.regex, r"(?:[^\x{d7f0}-\x{d7ff}\x{e000}-\x{e00f}])"),
        (grammar.gbnf, r"root ::= [^\ud7f0-\ud7ff\ue000-\ue00f]"),
        (grammar.ebnf, r"root ::= [^\ud7f0-\ud7ff\ue000-\ue00f]"),
        (grammar.plain_lark, r"start: /[^\ud7f0-\ud7ff\ue000-\ue00f]/"),
    ],
)
def test_a_negated_class_ends_where_it_says_beside_the_surrogates(
    make: Callable[[str, Place], GrammarSpec], source: str
) -> None:
    spec, expected = make(source, PLACE), re.compile("[^\ud7f0-\ud7ff\ue000-\ue00f]")
    for char in "a\ud7ef\ud7f0\ud7f5\ud7ff\ue000\ue005\ue00f\ue010\U0010ffff":
        assert grammar.matches(spec, char) == bool(expected.fullmatch(char)), ascii(char)


def test_surrogates_in_a_class_are_no_characters() -> None:
    spec = grammar.regex(r"[^\p{L}\p{Cs}]|\p{Cs}x", PLACE)
    assert [grammar.matches(spec, text) for text in ("1", "a", "\ue000", "\ud7ff", "x")] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_a_template_without_arguments_is_not_defined() -> None:
    with pytest.raises(PolicyError, match="`x` is a template") as raised:
        grammar.plain_lark("start: x{x{x}}\nx{t}: t t\nA: /a/\n", PLACE)
    assert raised.value.diagnostics[0].code == "PK211"


MULTIPLIED = {
    "options": (
        "start: " + " ".join('["a"]' for _ in range(30)) + ' "b"',
        ["b", "aab", "a" * 30 + "b"],
        ["a" * 31 + "b", "a"],
    ),
    "counted groups": (
        'start: ("a" | "b" | "c"~2)~3..9',
        ["abcc", "ccccccccc" * 2, "a" * 9],
        ["ab", "c" * 5, "a" * 10],
    ),
    "groups in a row": (
        "start: " + " ".join('("a" | "b" -> x | start2)' for _ in range(8)).replace(" -> x", "") + '\nstart2: "c"*',
        ["aabbabab", "cccaaaaaaaa"[:10], ""],
        ["aabbababa", "abababa" + "ab"],
    ),
    "repeated groups": ('start: (("x" | "y"?)~0..4 "z")* -> whole', ["", "xz", "xyxyzz"], ["x", "xxxxxz"]),
}


@pytest.mark.parametrize("name", MULTIPLIED)
def test_groups_are_not_multiplied_out(name: str) -> None:
    source, inside, outside = MULTIPLIED[name]
    spec = grammar.plain_lark(source, PLACE)
    assert [text for text in inside if not grammar.matches(spec, text)] == []
    assert [text for text in outside if grammar.matches(spec, text)] == []


def test_small_rules_are_left_as_lark_reads_them() -> None:
    from lark.load_grammar import load_grammar

    read, _ = load_grammar('start: ("a" | "b") c? -> x\nc: "c"~2..3 | _t{c}\n_t{p}: p p\n', "case", [], False)
    assert with_groups_apart(read.rule_defs) == list(read.rule_defs)
    assert MAX_SEQUENCES > 10


def test_groups_apart_are_the_same_language_to_lark() -> None:
    source = "start: " + " ".join('("a" | "b"? | c~0..2)' for _ in range(5)) + '\nc: "c" | "d"'
    plain = Lark(source, parser="earley", lexer="dynamic_complete")
    spec = grammar.plain_lark(source, PLACE)
    for text in ("", "a", "abcdc", "ccccdddddd", "aaaaaa", "ababab", "cc", "ddddddddddd", "abba", "x"):
        assert grammar.matches(spec, text) == _parses(plain, text), text


def _parses(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
    except LarkError:
        return False
    return True
