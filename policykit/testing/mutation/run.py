"""Whether a test notices: every change of a policy is run against the policy's tests until one fails."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.ir.decision import Decider
from policykit.ir.document import Document, PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.policy import tree_of
from policykit.testing.bench import Bench
from policykit.testing.mutation.changes import Change, Unchanged, changes
from policykit.testing.mutation.report import Fate, LeftAlone, MutationReport, Survivor
from policykit.testing.mutation.source import Source
from policykit.testing.mutation.suite import Asked, Suite
from policykit.testing.parallel import in_order
from policykit.testing.report import Status
from policykit.verify import NONE, Resources


@dataclass(frozen=True, slots=True)
class _Work:
    """The changes of one rule (None: of what belongs to no rule); equal documents come from changes of one rule."""

    document: Document
    text: str
    grammar: GrammarSpec | None
    rule: str | None
    n_changes: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    fates: tuple[Fate, ...]
    survivors: tuple[Survivor, ...]


def mutate(
    policies: PolicySet,
    *,
    grammar: GrammarSpec | None = None,
    jobs: int = 1,
    opa: Decider | None = None,
    deployment: Resources = NONE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MutationReport:
    """Change every document in one place at a time, and run its tests against each. ``progress`` is told how many
    changes are done, and of how many.

    A change that does not load is none. What ``opa`` and the ``deployment`` have is asked as :func:`run_tests` asks it,
    in this process alone. Raises PolicyError (PK513) where a test fails without any change.
    """
    asked = Asked(grammar, opa, deployment)
    _check_passing(policies, asked)
    made = {d.name: _Changes(d, Path(d.place.file).read_text("utf-8")) for d in policies.documents}
    work = [part for document in policies.documents for part in made[document.name].work(grammar)]
    if opa is None and deployment is NONE:
        outcomes = in_order(_run, work, jobs)
    else:
        outcomes = (made[part.document.name].run(part.rule, asked) for part in work)
    total = sum(part.n_changes for part in work)
    progress(0, total)
    done, fates, survivors = 0, list[Fate](), list[Survivor]()
    for part, outcome in zip(work, outcomes, strict=True):
        done += part.n_changes
        fates += outcome.fates
        survivors += outcome.survivors
        progress(done, total)
    _known.clear()  # the last document's, which holds a verifier for every change
    order = {document.place.file: n for n, document in enumerate(policies.documents)}
    survivors.sort(key=lambda s: (order[s.place.file], s.place.line, s.place.column))
    left = tuple(row for document in policies.documents for row in made[document.name].left_alone)
    counts = (fates.count(fate) for fate in (Fate.KILLED, Fate.EQUIVALENT, Fate.SAME, Fate.REFUSED))
    n_killed, n_equivalent, n_same, n_refused = counts
    return MutationReport(n_killed, n_equivalent, tuple(survivors), left, n_same, n_refused)


def _check_passing(policies: PolicySet, asked: Asked) -> None:
    wrong: list[Diagnostic] = []
    for document in policies.documents:
        bench = Bench(document, asked.grammar, opa=asked.opa, deployment=asked.deployment)
        failing = [test for test in document.tests if bench.run(test).status is not Status.PASSED]
        if failing or not document.tests:
            place = failing[0].place if failing else document.place
            message = f"`{failing[0].name}` does not pass" if failing else "the document has no tests"
            wrong.append(Diagnostic("PK513", message, place, "mutants tell something where all tests pass"))
    if wrong:
        raise PolicyError(wrong)


class _Changes:
    """All changes of one document, and its tests."""

    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._source = Source(text, document.place.file)
        every = list(changes(tree_of(self._source.text, self._source.file), self._source))
        self._changes = [change for change in every if isinstance(change, Change)]
        self.left_alone = tuple(_left_alone(document, row) for row in every if isinstance(row, Unchanged))
        self._suite: Suite | None = None

    def work(self, grammar: GrammarSpec | None) -> Iterator[_Work]:
        rules = [change.rule for change in self._changes]
        for rule in dict.fromkeys(rules):
            yield _Work(self._document, self._source.text, grammar, rule, rules.count(rule))

    def run(self, rule: str | None, asked: Asked) -> _Outcome:
        self._suite = self._suite or Suite(self._document, self._source.file, asked)
        fates: list[Fate] = []
        survivors: list[Survivor] = []
        seen: set[object] = set()
        for change in self._of(rule):
            fate, note = self._suite.judge(change, seen)
            fates.append(fate)
            if fate is Fate.SURVIVED:
                diff = self._source.diff(change.edit)
                survivors.append(Survivor(self._document.name, rule, change.what, change.place, diff, note))
        return _Outcome(tuple(fates), tuple(survivors))

    def _of(self, rule: str | None) -> Sequence[Change]:
        return [change for change in self._changes if change.rule == rule]


def _left_alone(document: Document, row: Unchanged) -> LeftAlone:
    return LeftAlone(document.name, row.rule, row.field, row.why, row.place)


_known: dict[tuple[str, str], _Changes] = {}


def _run(work: _Work) -> _Outcome:
    key = (work.document.place.file, work.text)
    if key not in _known:
        _known.clear()
        _known[key] = _Changes(work.document, work.text)
    return _known[key].run(work.rule, Asked(work.grammar, None, NONE))
