"""One reward model as the server asks it: a number for each answer, or a failure with a name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from threading import Lock

from policykit.decoding import Answer
from policykit.policy.checked import Json

Score = Callable[[Json, Sequence[Answer]], Sequence[float]]
"""The rewards of answers to a prompt (text or messages), by what the model wrote."""


class RewardFailed(Exception):
    """There is no reward. What it says names the reward model, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward model of a server, by ``name`` and ``digest`` as profiles pin it."""

    name: str
    digest: str
    score: Score
    _asked: Lock = field(default_factory=Lock, repr=False, compare=False)
    """One request after another: a model takes all cores there are, and tokenizers are not made for threads."""

    def of(self, prompt: Json, answers: Sequence[Answer]) -> tuple[float, ...]:
        """A finite number for each answer. Slow. Raises RewardFailed."""
        try:
            with self._asked:
                found = tuple(map(float, self.score(prompt, answers)))
        except Exception as error:  # whatever it is, there is no reward
            raise RewardFailed(f"the reward model `{self.name}` failed: {type(error).__name__}") from error
        if len(found) != len(answers) or not all(map(isfinite, found)):
            raise RewardFailed(f"the reward model `{self.name}` gives no number")
        return found
