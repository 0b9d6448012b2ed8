"""The best of several answers by reward: each is judged and may go out, and one does.

A text that did not pass is never among those that are rewarded, whatever its reward would be. Nothing is shown before
there is a choice, so nothing is taken back.
"""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from policykit.audit import BestReport, SamplingReport
from policykit.decoding import Answer, Ending, Finish
from policykit.decoding.run import Exhausted
from policykit.ir.verdict import Decision
from policykit.policy.checked import Json
from policykit.profiles import Best, OnRewardError
from policykit.serving.asking import Asking
from policykit.serving.errors import Refused, UpstreamFault
from policykit.serving.hooks import Channel
from policykit.serving.judging import Failed
from policykit.serving.reward import NoReward, Reward, RewardFailed, RewardLate, Scores
from policykit.serving.rewrite import asked
from policykit.serving.routes.shape import Choice
from policykit.serving.whole import MASK_FAULTS, Answered, fill, gathered, instead, outcome_of
from policykit.serving.wire import FinishReason

_LOG = logging.getLogger("policykit.serving")

REWARD_FAILED, REWARD_LATE, NO_REWARD = "reward_failed", "reward_late", "no_reward"
"""Why a text has no score: the model failed, which ends the choice; or it gave none in time, or none to this text."""
SHARE_OF_TIME = 0.9
"""Of the profile's time, after which no more texts are waited for where there is one to be chosen."""
REWARD_SHARE = 0.95
"""Of the profile's time that is left, after which no reward is waited for: the rest is for what is shown instead."""
_SEEDS = 1 << 63
_LEAST = -sys.float_info.max


@dataclass(slots=True)
class Scored:
    """What the texts of one choice are worth, as they come one by one, and how many of them have no reward."""

    scores: list[float] = field(default_factory=list[float])
    n_without: int = 0
    is_late: bool = False
    """The search has ended since the model gave no more rewards in time."""

    def missing(self, of: int, ending: str) -> Counter[str]:
        """Why so many of the texts that were wanted have no score, by the ending of the search."""
        n_left = of - len(self.scores) - self.n_without
        return Counter({NO_REWARD: self.n_without}) + Counter({REWARD_LATE if self.is_late else ending: n_left})


@dataclass(frozen=True, slots=True)
class Choosing:
    """How one request's answers are chosen."""

    best: Best
    reward: Reward
    prompt: Json
    begun: str
    """What stands in the answer already: a message that it goes on with."""
    ends: float
    """When the profile's time is out, on the monotonic clock."""

    @staticmethod
    def of(asking: Asking) -> "Choosing | None":
        """None where the profile takes the first answer that passes."""
        best, reward, ask = asking.profile.decoding.best, asking.reward, asking.ask
        if best is None or reward is None:
            return None
        ends = asking.exchange.began + asking.profile.limits.timeout_s
        return Choosing(best, reward, asked(ask, asking.profile), ask.begun if ask.continues else "", ends)

    def score(self, answer: Answer, scored: Scored, until: float, check: Callable[[], None]) -> float:
        """What one more answer is worth, which is noted; the least number where it has no reward, and others may have
        one. Waits for the model: where others have a reward, until then, and for no more of them (Exhausted). What
        ``check`` raises ends the waiting. Raises RewardFailed."""
        until = min(until, self._until()) if scored.scores else self._until()
        try:
            (found,) = self.reward.of(self.prompt, self._whole((answer,)), until, check)
        except NoReward:
            scored.n_without += 1
            return _LEAST
        except RewardLate as late:
            if not scored.scores:
                raise
            _LOG.warning("%s: the best so far is the answer", late)
            scored.is_late = True
            raise Exhausted(Ending.OUT_OF_TIME) from late
        assert found is not None, "or there is none"
        scored.scores.append(found)
        return found

    def _until(self) -> float:
        now = time.monotonic()
        return now + REWARD_SHARE * (self.ends - now)

    def need(self, scores: Sequence[float]) -> None:
        """Raises RewardFailed where there are answers, and none has a score."""
        if not scores:
            raise self.reward.none()

    async def scores_later(self, answers: Sequence[Answer]) -> Scores:
        """Raises RewardFailed."""
        return await self.reward.later(self.prompt, self._whole(answers), self._until())

    def _whole(self, answers: Sequence[Answer]) -> list[Answer]:
        return [replace(answer, raw=self.begun + answer.raw) for answer in answers]

    def failed(self, error: RewardFailed) -> Failed:
        """What follows from a reward that cannot be had. Raises Refused where the profile wants that."""
        _LOG.error("%s", error, exc_info=error.__cause__)
        if self.best.on_error is OnRewardError.FALLBACK:
            return Failed(REWARD_FAILED, None, final=True)
        raise Refused(503, "policykit_reward_failed", str(error)) from error

    def report(self, scores: Sequence[float], missing: Counter[str]) -> BestReport:
        """What records say of a choice with these scores, of which there may be none, and of why there are no more."""
        found = tuple(scores)
        chosen = first_best(found) if found else None
        why = tuple(sorted(missing.items()))
        return BestReport(self.reward.name, self.reward.digest, self.best.n, found, chosen, why)


def first_best(scores: Sequence[float]) -> int:
    """The number of the highest score, of equal ones the first."""
    return max(range(len(scores)), key=scores.__getitem__)


def refuse_greedy(asking: Asking) -> None:
    """Raises Refused (400) where a choice is wanted among outputs that are all the same."""
    if asking.reward is not None and asking.settings.temperature == 0.0:
        message = "`temperature`: the profile chooses among several outputs, and at 0 all are the same one"
        raise Refused(400, "policykit_field_refused", message, param="temperature")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A text that may go out, and the attempt that brought it."""

    choice: Choice
    attempt: int
    answer: Answer


_Found = _Candidate | Failed | UpstreamFault


@dataclass
class _Place:
    """One choice of the answer while texts for it come in, by their numbers."""

    found: dict[int, _Found] = field(default_factory=dict[int, _Found])
    by: dict[int, int] = field(default_factory=dict[int, int])
    """The attempt that brought what was found last."""
    attempts: list[int] = field(default_factory=list[int])
    without: dict[int, str] = field(default_factory=dict[int, str])
    """Why there is no text, by number; where nothing is said, the time was out."""
    refused: Counter[str] = field(default_factory=Counter[str])

    @property
    def candidates(self) -> list[_Candidate]:
        return [one for _, one in sorted(self.found.items()) if isinstance(one, _Candidate)]

    def missing(self, of: int, n_scores: int, ending: str) -> Counter[str]:
        """Why so many of the texts that were wanted have no score."""
        missing = Counter(
            self.without.get(number, Ending.OUT_OF_TIME.value)
            for number in range(of)
            if not isinstance(self.found.get(number), _Candidate)
        )
        n_left = of - missing.total() - n_scores
        return missing + Counter({NO_REWARD if n_scores else ending: n_left})

    @property
    def stopped(self) -> int | None:
        """The first text at which a rule ends the answer with its message: no other is looked for, and none chosen."""
        failed = [(at, one) for at, one in sorted(self.found.items()) if isinstance(one, Failed)]
        return next((at for at, one in failed if one.final and one.verdict is not None), None)

    @property
    def is_settled(self) -> bool:
        return bool(self.candidates) or self.stopped is not None


async def answer_chosen(asking: Asking, choosing: Choosing) -> Answered:
    """The answer, of whole outputs of the upstream: for each choice so many are asked for at once as the profile says,
    each within the attempts of one. Raises Refused, UpstreamFault."""
    return await _Whole(asking, choosing).answer()


@dataclass
class _Whole:
    asking: Asking
    choosing: Choosing
    places: list[_Place] = field(default_factory=list[_Place])

    async def answer(self) -> Answered:
        asking = self.asking
        n = asking.settings.n
        asking.budget.of = self.choosing.best.n * n
        self.places = [_Place() for _ in range(n)]
        await self._draw()
        choices: list[Choice] = []
        failed: list[Failed] = []
        for index, place in enumerate(self.places):
            found = await self._chosen(index, place)
            if isinstance(found, Failed):
                failed.append(found)
                found = instead(asking, index, found)
            choices.append(found)
        transformed = asking.exchange.account.decision is Decision.TRANSFORM
        return Answered(tuple(choices), outcome_of(choices, failed, transformed))

    async def _draw(self) -> None:
        """Wait for all texts; where the time runs out and every choice has some, for no more."""
        waiting = {
            asyncio.ensure_future(self._one(index, number))
            for number in range(self.choosing.best.n)
            for index in range(len(self.places))
        }
        tasks = set(waiting)
        ends = self.asking.exchange.began + SHARE_OF_TIME * self.asking.profile.limits.timeout_s
        try:
            while waiting:
                left = ends - time.monotonic() if all(place.is_settled for place in self.places) else None
                if left is not None and left <= 0:
                    break
                done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, index: int, number: int) -> None:
        """One text that passes, after as many attempts as it takes and the budget allows. Raises Refused."""
        asking, place = self.asking, self.places[index]
        slots: dict[int, Choice | Failed] = {}
        for tried in range(asking.profile.limits.attempts):
            if number and not asking.budget.has_room(asking.settings.max_tokens):
                place.without[number] = Ending.OUT_OF_TOKENS.value  # one that is cut for its cost is no other to choose
                return
            own = replace(asking, settings=replace(asking.settings, seed=self._seed(index, number, tried)))
            try:
                async with own.attempt((index,)) as attempt:
                    if attempt is None:
                        place.without[number] = Ending.OUT_OF_TOKENS.value
                        return
                    place.attempts.append(attempt.number)
                    deltas = await attempt.reader.whole(attempt.response, own.reading)
                    asking.exchange.account.mask = await attempt.attested.started()
                    await attempt.attested.finished()
                    await fill(own, attempt, slots, [index], gathered(deltas, attempt))
            except UpstreamFault as fault:
                place.found[number] = fault
                place.without[number] = fault.code
                return
            slot, place.by[number] = slots[index], attempt.number
            if isinstance(slot, Choice):
                place.found[number] = await self._candidate(slot, attempt.number)
                return
            place.found[number] = asking.last_failed = slot
            place.refused.update(slot.verdict.rules if slot.verdict else (slot.why,))
            if slot.final:
                place.without[number] = slot.why if slot.verdict is None else "stopped"
                return
        place.without[number] = Ending.OUT_OF_ATTEMPTS.value

    def _seed(self, index: int, number: int, tried: int) -> int | None:
        """A seed of its own for each request."""
        seed, n = self.asking.settings.seed, len(self.places)
        if seed is None:
            return None
        return (seed + index + n * (number + self.choosing.best.n * tried) + _SEEDS) % (2 * _SEEDS) - _SEEDS

    async def _candidate(self, choice: Choice, attempt: int) -> _Candidate:
        """The choice with what the model wrote, before transforms, and what its costs are read from. A refusal that is
        a text of its own is part of what was written."""
        judged = {
            one.channel: one
            for one in self.asking.exchange.account.judged
            if (one.attempt, one.choice) == (attempt, choice.index)
        }
        content, refusal = judged[Channel.CONTENT], judged.get(Channel.REFUSAL)
        raw, verdict = content.text or "", content.verdict
        if refusal is not None and refusal.text:
            is_alone = not raw and refusal.verdict.digest == verdict.digest
            raw += refusal.text
            judge = self.asking.judge
            verdict = refusal.verdict if is_alone else await self.asking.apart(judge.whole, Channel.CONTENT, raw)
        finish = Finish.LENGTH if choice.reason is FinishReason.LENGTH else Finish.END
        return _Candidate(choice, attempt, Answer(verdict.text, raw, (), finish, None, None, None, verdict))

    async def _chosen(self, index: int, place: _Place) -> Choice | Failed:
        """Raises Refused, UpstreamFault: nothing came of any text, or there is no reward."""
        scores: tuple[float, ...] = ()
        ending, out = "out_of_attempts", None
        try:
            if (at := place.stopped) is not None or not place.candidates:
                ending = "stopped" if at is not None else ending
                at = self._ended(place) if at is None else at
                found, out = place.found[at], place.by.get(at)
                if isinstance(found, UpstreamFault):  # the choice has no mask, and others have
                    found = Failed(found.code, None, final=True)
                assert isinstance(found, Failed), "what passed is a candidate"
                return found
            try:
                found = await self.choosing.scores_later([one.answer for one in place.candidates])
            except RewardFailed as error:
                ending = REWARD_FAILED
                return self.choosing.failed(error)
            ending = "accepted"
            rewarded = [(score, one) for score, one in zip(found, place.candidates, strict=True) if score is not None]
            scores = tuple(score for score, _ in rewarded)
            _, chosen = rewarded[first_best(scores)]
            out = chosen.attempt
            return chosen.choice
        finally:
            self.asking.exchange.chosen(index, out)
            self._report(index, place, ending, scores)

    def _ended(self, place: _Place) -> int:
        """The last of texts that all have failed. Raises UpstreamFault, Refused where it was not for what they say; not
        for a mask that others have."""
        others = any(other.is_settled for other in self.places)
        for at, one in sorted(place.found.items()):
            if isinstance(one, UpstreamFault):
                if one.code in MASK_FAULTS and others:
                    return at
                raise one
        if not place.found:
            raise Refused(503, "policykit_budget_exhausted", "the profile's budget allows no attempt")
        return max(place.found)

    def _report(self, index: int, place: _Place, ending: str, scores: tuple[float, ...]) -> None:
        account = self.asking.exchange.account
        tokens = sum(attempt.output_tokens for attempt in account.attempts if attempt.number in place.attempts)
        account.sampling.append(
            SamplingReport(
                choice=index,
                strategy=account.strategy,
                ending=ending,
                attempts=len(place.attempts),
                tokens=tokens,
                legal_mass_bound=1.0,
                refused=tuple(sorted(place.refused.items())),
                best=self.choosing.report(scores, place.missing(self.choosing.best.n, len(scores), ending)),
            )
        )
