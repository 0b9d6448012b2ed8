"""Runs the tests of policies, each against the rules of its own document."""

from collections.abc import Iterable
from dataclasses import dataclass

from policykit.compile.resolve import glob_matches
from policykit.diagnostics import PolicyError, did_you_mean
from policykit.ir.decision import Decider
from policykit.ir.document import Document, Mode, PolicySet, TestCase
from policykit.ir.grammar import GrammarSpec
from policykit.testing.bench import Bench
from policykit.testing.parallel import in_order
from policykit.testing.report import TestReport, TestResult, Uncovered, Untested
from policykit.verify import NONE, Resources

_PART = 32


def run_tests(
    policies: PolicySet,
    *,
    grammar: GrammarSpec | None = None,
    select: str | None = None,
    opa: Decider | None = None,
    deployment: Resources = NONE,
    jobs: int = 1,
) -> TestReport:
    """Run every test, or those whose name is ``select`` (in which `*` stands for any text), in ``jobs`` processes.

    A document without tests is reported as a failure, and a rule that no test expects as uncovered; a selection
    reports neither, since it leaves tests out. Reads no clock: a test without a date runs on a fixed day. Decisions of
    an Open Policy Agent are those that a test states; an ``opa`` is asked instead, and must say what the test states.
    Predicates are those that are installed, and those of the ``deployment``, which has the classifiers too. With either
    of them all tests run in this process.

    Raises:
        PolicyError: nothing has the selected name (PK500).
    """
    chosen = [(document, _chosen(document, select)) for document in policies.documents]
    if select is not None and not any(tests for _, tests in chosen):
        raise _unknown_test(select, policies)
    jobs = jobs if opa is None and deployment is NONE else 1  # a connection or a function stays in its process
    work = [_Work(document, part, grammar) for document, tests in chosen for part in _parts(tests)]
    if jobs > 1:
        results = [result for part in in_order(_run, work, jobs) for result in part]
    else:
        results = [
            result
            for document, tests in chosen
            for result in map(Bench(document, grammar, opa=opa, deployment=deployment).run, tests)
        ]
    if select is not None:
        return TestReport(tuple(results), (), (), 0)
    return TestReport(
        tuple(results),
        tuple(Untested(d.name, d.place) for d in policies.documents if not d.tests),
        tuple(uncovered for document in policies.documents for uncovered in _uncovered(document)),
        sum(_counts(document) for document in policies.documents),
    )


@dataclass(frozen=True, slots=True)
class _Work:
    document: Document
    tests: tuple[TestCase, ...]
    grammar: GrammarSpec | None


def _run(work: _Work) -> list[TestResult]:
    return list(map(Bench(work.document, work.grammar).run, work.tests))


def _parts(tests: list[TestCase]) -> list[tuple[TestCase, ...]]:
    return [tuple(tests[at : at + _PART]) for at in range(0, len(tests), _PART)]


def _chosen(document: Document, select: str | None) -> list[TestCase]:
    return [test for test in document.tests if select in (None, test.name) or glob_matches(select or "", test.name)]


def _unknown_test(select: str, policies: PolicySet) -> PolicyError:
    names = [test.name for document in policies.documents for test in document.tests]
    advice = did_you_mean(select, names) or "leave out `--only` to run all tests and see their names"
    return PolicyError.of("PK500", f"no test is named `{select}`", help=advice)


def _counts(document: Document) -> int:
    return sum(rule.mode is not Mode.OFF for rule in document.rules)


def _uncovered(document: Document) -> Iterable[Uncovered]:
    expected = {rule for test in document.tests for rule in test.expect.rules or ()}
    for rule in document.rules:
        if rule.mode is not Mode.OFF and rule.id not in expected:
            yield Uncovered(document.name, rule.id, rule.place)
