"""A shortest text that one matcher finds and another does not.

A text that a union finds is found by one of its alternatives, so each is walked alone against the other side: what
both sides have is no difference, and twenty expressions need no product of twenty automata.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from policykit.analysis.question import Compiled, anonymous, ask
from policykit.analysis.search import Answer, Nothing, NotProven, Sample, shortest
from policykit.compile.program import alternatives, negated
from policykit.ir.document import AllOf, Chains, Matcher, Not, Phrases, Regexes


@dataclass(frozen=True, slots=True)
class Gap:
    """A text that only one side finds. ``readable`` is the shortest in ASCII, if there is one (and it was found);
    ``is_shortest`` is False where a part of the search was over its budget."""

    shortest: Sample
    readable: Sample | None
    is_shortest: bool


def first_only(
    found: Matcher, but_not: Matcher | None, compiled: Compiled, max_states: int
) -> Gap | Nothing | NotProven:
    """A shortest text that ``found`` finds and ``but_not`` does not; both read one kind of text."""
    others = tuple(split(but_not)) if but_not else ()
    own = [part for whole in split(found) if (part := beyond(whole, others))]
    best: Sample | None = None
    unproven = False
    for part in own:
        below = best.length if best else None
        answer = _part_only(part, others, compiled, max_states, below)
        unproven |= isinstance(answer, NotProven)
        best = answer if isinstance(answer, Sample) else best
    if best is None:
        return NotProven(max_states) if unproven else Nothing()
    return Gap(best, _readable(best, own, others, compiled, max_states), not unproven)


def split(matcher: Matcher) -> Iterable[Matcher]:
    """The alternatives, lists of expressions taken apart."""
    for part in alternatives(negated(anonymous(matcher))):
        if isinstance(part, Regexes):
            yield from (replace(part, regexes=(regex,)) for regex in part.regexes)
        elif isinstance(part, Chains):
            yield from (replace(part, chains=(chain,)) for chain in part.chains)
        else:
            yield part


def beyond(part: Matcher, others: tuple[Matcher, ...]) -> Matcher | None:
    """The alternative without what the other side has as well."""
    if part in others:
        return None
    if not isinstance(part, Phrases):
        return part
    alike = [other for other in others if isinstance(other, Phrases) and replace(other, phrases=part.phrases) == part]
    theirs = {phrase for other in alike for phrase in other.phrases}
    mine = tuple(phrase for phrase in part.phrases if phrase not in theirs)
    return replace(part, phrases=mine) if mine else None


def _part_only(
    part: Matcher, others: tuple[Matcher, ...], compiled: Compiled, max_states: int, below: int | None
) -> Answer:
    """Over the budget with all others at once, it may still be shown that a single one of them finds all of it."""
    answer = shortest(ask(_without(part, others), compiled), max_states, below=below)
    if isinstance(answer, NotProven) and len(others) > 1:
        alone = (shortest(ask(_without(part, (other,)), compiled), max_states) for other in others)
        return next((found for found in alone if isinstance(found, Nothing)), answer)
    return answer


def _without(part: Matcher, others: tuple[Matcher, ...]) -> Matcher:
    return AllOf((part, *map(Not, others)))


def _readable(
    best: Sample, own: list[Matcher], others: tuple[Matcher, ...], compiled: Compiled, max_states: int
) -> Sample | None:
    """The shortest text in ASCII: for people, who should not have to read look-alikes."""
    if best.text.isascii():
        return best
    found: Sample | None = None
    for part in own:
        question = ask(_without(part, others), compiled)
        answer = shortest(question, max_states, readable=True, below=found.length if found else None)
        found = answer if isinstance(answer, Sample) else found
    return found
