"""What a classifier is: something that gives labels scores, for every part of a text."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from policykit.predicates.contract import PredicateError


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of a label, a probability, for the code points ``start..end`` of a text."""

    start: int
    end: int
    score: float


class TextClassifier(Protocol):
    """A model of a deployment. ``digest`` is of its content: another content has another digest."""

    @property
    def digest(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def scores(self, text: str, label: str) -> Sequence[Scored]:
        """The label's scores in parts of the text that leave nothing of it out; they may overlap."""
        ...


@dataclass(frozen=True, slots=True)
class FunctionClassifier:
    """A classifier that is a function of a text of any length and a label.

    >>> loud = FunctionClassifier(lambda text, label: text.count("!") / max(len(text), 1), ("loud",), "loud 1.0")
    >>> loud.scores("no!!", "loud")
    (Scored(start=0, end=4, score=0.5),)
    """

    score: Callable[[str, str], float]
    labels: tuple[str, ...]
    digest: str

    def scores(self, text: str, label: str) -> Sequence[Scored]:
        return (Scored(0, len(text), self.score(text, label)),)


def checked_scores(found: object, n_chars: int) -> tuple[Scored, ...]:
    """Scores of a text of ``n_chars`` characters, in order. Raises PredicateError for what are none, and where a part
    of the text has no score: what was not read must not pass as if it were harmless."""
    if isinstance(found, str | bytes) or not isinstance(found, Sequence):
        raise PredicateError(f"it answered {type(found).__name__}, not scores")
    scores: list[Scored] = []
    for item in found:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(item, Scored) or not _is_score(item, n_chars):
            raise PredicateError(f"it answered a score that is none: {item!r:.120}")
        scores.append(item)
    scores.sort(key=lambda scored: (scored.start, scored.end))
    reached = 0
    for scored in scores:
        if scored.start > reached:
            break
        reached = max(reached, scored.end)
    if reached < n_chars or not scores:
        raise PredicateError(f"it gave no score for the text from character {reached} on")
    return tuple(scores)


def _is_score(item: Scored, n_chars: int) -> bool:
    score: object = item.score  # what a model of others put there
    is_number = isinstance(score, float) or type(score) is int
    return is_number and math.isfinite(item.score) and 0 <= item.score <= 1 and 0 <= item.start <= item.end <= n_chars
