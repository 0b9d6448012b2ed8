"""Answers that are not streamed: judged as a whole, rejected and asked for again within the budget."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from policykit.ir.verdict import Decision, Verdict
from policykit.profiles import Reasoning
from policykit.serving.asking import Asking, Attempt
from policykit.serving.errors import GRAMMAR_REFUSED, MASK_FAILED, Refused, UpstreamFault
from policykit.serving.exchange import Judged, MaskSeen
from policykit.serving.hooks import Channel, Outcome
from policykit.serving.judging import Failed, Ruling, why
from policykit.serving.messages import Ask
from policykit.serving.routes.shape import Choice, ToolCall
from policykit.serving.upstream import Kind
from policykit.serving.wire import Delta, Finish, FinishReason, Text, ToolPart, Usage

DEAD_END = "policy_dead_end"
"""The stop reason of an answer that the plan left no way on for."""
MASK_FAULTS = (GRAMMAR_REFUSED, MASK_FAILED)
NAMED = (DEAD_END, *MASK_FAULTS)
"""Stop reasons of choices that something else stands in the place of."""


@dataclass(slots=True)
class Arrived:
    """What an upstream said in one choice."""

    texts: dict[Channel, str] = field(default_factory=dict[Channel, str])
    calls: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    finish: Finish | None = None

    def add(self, delta: Text | ToolPart | Finish) -> None:
        match delta:
            case Text(_, channel, text):
                self.texts[channel] = self.texts.get(channel, "") + text
            case ToolPart(_, index, name, arguments):
                before = self.calls.get(index, ("", ""))
                self.calls[index] = before[0] + name, before[1] + arguments
            case Finish():
                self.finish = delta


class CheckFailed(Refused):
    """A check that should have run could not: nothing goes out."""

    def __init__(self, verdict: Verdict) -> None:
        rules = ", ".join(f"`{error.rule}`" for error in verdict.errors)
        super().__init__(503, "policykit_check_failed", f"the answer could not be judged: {rules}")


def gathered(deltas: Sequence[Delta], attempt: Attempt) -> dict[int, Arrived]:
    """The choices of an answer, in order; its usage is noted."""
    found: defaultdict[int, Arrived] = defaultdict(Arrived)
    for delta in deltas:
        if isinstance(delta, Usage):
            attempt.usage = delta
        else:
            found[delta.choice].add(delta)
    return dict(sorted(found.items()))


async def judged(asking: Asking, attempt: int, index: int, arrived: Arrived) -> Choice | Failed:
    """A choice as it may go out, or why it may not. Raises CheckFailed."""
    texts: dict[Channel, str] = {}
    for channel, text in _texts(asking, arrived):
        began = time.monotonic()
        verdict = await asking.apart(asking.judge.whole, channel, text)
        found = Judged(channel, index, attempt, verdict, text, asking.judge.asked(channel))
        asking.exchange.judged(found, time.monotonic() - began)
        if failed := _failed(asking, verdict):
            return failed
        texts[channel] = verdict.text
    calls: list[ToolCall] = []
    for position, (name, arguments) in sorted(arrived.calls.items()):
        began = time.monotonic()
        verdict = await asking.apart(asking.judge.call, name, arguments)
        seconds = time.monotonic() - began
        asked = asking.judge.asked(Channel.TOOL_CALL)
        asking.exchange.judged(Judged(Channel.TOOL_CALL, index, attempt, verdict, arguments, asked, tool=name), seconds)
        if failed := _failed(asking, verdict):
            return failed
        calls.append(ToolCall(call_id(asking, index, position), name, verdict.text))
    if failed := not_called(asking.ask, len(calls)):
        return failed
    assert arrived.finish is not None, "the reader wants an end of each choice"
    return Choice(index, texts, tuple(calls), reason_of(arrived.finish, bool(calls)))


def _texts(asking: Asking, arrived: Arrived) -> list[tuple[Channel, str]]:
    """What is judged: a content also where there is none, unless tools are called instead."""
    found = [(Channel.CONTENT, arrived.texts.get(Channel.CONTENT, ""))]
    if not found[0][1] and arrived.calls:
        found = []
    for channel in (Channel.REASONING, Channel.REFUSAL):
        if channel in arrived.texts:
            if channel is Channel.REASONING and asking.profile.reasoning is Reasoning.FORBIDDEN:
                drop_reasoning(asking)
                continue
            found.append((channel, arrived.texts[channel]))
    return found


def is_dead_end(seen: Sequence[MaskSeen], index: int) -> bool:
    """Whether the engine says so of a choice."""
    return any(mask.choice == index and mask.dead_end for mask in seen)


def drop_reasoning(asking: Asking) -> None:
    """Reasoning that the profile forbids goes nowhere, and the record says so."""
    account = asking.exchange.account
    account.dropped = tuple(sorted({*account.dropped, Channel.REASONING.value}))


def reason_of(finish: Finish, has_calls: bool) -> FinishReason:
    """A finish that says what the choice holds: calls that were promised and did not come are a stop."""
    if finish.reason is FinishReason.TOOL_CALLS and not has_calls:
        return FinishReason.STOP
    return finish.reason


def not_called(ask: Ask, n_calls: int) -> Failed | None:
    """Why an answer is not one to its request's `tool_choice`, which an upstream may not have heeded."""
    if ask.must_call and not n_calls:
        return Failed("no tool was called", None, final=False)
    if ask.parallel_tool_calls is False and n_calls > 1:
        return Failed("several tools were called", None, final=False)
    return None


def call_id(asking: Asking, choice: int, position: int) -> str:
    return f"call_{asking.envelope.id.rpartition('-')[2]}_{choice}_{position}"


def _failed(asking: Asking, verdict: Verdict) -> Failed | None:
    match asking.judge.ruling(verdict):
        case Ruling.PASSED:
            return None
        case Ruling.STOPPED:
            return Failed(why(verdict), verdict, final=True)
        case Ruling.AVOIDED:
            return Failed(why(verdict), verdict, final=False)
        case Ruling.FAILED:
            raise CheckFailed(verdict)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that may go out."""

    choices: tuple[Choice, ...]
    outcome: Outcome


def instead(asking: Asking, index: int, failed: Failed) -> Choice:
    """What is shown in place of a choice: the rule's message, or the profile's fallback."""
    message = failed.verdict.text if failed.verdict is not None else ""
    texts = {Channel.CONTENT: message or asking.profile.fallback}
    return Choice(index, texts, (), FinishReason.CONTENT_FILTER, stop_of(failed))


def stop_of(failed: Failed) -> str | None:
    """What is said of a choice's end beside `content_filter`."""
    return failed.why if failed.why in NAMED else None


def mask_failed(attempt: Attempt, kind: Kind, index: int, finish: Finish | None) -> Failed | None:
    """Why a choice has no mask, where that is so and others have one: the engine's word is heard on the socket, and
    stands in the answer, too."""
    fault = attempt.attested.failed.get(index)
    is_filtered = kind is Kind.VLLM and finish is not None and finish.reason is FinishReason.CONTENT_FILTER
    if fault is None and not is_filtered:
        return None
    return Failed(MASK_FAILED if fault is None else fault.code, None, final=True)


def outcome_of(choices: Sequence[Choice], failed: Sequence[Failed], transformed: bool) -> Outcome:
    """How a request ended whose choices went out, those that ``failed`` replaced."""
    if any(one.verdict is not None and one.verdict.text for one in failed):
        return Outcome.BLOCKED
    if failed:
        return Outcome.FALLBACK
    return Outcome.TRANSFORMED if transformed else Outcome.SERVED


async def answer(asking: Asking) -> Answered:
    """The answer, after as many attempts as it takes and the budget allows. Choices that pass are kept; only the
    others are asked for again. Raises Refused, UpstreamFault."""
    slots: dict[int, Choice | Failed] = {}
    n = asking.settings.n
    while missing := [at for at in range(n) if not _is_settled(slots.get(at))]:
        try:
            async with asking.attempt(missing) as attempt:
                if attempt is None:
                    break
                deltas = await attempt.reader.whole(attempt.response, asking.reading)
                asking.exchange.account.mask = await attempt.attested.started()
                await attempt.attested.finished()
                await fill(asking, attempt, slots, missing, gathered(deltas, attempt))
        except UpstreamFault as fault:
            if fault.code not in MASK_FAULTS or len(missing) == n:
                raise
            slots |= dict.fromkeys(missing, Failed(fault.code, None, final=True))
    if not slots:
        raise Refused(503, "policykit_budget_exhausted", "the profile's budget allows no attempt")
    choices: list[Choice] = []
    failed: list[Failed] = []
    for at in range(n):
        slot = slots[at]
        if isinstance(slot, Failed):
            failed.append(slot)
            slot = instead(asking, at, slot)
        choices.append(slot)
    transformed = asking.exchange.account.decision is Decision.TRANSFORM
    return Answered(tuple(choices), outcome_of(choices, failed, transformed))


def _is_settled(slot: Choice | Failed | None) -> bool:
    return isinstance(slot, Choice) or (slot is not None and slot.final)


async def fill(
    asking: Asking, attempt: Attempt, slots: dict[int, Choice | Failed], missing: list[int], found: dict[int, Arrived]
) -> None:
    """Judge what an attempt brought, into the ``missing`` slots in order. Raises CheckFailed."""
    why_failed: list[str] = []
    seen = attempt.attested.seen
    for at, (index, arrived) in zip(missing, found.items(), strict=True):
        asking.exchange.discard_slot(at)
        alone = mask_failed(attempt, asking.upstream.kind, index, arrived.finish)
        slot = slots[at] = alone or await judged(asking, attempt.number, at, arrived)
        if isinstance(slot, Choice) and is_dead_end(seen, index):
            slot = slots[at] = Failed(DEAD_END, None, final=False)
        if isinstance(slot, Failed):
            why_failed.append(slot.why)
            asking.last_failed = slot
    attempt.failed = "; ".join(dict.fromkeys(why_failed)) or None
