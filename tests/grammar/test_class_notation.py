"""Classes of characters mean the same to the mask, to the verifier, and to a reader of ECMA-262 of its own."""

import json
from urllib.parse import quote

import pytest
import re2
from hypothesis import assume, given, settings, strategies as st

import policykit as pk
from policykit.automata import unparse
from policykit.diagnostics import Place
from policykit.grammar import GrammarValidator, matches
from policykit.grammar.class_notation import for_the_engine, misread_complement
from policykit.grammar.lark_syntax import expressions
from policykit.grammar.sites import searched
from policykit.grammar.values import Json

EDGES = "\ud7fe\ud7ff\ue000\ue001"
ASKED = "\ufeffabz09&~-[^,+ é\x85" + EDGES
ATOMS: dict[str, str] = {
    "a": "a", "b": "b", "&": "&", "&&": "&", "~~": "~", "[": "[", "[^": "[^", "a-b": "ab", "+--": "+,-", r"\-": "-",
    r"\[": "[", r"\u0061": "a", r"\x62-z": "bz", r"\d": "09", r"\w": "abz09", ",": ",",
    r"\ud7ff": EDGES[1], r"\ue000": EDGES[2], r"\ud000-\ud7ff": EDGES[:2], r"\ue000-\uf000": EDGES[2:],
    r"\t-\ud7ff": ASKED[1:-2], r"\s": " \ufeff", r"\S": ASKED.replace(" ", "").replace("\ufeff", ""),
    EDGES[1]: EDGES[1], EDGES[2]: EDGES[2], r"\p{Co}": EDGES[2:], r"\p{L}": "abzé",
}  # fmt: skip
"""What is asked about of what stands in a class, for each piece that one may be made of."""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(list(ATOMS)), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_class_holds_what_its_pieces_hold(pieces: list[str], is_negated: bool, ends_in_hyphen: bool) -> None:
    assume(not (is_negated and {r"\s", r"\S"} <= set(pieces)))  # which is a class of nothing
    held = {char for piece in pieces for char in ATOMS[piece]} | set("-" if ends_in_hyphen else "")
    pattern = f"^[{'^' if is_negated else ''}{''.join(pieces)}{'-' if ends_in_hyphen else ''}]$"
    spec = pk.Grammar.from_json_schema({"type": "string", "pattern": pattern})
    validator = GrammarValidator(spec)
    language = searched(pattern, Place("case"))
    assert language is not None or "\\u" in pattern or "\\p" in pattern  # which it need not read
    assert not spec.residue
    for char in ASKED:
        text = json.dumps(char, ensure_ascii=False)
        if language is not None:
            assert bool(re2.fullmatch(unparse(language), char)) == ((char in held) != is_negated), (pattern, char)
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
        (r"^\s$", "\ufeff\xa0\t ", "\x85\u200ba"),
        (r"^\S$", "\x85\u200ba", "\ufeff\xa0\t "),
        (r"^[^\s-]$", "\x85a", "\ufeff -"),
        (r"^[\S ]$", "\x85a ", "\ufeff\xa0"),
        ("^.$", "\x85a.", "\r\n\u2028\u2029"),
        ("^.(?!b)$", "\x85a.", "\r\n\u2028\u2029"),
        (r"^\.[.]$", [".."], [".a", "a."]),
        (r"^\\s[\s\S]$", ["\\s\ufeff", "\\s\x85"], ["\\\x85", "\ufeff"]),
    ],
)
def test_brackets_and_operators_are_characters(pattern: str, texts: list[str], others: list[str]) -> None:
    plain = pk.Grammar.from_json_schema({"type": "string", "pattern": pattern})
    specs = [(plain, texts, others)]
    if "(?" not in pattern:
        specs.append((pk.Grammar.from_json_schema({"type": "string", "not": {"pattern": pattern}}), others, texts))
    for spec, good, bad in specs:
        for text in good:
            assert matches(spec, json.dumps(text, ensure_ascii=False)), text
            assert not GrammarValidator(spec).check(json.dumps(text, ensure_ascii=False)), text
        for text in bad:
            assert not matches(spec, json.dumps(text, ensure_ascii=False)), text
            assert GrammarValidator(spec).check(json.dumps(text, ensure_ascii=False)), text


def test_names_are_read_alike() -> None:
    schema = {"patternProperties": {"^[[a]$": {"type": "null"}}, "type": "object", "additionalProperties": False}
    spec = pk.Grammar.from_json_schema(schema)
    assert matches(spec, '{"[":null}')
    assert matches(spec, '{"a":null}')
    assert not matches(spec, '{"b":null}')


@pytest.mark.parametrize("letter", "tnrfv")
def test_a_range_from_a_control_character_is_bridged(letter: str) -> None:
    first = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}[letter]
    spec = pk.Grammar.from_json_schema({"type": "string", "pattern": rf"^[^\{letter}-\uD7FF\uE000-\uFFFF]$"})
    validator = GrammarValidator(spec)
    assert not spec.residue
    for char in "\x7fa\ufffe\U00010000" + EDGES:
        text = json.dumps(char, ensure_ascii=False)
        is_outside = not first <= ord(char) <= 0xFFFF
        assert matches(spec, text) == is_outside, char
        assert (not validator.check(text)) == is_outside, char


def test_words_that_are_refused_are_bridged() -> None:
    words = ["\ud7ff", "\ue000", "a\ud7ff", "a\ue000b"]
    schema = pk.Grammar.from_json_schema({"type": "string", "not": {"enum": [*words]}})
    assert not schema.residue
    for word in ["", "a", *EDGES, *words, *(f"a{char}" for char in EDGES), "a\ue000bc", "\ud7ff\ue000"]:
        text = json.dumps(word, ensure_ascii=False)
        assert matches(schema, text) == (word not in words), word
        assert (not GrammarValidator(schema).check(text)) == (word not in words), word


@pytest.mark.parametrize("names", [("^[a[b]$", r"^[a\[b]$"), (r"^[a\[b]$", "^[a[b]$")])
def test_names_that_come_to_be_the_same_are_both_kept(names: tuple[str, str]) -> None:
    """Of each value that breaks one of them the mask says no, or the plan says who does."""
    patterns: dict[str, Json] = {names[0]: {"type": "string", "maxLength": 2}, names[1]: {"enum": ["x", "xxx"]}}
    spec = pk.Grammar.from_json_schema({"type": "object", "patternProperties": patterns})
    told = {residue.pointer for residue in spec.residue}
    assert matches(spec, '{"a":"x"}')
    assert not GrammarValidator(spec).check('{"a":"x"}')
    for text, keyword in (('{"a":"xxx"}', f"{names[0]}/maxLength"), ('{"a":"y"}', f"{names[1]}/enum")):
        assert GrammarValidator(spec).check(text)
        assert not matches(spec, text) or f"/patternProperties/{keyword}" in told


def test_a_name_that_stays_is_what_references_lead_to() -> None:
    patterns: dict[str, Json] = {"^[a[b]$": {"type": "null"}, r"^[a\[b]$": {"type": ["null", "string"]}}
    leads: Json = {"$ref": "#/patternProperties/%5E%5Ba%5C%5Bb%5D%24"}
    spec = pk.Grammar.from_json_schema({"type": "object", "properties": {"x": leads}, "patternProperties": patterns})
    assert matches(spec, '{"x":"y"}')
    assert not GrammarValidator(spec).check('{"x":"y"}')


@pytest.mark.parametrize("pattern", ["^.$", "^[.~/[]$", r"^(?=.)\w$"])
def test_a_name_that_is_written_otherwise_is_what_references_lead_to(pattern: str) -> None:
    leads = "#/$defs/o/patternProperties/" + quote(pattern.replace("~", "~0").replace("/", "~1"), safe="~")
    closed: Json = {"type": "object", "patternProperties": {pattern: {"type": "null"}, "^[.[]$": True}}
    spec = pk.Grammar.from_json_schema({"type": "array", "items": {"$ref": leads}, "$defs": {"o": closed}})
    assert not spec.residue
    for text, is_good in (("[null]", True), ("[1]", False)):
        assert matches(spec, text) is is_good
        assert (not GrammarValidator(spec).check(text)) is is_good


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        ("^(?:[]a]|b)$", ["b"], ["a", "]", "a]", "b]"]),
        ("^x[]|y]$", ["y]"], ["xy", "x|", "x]"]),
        ("^[^]$", ["x", "]", "\n", "\ud7ff"], ["", "xx"]),
        ("^[^]a[b[]$", ["]ab", "aa["], ["a", "]aa"]),
    ],
)
def test_an_empty_class_holds_nothing_and_its_complement_everything(
    pattern: str, texts: list[str], others: list[str]
) -> None:
    plain: dict[str, Json] = {"type": "string", "pattern": pattern}
    refuted: dict[str, Json] = {"type": "string", "not": {"not": {"pattern": pattern}}}
    for schema in (plain, refuted):
        spec = pk.Grammar.from_json_schema(schema)
        for text in [*texts, *others]:
            written = json.dumps(text, ensure_ascii=False)
            assert (not GrammarValidator(spec).check(written)) == (text in texts), text
            assert matches(spec, written) == (text in texts) or (spec.residue and text in others), text


def test_a_string_that_an_empty_class_is_needed_for_does_not_exist() -> None:
    with pytest.raises(pk.PolicyError, match="PK208"):
        pk.Grammar.from_json_schema({"type": "string", "pattern": "^[]a]$"})


def test_other_patterns_stay_as_they_are() -> None:
    for pattern in ("^[a-z]+$", r"[^\]\-]", r"\[&&\]", "[a", "a--b&&", r"^[^\x00\x20-\ud7ff]$", r"\p{L}[^ab]"):
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


@pytest.mark.parametrize(
    ("source", "is_misread"),
    [
        ('start: A\nA: "[" | /[^\\x{D7FF}]/ | /[\\x{E000}]/', False),
        ('start: A // [^\nA: /[^\\x{D7FF}]/ | "\ue000]" # /[^\ud7ff\ue000]/', False),
        (r'start: %json {"enum": ["[^\uD7FF", "[", "\uE000]"]}', False),
        (r"start: /[^]\x{D7FF}\x{E000}]/", True),
        ('start: <|"#|> /[^\ud7ff\ue000]/', True),
        (r'start: "\"/" /\/[^"\x{D7FF}\x{E000}]/', True),
        (r'start: %json {"type": "string", "pattern": "[^\\uD7FF\\uE000]"}', True),
        ('start: A %json{"const": 1}\nA: /[^\ud7ff\ue000]/', True),
    ],
)
def test_only_what_is_an_expression_is_looked_at(source: str, is_misread: bool) -> None:
    assert any(map(misread_complement, expressions(source))) == is_misread
    if is_misread:
        with pytest.raises(pk.PolicyError, match="PK212"):
            pk.Grammar.from_lark(source)
    else:
        pk.Grammar.from_lark(source)


LEAKING = [
    r"^[^\"]$", r"^[^\\]$", r"^[^\\/:*?\"<>|]$", r"^[\x00-\x5b\x5d-\x7f]$", r"^[\x00-!#-~]$", r"^[^\w\"]$", r"^\P{P}$",
    r"^[^\p{P}]$", r"^\p{Cc}$", r"^[\x00-\x1f]$", r"^[\x00-\x1fa-z]$", r"^[\u{0}-\u{21}]$", r"^[^\"\\]$", r"^[^a]$",
    r"^\D$", r"^\W$", r"^[^\d]$", r"^\S$", r"^[^\p{L}]$", r"^[\P{L}]$", r"^.$", r"^[\s\S]$", r"^[\P{Po}\n]$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", LEAKING)
@pytest.mark.parametrize("has_controls", [False, True])
def test_what_is_escaped_in_a_string_is_what_the_class_says(pattern: str, has_controls: bool) -> None:
    """For the engine a class that holds all control characters has every escape."""
    more = [{"const": "\x02"}] if has_controls else []
    spec = pk.Grammar.from_json_schema({"anyOf": [{"type": "string", "pattern": pattern}, *more]})
    validator = GrammarValidator(spec)
    for char in '"\\\n\t/ab0_[]!':
        text = json.dumps(char)
        assert matches(spec, text) == (not validator.check(text)), char
    assert not spec.residue


def test_what_is_made_of_a_pattern_is_written_so_too() -> None:
    spec = pk.Grammar.from_json_schema({"type": "string", "not": {"pattern": r"^\\"}})
    assert [matches(spec, text) for text in (r'"\\a"', '"a"', r'"\"a"')] == [False, True, True]
