"""What changes between two plans: in their rules, and in what they say about the texts of a corpus."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from policykit.compile.plan import PlanSpec
from policykit.diagnostics import Place
from policykit.ir.document import Target
from policykit.ir.verdict import Decision, Verdict
from policykit.plan import Plan
from policykit.testing.corpus import Entry
from policykit.testing.parallel import in_order
from policykit.verify import Subject

_SEVERITY = {Decision.ALLOW: 0, Decision.TRANSFORM: 1, Decision.ESCALATE: 2, Decision.BLOCK: 3}
_PART = 256
_WHOLE_DOCUMENT = ""


class Kind(StrEnum):
    """How two verdicts on one text differ, the first that applies."""

    ERROR = "error"  # one of the two could not check
    STRICTER = "stricter"
    LOOSER = "looser"
    RULES = "rules"  # the same decision, by other rules
    TEXT = "text"  # the same decision by the same rules, but another text is released


@dataclass(frozen=True, slots=True)
class Side:
    """What one plan says about one text: the part of a verdict that is compared."""

    decision: Decision
    rules: tuple[str, ...]
    text: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A text about which the plans differ."""

    place: Place
    judged: str
    kind: Kind
    old: Side
    new: Side


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that is not the same. ``fields`` are those that differ, with both values as JSON (None: not there); for
    a rule that only one side has it is empty. ``rule`` is empty for what a document says outside of its rules."""

    document: str
    rule: str
    what: str  # added, removed, changed
    fields: tuple[tuple[str, str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """``fired`` counts texts by rule, in the old plan and in the new one; ``decisions`` counts texts by both.
    ``n_unchecked`` texts are those for which a check of one of the plans, or of both, could not run."""

    rules: tuple[RuleChange, ...]
    n_texts: int
    changes: tuple[Change, ...]
    fired: tuple[tuple[str, int, int], ...]
    decisions: Mapping[tuple[Decision, Decision], int]
    n_unchecked: int

    def count(self, kind: Kind) -> int:
        return sum(change.kind is kind for change in self.changes)


def difference(
    old: Plan,
    new: Plan,
    corpus: Sequence[Entry],
    *,
    jobs: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> Difference:
    """Judge every text by both plans, in ``jobs`` processes; ``progress`` is told how many texts are done.

    With ``jobs`` above 1 the plans judge without resources (vaults, keys, an Open Policy Agent): a check that needs
    one is an error, as it is without them in one process.
    """
    changes: list[Change] = []
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    decisions: Counter[tuple[Decision, Decision]] = Counter()
    done = n_unchecked = 0
    for part, pairs in zip(_parts(corpus), _judged(old, new, corpus, jobs), strict=True):
        for entry, (one, other) in zip(part, pairs, strict=True):
            before.update(one.rules)
            after.update(other.rules)
            decisions[one.decision, other.decision] += 1
            n_unchecked += bool(one.error or other.error)
            kind = kind_of(one, other)
            if kind:
                changes.append(Change(entry.place, entry.subject.text, kind, one, other))
        done += len(part)
        progress(done)
    fired = tuple((rule, before[rule], after[rule]) for rule in sorted({*before, *after}))
    return Difference(rule_changes(old.spec, new.spec), len(corpus), tuple(changes), fired, decisions, n_unchecked)


def kind_of(old: Side, new: Side) -> Kind | None:
    """How the two differ; None where they do not. Equal errors are no difference."""
    if old.error != new.error:
        return Kind.ERROR
    if old.decision is not new.decision:
        return Kind.STRICTER if _SEVERITY[new.decision] > _SEVERITY[old.decision] else Kind.LOOSER
    if sorted(old.rules) != sorted(new.rules):
        return Kind.RULES
    return Kind.TEXT if old.text != new.text else None


# -- judging ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Work:
    old: PlanSpec
    new: PlanSpec
    subjects: tuple[tuple[str, Target, str | None, dict[str, object]], ...]


_PLANS: dict[str, Plan] = {}


def _plan(spec: PlanSpec) -> Plan:
    """The plan, compiled once in each process."""
    return _PLANS.setdefault(spec.digest, Plan(spec))


def _run(work: _Work) -> list[tuple[Side, Side]]:
    subjects = [Subject(*plain) for plain in work.subjects]
    return list(_pairs(_plan(work.old), _plan(work.new), subjects))


def _pairs(old: Plan, new: Plan, subjects: Iterable[Subject]) -> Iterator[tuple[Side, Side]]:
    for subject in subjects:
        yield _side(old.verify(subject)), _side(new.verify(subject))


def _side(verdict: Verdict) -> Side:
    error = "; ".join(f"{error.rule}: {error.message}" for error in verdict.errors) or None
    return Side(verdict.decision, verdict.rules, verdict.text, error)


def _judged(old: Plan, new: Plan, corpus: Sequence[Entry], jobs: int) -> Iterator[Iterable[tuple[Side, Side]]]:
    if jobs < 2 or len(corpus) <= _PART:
        for part in _parts(corpus):
            yield _pairs(old, new, (entry.subject for entry in part))
        return
    work = [_Work(old.spec, new.spec, tuple(map(_plain, part))) for part in _parts(corpus)]
    yield from in_order(_run, work, jobs)


def _plain(entry: Entry) -> tuple[str, Target, str | None, dict[str, object]]:
    """A subject without its read-only views, which do not travel between processes."""
    subject = entry.subject
    return subject.text, subject.target, subject.tool, dict(subject.facts)


def _parts(corpus: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (corpus[at : at + _PART] for at in range(0, len(corpus), _PART))


# -- the rules -------------------------------------------------------------------------------------------------------


def rule_changes(old: PlanSpec, new: PlanSpec) -> tuple[RuleChange, ...]:
    """What the documents say differently: rule by rule, field by field; tests aside."""
    before, after = _rules(old), _rules(new)
    found: list[RuleChange] = []
    for name in (*before, *(name for name in after if name not in before)):
        document, rule = name
        if name not in after:
            found.append(RuleChange(document, rule, "removed"))
        elif name not in before:
            found.append(RuleChange(document, rule, "added"))
        elif before[name] != after[name]:
            found.append(RuleChange(document, rule, "changed", tuple(_fields("", before[name], after[name]))))
    return tuple(found)


def _fields(path: str, old: object, new: object) -> Iterator[tuple[str, str | None, str | None]]:
    """The innermost fields that differ, such as `match.phrases`."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        one, other = cast("dict[str, object]", old), cast("dict[str, object]", new)
        for key in dict.fromkeys((*one, *other)):
            yield from _fields(f"{path}.{key}" if path else key, one.get(key), other.get(key))
    else:
        yield path, _json(cast("object", old)), _json(new)


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _rules(spec: PlanSpec) -> dict[tuple[str, str], dict[str, object]]:
    """Every rule's fields by document and id; what stands outside of the rules has an empty id."""
    found: dict[tuple[str, str], dict[str, object]] = {}
    for document in spec.policies.documents:
        content = cast("dict[str, object]", json.loads(document.canonical))
        rules = cast("list[dict[str, object]]", content.pop("rules"))
        content.pop("tests", None)
        found[document.name, _WHOLE_DOCUMENT] = content
        found.update({(document.name, str(rule["id"])): rule for rule in rules})
    return found
