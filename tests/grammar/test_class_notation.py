"""Classes of characters mean the same to the mask, to the verifier, and to a reader of ECMA-262 of its own."""

import json

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.grammar import GrammarValidator, matches
from policykit.grammar.class_notation import for_the_engine, misread_complement

EDGES = "\ud7fe\ud7ff\ue000\ue001"
ASKED = "abz09&~-[^,+ é" + EDGES
ATOMS: dict[str, str] = {
    "a": "a", "b": "b", "&": "&", "&&": "&", "~~": "~", "[": "[", "[^": "[^", "a-b": "ab", "+--": "+,-", r"\-": "-",
    r"\[": "[", r"\u0061": "a", r"\x62-z": "bz", r"\d": "09", r"\w": "abz09", ",": ",",
    r"\ud7ff": EDGES[1], r"\ue000": EDGES[2], r"\ud000-\ud7ff": EDGES[:2], r"\ue000-\uf000": EDGES[2:],
    EDGES[1]: EDGES[1], EDGES[2]: EDGES[2], r"\p{Co}": EDGES[2:], r"\p{L}": "abzé",
}  # fmt: skip
"""What is asked about of what stands in a class, for each piece that one may be made of."""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(list(ATOMS)), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_class_holds_what_its_pieces_hold(pieces: list[str], is_negated: bool, ends_in_hyphen: bool) -> None:
    held = {char for piece in pieces for char in ATOMS[piece]} | set("-" if ends_in_hyphen else "")
    pattern = f"^[{'^' if is_negated else ''}{''.join(pieces)}{'-' if ends_in_hyphen else ''}]$"
    spec = pk.Grammar.from_json_schema({"type": "string", "pattern": pattern})
    validator = GrammarValidator(spec)
    assert not spec.residue
    for char in ASKED:
        text = json.dumps(char, ensure_ascii=False)
        assert matches(spec, text) == ((char in held) != is_negated), (pattern, char)
        assert (not validator.check(text)) == ((char in held) != is_negated), (pattern, char)


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        ("^[a&&b]$", "ab&", "c-"),
        ("^[&&]$", "&", "a"),
        ("^[[a]]$", ["[]", "a]"], ["a", "["]),
        ("^[[:alpha:]]$", ["[]", ":]", "a]"], ["a", "b"]),
        ("^[a-c&&[^b]]$", ["a]", "&]", "[]", "^]", "b]"], ["a", "b"]),
        (r"^[\w--a]$", "az_-", "+"),
        ("^[+--]$", "+,-", "a"),
    ],
)
def test_brackets_and_operators_are_characters(pattern: str, texts: list[str], others: list[str]) -> None:
    spec = pk.Grammar.from_json_schema({"type": "string", "pattern": pattern})
    for text in texts:
        assert matches(spec, json.dumps(text)), text
        assert not GrammarValidator(spec).check(json.dumps(text)), text
    for text in others:
        assert not matches(spec, json.dumps(text)), text
        assert GrammarValidator(spec).check(json.dumps(text)), text


def test_names_are_read_alike() -> None:
    schema = {"patternProperties": {"^[[a]$": {"type": "null"}}, "type": "object", "additionalProperties": False}
    spec = pk.Grammar.from_json_schema(schema)
    assert matches(spec, '{"[":null}')
    assert matches(spec, '{"a":null}')
    assert not matches(spec, '{"b":null}')


def test_other_patterns_stay_as_they_are() -> None:
    for pattern in ("^[a-z]+$", r"[^\]\-]", r"\[&&\]", "[a", "a--b&&", r"^[^\x20-\ud7ff]$", r"\p{L}[^\p{L}]"):
        assert for_the_engine(pattern) == pattern


@pytest.mark.parametrize(
    ("source", "is_misread"),
    [
        (r"start: /[^\x{D000}-\x{D7FF}\x{E000}-\x{E010}]/", True),
        ("start: /[^\ud7ff\ue000]/", True),
        (r"start: /[^\p{Co}\x{D7FF}]/", True),
        (r"start: /[a&&[^\u{D7FF}\u{E000}]]/", True),
        (r"start: /[^\x{D000}-\x{E010}]/", False),
        (r"start: /[\x20-\x{D7FF}\x{E000}-\x{FFFD}]/", False),
        (r"start: /\P{C}[^\p{C}]/", False),
        (r"start: /[^\x{D7FF}\x{E001}]/", False),
    ],
)
def test_complements_that_are_read_otherwise_are_told(source: str, is_misread: bool) -> None:
    assert misread_complement(source) == is_misread
    if is_misread:
        with pytest.raises(pk.PolicyError, match="PK212"):
            pk.Grammar.from_lark(source)
    else:
        pk.Grammar.from_lark(source)
