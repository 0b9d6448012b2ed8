"""Whether a text may still become JSON, against the standard library's reader on every continuation that is short, and
what is JSON for lenient readers alone."""

import ast
import contextlib
import json
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import example, given, strategies as st

from policykit.text.json_prefix import JsonPrefix, begins_like_json, has_other_strings
from policykit.verify.units import parses_as_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from([None, 1]), st.sampled_from(["", "\ufeff", " \n"]))
def test_no_prefix_of_json_is_ruled_out(value: object, indent: int | None, front: str) -> None:
    prefix = JsonPrefix()
    text = f"{front}{json.dumps(value, indent=indent)} "
    assert prefix.read(text) == len(text)
    assert prefix.possible


@given(st.text(st.sampled_from('[]{}",:\\u0a-+1.eEtrunlfsNIiy \ufeff\n'), max_size=8))
@example("01")
@example("-Infinity")
def test_what_is_ruled_out_is_no_json(text: str) -> None:
    prefix = JsonPrefix()
    n = prefix.read(text)
    if not prefix.possible:
        assert not any(parses_as_json(text[:n] + more) for more in ("", "1", "}", "]", '"', '":1}', "e1", " "))
        assert not parses_as_json(text)


@pytest.mark.parametrize(
    ("text", "n"),
    [("The", 1), ("[I", 3), ("12 a", 4), ('"a" b', 5), ("[1 2", 4), ("nil", 2), ("[1] s", 5), ("[Note", 4),
     ("[ ] x", 5), ("[12:", 4), ("[1][2] \"", 8), ("[1/2", 4), ("null.", 5), ("[+y", 3)],
)  # fmt: skip
def test_prose_is_ruled_out_at_once(text: str, n: int) -> None:
    prefix = JsonPrefix()
    if text == "[I":
        text = "[Ia"  # `Infinity` begins like it
    assert (prefix.read(text), prefix.possible) == (n, False)


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON) | st.text(), st.sampled_from(["", "\ufeff", " \n"]), st.data())
def test_json_that_is_cut_off_begins_like_json(value: object, front: str, data: st.DataObject) -> None:
    text = json.dumps(value)
    assert begins_like_json(front + text[: data.draw(st.integers(1, len(text)))])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), (" ", False), ("The", False), ("[I say", False), ("12", False), ("null", False), ('"a" b', False),
     ("[1] says", False), ("{} ok?", True), ('[1, {"a": 1}] ok?', True), ('{"a": 1,}', True), ('["\n', True),
     ('["a"] ok?', True), ('["a",]', True), ('["a"]\n["b"]', True), ('["a", // c', True), ("['a']", True),
     ('[01, "a"]', True), ("[0xFF, +1, .5, -Infinity, None,, 'a'", True), ("[// c", True), ("[/* c", True),
     ('["\\x41', True), ('"\\x41"', True), ('["a"]]', True), ('[1]\n["a"]', True), ("[1], [{", True),
     ("[1],", True), ("[1]]", True), ('\x0c{"a"', True), ('\u00a0 {"a"', True), ('"a" "b"', False),
     ('[1] "On Growth", by', False), ("[x](http://y)", False), ("[ ] to do", False), ("[1-3] see", False),
     ("[]{x}", True), ("'a'", False), ("// c\n{}", False)],
)  # fmt: skip
def test_where_prose_begins(text: str, expected: bool) -> None:
    assert begins_like_json(text) is expected


FIGURES = st.integers().map(str) | st.sampled_from(["null", "true", "NaN", "-Infinity", "[]", "[1, [2]]", "01", "+.5"])


@given(st.lists(FIGURES), st.sampled_from(['"', "'", "{", "// "]), st.text(), st.sampled_from(["", "\ufeff", "\u2003"]))
def test_from_its_first_string_or_object_on_an_array_is_never_ruled_out(
    before: list[str], opening: str, rest: str, front: str
) -> None:
    assert begins_like_json(front + "[" + "".join(f"{figure}, " for figure in before) + opening + rest)


@pytest.mark.filterwarnings("ignore:(invalid escape|.*perhaps you missed a comma)")
@given(st.text(st.sampled_from("[]{}\"',:\\1 a\n"), max_size=8))
def test_what_readers_take_from_the_front_begins_like_json(text: str) -> None:
    """The readers of Python: of JSON up to the value's end, and of literals."""
    found: list[object] = []
    with contextlib.suppress(ValueError):
        found.append(json.JSONDecoder(strict=False).raw_decode(text.lstrip())[0])
    if text.strip()[:1] in ("[", "{"):
        with contextlib.suppress(ValueError, SyntaxError, TypeError):
            found.append(ast.literal_eval(text.strip()))
    if _has_more([value for value in found if not isinstance(value, str)]):
        assert begins_like_json(text)


@given(st.lists(st.integers(), max_size=3), st.text(st.characters(categories=["L"]), min_size=1), st.text())
def test_words_behind_numbers_or_a_quotation_are_prose(numbers: list[int], word: str, rest: str) -> None:
    assert not begins_like_json(f"{numbers} {word} {rest}")
    assert not begins_like_json(f"{json.dumps(rest)}, {word} {rest}")


def _has_more(values: Sequence[object]) -> bool:
    return any(
        isinstance(value, str | dict) or (isinstance(value, list) and _has_more(cast(list[object], value)))
        for value in values
    )


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON), st.booleans(), st.data())
def test_json_has_no_other_strings(value: object, ascii: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert not has_other_strings(text[: data.draw(st.integers(1, len(text)))])
    assert not has_other_strings(f"{text} it's 5\" // wide")


@pytest.mark.parametrize("text", [
    "['a']", '["a", \'"\', "b"]', "{a: `b`}", '["a", // "\n "b"]', '[/* " */ "b"]', '{"a": 1, # "\n "b": 2}',
    '["\\x41"]', '["\\u{41}"]', '["\\u12"]', '"\\x41"', '["\\\n"]', '["\\0"]', "{“a”: “b”}", '["a"]\n[\'b\']',
])  # fmt: skip
def test_strings_that_only_lenient_readers_see(text: str) -> None:
    assert has_other_strings(text)


@pytest.mark.parametrize(
    "text", ['["a",]', '["a"] it\'s', '["\\\\x41 // \'"]', '["\\u00', '["\\', "[1]]", '"a', '["\\d"]']
)
def test_strings_that_every_reader_sees(text: str) -> None:
    assert not has_other_strings(text)
