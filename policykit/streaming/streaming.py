"""What is compiled once so that many streams can be opened."""

from policykit.ir.document import Target
from policykit.ir.plan import ResolvedRule
from policykit.streaming.stream import MAX_HELD_BYTES, Stream, Waits
from policykit.verify import Subject, Verifier


class Streaming:
    """Opens streams for the rules of one verifier."""

    def __init__(self, rules: tuple[ResolvedRule, ...], verifier: Verifier, digest: str) -> None:
        self._rules = rules
        self._verifier = verifier
        self._digest = digest

    def open(self, subject: Subject, *, max_held_bytes: int = MAX_HELD_BYTES) -> Stream:
        """A stream for a subject whose text is yet to come."""
        waits = tuple(Waits(rule.name, "waits for the whole text") for rule in self._rules)
        if subject.target is not Target.OUTPUT:
            waits = (Waits(subject.target.value, "is judged as a whole"),)
        return Stream(self._verifier, subject, self._digest, waits, max_held_bytes)
