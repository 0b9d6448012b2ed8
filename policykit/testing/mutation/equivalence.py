"""Whether a change makes any difference: exact where what a rule finds is regular.

A change that no test notices may be one that no test can notice. It is so where the changed rule finds something in the
same texts; that is decided by the automata, within a budget of states. Beyond it nothing is claimed.
"""

from collections.abc import Hashable
from dataclasses import replace

from policykit.analysis.inclusion import Unknown, found_beyond
from policykit.analysis.question import Compiled, anonymous
from policykit.analysis.search import Nothing, Sample
from policykit.diagnostics import Place
from policykit.ir.document import AllOf, AnyOf, Block, Document, Escalate, Matcher, Not, Regexes
from policykit.ir.plan import ResolvedRule
from policykit.testing.mutation.report import Fate

FEW_STATES, MAX_STATES = 300, 3_000
"""States of one search: first of a short one, since most differences are near, then of one that gives up."""
_NOWHERE = Place("")


def shape(document: Document) -> Hashable:
    """What the document decides: equal for two that differ in places, or in how the same expressions are written."""
    rules = tuple((_shape(rule.matcher), replace(rule, matcher=None, place=_NOWHERE)) for rule in document.rules)
    return document.scope, document.effective, document.blocks_by_default, rules


def _shape(matcher: Matcher | None) -> Hashable:
    match matcher:
        case None:
            return None
        case Regexes():
            plain = replace(matcher, regexes=(), before=None, after=None, place=_NOWHERE)
            beside = tuple((side.regex, side.within) if side else None for side in (matcher.before, matcher.after))
            return plain, beside, tuple(item.regex for item in matcher.regexes)
        case AnyOf(items) | AllOf(items):
            return type(matcher).__name__, tuple(map(_shape, items))
        case Not(item):
            return "Not", _shape(item)
        case _:
            return anonymous(matcher)


class Equivalence:
    """Compares versions of a document's rules; what they have in common is compiled once."""

    def __init__(self) -> None:
        self._compiled = Compiled()

    def judge(self, before: ResolvedRule, after: ResolvedRule) -> tuple[Fate, str]:
        """Whether two rules that differ in their matchers decide alike about every text; else what is known."""
        ours, theirs = before.matcher, after.matcher
        if ours is None or theirs is None:
            raise ValueError("both rules must have a matcher")
        answers: list[Sample | Nothing | Unknown] = []
        for max_states in (FEW_STATES, MAX_STATES):
            answers.clear()
            for found, but_not in ((ours, theirs), (theirs, ours)):
                answers.append(found_beyond(found, but_not, self._compiled, max_states))
                if isinstance(answers[-1], Sample):
                    return Fate.SURVIVED, f"would be noticed in: {answers[-1].text}"
            if not any(isinstance(answer, Unknown) for answer in answers):
                break
        unknown = next((answer for answer in answers if isinstance(answer, Unknown)), None)
        if unknown is not None:
            return Fate.SURVIVED, f"whether any text tells is not known: {unknown.why}"
        if not isinstance(before.action, Block | Escalate):
            return Fate.SURVIVED, "it finds something in the same texts, perhaps at other places in them"
        return Fate.EQUIVALENT, ""
