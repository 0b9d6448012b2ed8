"""One reward model as the server asks it: a number for each answer, or a failure with a name."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf, isfinite

from policykit.decoding import Answer
from policykit.policy.checked import Json

Score = Callable[[Json, Sequence[Answer]], Sequence[float]]
"""The rewards of answers to a prompt (text or messages), by what the model wrote; -inf for one that has none."""
Scores = tuple[float | None, ...]
"""A finite number for each answer; None for one that has no reward where others have."""


class RewardFailed(Exception):
    """There is no reward. What it says names the reward model, and quotes nothing."""


class NoReward(RewardFailed):
    """No answer has a reward, and the model is as it should be: a rule that is a feature could not be judged."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward model of a server, by ``name`` and ``digest`` as profiles pin it."""

    name: str
    digest: str
    score: Score
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reward"), compare=False)
    """One request after another: a model takes all cores there are, and tokenizers are not made for threads."""

    def of(self, prompt: Json, answers: Sequence[Answer]) -> Scores:
        """Waits for the model. Raises RewardFailed, also where no answer has a reward."""
        return self._thread.submit(self._of, prompt, answers).result()

    async def later(self, prompt: Json, answers: Sequence[Answer]) -> Scores:
        """The same, without a thread that waits."""
        return await asyncio.wrap_future(self._thread.submit(self._of, prompt, answers))

    def _of(self, prompt: Json, answers: Sequence[Answer]) -> Scores:
        try:
            found = tuple(map(float, self.score(prompt, answers)))
        except Exception as error:  # whatever it is, there is no reward
            raise RewardFailed(f"the reward model `{self.name}` failed: {type(error).__name__}") from error
        scores = tuple(None if score == -inf else score for score in found)
        known = [score for score in scores if score is not None]
        if len(found) != len(answers) or not all(map(isfinite, known)):
            raise RewardFailed(f"the reward model `{self.name}` gives no number")
        if not known:
            raise self.none()
        return scores

    def none(self) -> NoReward:
        return NoReward(f"the reward model `{self.name}` has no reward for any answer")
