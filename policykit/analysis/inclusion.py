"""Whether one matcher finds something wherever another does, for matchers that have most of their parts in common.

Faster than :mod:`.difference` where two versions of one rule are compared, and less: it gives some text, not a
shortest, and what is not regular is left out of the proof and named.
"""

from dataclasses import dataclass
from itertools import takewhile

from policykit.analysis.difference import beyond, split
from policykit.analysis.question import Compiled, ask, reads
from policykit.analysis.search import Answer, Nothing, NotProven, Sample, holds, shortest
from policykit.ir.document import AllOf, Matcher, Not, Regexes, Within


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not decided, and why."""

    why: str


def found_beyond(found: Matcher, but_not: Matcher, compiled: Compiled, max_states: int) -> Sample | Nothing | Unknown:
    """A text in which ``found`` finds something and ``but_not`` does not; Nothing is a proof that there is none."""
    others = tuple(split(but_not))
    unknown: Unknown | None = None
    for whole in split(found):
        part = beyond(whole, others)
        answer = Nothing() if part is None else _part(part, others, compiled, max_states)
        if isinstance(answer, Sample):
            return answer
        unknown = answer if isinstance(answer, Unknown) else unknown
    return unknown or Nothing()


def _part(
    part: Matcher, others: tuple[Matcher, ...], compiled: Compiled, max_states: int
) -> Sample | Nothing | Unknown:
    kind = reads([part])
    if not isinstance(kind, Within):
        return Unknown(kind)
    alike = sorted((o for o in others if reads([o, part]) == kind), key=lambda o: -_likeness(o, part))
    near = _some(part, alike[:1], compiled, max_states)
    if isinstance(near, Nothing):
        return near
    missing = [other for other in others if reads([other, part]) != kind]
    if isinstance(near, Sample) and not any(holds(other, near, compiled) for other in alike[1:]):
        return Unknown(f"another part {reads(missing)}") if missing else near
    answer = _some(part, alike, compiled, max_states) if len(alike) > 1 else near
    if isinstance(answer, NotProven):
        return Unknown(f"not proven within {max_states} states")
    return Unknown(f"another part {reads(missing)}") if missing and isinstance(answer, Sample) else answer


def _some(part: Matcher, others: list[Matcher], compiled: Compiled, max_states: int) -> Answer:
    """A text that only the part finds, in ASCII if there is one."""
    question = ask(_without(part, others), compiled)
    plain = shortest(question, max_states, readable=True)
    return plain if isinstance(plain, Sample) else shortest(question, max_states)


def _without(part: Matcher, others: list[Matcher]) -> Matcher:
    return AllOf((part, *map(Not, others)))


def _likeness(one: Matcher, other: Matcher) -> int:
    """Characters at both ends that two expressions share; the likely counterpart of a changed one comes first."""
    if not (isinstance(one, Regexes) and isinstance(other, Regexes)):
        return int(type(one) is type(other))
    a, b = one.regexes[0].source, other.regexes[0].source
    return 1 + _n_alike(a, b) + _n_alike(a[::-1], b[::-1])


def _n_alike(one: str, other: str) -> int:
    """Characters at the start that are the same."""
    same = (a == b for a, b in zip(one, other, strict=False))
    return sum(takewhile(bool, same))
