"""One request from its first byte to its record: what was judged, what it cost, how it ended."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from policykit.audit import SamplingReport
from policykit.engines.written import Written
from policykit.ir.verdict import Decision, Verdict
from policykit.serving.errors import Refused
from policykit.serving.hooks import About, AttemptDone, Channel, Done, Observer, Outcome

_LOG = logging.getLogger("policykit.serving")


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict on one text. ``choice`` is None for texts of the request; ``attempt`` counts from 1, 0 before any.
    ``counts`` says whether the text, or what became of it, went out; ``is_ended`` that it was read to its end, which it
    is not where a stream was stopped. ``tool`` is whose result or whose arguments it is."""

    channel: Channel
    choice: int | None
    attempt: int
    verdict: Verdict
    text: str | None
    rules: tuple[str, ...] = ()
    """The rules that were asked."""
    counts: bool = True
    tool: str | None = None
    is_ended: bool = True


@dataclass(frozen=True, slots=True)
class MaskSeen:
    """What the engine attested of one choice's mask in one attempt. ``closed`` counts, by rule, the places where it
    closed some token; ``written`` is what it wrote, where that is kept."""

    choice: int
    plan: str
    steps: int = 0
    closed: tuple[tuple[str, int], ...] = ()
    dead_end: bool = False
    attempt: int = 0
    written: Written | None = None


@dataclass(slots=True)
class Account:
    """All that is known of a request when it has ended."""

    about: About
    started_at: float = field(default_factory=time.time)
    """Seconds since 1970."""
    outcome: Outcome = Outcome.ERRORED
    status: int = 500
    code: str | None = None
    seconds: float = 0.0
    judged: list[Judged] = field(default_factory=list[Judged])
    attempts: list[AttemptDone] = field(default_factory=list[AttemptDone])
    masks: list[MaskSeen] = field(default_factory=list[MaskSeen])
    sampling: list[SamplingReport] = field(default_factory=list[SamplingReport])
    mask: str = "none"
    strategy: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    judging_s: float = 0.0
    first_byte_s: float | None = None
    clamped: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that fired on what the answer is made of, or that ended it."""
        fired = (rule for judged in self.judged if judged.counts for rule in judged.verdict.rules)
        return tuple(dict.fromkeys(fired))

    @property
    def decision(self) -> Decision:
        """The strongest decision on what the answer is made of."""
        order = list(Decision)
        found = [judged.verdict.decision for judged in self.judged if judged.counts]
        return min(found, key=order.index, default=Decision.ALLOW)


class Book(Protocol):
    """Where accounts are kept."""

    async def keep(self, account: Account) -> None:
        """Returns when the account is durable. Raises if it cannot be."""
        ...


@dataclass(slots=True)
class Exchange:
    """Collects what happens to one request, tells the observers, and has it recorded exactly once."""

    account: Account
    book: Book
    observers: Sequence[Observer]
    clock: Callable[[], float] = time.monotonic
    began: float = field(default_factory=time.monotonic)
    _closing: "asyncio.Task[None] | None" = None
    _announced: bool = False

    @property
    def about(self) -> About:
        return self.account.about

    def announce(self, about: About) -> None:
        """Who asks is known now."""
        self.account.about = about
        if not self._announced:
            self._announced = True
            self._tell(lambda observer: observer.on_request(about))

    def judged(self, judged: Judged, seconds: float) -> None:
        self.account.judged.append(judged)
        self.account.judging_s += seconds
        self._tell(lambda observer: observer.on_verdict(self.about, judged.channel, judged.verdict, seconds))

    def discard_slot(self, choice: int) -> None:
        """What was said in a choice before does not go out: its verdicts do not count for the outcome."""
        self.account.judged = [
            replace(judged, counts=False) if judged.choice == choice else judged for judged in self.account.judged
        ]

    def chosen(self, choice: int, attempt: int | None) -> None:
        """Of all that was said in a choice, what this attempt said goes out, or ended it; with None nothing did."""
        self.account.judged = [
            replace(judged, counts=judged.attempt == attempt) if judged.choice == choice else judged
            for judged in self.account.judged
        ]

    def attempted(self, attempt: AttemptDone) -> None:
        self.account.attempts.append(attempt)
        self.account.input_tokens += attempt.input_tokens
        self.account.output_tokens += attempt.output_tokens
        self._tell(lambda observer: observer.on_attempt(self.about, attempt))

    def first_byte(self) -> None:
        if self.account.first_byte_s is None:
            self.account.first_byte_s = self.clock() - self.began

    async def close(self, outcome: Outcome, status: int, code: str | None = None, *, record: bool = True) -> None:
        """Record the request; a second call changes nothing. The record is written also if the caller is cancelled.
        Without ``record`` only the observers are told: of requests that nobody with a key has sent.

        Raises Refused (503): it could not be recorded, so nothing more may go out.
        """
        if self._closing is None:
            account = self.account
            account.outcome, account.status, account.code = outcome, status, code
            account.seconds = self.clock() - self.began
            self._closing = asyncio.create_task(self._close(record))
            self._closing.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._closing)

    @property
    def is_closed(self) -> bool:
        return self._closing is not None

    async def _close(self, record: bool) -> None:
        self.announce(self.about)
        account = self.account
        try:
            if record:
                await self.book.keep(account)
        except Exception as error:
            _LOG.error("the decision log does not take records: %s", type(error).__name__)
            account.outcome, account.status, account.code = Outcome.ERRORED, 503, "policykit_log_unavailable"
            raise Refused(
                503, "policykit_log_unavailable", "the decision log cannot be written: nothing is served without it"
            ) from error
        finally:
            done = self._done()
            self._tell(lambda observer: observer.on_done(account.about, done))

    def _done(self) -> Done:
        account = self.account
        closed: Counter[str] = Counter()
        for mask in account.masks:
            closed.update(dict(mask.closed))
        return Done(
            outcome=account.outcome,
            status=account.status,
            seconds=account.seconds,
            code=account.code,
            rules=account.rules,
            attempts=tuple(account.attempts),
            input_tokens=account.input_tokens,
            output_tokens=account.output_tokens,
            cost=account.cost,
            first_byte_s=account.first_byte_s,
            judging_s=account.judging_s,
            mask=account.mask,
            closed=tuple(sorted(closed.items())),
        )

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            try:
                tell(observer)
            except Exception:
                _LOG.exception("an observer failed")
