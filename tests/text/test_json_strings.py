"""The JSON string lexer against Python's ``json``: contents, roles, runs of array elements, offsets, truncation."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policykit.text import json_strings as lexer

contents = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | contents,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(contents, inner, max_size=3),
    max_leaves=12,
)


def strings_in(value: Any, numbers: Iterator[int]) -> Iterator[tuple[str, str, int | None]]:
    """(content, role, run) in the order of the text."""
    if isinstance(value, str):
        yield value, "value", None
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key, "key", None
            yield from strings_in(inner, numbers)
    elif isinstance(value, list):
        run = None
        for inner in value:
            if isinstance(inner, str):
                run = next(numbers) if run is None else run
                yield inner, "value", run
            else:
                run = None
                yield from strings_in(inner, numbers)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_strings_are_those_of_the_parsed_value(value: Any, ascii_only: bool, indent: int | None):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    found = lexer.strings_of(text)
    assert [(s.content, s.role, s.array_run) for s in found] == list(strings_in(value, count(1)))
    assert all(s.closed for s in found)


@given(contents, st.booleans())
def test_offsets_cut_the_text_at_the_spelling_of_each_character(content: str, ascii_only: bool):
    text = json.dumps([content], ensure_ascii=ascii_only)
    (string,) = lexer.strings_of(text)
    spellings = [text[a:b] for a, b in zip(string.offsets, string.offsets[1:], strict=False)]
    assert [json.loads(f'"{s}"') for s in spellings] == list(content)
    assert text[string.offsets[-1]] == '"'


@given(values, st.data())
def test_a_cut_text_has_the_same_strings_up_to_the_cut(value: Any, data: st.DataObject):
    text = json.dumps(value, ensure_ascii=False)
    cut = lexer.strings_of(text[: data.draw(st.integers(0, len(text)))])
    whole = lexer.strings_of(text)
    for part, full in zip(cut, whole, strict=False):
        assert full.content.startswith(part.content)
        assert (part.role, part.array_run) == (full.role, full.array_run)
        assert not part.closed or part == full
    assert all(s.closed for s in cut[:-1])


def read_strictly(text: str) -> bool:
    mode = lexer.OUTSIDE
    for char in text:
        stepped = lexer.step(mode, char, strict=True)
        if stepped is None:
            return False
        mode = stepped[0]
    return True


@given(contents)
def test_the_strict_spelling_is_the_shortest_escape(content: str):
    assert read_strictly(json.dumps(content, ensure_ascii=False))


@pytest.mark.parametrize("spelling", [r"\u0061", r"\/", r"\u000a", r"\u001F", r"\u0020", r"\u00e9", r"\x", r"\ud83d"])
def test_other_spellings_are_refused_strictly(spelling: str):
    assert not read_strictly(f'"{spelling}"')
