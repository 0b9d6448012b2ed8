"""Texts before and after the output, and its length: what stands there already, and what would change.

White space at the outer ends is not looked at. Text that is put there is set apart by one space, unless white space
stands there or the text is empty.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from policykit.ir.document import Truncate

_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Around:
    """The texts that a plan's rules put before and after the output; each counts as put there once."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def body(self, text: str) -> tuple[int, int]:
        """Where the output stands without the texts that were put around it."""
        end = _before_ends(text, self.after)
        start = _after_starts(text[:end], self.before)
        return start, end

    def ends_with(self, text: str, part: str) -> bool:
        """Whether ``part`` is among the texts after the output."""
        _, end = self.body(text)
        return text.rstrip().endswith(part.strip()) or part.strip() in text[end:]

    def starts_with(self, text: str, part: str) -> bool:
        """Whether ``part`` is among the texts before the output."""
        start, _ = self.body(text)
        return text.lstrip().startswith(part.strip()) or part.strip() in text[:start]


def around(before: Sequence[str], after: Sequence[str]) -> Around:
    """Texts as rules write them; white space at their ends does not count when they are looked for."""
    return Around(tuple(text.strip() for text in before), tuple(text.strip() for text in after))


def _before_ends(text: str, parts: Sequence[str]) -> int:
    """Where the texts at the end begin; of those that could stand there the longest, each once."""
    left, end = _longest_first(parts), len(text)
    while part := next((part for part in left if text[:end].rstrip().endswith(part)), None):
        left.remove(part)
        end = len(text[:end].rstrip().removesuffix(part).rstrip())
    return end


def _after_starts(text: str, parts: Sequence[str]) -> int:
    """Where the texts at the start end; of those that could stand there the longest, each once."""
    left, start = _longest_first(parts), 0
    while part := next((part for part in left if text[start:].lstrip().startswith(part)), None):
        left.remove(part)
        start = len(text) - len(text[start:].lstrip().removeprefix(part).lstrip())
    return start


def _longest_first(parts: Sequence[str]) -> list[str]:
    return sorted(dict.fromkeys(parts), key=len, reverse=True)


def gap(left: str, right: str) -> str:
    """What stands between two texts that are put beside each other."""
    return "" if not left or not right or left[-1].isspace() or right[0].isspace() else " "


def is_too_long(text: str, action: Truncate) -> bool:
    return _length(text, action) > action.limit


def cut(text: str, action: Truncate, fixed: Sequence[tuple[int, int]]) -> int:
    """Where to cut a text that is too long, so that it fits with the mark; never inside one of the stretches
    ``fixed``, after white space, or between a character and its combining marks."""
    at = _raw_cut(text, action)
    while True:
        moved = len(text[:at].rstrip())
        moved = next((start for start, end in fixed if start < moved < end), moved)
        if moved == at:
            return at
        at = moved


def _raw_cut(text: str, action: Truncate) -> int:
    if action.unit == "words":
        ends = [0, *_word_ends(text)][: action.limit + 1]
        return next((end for end in reversed(ends) if not is_too_long(text[:end] + action.mark, action)), 0)
    at = max(action.limit - len(action.mark), 0)
    while at > 0 and (unicodedata.category(text[at])[0] == "M" or _JOINER in text[at - 1 : at + 1]):
        at -= 1
    return at


def _length(text: str, action: Truncate) -> int:
    return len(text) if action.unit == "characters" else len(text.split())


def _word_ends(text: str) -> list[int]:
    ends = [i for i in range(1, len(text)) if text[i].isspace() and not text[i - 1].isspace()]
    return [*ends, len(text)] if text and not text[-1].isspace() else ends
