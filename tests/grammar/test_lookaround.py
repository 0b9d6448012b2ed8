"""Patterns that look around, and those that are refused, are masked in other words: as `re` reads them."""

import itertools
import json
import re

import pytest
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import Place
from policykit.grammar import GrammarValidator, json_schema, matches
from policykit.grammar.lookaround import without_lookaround
from policykit.grammar.negation import not_found
from policykit.ir.plan import Level
from tests.length import at_length

PLACE = Place("case.schema.json")
TEXTS = ["".join(letters) for n in range(5) for letters in itertools.product("ab-", repeat=n)]

inner = st.sampled_from(["a", "b", "ab", "a$", "^-", ".*b", "-|b$", "[ab]-", "a+b?", "(?:a|b)$", "(?:-a){1,2}", ""])
looks = st.builds("({}{})".format, st.sampled_from(["?=", "?!"]), inner)
behind = st.builds("({}{})".format, st.sampled_from(["?<=", "?<!"]), st.sampled_from(["a", "-", "[ab]", "ab"]))
pieces = st.lists(
    st.sampled_from(["a", "b", "[ab]", ".", "a*", "(?:b|-)", "[^-]+", "-?", r"\b", r"(a|b)\1", ""]), max_size=3
)
patterns = st.one_of(
    st.builds(
        lambda start, first, front, look, rest, last, end: f"{start}{front}{look}{first}{''.join(rest)}{last}{end}",
        st.sampled_from(["^", ""]), st.sampled_from(["", "a", "."]), looks | st.just(""), looks, pieces,
        behind | st.just(""), st.sampled_from(["$", ""]),
    ),
    st.builds(lambda look, char, star: f"^(?:{look}{char}){star}$", looks, st.sampled_from([".", "[ab]"]),
              st.sampled_from(["*", "+"])),
)  # fmt: skip


def found(pattern: str, text: str) -> bool:
    return re.search(re.sub(r"(?<!\\)\$", r"\\Z", pattern), text) is not None


@settings(max_examples=at_length(2000, 150), deadline=None)
@given(patterns)
def test_what_is_said_is_implied_and_all_of_it_where_it_is_exact(pattern: str) -> None:
    said = without_lookaround(pattern)
    if said is None:
        return
    for text in TEXTS:
        is_said = all(found(one, text) for one in said.found) and not any(found(one, text) for one in said.missing)
        if found(pattern, text):
            assert is_said, (pattern, said, text)
        elif said.is_exact:
            assert not is_said, (pattern, said, text)


@settings(max_examples=at_length(300, 15), deadline=None)
@given(st.lists(inner.filter(bool), min_size=1, max_size=2))
def test_an_expression_of_what_is_not_found_has_no_other_text(asked: list[str]) -> None:
    refused = not_found(tuple(asked))
    assert refused is not None
    spec = json_schema({"type": "string", "pattern": refused}, PLACE)
    for text in TEXTS[:60]:
        assert matches(spec, json.dumps(text)) == (not any(found(one, text) for one in asked)), (asked, refused, text)


def test_what_is_found_everywhere_or_is_large_is_not_said() -> None:
    assert not_found(("",)) is None
    assert not_found((r"a.{40}b",)) is None
    assert not_found((r"\bfoo",)) is None


@pytest.mark.parametrize(
    ("schema", "texts", "others"),
    [
        ({"pattern": r"^(?=.*[A-Z])(?=.*\d).{8,}$"}, ["Passw0rd", "ABCDEFG1"], ["password", "Passwords", "Pass0"]),
        ({"pattern": "^(?!admin$)[a-z]+$"}, ["user", "admins", "adm"], ["admin", "A"]),
        ({"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}, ["1.50", "-0", ".5"], ["-", "", "1.2.3", "a"]),
        ({"pattern": "^[a-z](?!.*--)[a-z-]{1,10}(?<!-)$"}, ["a-b", "ab"], ["a--b", "ab-", "-a"]),
        ({"pattern": "^((?!mode)(?!Mode).)*$"}, ["abc", "Mod"], ["xmode", "aMode"]),
        ({"pattern": r"^(?!\s*$).+"}, ["a", " a"], ["", "  ", "\ufeff"]),
        ({"pattern": r"^(?!x)[\W\d]\w\d\W\D$"}, ["é_0é_", "0a0-a"], ["ab0-a", "0é0-a", "0a٣-a", "0a0a-", "0a0-0"]),
        ({"pattern": r"^(?![\w-]*$)[-.]*$"}, [".", "-."], ["-", "", "a."]),
        ({"not": {"pattern": r"^[\w-]*[^\w\s]$"}}, ["a", "", "é a"], ["a-", "é", "."]),
        ({"not": {"pattern": "^admin"}}, ["user", "adm"], ["admin", "administrator"]),
        ({"pattern": "^a", "not": {"pattern": "z"}}, ["a", "ab"], ["az", "b"]),
        ({"if": {"pattern": "^A"}, "then": {"maxLength": 2}, "else": {"minLength": 2}}, ["A", "bc"], ["ABC", "b"]),
        ({"oneOf": [{"maxLength": 3}, {"pattern": "^a"}]}, ["abcd", "xyz"], ["ab", "xyzw"]),
    ],
)
def test_the_mask_carries_it_whole(schema: dict[str, object], texts: list[str], others: list[str]) -> None:
    spec = json_schema({"type": "string", **schema}, PLACE)
    assert not spec.residue
    for text, is_good in [*((text, True) for text in texts), *((text, False) for text in others)]:
        written = json.dumps(text, ensure_ascii=False)
        assert matches(spec, written) is is_good, text
        assert (not GrammarValidator(spec).check(written)) is is_good, text


@pytest.mark.parametrize(
    ("pattern", "text", "refused", "judged"),
    [(r"^(a|b)\1$", "aa", "abc", "ab"), (r"\bfoo\b", "a foo.", "fo", "afoo"), ("^a+(?!b)c?b?$", "aac", "c", "aab")],
)
def test_what_is_not_said_exactly_is_residue_and_the_rest_is_masked(
    pattern: str, text: str, refused: str, judged: str
) -> None:
    spec = json_schema({"type": "string", "pattern": pattern}, PLACE)
    assert [r.pointer for r in spec.residue] == ["/pattern"]
    assert {e.name: e.level for e in spec.enforcements}["/pattern"] is Level.OUTPUT
    assert [matches(spec, json.dumps(one)) for one in (text, refused, judged)] == [True, False, True]
    assert [bool(GrammarValidator(spec).check(json.dumps(one))) for one in (text, judged)] == [False, True]
