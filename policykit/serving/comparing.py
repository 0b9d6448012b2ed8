"""One text under two plans: a candidate's verdict beside the one that was given, rule by rule."""

from collections.abc import Iterator
from dataclasses import dataclass

from policykit.audit.shadow import Change
from policykit.ir.verdict import Decision, Verdict, Violation
from policykit.serving.exchange import Judged
from policykit.serving.hooks import Channel
from policykit.serving.judging import TARGETS, Judge

_ASKED = (Channel.INPUT, Channel.TOOL_RESULT, Channel.RETRIEVED)


@dataclass(frozen=True, slots=True)
class Again:
    """A candidate's verdict. ``goes_on``: a stream that was stopped, which the candidate had not stopped there; what
    else it would say of the text is not known then, for the rest was never written."""

    verdict: Verdict
    goes_on: bool = False

    @property
    def decision(self) -> Decision:
        return Decision.ALLOW if self.goes_on else self.verdict.decision


def again(judge: Judge, judged: Judged) -> Again | None:
    """The verdict of another judge on a text, in the way in which it was judged; None for a text that is not known."""
    text = judged.text
    if text is None:
        return None
    if judged.channel in _ASKED:
        return Again(judge.passage(TARGETS[judged.channel], judged.tool, text))
    if judged.channel is Channel.TOOL_CALL:
        return Again(judge.call(judged.tool or "", text))
    if judged.is_ended:
        return Again(judge.whole(judged.channel, text))
    stream = judge.stream(judged.channel)
    stream.feed(text)
    if stream.verdict is not None:
        return Again(stream.verdict)
    return Again(judge.whole(judged.channel, text), goes_on=True)


@dataclass(frozen=True, slots=True)
class Differs:
    """How one rule differs, and what it found where it fired."""

    rule: str
    change: Change
    found: tuple[Violation, ...] = ()


def differences(live: Verdict, candidate: Again, *, by_text: bool = True) -> tuple[Differs, ...]:
    """What differs, by rule; nothing where both would have the same effect. Without ``by_text`` what a transform
    writes is not compared, only where."""
    return tuple(_differences(live, candidate, by_text))


def _differences(live: Verdict, candidate: Again, by_text: bool) -> Iterator[Differs]:
    new = candidate.verdict
    before, after = set(live.rules), set(new.rules)
    found = [Differs(rule, Change.NO_LONGER, _of(live, rule)) for rule in live.rules if rule not in after]
    if not candidate.goes_on:
        found += [Differs(rule, Change.FIRES, _of(new, rule)) for rule in new.rules if rule not in before]
        failed, fails = (list(dict.fromkeys(error.rule for error in one.errors)) for one in (live, new))
        found += [Differs(rule, Change.ERRORS) for rule in fails if rule not in failed]
        found += [Differs(rule, Change.RUNS) for rule in failed if rule not in fails]
    if not found:
        change = _effect(live, candidate, by_text)
        found = [Differs(rule, change, _of(live, rule)) for rule in live.rules] if change else []
    yield from found


def _effect(live: Verdict, candidate: Again, by_text: bool) -> Change | None:
    """The same rules fire: whether that has another effect."""
    if live.decision is not candidate.decision:
        return Change.DECIDES
    if candidate.goes_on:
        return None
    if live.decision is Decision.TRANSFORM:  # a stream's verdict does not hold the text that it has let out
        same = _edits(live, by_text) == _edits(candidate.verdict, by_text)
    else:
        same = live.decision is Decision.ALLOW or live.text == candidate.verdict.text
    return None if same else Change.WRITES


def _edits(verdict: Verdict, by_text: bool) -> set[tuple[int, int, str]]:
    return {(edit.start, edit.end, edit.replacement if by_text else edit.rule) for edit in verdict.transforms}


def _of(verdict: Verdict, rule: str) -> tuple[Violation, ...]:
    return tuple(violation for violation in verdict.violations if violation.rule == rule)
