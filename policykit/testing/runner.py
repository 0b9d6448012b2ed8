"""Runs the tests that stand in policy files, each against the rules of its own document."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TypeAlias

from policykit.approvals import Approval
from policykit.compile.resolve import glob_matches, reads_facts, resolve
from policykit.diagnostics import PolicyError, did_you_mean
from policykit.ir.decision import Decider
from policykit.ir.document import Document, Expect, Given, Mode, PolicySet, Target, TestCase
from policykit.ir.grammar import GrammarSpec
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.ir.verdict import Verdict, Violation
from policykit.testing.contexts import context_of
from policykit.testing.decisions import StatedDecisions
from policykit.testing.nearest import why_missed
from policykit.testing.report import Mismatch, Missed, Seen, Status, TestReport, TestResult, Uncovered, Untested
from policykit.verify import NONE, CompiledSearches, Opened, Resources, Subject, Verifier, compile_check
from policykit.verify.subject import CONTEXT
from policykit.verify.units import Ask, Readings


def run_tests(
    policies: PolicySet,
    *,
    grammar: GrammarSpec | None = None,
    select: str | None = None,
    opa: Decider | None = None,
    deployment: Resources = NONE,
) -> TestReport:
    """Run every inline test, or those whose name is ``select`` (in which `*` stands for any text).

    A document without tests is reported as a failure, and a rule that no test expects as uncovered; a selection
    reports neither, since it leaves tests out. Reads no clock: a test without a date runs on a fixed day. Decisions of
    an Open Policy Agent are those that a test states; an ``opa`` is asked instead, and must say what the test states.
    Predicates are those that are installed, and those of the ``deployment``.

    Raises:
        PolicyError: nothing has the selected name (PK500).
    """
    chosen = [(document, _chosen(document, select)) for document in policies.documents]
    if select is not None and not any(tests for _, tests in chosen):
        raise _unknown_test(select, policies)
    results = [
        result for document, tests in chosen for result in _Runner(document, grammar, opa, deployment).run(tests)
    ]
    if select is not None:
        return TestReport(tuple(results), (), (), 0)
    return TestReport(
        tuple(results),
        tuple(Untested(d.name, d.place) for d in policies.documents if not d.tests),
        tuple(uncovered for document in policies.documents for uncovered in _uncovered(document)),
        sum(_counts(document) for document in policies.documents),
    )


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


_Stated: TypeAlias = tuple[tuple[str, bool], ...]


class _Runner:
    """The tests of one document; tests with the same context share a verifier, all share the compiled matchers."""

    def __init__(
        self, document: Document, grammar: GrammarSpec | None, opa: Decider | None, deployment: Resources
    ) -> None:
        self._document = document
        self._alone = PolicySet((document,))
        self._grammar = grammar
        self._is_json = bool(grammar and grammar.is_json)
        self._searches = CompiledSearches()
        self._opa = opa
        self._deployment = deployment
        self._known: dict[tuple[CompileContext, _Stated], tuple[tuple[ResolvedRule, ...], Verifier]] = {}

    def run(self, tests: Iterable[TestCase]) -> list[TestResult]:
        return [self._run(test) for test in tests]

    def _run(self, test: TestCase) -> TestResult:
        context = context_of(self._document, test.given)
        try:
            rules, verifier = self._verifier(context, test.given.decisions)
            subject = _subject(test.given, context, rules, verifier)
        except PolicyError as error:
            return self._result(test, Status.ERRORED, errors=tuple(map(str, error.diagnostics)))
        verdict = verifier.verify(subject)
        if verdict.errors:
            errors = tuple(f"{error.rule}: {error.message}" for error in verdict.errors)
            return self._result(test, Status.ERRORED, errors=errors, saw=_saw(verdict, test.given.text))
        mismatches = (*_contradicted(test.given.decisions, verdict), *self._mismatches(test.expect, verdict))
        if not mismatches:
            return self._result(test, Status.PASSED)
        missed = tuple(self._missed(test, verdict, rules))
        saw = _saw(verdict, test.given.text)
        return self._result(test, Status.FAILED, mismatches=mismatches, saw=saw, missed=missed)

    def _verifier(self, context: CompileContext, stated: "_Stated") -> tuple[tuple[ResolvedRule, ...], Verifier]:
        known = self._known.get((context, stated))
        if known is None:
            rules = resolve(self._alone, context, json_output=self._is_json)
            decider = self._opa or StatedDecisions(dict(stated))
            resources = replace(self._deployment, preview=True, opa=decider)
            verifier = Verifier(
                rules, self._grammar, self._document.name, searches=self._searches, resources=resources, context=context
            )
            known = self._known[context, stated] = (rules, verifier)
        return known

    def _mismatches(self, expect: Expect, verdict: Verdict) -> Iterable[Mismatch]:
        """Decision and output must be equal. The rules must be exactly those that fired; shadow rules may be named,
        and one that is named must have fired."""
        if verdict.decision != expect.decision:
            yield Mismatch("decision", expect.decision, str(verdict.decision))
        if expect.rules is not None:
            named_shadow = self._ids(verdict.shadow) & set(expect.rules)
            got = self._ids(verdict.violations) | named_shadow
            if got != set(expect.rules):
                yield Mismatch("rules", _names(expect.rules), _names(got))
        if expect.exceptions is not None:
            applied = {exception.exception for exception in verdict.exceptions}
            if applied != set(expect.exceptions):
                yield Mismatch("exceptions", _names(expect.exceptions), _names(applied))
        if expect.output is not None and verdict.text != expect.output:
            yield Mismatch("output", expect.output, verdict.text)

    def _ids(self, violations: Iterable[Violation]) -> set[str]:
        return {self._id(violation.rule) for violation in violations}

    def _id(self, name: str) -> str:
        """The rule's id, also where the verdict had to name the document with it."""
        return name.removeprefix(f"{self._document.name}#")

    def _missed(self, test: TestCase, verdict: Verdict, rules: tuple[ResolvedRule, ...]) -> Iterable[Missed]:
        fired = {*self._ids(verdict.violations), *self._ids(verdict.shadow)}
        wanted = test.expect.rules
        if wanted is None:
            nothing_fired = not fired and test.expect.decision != "allow"
            wanted = tuple(rule.rule_id for rule in rules) if nothing_fired else ()
        readings = Readings(test.given.text, _reads_json(test.given, self._is_json), self._asked(test))
        inapplicable = {self._id(row.rule): row.why for row in verdict.not_applicable}
        by_id = {rule.rule_id: rule for rule in rules}
        for rule_id in wanted:
            if rule_id in fired:
                continue
            rule = by_id.get(rule_id)
            if rule is None:
                yield Missed(
                    rule_id, _why_not_in_force(self._document, rule_id, context_of(self._document, test.given))
                )
            else:
                yield Missed(rule_id, inapplicable.get(rule_id) or self._why(rule, readings))

    def _asked(self, test: TestCase) -> Ask:
        context = context_of(self._document, test.given)
        facts = {name: value for name in CONTEXT if (value := getattr(context, name)) is not None}
        return Opened(self._deployment, facts).ask

    def _why(self, rule: ResolvedRule, readings: Readings) -> str:
        if rule.matcher and not compile_check(rule.matcher, self._searches, True)(readings).fired:
            return why_missed(rule.matcher, readings, self._searches)
        return "its condition, approvals or exceptions keep it from firing" if reads_facts(rule) else "it did not fire"

    def _result(
        self,
        test: TestCase,
        status: Status,
        mismatches: tuple[Mismatch, ...] = (),
        saw: tuple[Seen, ...] = (),
        missed: tuple[Missed, ...] = (),
        errors: tuple[str, ...] = (),
    ) -> TestResult:
        return TestResult(
            document=self._document.name,
            name=test.name,
            place=test.place,
            given=test.given.text,
            status=status,
            mismatches=mismatches,
            saw=saw,
            missed=missed,
            errors=errors,
        )


def _contradicted(stated: _Stated, verdict: Verdict) -> Iterable[Mismatch]:
    """What OPA says otherwise than the test states."""
    for reference, value in stated:
        for said in dict.fromkeys(made.value for made in verdict.decisions if made.reference == reference):
            if said is not None and said is not value:
                yield Mismatch(reference, str(value).lower(), str(said).lower())


def _reads_json(given: Given, is_json: bool) -> bool:
    return is_json if given.target is Target.OUTPUT else given.target is Target.TOOL_CALL


def _subject(given: Given, context: CompileContext, rules: Iterable[ResolvedRule], verifier: Verifier) -> Subject:
    """What a test gives, at noon of its day. Its approvals are of exactly this, for every rule that asks for some."""
    noon = datetime.combine(context.at, time(12), UTC)
    subject = Subject(given.text, given.target, given.tool, json.loads(given.facts), at=noon)
    bindings = [verifier.binding(rule, subject) for rule in rules if rule.approvals] if given.approvals else []
    approvals = tuple(
        Approval(a.user, a.role, binding, noon, noon + timedelta(minutes=1), f"{n}/{binding}", a.attributes)
        for binding in bindings
        for n, a in enumerate(given.approvals)
    )
    return replace(subject, approvals=approvals)


def _why_not_in_force(document: Document, rule_id: str, context: CompileContext) -> str:
    rule = next((rule for rule in document.rules if rule.id == rule_id), None)
    if rule is None:
        return "the document has no such rule"
    if rule.mode is Mode.OFF:
        return "its mode is `off`"
    fields = ("profile", "tenant", "locale", "jurisdiction", "at")
    given = ", ".join(f"{name} `{getattr(context, name)}`" for name in fields if getattr(context, name) is not None)
    return f"it does not apply to {given}"


def _names(rules: Iterable[str]) -> str:
    return ", ".join(sorted(rules)) or "none"


def _saw(verdict: Verdict, text: str) -> tuple[Seen, ...]:
    return (
        *(Seen(violation, _matched_text(violation, text), False) for violation in verdict.violations),
        *(Seen(violation, _matched_text(violation, text), True) for violation in verdict.shadow),
    )


def _matched_text(violation: Violation, text: str) -> str | None:
    return None if violation.start is None else text[violation.start : violation.end]
