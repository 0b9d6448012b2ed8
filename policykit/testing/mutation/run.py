"""Whether a test notices: every change of a policy is run against the policy's tests until one fails."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.ir.document import Document, PolicySet, TestCase
from policykit.ir.grammar import GrammarSpec
from policykit.policy import document_of, tree_of
from policykit.testing.bench import Bench
from policykit.testing.mutation.changes import Change, changes
from policykit.testing.mutation.source import Source
from policykit.testing.parallel import in_order
from policykit.testing.report import Status
from policykit.verify import CompiledSearches

_SHARE = 24


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that no test noticed. ``diff`` is a unified diff of the policy's file."""

    document: str
    rule: str | None
    what: str
    place: Place
    diff: str


@dataclass(frozen=True, slots=True)
class MutationReport:
    """``n_equivalent`` changes make no difference to any text, and are not in the score."""

    n_killed: int
    n_equivalent: int
    survivors: tuple[Survivor, ...]

    @property
    def n_mutants(self) -> int:
        return self.n_killed + len(self.survivors)

    @property
    def score(self) -> float:
        """The share of changes that some test notices, in [0, 1]; 1 where there are none."""
        return self.n_killed / self.n_mutants if self.n_mutants else 1.0


@dataclass(frozen=True, slots=True)
class _Work:
    document: Document
    text: str
    grammar: GrammarSpec | None
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    n_killed: int
    n_equivalent: int
    survivors: tuple[Survivor, ...]


def mutate(
    policies: PolicySet,
    *,
    grammar: GrammarSpec | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MutationReport:
    """Change every document in one place at a time, and run its tests against each. ``progress`` is told how many
    changes are done, and of how many.

    A change that does not load is none. Raises PolicyError (PK513) where a test fails without any.
    """
    _check_passing(policies, grammar)
    work = [part for document in policies.documents for part in _shares(document, grammar)]
    total = sum(part.stop - part.start for part in work)
    done, outcomes = 0, list[_Outcome]()
    progress(0, total)
    for part, outcome in zip(work, in_order(_run, work, jobs), strict=True):
        done += part.stop - part.start
        outcomes.append(outcome)
        progress(done, total)
    return MutationReport(
        sum(outcome.n_killed for outcome in outcomes),
        sum(outcome.n_equivalent for outcome in outcomes),
        tuple(survivor for outcome in outcomes for survivor in outcome.survivors),
    )


def _check_passing(policies: PolicySet, grammar: GrammarSpec | None) -> None:
    wrong: list[Diagnostic] = []
    for document in policies.documents:
        bench = Bench(document, grammar)
        failing = [test for test in document.tests if bench.run(test).status is not Status.PASSED]
        if failing or not document.tests:
            place = failing[0].place if failing else document.place
            message = f"`{failing[0].name}` does not pass" if failing else "the document has no tests"
            wrong.append(Diagnostic("PK513", message, place, "mutants tell something where all tests pass"))
    if wrong:
        raise PolicyError(wrong)


def _shares(document: Document, grammar: GrammarSpec | None) -> Iterator[_Work]:
    text = Path(document.place.file).read_text("utf-8")
    total = len(_changes(document, text))
    for start in range(0, total, _SHARE):
        yield _Work(document, text, grammar, start, min(start + _SHARE, total))


def _changes(document: Document, text: str) -> Sequence[Change]:
    source = Source(text, document.place.file)
    return list(changes(tree_of(source.text, source.file), source))


_benches: dict[tuple[str, str], "_Base"] = {}


def _run(work: _Work) -> _Outcome:
    key = (work.document.place.file, work.text)
    base = _benches.get(key)
    if base is None:
        _benches.clear()
        base = _benches[key] = _Base(work.document, work.text, work.grammar)
    return base.run(work.start, work.stop)


class _Base:
    """A document whose tests pass, and what its changes share: compiled matchers, spellings, who fires where."""

    def __init__(self, document: Document, text: str, grammar: GrammarSpec | None) -> None:
        self._document, self._grammar = document, grammar
        self._source = Source(text, document.place.file)
        self._changes = _changes(document, text)
        self._searches = CompiledSearches()
        self._bench = Bench(document, grammar, self._searches)
        self._fired = {test.name: self._bench.fired(test) for test in document.tests}
        self._seen = {document.rules}

    def run(self, start: int, stop: int) -> _Outcome:
        n_killed = n_equivalent = 0
        survivors: list[Survivor] = []
        for change in self._changes[start:stop]:
            mutant = self._mutant(change)
            if mutant is None:
                continue
            if self._is_equivalent(mutant):
                n_equivalent += 1
            elif self._is_noticed(mutant, change.rule):
                n_killed += 1
            else:
                diff = self._source.diff(change.edit)
                survivors.append(Survivor(self._document.name, change.rule, change.what, change.place, diff))
        return _Outcome(n_killed, n_equivalent, tuple(survivors))

    def _mutant(self, change: Change) -> Document | None:
        """The changed document; None where it is refused, or is the same document in other words."""
        try:
            mutant = document_of(change.root, self._source.file)
        except PolicyError:
            return None
        same = (mutant.rules, mutant.scope, mutant.blocks_by_default) == (
            self._document.rules,
            self._document.scope,
            self._document.blocks_by_default,
        )
        return None if same else mutant

    def _is_equivalent(self, mutant: Document) -> bool:
        return False

    def _is_noticed(self, mutant: Document, rule: str | None) -> bool:
        bench = Bench(mutant, self._grammar, self._searches, reference=self._document)
        tests = sorted(self._document.tests, key=lambda test: rule not in self._fired[test.name])
        if any(not bench.passes(test) for test in tests):
            return True
        return any(self._notices_spelled(bench, test) for test in self._spelled(rule))

    def _spelled(self, rule: str | None) -> Iterable[TestCase]:
        return (t for t in self._document.tests if t.variants.evasion and rule in self._fired[t.name])

    def _notices_spelled(self, bench: Bench, test: TestCase) -> bool:
        return any(not bench.passes(case) for case in self._bench.spelled_cases(test))
