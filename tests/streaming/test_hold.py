"""What is held back, against every continuation over a small alphabet, read by `re`."""

import re
from itertools import product

import pytest

from policykit.streaming import Streaming
from policykit.verify import Subject, Verifier
from tests.verify.build import context, phrases, reading, regexes, rule

RAW = reading(("raw",))
CASES = [
    (regexes("ab+c", read=RAW), "ab+c"),
    (regexes(r"\bab\b", read=RAW), r"\bab\b"),
    (regexes("a.{0,2}c", read=RAW), "a.{0,2}c"),
    (regexes("^ab", read=RAW), "^ab"),
    (regexes("(?:ab|bc){2}", read=RAW), "(?:ab|bc){2}"),
    (regexes("b", read=RAW, after=context("c", 1)), "b(?=.{0,1}c)"),
    (phrases("ab", "b c", read=RAW), r"\bab\b|\bb +c\b"),
]


def held_from(text: str, expression: str, n_more: int) -> int:
    """Where the earliest match begins that some continuation completes behind the text."""
    starts = [len(text)]
    pattern = re.compile(expression)
    for size in range(n_more + 1):
        for more in product("abc ", repeat=size):
            whole = text + "".join(more)
            starts += [at for at in range(len(text)) if pattern.match(whole, at)]
    return min(starts)


@pytest.mark.parametrize(("matcher", "expression"), CASES, ids=[expression for _, expression in CASES])
def test_exactly_what_a_match_may_begin_in_is_held_back(matcher: object, expression: str) -> None:
    verifier = Verifier((rule("r", matcher),), None, "")  # pyright: ignore[reportArgumentType]
    streaming = Streaming(verifier, None, "")
    for letters in product("abc ", repeat=5):
        text = "".join(letters)
        stream = streaming.open(Subject(""))
        shown = stream.feed(text)
        if stream.verdict is None:
            assert len(shown) == held_from(text, expression, 4), text
