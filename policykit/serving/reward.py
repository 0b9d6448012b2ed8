"""One reward model as the server asks it: a number for each answer, or a failure with a name."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from math import inf, isfinite

from policykit.decoding import Answer
from policykit.policy.checked import Json
from policykit.serving.one_thread import OneThread

Score = Callable[[Json, Sequence[Answer]], Sequence[float]]
"""The rewards of answers to a prompt (text or messages), by what the model wrote; -inf for one that has none."""
Scores = tuple[float | None, ...]
"""A finite number for each answer; None for one that has no reward where others have."""
STEP_S = 1.0
"""How long is waited at a time: what makes waiting useless takes effect within it."""


class RewardFailed(Exception):
    """There is no reward. What it says names the reward model, and quotes nothing."""


class NoReward(RewardFailed):
    """No answer has a reward, and the model is as it should be: a rule that is a feature could not be judged."""


class RewardLate(RewardFailed):
    """The model has not answered in time, or does not come back from an earlier call."""


def _go_on() -> None:
    """Nothing makes waiting useless but its end."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward model of a server, by ``name`` and ``digest`` as profiles pin it.

    One request after another: a model takes all cores there are, and tokenizers are not made for threads. A call that
    does not come back cannot be ended. It is given up, and until it does come back all others fail at once.
    """

    name: str
    digest: str
    score: Score
    _thread: OneThread[Scores] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_thread", OneThread[Scores](f"reward {self.name}"))

    def of(self, prompt: Json, answers: Sequence[Answer], until: float, check: Callable[[], None] = _go_on) -> Scores:
        """Waits for the model, until then on the monotonic clock; what ``check`` raises ends the waiting within a
        second. Raises RewardFailed, also where no answer has a reward."""
        step = self._step(until)
        call = self._thread.submit(lambda: self._of(prompt, answers), until)
        try:
            while not wait([call], step).done:
                check()
                step = self._step(until)
            return call.result()
        finally:
            call.cancel()

    async def later(self, prompt: Json, answers: Sequence[Answer], until: float) -> Scores:
        """The same, without a thread that waits; cancelled, it ends at once."""
        step = self._step(until)
        call = self._thread.submit(lambda: self._of(prompt, answers), until)
        waiting = asyncio.wrap_future(call)
        try:
            while not (await asyncio.wait({waiting}, timeout=step))[0]:
                step = self._step(until)
            return waiting.result()
        finally:
            call.cancel()  # at once: cancelling what waits for it would do so in the loop's next round
            waiting.cancel()

    def _step(self, until: float) -> float:
        """Seconds to wait next. Raises RewardLate where there is no use in it."""
        left = until - time.monotonic()
        if left <= 0:
            raise RewardLate(f"the reward model `{self.name}` has not answered in time")
        if (seconds := self._thread.hangs_s()) is not None:
            late = f"has not come back from an earlier call for {seconds:.0f} s, and is not asked"
            raise RewardLate(f"the reward model `{self.name}` {late}")
        return min(STEP_S, left)

    def _of(self, prompt: Json, answers: Sequence[Answer]) -> Scores:
        try:
            found = tuple(map(float, self.score(prompt, answers)))
        except BaseException as error:  # whatever it is, there is no reward; it ends no thread of the server
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
