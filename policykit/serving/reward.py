"""One reward model as the server asks it: a number for each answer, or a failure with a name."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import isfinite

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
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reward"), compare=False)
    """One request after another: a model takes all cores there are, and tokenizers are not made for threads."""

    def of(self, prompt: Json, answers: Sequence[Answer]) -> tuple[float, ...]:
        """A finite number for each answer. Waits for the model. Raises RewardFailed."""
        return self._thread.submit(self._of, prompt, answers).result()

    async def later(self, prompt: Json, answers: Sequence[Answer]) -> tuple[float, ...]:
        """The same, without a thread that waits."""
        return await asyncio.wrap_future(self._thread.submit(self._of, prompt, answers))

    def _of(self, prompt: Json, answers: Sequence[Answer]) -> tuple[float, ...]:
        try:
            found = tuple(map(float, self.score(prompt, answers)))
        except Exception as error:  # whatever it is, there is no reward
            raise RewardFailed(f"the reward model `{self.name}` failed: {type(error).__name__}") from error
        if len(found) != len(answers) or not all(map(isfinite, found)):
            raise RewardFailed(f"the reward model `{self.name}` gives no number")
        return found
