"""Answers by strategies that draw freely and go back: judged by the request's own plan, within its profile's limits.

Nothing that is shown is taken back. `exact`, `reject` and `auto` show nothing before the end. `block` shows a sentence
when the next one is whole, and from then on goes no further back than to its end.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from policykit.audit import BestReport, SamplingReport
from policykit.decoding import Best, Budget, Ending, Finish, Sampled, Settings, sample
from policykit.decoding.blocks import block_starts
from policykit.decoding.judge import text_of
from policykit.decoding.run import Exhausted
from policykit.ir.verdict import Decision, Verdict
from policykit.profiles import Reasoning, Strategy as Named
from policykit.serving.apart import alone
from policykit.serving.asking import Asking
from policykit.serving.can_draw import LIMITED, strategy_of
from policykit.serving.choosing import REWARD_FAILED, SHARE_OF_TIME, Choosing, Scored, refuse_greedy
from policykit.serving.continued import Continued
from policykit.serving.drawing import Drawing, Draws, prompt_of
from policykit.serving.errors import Refused, UpstreamFault
from policykit.serving.exchange import Judged
from policykit.serving.hooks import Channel, Switch, SwitchState
from policykit.serving.incident import ended
from policykit.serving.judging import Failed, Ruling, why
from policykit.serving.plain_drawing import TEMPERATURE
from policykit.serving.responder import End, Responder
from policykit.serving.reward import RewardFailed
from policykit.serving.routes.shape import Choice, Written
from policykit.serving.upstream import Kind
from policykit.serving.whole import MASK_FAULTS, Answered, CheckFailed, instead, outcome_of, stop_of
from policykit.serving.wire import FinishReason, Usage
from policykit.streaming import Stream

FREE = "free"
"""What records say of the mask: none stood, texts were judged."""
MAX_SEED = 1 << 63
"""A client's seed may be negative, and a generator's may not."""


def drawing_for(drawing: Drawing | None, asking: Asking) -> Drawing | None:
    """What a request is drawn with; None for one that is answered under the mask, or before a plain upstream.

    Raises Refused for what the strategy, or the upstream, cannot do.
    """
    profile, settings = asking.profile, asking.settings
    named = profile.decoding.strategy
    refuse_greedy(asking)
    if named is Named.MASK:
        return None
    if named is Named.REJECT:
        is_plain = drawing is None or asking.upstream.kind is Kind.PLAIN
        if is_plain or profile.calls_tools or profile.reasoning is Reasoning.COVERED:
            return None  # whole answers, under the mask where there is one
    if drawing is None:
        message = f"the upstream cannot draw by the profile's strategy `{named}`"
        raise Refused(503, "policykit_strategy_refused", message)
    wrong = sorted(asking.ask.passed)
    if named in LIMITED:
        wrong += [name for name, is_wrong in (("top_p", settings.top_p < 1.0),) if is_wrong]
    if settings.temperature == 0.0 or (drawing.is_plain and settings.temperature != TEMPERATURE):
        wrong.append("temperature")
    if wrong:
        message = f"`{wrong[0]}`: the profile's strategy `{named}` draws from all that the model would say"
        raise Refused(400, "policykit_field_refused", message, param=wrong[0])
    return drawing


class Stopped(Exception):
    """A rule ends the answer with its message: no other text is looked for."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.why)
        self.failed = failed


@dataclass
class Drawn:
    """One choice that is drawn. ``shown`` is what lets text out early, where the strategy and the plan let it."""

    asking: Asking
    drawing: Drawing
    index: int
    prompt: tuple[int, ...]
    shown: "Shown | None" = None
    choosing: Choosing | None = None
    _scored: Scored = field(default_factory=Scored)
    _raw: str | None = None
    """The text that was chosen by its score."""
    _began: float = field(default_factory=time.monotonic)
    _spent: float = field(init=False)
    _verdicts: list[tuple[str, Verdict, float]] = field(default_factory=list[tuple[str, Verdict, float]])
    _is_final: bool = False

    def __post_init__(self) -> None:
        self._spent = self.asking.budget.spent

    async def run(self) -> Choice | Failed:
        """Raises CheckFailed, UpstreamFault, Refused."""
        asking = self.asking
        plan, strategy = asking.judge.plan, strategy_of(asking.profile.decoding)
        constraint = await asyncio.to_thread(self.drawing.constraint, plan)
        shown = self.shown
        progress = shown.progress if shown is not None and shown.is_early else None
        draws = Draws(asking, constraint, self.prompt, self.index, asyncio.get_running_loop(), progress,
                      self.drawing.is_plain, left=self._left)  # fmt: skip
        asking.exchange.account.mask = FREE
        found: Sampled | None = None
        ending = "out_of_time"
        try:
            sampled = await alone(partial(
                sample, draws, "", plan, strategy,
                settings=self._settings(), constraint=constraint, verify=self._verify, floor=self._floor,
                best=self._best(draws.check),
            ))  # fmt: skip
            if sampled.answers and self.choosing is not None:
                self.choosing.need(self._scored.scores)
                self._raw = sampled.answers[0].raw
            found, ending = sampled, sampled.ending.value
        except Stopped as stopped:
            ending = "stopped"
            return stopped.failed
        except RewardFailed as error:
            ending = REWARD_FAILED
            assert self.choosing is not None, "nothing else is rewarded"
            return self.choosing.failed(error)
        except (CheckFailed, Refused) as error:
            ending = error.code
            raise
        finally:
            draws.over()
            self._report(draws, found, ending)
        return self._choice(sampled)

    def _floor(self) -> int:
        return self.shown.floor if self.shown is not None else 0

    def _best(self, check: Callable[[], None]) -> Best | None:
        if (one := self.choosing) is None:
            return None
        return Best(one.best.n, lambda _, answer: one.score(answer, self._scored, self._ends(), check))

    def _left(self) -> float | None:
        """Seconds that a draw may take, and no more are begun behind them: no limit but the request's, until there is a
        text to be chosen. From then on this choice has its part of time and, or Exhausted is raised, of cost."""
        if not self._scored.scores:
            return None
        limits, budget = self.asking.profile.limits, self.asking.budget
        if limits.max_cost is not None:
            most = budget.spent + limits.cost(0, self.asking.settings.max_tokens)  # a whole text, or none
            if most > self._spent + (limits.max_cost - self._spent) / (self.asking.settings.n - self.index):
                raise Exhausted(Ending.OUT_OF_TOKENS)
        return self._ends() - time.monotonic()

    def _ends(self) -> float:
        """When this choice's part of the time is used up."""
        ends = self.asking.exchange.began + SHARE_OF_TIME * self.asking.profile.limits.timeout_s
        return self._began + (ends - self._began) / (self.asking.settings.n - self.index)

    def _settings(self) -> Settings:
        """The profile's limits as a budget: a request may draw as many tokens as its attempts' outputs could have."""
        settings, limits = self.asking.settings, self.asking.profile.limits
        n_texts = self.choosing.best.n if self.choosing is not None else 1
        n_tokens = settings.max_tokens * limits.attempts * n_texts
        per_token = limits.cost(0, 1)
        if limits.max_cost is not None and per_token:
            left = max(0.0, limits.max_cost - self.asking.budget.spent)
            n_tokens = min(n_tokens, int(left / per_token))
        seed = int(time.time_ns() & 0x7FFFFFFF) if settings.seed is None else settings.seed
        budget = Budget(n_tokens, SHARE_OF_TIME * limits.timeout_s)
        least = self.asking.profile.decoding.min_legal_mass
        return Settings(settings.max_tokens, settings.temperature, (seed + self.index) % MAX_SEED, budget, least)

    def _verify(self, text: str) -> Verdict:
        """The request's own judgement, in the strategy's thread."""
        judge, began = self.asking.judge, time.monotonic()
        verdict = judge.whole(Channel.CONTENT, text)
        self._verdicts.append((text, verdict, time.monotonic() - began))
        match judge.ruling(verdict):
            case Ruling.PASSED:
                pass
            case Ruling.AVOIDED:
                self.asking.last_failed = Failed(why(verdict), verdict, final=False)
            case Ruling.STOPPED:
                self._is_final = True
                raise Stopped(Failed(why(verdict), verdict, final=True))
            case Ruling.FAILED:
                self._is_final = True
                raise CheckFailed(verdict)
        return verdict

    def _choice(self, found: Sampled) -> Choice | Failed:
        if not found.answers:
            return Failed(found.ending.value, None, final=True)
        (answer,) = found.answers
        reason = FinishReason.STOP if answer.finish is Finish.END else FinishReason.LENGTH
        return Choice(self.index, {Channel.CONTENT: answer.verdict.text}, (), reason)

    @property
    def raw(self) -> str:
        """The text that was judged last: the model's own, before transforms."""
        return self._verdicts[-1][0] if self._verdicts else ""

    def _report(self, draws: Draws, found: Sampled | None, ending: str) -> None:
        """Verdicts and the outcome, for the record: also where nothing came of it."""
        asking, asked = self.asking, self.asking.judge.asked(Channel.CONTENT)
        number, out = asking.budget.made, len(self._verdicts) - 1
        if self._raw is not None:
            out = next(at for at, (text, _, _) in enumerate(self._verdicts) if text == self._raw)
        is_answer = self._is_final or bool(found and found.answers)
        for at, (text, verdict, seconds) in enumerate(self._verdicts):
            counts = at == out and is_answer
            judged = Judged(Channel.CONTENT, self.index, number, verdict, text, asked, counts=counts)
            asking.exchange.judged(judged, seconds)
        asking.exchange.account.sampling.append(
            SamplingReport(
                choice=self.index,
                strategy=asking.profile.decoding.strategy.value,
                ending=ending,
                attempts=len(found.attempts) if found else draws.n_requests,
                tokens=found.n_tokens if found else 0,
                legal_mass_bound=found.legal_mass_bound if found else 1.0,
                refused=tuple(sorted(found.reasons.items())) if found else (),
                shown_early=self._floor() > 0,
                best=self._reported(found, ending),
            )
        )

    def _reported(self, found: Sampled | None, ending: str) -> BestReport | None:
        if (one := self.choosing) is None:
            return None
        scored, why = (self._scored, found.searched.value) if found else (Scored(), ending)
        return one.report(scored.scores, scored.missing(one.best.n, why))


@dataclass
class Alone:
    """Of ``n`` choices that are drawn one after the other, each has a mask or not for itself."""

    n: int
    _n_failed: int = 0

    async def of(self, drawn: Awaitable[Choice | Failed]) -> Choice | Failed:
        """Raises UpstreamFault where the last of them has no mask either; and what drawing raises otherwise."""
        try:
            return await drawn
        except UpstreamFault as fault:
            self._n_failed += 1
            if fault.code not in MASK_FAULTS or self._n_failed == self.n:
                raise
            return Failed(fault.code, None, final=True)


async def answer_drawn(asking: Asking, drawing: Drawing, choosing: Choosing | None = None) -> Answered:
    """The whole answer; with ``choosing`` each choice is the best of several. Raises CheckFailed, UpstreamFault,
    Refused."""
    prompt = await prompt_of(asking)
    choices: list[Choice] = []
    failed: list[Failed] = []
    alone = Alone(asking.settings.n)
    for index in range(asking.settings.n):
        found = await alone.of(Drawn(asking, drawing, index, prompt, choosing=choosing).run())
        if isinstance(found, Failed):
            failed.append(found)
            found = instead(asking, index, found)
        choices.append(found)
    transformed = asking.exchange.account.decision is Decision.TRANSFORM
    return Answered(tuple(choices), outcome_of(choices, failed, transformed))


@dataclass
class Shown:
    """What of one choice has gone out. ``floor`` tokens of it are read, and cannot be taken back."""

    out: "StreamingDrawn"
    index: int
    stream: Stream | Continued
    tokens: Sequence[bytes]
    is_early: bool
    floor: int = 0
    has_shown: bool = False
    _read: str = ""

    async def progress(self, text: tuple[int, ...]) -> None:
        """Let out what lies before the sentence that came to its end last: that one can be taken up again."""
        pieces = [self.tokens[token] for token in text]
        starts = [start for start in block_starts(pieces) if start < len(pieces)]
        if len(starts) < 2 or starts[-2] <= self.floor:
            return
        await self._feed(text_of(b"".join(pieces[: starts[-2]]), is_whole=False))
        self.floor = starts[-2]

    async def close(self, raw: str) -> Verdict:
        """The rest of an accepted text."""
        await self._feed(raw)
        rest, verdict = await self.out.asking.apart(self.stream.close)
        self._check(verdict)
        await self.show(rest)
        return verdict

    async def _feed(self, text: str) -> None:
        """Read on to the end of ``text``, which begins as all that was read before."""
        if not text.startswith(self._read):
            raise AssertionError("what has been read is never taken back")
        new, self._read = text[len(self._read) :], text
        shown = self.stream.feed(new)
        verdict = self.stream.verdict
        if verdict is not None:
            self._check(verdict)
        await self.show(shown)

    def _check(self, verdict: Verdict) -> None:
        asking = self.out.asking
        ruling = asking.judge.ruling(verdict)
        if ruling is Ruling.PASSED:
            return
        asked = asking.judge.asked(Channel.CONTENT)
        about = (Channel.CONTENT, self.index, asking.budget.made, verdict, self._read, asked)
        asking.exchange.judged(Judged(*about, is_ended=False), 0.0)
        if ruling is Ruling.FAILED:
            raise CheckFailed(verdict)
        raise Stopped(Failed(why(verdict), verdict, final=True))

    async def show(self, text: str) -> None:
        if not text:
            return
        out = self.out
        if out.switch.state is not SwitchState.OPEN:
            raise ended()
        out.asking.exchange.first_byte()
        self.has_shown = True
        await out.responder.text(out.written, self.index, Channel.CONTENT, text)


@dataclass
class StreamingDrawn:
    """A streamed answer whose choices are drawn one after another."""

    asking: Asking
    drawing: Drawing
    responder: Responder
    written: Written
    switch: Switch

    async def run(self) -> tuple[Answered, Sequence[End], Usage]:
        """Streams all texts; how they end is the caller's to send. Raises CheckFailed, UpstreamFault, Refused."""
        asking = self.asking
        prompt = await prompt_of(asking)
        vocabulary = await asyncio.to_thread(lambda: self.drawing.vocabulary)
        ends: list[End] = []
        failed: list[Failed] = []
        alone = Alone(asking.settings.n)
        for index in range(asking.settings.n):
            stream = await asyncio.to_thread(asking.judge.stream, Channel.CONTENT)
            shown = Shown(self, index, stream, vocabulary.tokens, self._is_early(stream))
            drawn = Drawn(asking, self.drawing, index, prompt, shown)
            found = await alone.of(drawn.run())
            if isinstance(found, Choice):
                try:
                    await shown.close(drawn.raw)
                except Stopped as stopped:
                    found = stopped.failed
            if isinstance(found, Failed):
                failed.append(found)
                await self._replace(shown, found)
                ends.append((index, FinishReason.CONTENT_FILTER, stop_of(found)))
            else:
                ends.append((index, found.reason, None))
        account = asking.exchange.account
        outcome = outcome_of((), failed, account.decision is Decision.TRANSFORM)
        return Answered((), outcome), ends, Usage(account.input_tokens, account.output_tokens)

    def _is_early(self, stream: Stream | Continued) -> bool:
        """Whether sentences go out one by one: not where a check waits for the end, nor where the text has a grammar,
        of which a beginning is of no use."""
        asking = self.asking
        is_block = asking.profile.decoding.strategy is Named.BLOCK
        return is_block and not stream.buffers and asking.judge.plan.spec.grammar is None

    async def _replace(self, shown: Shown, failed: Failed) -> None:
        message = failed.verdict.text if failed.verdict is not None else ""
        await shown.show(message or ("" if shown.has_shown else self.asking.profile.fallback))
