"""Judging a text that goes on from a prompt: what is forbidden is so where the two meet, too.

The text alone is judged as any other; beside it, the text behind the end of its prompt, by the policies without the
output's grammar, for matches that begin in the prompt and end in the text. A transform cannot change a prompt, so such
a match blocks whatever its rule would do.
"""

from collections.abc import Mapping
from dataclasses import replace

from policykit.ir.verdict import Decision, Verdict, Violation
from policykit.plan import Plan
from policykit.streaming import Stream, Waits

MAX_PREFIX = 4096
"""Characters of a prompt that are read before the text."""


def prefix_of(plan: Plan, prompt: str, facts: Mapping[str, object]) -> str:
    """The end of a prompt in which nothing is found yet: what is found in the prompt alone is not the text's.

    It begins right behind the last start of what is found, not behind its end: inside of one match may begin another,
    which the text completes.
    """
    tail = prompt[-MAX_PREFIX:]
    while starts := [v.start for v in plan.verify(tail, facts).violations if v.start is not None]:
        tail = tail[max(starts) + 1 :]
    return tail


def across(verdict: Verdict, n: int) -> Verdict | None:
    """A block by what a verdict on a prefix of ``n`` characters and a text found across the two, if it found anything.
    Spans are in the text."""
    found = tuple(_back(v, n) for v in verdict.violations if v.start is not None and v.end and v.start < n < v.end)
    if not found:
        return None
    is_shown = verdict.decision in (Decision.BLOCK, Decision.ESCALATE)
    text, cost = verdict.text if is_shown else "", sum(violation.cost for violation in found)
    return Verdict(Decision.BLOCK, text, found, (), (), (), (), cost, verdict.digest)


def _back(violation: Violation, n: int) -> Violation:
    return replace(violation, start=0, end=(violation.end or 0) - n)


def verify(plan: Plan, side: Plan, prefix: str, text: str, facts: Mapping[str, object]) -> Verdict:
    """The verdict on a text behind a prefix. ``side`` is the plan without its grammar."""
    verdict = plan.verify(text, facts)
    if not prefix or verdict.decision in (Decision.BLOCK, Decision.ESCALATE):
        return verdict
    return across(side.verify(prefix + text, facts), len(prefix)) or verdict


class Continued:
    """A stream behind a prefix: it shows nothing while a match may have begun there. ``side`` is the plan without its
    grammar."""

    def __init__(self, plan: Plan, side: Plan, prefix: str, facts: Mapping[str, object]) -> None:
        self._side = side
        self._facts = facts
        self._stream = plan.stream(facts)
        self._joint: Stream | None = side.stream(facts)
        self._prefix = prefix
        self._together = ""
        self._shown = ""
        self._held = ""
        self._across: Verdict | None = None
        self._read(self._joint, prefix)

    @property
    def buffers(self) -> tuple[Waits, ...]:
        return self._stream.buffers

    @property
    def verdict(self) -> Verdict | None:
        return self._across or self._stream.verdict

    def feed(self, text: str) -> str:
        if self._across is not None:
            return ""
        shown = self._stream.feed(text)
        if self._stream.verdict is not None:  # of what is held, some may be of a match across
            return shown if self._joint is None else self._stream.verdict.text
        if self._joint is not None:
            self._read(self._joint, text)
        return self._let_out(shown)

    def close(self) -> tuple[str, Verdict]:
        if self._joint is not None and self._across is None:
            self._end(self._joint.close()[1])
        if self._across is not None:
            return "", self._across
        rest, verdict = self._stream.close()
        is_blocked = verdict.decision in (Decision.BLOCK, Decision.ESCALATE)
        return (rest if is_blocked else self._held + rest), verdict

    def _read(self, joint: Stream, text: str) -> None:
        """Read prefix and text on together, until all of the prefix may be shown: whatever begins after that begins in
        the text."""
        self._together += text
        self._shown += joint.feed(text)
        if joint.verdict is not None:
            self._end(joint.verdict)
        elif not self._prefix.startswith(self._shown[: len(self._prefix)]):  # a transform has reached into the prefix
            self._end(self._side.verify(self._together, self._facts))
        elif len(self._shown) >= len(self._prefix):
            self._joint = None

    def _end(self, verdict: Verdict) -> None:
        self._joint = None
        self._across = across(verdict, len(self._prefix))

    def _let_out(self, shown: str) -> str:
        if self._across is not None:
            return self._across.text
        if self._joint is not None:
            self._held += shown
            return ""
        shown, self._held = self._held + shown, ""
        return shown
