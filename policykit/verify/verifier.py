"""The verifier: one text in, one verdict out, by the same automata that make the masks."""

from collections.abc import Sequence
from dataclasses import replace

from policykit.grammar import GrammarValidator
from policykit.ir.grammar import GrammarSpec
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import CheckError, Decision, TransformApplied, Verdict, Violation
from policykit.verify.finders import CompiledSearches, Searches
from policykit.verify.judgement import INPUT, Judgement, compile_rules, judge
from policykit.verify.transforms import apply_edits, plan_edits
from policykit.verify.units import Readings

MAX_BYTES = 10_000_000


class Verifier:
    """Judges whole texts by the resolved rules and the grammar of one plan.

    A check that cannot run is an error and fails closed. ``prefilter=False`` changes the speed and nothing else.
    Verdicts are values; a verifier may be shared between threads.
    """

    def __init__(
        self,
        rules: tuple[ResolvedRule, ...],
        grammar: GrammarSpec | None,
        digest: str,
        *,
        prefilter: bool = True,
        max_bytes: int = MAX_BYTES,
        searches: Searches | None = None,
    ) -> None:
        self._rules = compile_rules(rules, searches or CompiledSearches(), prefilter)
        self._grammar = GrammarValidator(grammar) if grammar else None
        self._is_json = bool(grammar and grammar.is_json)
        self._digest = digest
        self._max_bytes = max_bytes

    def verify(self, text: str) -> Verdict:
        """The verdict on ``text``. Its spans are code point offsets in ``text``.

        Transforms are applied once; the result is judged again, and blocked if anything still fires.
        """
        judged = self._judge(text)
        if judged.fails_closed or judged.blockers:
            return self._verdict(judged, Decision.BLOCK, _message(judged))
        if not judged.wanted:
            return self._verdict(judged, Decision.ALLOW, text)
        edits = plan_edits(text, judged.wanted)
        changed = apply_edits(text, edits)
        again = self._judge(changed)
        if again.fails_closed or again.violations:
            judged.errors += again.errors
            judged.violations += _residual(again.violations)
            return self._verdict(judged, Decision.BLOCK, _message(again))
        return self._verdict(judged, Decision.TRANSFORM, changed, edits)

    def _judge(self, text: str) -> Judgement:
        refused = unreadable(text, self._max_bytes)
        if refused:
            return Judgement(errors=[CheckError(INPUT, refused)], fails_closed=True)
        return judge(Readings(text, self._is_json), self._rules, self._grammar.check if self._grammar else None)

    def _verdict(
        self, judged: Judgement, decision: Decision, text: str, edits: tuple[TransformApplied, ...] = ()
    ) -> Verdict:
        return Verdict(
            decision=decision,
            text=text,
            violations=tuple(judged.violations),
            transforms=edits,
            errors=tuple(judged.errors),
            shadow=tuple(judged.shadow),
            not_applicable=tuple(judged.not_applicable),
            cost=sum(violation.cost for violation in judged.violations),
            digest=self._digest,
        )


def unreadable(text: str, max_bytes: int) -> str | None:
    """Why ``text`` cannot be judged, or None: it is too long, or a surrogate in it belongs to no character."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        return f"no valid Unicode text: unpaired surrogate at {error.start}"
    return f"too long to judge: {size} bytes of UTF-8, at most {max_bytes}" if size > max_bytes else None


def _message(judged: Judgement) -> str:
    """What is shown instead of a blocked text: the message of the first block in the order of the plan, or nothing."""
    return (judged.blockers[0].message or "") if judged.blockers else ""


def _residual(violations: Sequence[Violation]) -> list[Violation]:
    """What fires on the transformed text, once per rule. It has no span in the original."""
    first = {violation.rule: violation for violation in reversed(violations)}
    return [
        replace(violation, start=None, end=None, view=None, matched=f"after transforms: {violation.matched}")
        for violation in reversed(first.values())
    ]
