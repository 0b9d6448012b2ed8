"""What a text achieves for its task, as functions of the text and of what was wanted.

Exact match and F1 are those of SQuAD (Rajpurkar et al. 2016; with answers that may be empty, 2018).
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words set apart by one space.

    >>> normalised("  The U.S.  value, a 'fund'! ")
    'us value fund'
    """
    kept = "".join(c for c in text.lower() if c not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", kept).split())


def exact_match(text: str, references: Sequence[str]) -> float:
    """1.0 if the text is one of the references when both are normalised, else 0.0.

    >>> exact_match("the Alps.", ["Andes", "Alps"])
    1.0
    """
    return float(any(normalised(text) == normalised(one) for one in references))


def f1(text: str, references: Sequence[str]) -> float:
    """The best harmonic mean of precision and recall of words, counted as often as they stand.

    Where one side has no words, 1.0 if neither has, else 0.0.

    >>> f1("a red fox ran", ["the red fox sat"])
    0.6666666666666666
    """
    return max((_f1(normalised(text).split(), normalised(one).split()) for one in references), default=0.0)


def _f1(words: Sequence[str], wanted: Sequence[str]) -> float:
    if not words or not wanted:
        return float(words == wanted)
    shared = sum((Counter(words) & Counter(wanted)).values())
    return 2 * shared / (len(words) + len(wanted))


@dataclass(frozen=True, slots=True)
class Cited:
    """Citations of one text: distinct sources that it cites, those of them that it should, and all that it should."""

    n_cited: int
    n_right: int
    n_wanted: int


def cited(names: Iterable[str], wanted: Iterable[str]) -> Cited:
    """Each source counts once, however often it is cited.

    >>> cited(["K1", "K9", "K1"], ["K1", "K2"])
    Cited(n_cited=2, n_right=1, n_wanted=2)
    """
    found, right = set(names), set(wanted)
    return Cited(len(found), len(found & right), len(right))
