"""Whether a text may still become JSON, against the standard library's reader on every continuation that is short."""

import json

import pytest
from hypothesis import example, given, strategies as st

from policykit.text.json_prefix import JsonPrefix, begins_like_json
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
    ("text", "n"), [("The", 1), ("[I", 3), ("12 a", 4), ('"a" b', 5), ("{a", 2), ("[1 2", 4), ("nil", 2)]
)
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
     ("[1] says", False), ("{} ok?", True), ('[1, {"a": 1}] ok?', True), ('{"a": 1,}', True), ('["\n', True)],
)  # fmt: skip
def test_up_to_its_first_object(text: str, expected: bool) -> None:
    assert begins_like_json(text) is expected
