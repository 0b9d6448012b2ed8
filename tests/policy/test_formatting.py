"""The layout of policy files: the same values and comments, each comment beside what it is about, and a fixed point."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.strategies import DrawFn
from ruamel.yaml import YAML

from policykit.diagnostics import PolicyError
from policykit.policy import format_text, parse_document

ROOT = Path(__file__).parents[2]


def loaded(text: str) -> object:
    """By the library's own constructor, which the formatter does not use."""
    return YAML(typ="safe", pure=True).load(text)  # pyright: ignore[reportUnknownMemberType]


# -- documents in any layout ----------------------------------------------------------------------------------------

WORDS = st.sampled_from(["id", "rules", "match", "a", "why", "note", "x-y", "tests"])
SCALARS = ("plain", "'it''s: # no comment'", '"a # b\\n"', "{a: 1, b: [2, 3]}", "[]", "12", "true", "~", "a:b#c")


class Writer:
    """Writes random blocks with random indentation; every comment has a number and says what it is about."""

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw
        self.n_comments = 0
        self.n_keys = 0

    def maybe(self) -> bool:
        return self.draw(st.integers(0, 3)) == 0

    def comment(self, about: str) -> str:
        self.n_comments += 1
        return f"# comment {self.n_comments} {about}"

    def above(self, about: str, indent: int) -> list[str]:
        lines: list[str] = []
        if self.maybe():
            lines += [""] * self.draw(st.integers(1, 3))
        if self.maybe():
            lines.append(" " * indent + self.comment(f"above {about}"))
        return lines

    def scalar(self, indent: int) -> list[str]:
        """The first line belongs behind a key or a dash; ``indent`` is that of the block that holds it."""
        inner = " " * (indent + self.draw(st.integers(1, 4)))
        kind = self.draw(st.integers(0, 5))
        if kind == 0:
            return ["|", f"{inner}literal # text", "", f"{inner}  deeper"]
        if kind == 1:
            return [">-", f"{inner}folded", f"{inner}text"]
        if kind == 2:
            return ["plain over", f"{inner}two lines"]
        if kind == 3:
            return ["[one,", f"{inner}two, {self.comment('in brackets')}", f"{inner}three]"]
        value = self.draw(st.sampled_from(SCALARS))
        return [value + ("   " + self.comment("behind") if self.maybe() else "")]

    def mapping(self, indent: int, depth: int) -> list[str]:
        lines: list[str] = []
        for word in self.draw(st.lists(WORDS, min_size=1, max_size=4, unique=True)):
            self.n_keys += 1
            key = f"{word}{self.n_keys}" if self.maybe() else word
            lines += self.above(f"`{key}`", indent)
            lines += self.value(" " * indent + f"{key}:", indent, depth, can_be_flush=True)
        return lines

    def sequence(self, indent: int, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            lines += self.above("`-`", indent)
            lines += self.value(" " * indent + "-", indent, depth, can_be_flush=False)
        return lines

    def value(self, head: str, indent: int, depth: int, can_be_flush: bool) -> list[str]:
        kind = self.draw(st.integers(0, 2 if depth else 0))
        if kind == 0:
            first, *more = self.scalar(indent)
            return [f"{head} {first}", *more]
        deeper = indent + self.draw(st.integers(1, 5))
        if kind == 1 and can_be_flush and self.maybe():
            deeper = indent
        block = self.sequence(deeper, depth - 1) if kind == 1 else self.mapping(deeper, depth - 1)
        compact = not can_be_flush and block[0].strip() and "#" not in block[0][: deeper + 1]
        if compact:
            return (
                [head + " " * (deeper - len(head)) + block[0][deeper:], *block[1:]]
                if deeper > len(head)
                else [head, *block]
            )
        return [head + (" " + self.comment("behind a head") if self.maybe() else ""), *block]


@st.composite
def documents(draw: DrawFn) -> str:
    writer = Writer(draw)
    lines = ["# the file", ""] if writer.maybe() else []
    lines += writer.mapping(0, 3)
    end = draw(st.sampled_from(["\n", "\n\n\n", "\n# comment 0 last\n"]))
    text = "\n".join(line or " " * draw(st.sampled_from([0, 0, 0, 2])) for line in lines) + end
    return text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))


@given(documents())
@settings(max_examples=400, deadline=None)
def test_values_and_comments_are_the_same(text: str) -> None:
    result = format_text(text, "x.policy.yaml")
    assert loaded(result) == loaded(text)
    assert sorted(re.findall(r"# comment \d+", result)) == sorted(re.findall(r"# comment \d+", text))
    assert format_text(result, "x.policy.yaml") == result
    assert "\r" not in result
    assert result.endswith("\n")


@given(documents())
@settings(max_examples=200, deadline=None)
def test_a_comment_stays_above_what_it_is_about(text: str) -> None:
    lines = format_text(text, "x.policy.yaml").split("\n")
    for number, line in enumerate(lines):
        about = re.fullmatch(r" *# comment \d+ above `(.+)`", line)
        if about:
            code = next(below for below in lines[number + 1 :] if below.strip() and not below.lstrip().startswith("#"))
            name = about.group(1)
            held = code.lstrip(" -")
            assert code.lstrip(" ").startswith("-") if name == "-" else held.startswith(f"{name}:"), (line, code)


# -- policies --------------------------------------------------------------------------------------------------------

UNTIDY = """\
# Promises.

kind: Policy
apiVersion: policykit/v1
rules:
# Closed by counsel.
- match:
    phrases:
    - guaranteed returns   # in any spelling
    - >-
     risk-free
     profit
    # add more here


  id: no-guarantees
  action: {block: {message: "no: # not this"}}   # said to customers
metadata: {version: 1.0.0, name: promises, owner: a@example.org, why: promises}
# the end
"""

TIDY = """\
# Promises.

apiVersion: policykit/v1
kind: Policy
metadata: {version: 1.0.0, name: promises, owner: a@example.org, why: promises}
rules:
  # Closed by counsel.

  - id: no-guarantees
    match:
      phrases:
        - guaranteed returns   # in any spelling
        - >-
         risk-free
         profit
        # add more here
    action: {block: {message: "no: # not this"}}   # said to customers
# the end
"""


def test_the_layout() -> None:
    assert format_text(UNTIDY, "x.policy.yaml") == TIDY
    assert parse_document(UNTIDY, "x").canonical == parse_document(TIDY, "x").canonical


@pytest.mark.parametrize("path", sorted(ROOT.glob("policies/**/*.yaml")), ids=lambda path: path.name)
def test_the_shipped_files_are_laid_out(path: Path) -> None:
    text = path.read_text("utf-8")
    assert format_text(text, str(path)) == text, "run `policykit fmt policies`"


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        pytest.param("a: 1\n? b\n: 2\n", "PK560", 2, 1, id="explicit key"),
        pytest.param("a: 1\n...\n", "PK560", 2, 1, id="end marker"),
        pytest.param("--- {a: 1}\n", "PK560", 1, 1, id="on the line of the marker"),
        pytest.param("a: |\n  text", "PK560", 2, 6, id="no line break in a literal"),
        pytest.param("a: [1\n", "PK006", 2, 1, id="no YAML"),
        pytest.param("a: &x 1\n", "PK009", 1, 4, id="anchor"),
        pytest.param("", "PK007", 1, 1, id="nothing"),
    ],
)
def test_what_is_not_laid_out(text: str, code: str, line: int, column: int) -> None:
    with pytest.raises(PolicyError) as raised:
        format_text(text, "x.policy.yaml")
    (found,) = raised.value.diagnostics
    assert found.place is not None
    assert (found.code, found.place.line, found.place.column) == (code, line, column)


def test_a_root_in_brackets_and_a_marker_stay() -> None:
    assert format_text('# c\n---\n{"a": 1,\n  "b": 2}', "x") == '# c\n---\n{"a": 1,\n  "b": 2}\n'
