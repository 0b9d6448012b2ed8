"""Answers that are streamed: text goes out as soon as the plan lets it, and never before."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from policykit.ir.verdict import Decision, Verdict
from policykit.profiles import Reasoning
from policykit.serving.asking import Asking, Attempt
from policykit.serving.continued import Continued
from policykit.serving.errors import Refused
from policykit.serving.exchange import Judged
from policykit.serving.hooks import Channel, Switch, SwitchState
from policykit.serving.incident import ended
from policykit.serving.judging import Failed, Ruling, why
from policykit.serving.responder import End, Responder
from policykit.serving.routes.shape import ToolCall, Written
from policykit.serving.upstream import Kind
from policykit.serving.whole import (
    DEAD_END,
    Answered,
    CheckFailed,
    call_id,
    drop_reasoning,
    is_dead_end,
    mask_failed,
    not_called,
    outcome_of,
    reason_of,
    stop_of,
)
from policykit.serving.wire import Finish, FinishReason, Text, ToolPart, Usage
from policykit.streaming import Stream

SEVERAL = (Channel.REASONING, Channel.REFUSAL, Channel.CONTENT)
"""The channels of a choice in the order in which their rests go out."""


class Again(Exception):
    """Nothing has gone out, and another attempt may do better."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.why)
        self.failed = failed


@dataclass(slots=True)
class Open:
    """One choice while it arrives."""

    streams: dict[Channel, Stream | Continued] = field(default_factory=dict[Channel, Stream | Continued])
    texts: dict[Channel, list[str]] = field(default_factory=dict[Channel, list[str]])
    calls: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    judging_s: dict[Channel, float] = field(default_factory=dict[Channel, float])
    held: list[str] = field(default_factory=list[str])
    has_shown: bool = False
    end: End | None = None
    failed: Failed | None = None


@dataclass(slots=True)
class Streaming:
    """One streamed answer. Text waits until the mask of its attempt is attested, where there is one."""

    asking: Asking
    responder: Responder
    written: Written
    switch: Switch
    open: dict[int, Open] = field(default_factory=dict[int, Open])
    attempt: Attempt | None = None
    is_attested: bool = False
    _is_last: bool = False

    async def run(self) -> tuple[Answered, Sequence[End], Usage]:
        """Streams all texts; how they end is the caller's to send. Raises Refused, UpstreamFault."""
        n = self.asking.settings.n
        failed: Failed | None = None
        while True:
            try:
                async with self.asking.attempt(range(n)) as attempt:
                    if attempt is None:
                        break
                    await self._attempt(attempt, n)
                    failed = None
                    break
            except Again as again:
                failed = again.failed
        if failed is not None:
            await self._fall_back(n, failed)
        elif not self.open:
            raise Refused(503, "policykit_budget_exhausted", "the profile's budget allows no attempt")
        ends = [choice.end for _, choice in sorted(self.open.items()) if choice.end is not None]
        replaced = [choice.failed for choice in self.open.values() if choice.failed is not None]
        transformed = self.asking.exchange.account.decision is Decision.TRANSFORM
        account = self.asking.exchange.account
        usage = Usage(account.input_tokens, account.output_tokens)
        return Answered((), outcome_of((), replaced, transformed)), ends, usage

    async def _attempt(self, attempt: Attempt, n: int) -> None:
        """Raises Again where another attempt may follow; what this one said does not count then."""
        self.attempt, self.is_attested = attempt, False
        self.open = {index: Open() for index in range(n)}
        for index in range(n):
            self.asking.exchange.discard_slot(index)
        try:
            async with aclosing(attempt.reader.stream(attempt.response, self.asking.reading)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, Usage):
                        attempt.usage = delta
                        continue
                    attempt.count(delta.parts if isinstance(delta, Text) else 1)
                    choice = self.open[delta.choice]
                    if choice.end is None:
                        await self._take(delta, choice)
                    if all(choice.failed for choice in self.open.values()):
                        break  # the upstream is let go of: nothing that it says can go out
        except Again as again:
            attempt.failed = again.failed.why
            raise
        await self._attest()
        why_failed = dict.fromkeys(choice.failed.why for choice in self.open.values() if choice.failed)
        attempt.failed = "; ".join(why_failed) or None

    async def _take(self, delta: Text | ToolPart | Finish, choice: Open) -> None:
        match delta:
            case Text(index, channel, text):
                if channel is Channel.REASONING and self.asking.profile.reasoning is Reasoning.FORBIDDEN:
                    drop_reasoning(self.asking)
                else:
                    await self._read(index, choice, channel, text)
            case ToolPart(_, index, name, arguments):
                before = choice.calls.get(index, ("", ""))
                choice.calls[index] = before[0] + name, before[1] + arguments
            case Finish():
                await self._finish(delta, choice)

    async def _read(self, index: int, choice: Open, channel: Channel, text: str) -> None:
        stream = choice.streams.get(channel)
        began = time.monotonic()
        if stream is None:
            stream = choice.streams[channel] = await asyncio.to_thread(self.asking.judge.stream, channel)
        shown = stream.feed(text)
        choice.texts.setdefault(channel, []).append(text)
        choice.judging_s[channel] = choice.judging_s.get(channel, 0.0) + time.monotonic() - began
        verdict = stream.verdict
        if verdict is None and self._is_held(channel):
            choice.held.append(shown)
            return
        if verdict is None:
            await self._show(index, choice, channel, shown)
            return
        self._note(index, channel, choice, verdict, is_ended=False)
        await self._stopped(index, choice, channel, shown, verdict)

    def _is_held(self, channel: Channel) -> bool:
        """Whether a text waits for its end: one with a grammar, where no mask sees to it that it will be of it, and one
        beside a call that has to come. The beginning of a text that is none is of no use, and bars another attempt."""
        asking = self.asking
        is_unmasked = asking.upstream.kind is not Kind.VLLM and asking.judge.plan.spec.grammar is not None
        return channel is Channel.CONTENT and (is_unmasked or asking.ask.must_call)

    def _waits(self, channel: Channel, stream: Stream | Continued) -> bool:
        """Whether the verdict at the end of a text takes time."""
        return bool(stream.buffers) or self.asking.judge.plan_of(channel).verifier.waits_for_grammar

    def _note(self, index: int, channel: Channel, choice: Open, verdict: Verdict, is_ended: bool = True) -> None:
        assert self.attempt is not None
        text, asked = "".join(choice.texts.get(channel, ())), self.asking.judge.asked(channel)
        judged = Judged(channel, index, self.attempt.number, verdict, text, asked, is_ended=is_ended)
        self.asking.exchange.judged(judged, choice.judging_s.get(channel, 0.0))

    async def _stopped(self, index: int, choice: Open, channel: Channel, shown: str, verdict: Verdict) -> None:
        """A text that does not go on. ``shown`` ends with the verdict's message, which belongs to the content."""
        ruling = self.asking.judge.ruling(verdict)
        if ruling is Ruling.FAILED:
            raise CheckFailed(verdict)
        failed = Failed(why(verdict), verdict, final=ruling is Ruling.STOPPED)
        self._again(failed)
        if not self._is_held(channel):
            await self._show(index, choice, channel, shown.removesuffix(verdict.text) if verdict.text else shown)
        await self._replace(index, choice, failed)

    def _again(self, failed: Failed) -> None:
        """Raises Again where another attempt may follow."""
        limits, made = self.asking.profile.limits, self.asking.budget.made
        if not failed.final and not self.responder.is_started and made < limits.attempts:
            self.asking.last_failed = failed
            raise Again(failed)

    async def _replace(self, index: int, choice: Open, failed: Failed) -> None:
        message = failed.verdict.text if failed.verdict is not None else ""
        if not message and not choice.has_shown:
            message = self.asking.profile.fallback
        await self._show(index, choice, Channel.CONTENT, message)
        choice.end, choice.failed = (index, FinishReason.CONTENT_FILTER, stop_of(failed)), failed

    async def _finish(self, finish: Finish, choice: Open) -> None:
        """Every text of a choice is judged to its end before the rest of any goes out."""
        index = finish.choice
        assert self.attempt is not None
        alone = mask_failed(self.attempt, self.asking.upstream.kind, index, finish)
        if alone is not None:
            await self._replace(index, choice, alone)
            return
        if Channel.CONTENT not in choice.streams and not choice.calls:
            choice.streams[Channel.CONTENT] = await asyncio.to_thread(self.asking.judge.stream, Channel.CONTENT)
        rests: list[tuple[Channel, str]] = []
        for channel in (channel for channel in SEVERAL if channel in choice.streams):
            stream = choice.streams[channel]
            began = time.monotonic()
            shown, verdict = await self.asking.apart(stream.close) if self._waits(channel, stream) else stream.close()
            choice.judging_s[channel] = choice.judging_s.get(channel, 0.0) + time.monotonic() - began
            self._note(index, channel, choice, verdict)
            if self.asking.judge.ruling(verdict) is not Ruling.PASSED:
                await self._stopped(index, choice, channel, shown, verdict)
                return
            rests.append((channel, "".join(choice.held) + shown if self._is_held(channel) else shown))
        calls: list[ToolCall] = []
        async for call in self._calls(index, choice):
            if isinstance(call, Verdict):
                await self._stopped(index, choice, Channel.CONTENT, call.text, call)
                return
            calls.append(call)
        failed = Failed(DEAD_END, None, final=False) if await self._is_dead_end(index) else None
        if failed := failed or not_called(self.asking.ask, len(calls)):
            self._again(failed)
            await self._replace(index, choice, failed)
            return
        for channel, shown in rests:
            await self._show(index, choice, channel, shown)
        if calls:
            await self._may_go_out()
            await self.responder.calls(self.written, index, calls)
        choice.end = (index, reason_of(finish, bool(calls)), None)

    async def _calls(self, index: int, choice: Open) -> AsyncIterator[ToolCall | Verdict]:
        """The calls that are let through; the verdict on the first that is not."""
        assert self.attempt is not None
        for position, (name, arguments) in sorted(choice.calls.items()):
            began, asked = time.monotonic(), self.asking.judge.asked(Channel.TOOL_CALL)
            verdict = await self.asking.apart(self.asking.judge.call, name, arguments)
            judged = Judged(Channel.TOOL_CALL, index, self.attempt.number, verdict, arguments, asked, tool=name)
            self.asking.exchange.judged(judged, time.monotonic() - began)
            if self.asking.judge.ruling(verdict) is not Ruling.PASSED:
                yield verdict
                return
            yield ToolCall(call_id(self.asking, index, position), name, verdict.text)

    async def _is_dead_end(self, index: int) -> bool:
        assert self.attempt is not None
        if self.attempt.n == 1:
            await self.attempt.attested.finished()
        return is_dead_end(self.attempt.attested.seen, index)

    async def _fall_back(self, n: int, failed: Failed) -> None:
        """No attempt is left: the last one's choices are replaced. Nothing of it has gone out."""
        self.attempt = None
        self.open = {index: Open() for index in range(n)}
        for index, choice in self.open.items():
            await self._replace(index, choice, failed)

    async def _show(self, index: int, choice: Open, channel: Channel, text: str) -> None:
        if not text:
            return
        await self._may_go_out()
        self.asking.exchange.first_byte()
        choice.has_shown = True
        await self.responder.text(self.written, index, channel, text)

    async def _may_go_out(self) -> None:
        await self._attest()
        if self.switch.state is not SwitchState.OPEN:
            raise ended()

    async def _attest(self) -> None:
        if self.attempt is not None and not self.is_attested:
            self.asking.exchange.account.mask = await self.attempt.attested.started()
            self.is_attested = True
