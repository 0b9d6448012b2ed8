"""What is compiled once so that many streams can be opened."""

from contextlib import suppress
from functools import cached_property

from policykit.compile.resolve import combines
from policykit.compile.waits import waits_for_end
from policykit.diagnostics import InternalError
from policykit.grammar import Beginning, ClosingRules
from policykit.ir.document import Mode, SpanTransform, Target
from policykit.ir.grammar import GrammarSpec
from policykit.streaming.program import Parts, Program, Unsupported, program_of
from policykit.streaming.stream import MAX_HELD_BYTES, Judge, Stream, Waits
from policykit.streaming.warm import warm
from policykit.verify import Subject, Verifier
from policykit.verify.judgement import GRAMMAR

_WHOLE = "is judged on the whole text"


class Streaming:
    """Opens streams for the rules of one verifier."""

    def __init__(self, verifier: Verifier, grammar: GrammarSpec | None, digest: str) -> None:
        self._verifier = verifier
        self._grammar = grammar
        self._digest = digest
        self._is_json = bool(grammar and grammar.is_json)
        self._parts = Parts()

    def warm(self, subject: Subject) -> None:
        """Build now what the first stream of such a subject would build while it reads."""
        if not self.waits(subject):
            with suppress(Unsupported):  # then its streams judge whole texts
                warm(program_of(self._verifier.checks, self._parts, subject, self._is_json))

    def open(self, subject: Subject, *, max_held_bytes: int = MAX_HELD_BYTES) -> Stream:
        """A stream for a subject whose text is yet to come."""
        waits, program = self.waits(subject), Program()
        if not waits:
            try:
                program = program_of(self._verifier.checks, self._parts, subject, self._is_json)
            except Unsupported:
                waits = (Waits("policy", "a matcher is not found piece by piece"),)
        if not waits and self._is_json:
            waits = tuple(Waits(check.rule.name, "reads the JSON value") for check in program.json_waits)
        grammar = None if waits else self._grammar
        closing = self._closing if waits and all(wait.name == GRAMMAR for wait in waits) else None
        judge = Judge(self._verifier, self._digest, waits, program, self._is_json, max_held_bytes, grammar, closing)
        return Stream(judge, subject)

    @cached_property
    def _closing(self) -> ClosingRules | None:
        """What ends a text that the grammar alone holds back. Where rules need the whole text, too, they get it: one of
        them may have to be told to somebody. A judge that is to be waited for is asked at the end alone."""
        return None if self._verifier.waits_for_grammar else ClosingRules.of(self._grammar)

    def waits(self, subject: Subject) -> tuple[Waits, ...]:
        """What is decided by the whole text, so that a stream of such a subject releases nothing before the end."""
        if subject.target is not Target.OUTPUT:
            return (Waits(subject.target.value, _WHOLE),)
        return self._of_outputs

    @cached_property
    def _of_outputs(self) -> tuple[Waits, ...]:
        waits = self._late_grammar()
        for check in self._verifier.checks:
            why = waits_for_end(check.rule, self._is_json)
            if why:
                waits.append(Waits(check.rule.name, why))
        return tuple(waits) or self._mixed()

    def _late_grammar(self) -> list[Waits]:
        """What the grammar demands and no beginning of a text shows."""
        if self._grammar is None:
            return []
        try:
            Beginning(self._grammar)
        except InternalError as error:
            return [Waits(GRAMMAR, str(error))]
        late = [f"`{r.keyword}` at `{r.pointer}`" for r in self._grammar.residue]
        return [Waits(GRAMMAR, f"{', '.join(late)}: judged on the complete value")] if late else []

    def _mixed(self) -> tuple[Waits, ...]:
        """Combinations beside transforms: whether a combination is in the transformed text is known at its end."""
        rules = [check.rule for check in self._verifier.checks if check.rule.mode is Mode.ENFORCE]
        if not any(isinstance(rule.action, SpanTransform) for rule in rules):
            return ()
        combined = [rule for rule in rules if rule.matcher is not None and combines(rule.matcher)]
        return tuple(Waits(rule.name, "combines finds in a text that is transformed") for rule in combined)
