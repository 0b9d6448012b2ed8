"""One document with everything that its tests need: judges a test's text, and says what came out otherwise."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from policykit.compile.resolve import opaque, reads_facts, resolve
from policykit.diagnostics import PolicyError
from policykit.ir.decision import Decider
from policykit.ir.document import Document, Expect, Given, Hash, Matcher, PolicySet, StatedScore, TestCase, Truncate
from policykit.ir.grammar import GrammarSpec
from policykit.ir.opaque import Classifier
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.ir.verdict import Decision, Verdict, Violation
from policykit.streaming import Streaming
from policykit.testing.claims import claims_of
from policykit.testing.contexts import context_of
from policykit.testing.decisions import StatedDecisions, stated_classifiers
from policykit.testing.given import reads_json, subject_of, why_not_in_force
from policykit.testing.golden import Golden, golden_path, read_golden
from policykit.testing.nearest import why_missed
from policykit.testing.report import Mismatch, Missed, Seen, Status, TestResult
from policykit.testing.spellings import Spelling, spellings
from policykit.verify import NONE, CompiledSearches, Opened, Resources, Searches, Verifier, compile_check
from policykit.verify.subject import CONTEXT
from policykit.verify.units import Ask, Readings

_SHOWN_VARIANTS = 20
NO_SPELLING = "PK510: nothing that was found has another spelling that its rule claims, so no variant was tried"


_Stated: TypeAlias = tuple[tuple[tuple[str, bool], ...], tuple[StatedScore, ...]]
"""What a test says that others would say: decisions of an Open Policy Agent, and scores of classifiers."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, with the rules that made it."""

    verdict: Verdict
    rules: tuple[ResolvedRule, ...]


class Bench:
    """The tests of one document; tests with the same context share a verifier, all share the compiled matchers.

    ``reference`` is the document whose scope says in which context a test runs that names none.
    """

    def __init__(
        self,
        document: Document,
        grammar: GrammarSpec | None,
        searches: Searches | None = None,
        opa: Decider | None = None,
        deployment: Resources = NONE,
        reference: Document | None = None,
    ) -> None:
        self._document = document
        self._reference = reference or document
        self._opa = opa
        self._deployment = deployment
        self._alone = PolicySet((document,))
        opened = (leaf for rule in document.rules for leaf in opaque(rule.matcher))
        self._classifiers = [leaf for leaf in opened if isinstance(leaf, Classifier)]
        self._grammar = grammar
        self._is_json = bool(grammar and grammar.is_json)
        self._searches = searches or CompiledSearches()
        self._known: dict[tuple[CompileContext, _Stated], tuple[tuple[ResolvedRule, ...], Verifier]] = {}

    def run(self, test: TestCase) -> TestResult:
        """The test's result, all of its variants included."""
        try:
            expect = _with_golden(test)
            judged = self.judge(test, test.given.text)
        except PolicyError as error:
            return self._result(test, Status.ERRORED, errors=tuple(map(str, error.diagnostics)))
        except (OSError, ValueError) as error:
            return self._result(test, Status.ERRORED, errors=(f"golden file: {error}",))
        verdict = judged.verdict
        if errors := _unexpected(expect, verdict):
            return self._result(test, Status.ERRORED, errors=errors, saw=_saw(verdict, test.given.text))
        mismatches = (
            *_missing_golden(test),
            *_contradicted(test.given.decisions, verdict),
            *self._other_scores(test),
            *self.mismatches(expect, verdict),
        )
        if mismatches:
            golden = _golden(test, verdict) if {m.part for m in mismatches} <= {"output", "golden"} else None
            return replace(self._failure(test, judged, mismatches), golden=golden)
        return self._variants(test, expect, judged)

    def judge(self, test: TestCase, text: str) -> Judged:
        """The verdict on a text under the circumstances of a test. Raises PolicyError."""
        context = context_of(self._reference, test.given)
        rules, verifier = self._verifier(context, _stated(test.given))
        given = subject_of(replace(test.given, text=text), context, rules, verifier)
        return Judged(verifier.verify(given), rules)

    def passes(self, test: TestCase) -> bool:
        """Whether the test passes without its variants."""
        try:
            judged = self.judge(test, test.given.text)
        except PolicyError:
            return False
        expect = _with_golden(test)
        expected = not _missing_golden(test) and not self.mismatches(expect, judged.verdict)
        return expected and not _unexpected(expect, judged.verdict)

    def fired(self, test: TestCase) -> set[str]:
        """Ids of the rules that fire on the test's text, whatever their mode, and whether excused or not."""
        return self._fired(self.judge(test, test.given.text).verdict)

    def finds(self, matcher: Matcher, test: TestCase) -> bool:
        """Whether a matcher finds something in the test's text."""
        readings = self.readings(test, test.given.text)
        return bool(compile_check(matcher, self._searches, True)(readings).fired)

    def readings(self, test: TestCase, text: str) -> Readings:
        """A text as the matchers read it under the circumstances of a test."""
        facts = json.loads(test.given.facts)
        return Readings(text, reads_json(test.given, self._is_json), self._asked(test), facts)

    def spelled_cases(self, test: TestCase) -> Iterator[TestCase]:
        """The test in every claimed spelling."""
        judged = self.judge(test, test.given.text)
        for spelling, expect in self.spelled(test, _with_golden(test), judged):
            yield replace(test, given=replace(test.given, text=spelling.text), expect=replace(expect, golden=None))

    # -- variants ----------------------------------------------------------------------------------------------

    def _variants(self, test: TestCase, expect: Expect, judged: Judged) -> TestResult:
        """The result of a test that came out as it should, when its variants do and when they do not."""
        wrong_chunks = self._chunked(test, expect) if test.variants.chunking else None
        if wrong_chunks:
            return wrong_chunks
        n_chunkings = len(_chunkings(test.given.text)) if test.variants.chunking else 0
        if not test.variants.evasion:
            return replace(self._result(test, Status.PASSED), n_variants=n_chunkings)
        wrong: list[str] = []
        first: TestResult | None = None
        n = 0
        for spelling, spelled_expect in self.spelled(test, expect, judged):
            n += 1
            spelled = self.judge(test, spelling.text)
            mismatches = self.mismatches(spelled_expect, spelled.verdict)
            errors = _unexpected(spelled_expect, spelled.verdict)
            if not mismatches and not errors:
                continue
            wrong.append(spelling.technique)
            if first is None:
                variant = replace(test, given=replace(test.given, text=spelling.text))
                first = replace(self._failure(variant, spelled, mismatches), errors=errors)
        if not n:
            return self._result(test, Status.ERRORED, errors=(NO_SPELLING,))
        passed = self._result(test, Status.PASSED)
        return replace(first or passed, n_variants=n + n_chunkings, failed_variants=tuple(wrong[:_SHOWN_VARIANTS]))

    def _chunked(self, test: TestCase, expect: Expect) -> TestResult | None:
        """What comes out otherwise when the text arrives in pieces, or None."""
        context = context_of(self._reference, test.given)
        rules, verifier = self._verifier(context, _stated(test.given))
        subject = replace(subject_of(test.given, context, rules, verifier), text="")
        streaming = Streaming(verifier, self._grammar, self._document.name)
        chunkings = _chunkings(test.given.text)
        wrong: list[str] = []
        first: TestResult | None = None
        for technique, chunks in chunkings:
            stream = streaming.open(subject)
            released = "".join(stream.feed(chunk) for chunk in chunks)
            rest, verdict = stream.close()
            if verdict.decision in (Decision.ALLOW, Decision.TRANSFORM):
                verdict = replace(verdict, text=released + rest)
            mismatches = self.mismatches(expect, verdict)
            errors = _unexpected(expect, verdict)
            if mismatches or errors:
                wrong.append(technique)
                failed = replace(self._failure(test, Judged(verdict, rules), mismatches), errors=errors)
                first = first or failed
        if first is None:
            return None
        return replace(first, n_variants=len(chunkings), failed_variants=tuple(wrong[:_SHOWN_VARIANTS]))

    def spelled(self, test: TestCase, expect: Expect, judged: Judged) -> Iterator[tuple[Spelling, Expect]]:
        """Every claimed spelling of the test's text, and what must come out.

        The output is compared where the find does not stand in it, and nothing in it depends on the spelling itself
        (a hash, a length).
        """
        text, output = test.given.text, judged.verdict.text
        fired = self._fired(judged.verdict) | self._undecided(judged.verdict)
        rules = [rule for rule in judged.rules if rule.rule_id in fired]
        readings = self.readings(test, text)
        claims = claims_of(rules, readings, self._searches)
        measures = any(isinstance(rule.action, Hash | Truncate) for rule in rules)
        for claim in claims:
            shows = measures or text[claim.start : claim.end] in output
            wanted = replace(expect, output=None, golden=None) if shows else expect
            for spelling in spellings(text, claim, claims):
                yield spelling, wanted

    def _fired(self, verdict: Verdict) -> set[str]:
        excused = {self._id(exception.rule) for exception in verdict.exceptions}
        return {*self._ids(verdict.violations), *self._ids(verdict.shadow), *excused}

    def _verifier(self, context: CompileContext, stated: _Stated) -> tuple[tuple[ResolvedRule, ...], Verifier]:
        known = self._known.get((context, stated))
        if known is None:
            rules = resolve(self._alone, context, json_output=self._is_json)
            decider = self._opa or StatedDecisions(dict(stated[0]))
            resources = replace(self._with_scores(stated[1]), preview=True, opa=decider)
            verifier = Verifier(
                rules, self._grammar, self._document.name, searches=self._searches, resources=resources, context=context
            )
            known = self._known[context, stated] = (rules, verifier)
        return known

    def _with_scores(self, scores: tuple[StatedScore, ...]) -> Resources:
        """The deployment, with what a test says about the classifiers that it does not have."""
        if not self._classifiers:
            return self._deployment
        classifiers = stated_classifiers(self._classifiers, scores, self._deployment.classifiers)
        return replace(self._deployment, classifiers=classifiers)

    def _other_scores(self, test: TestCase) -> Iterable[Mismatch]:
        """Where a classifier of the deployment reaches a rule's threshold and the score that the test states does not,
        or the other way about."""
        stated = {(score.model, score.label): score.score for score in test.given.scores}
        for leaf in self._classifiers:
            score = stated.get((leaf.model, leaf.label))
            if score is None or leaf.model not in self._deployment.classifiers:
                continue
            wanted, got = score >= leaf.threshold, self.finds(leaf, test)
            if wanted != got:
                yield Mismatch(f"score of {leaf.model}: {leaf.label}", f"{score:g}", _reached(leaf.threshold, got))

    def mismatches(self, expect: Expect, verdict: Verdict) -> tuple[Mismatch, ...]:
        """What the verdict has otherwise. A golden output has been read into ``expect``."""
        return tuple(self._mismatches(expect, verdict))

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
        if expect.errors is not None:
            undecided = self._undecided(verdict)
            if undecided != set(expect.errors):
                yield Mismatch("errors", _names(expect.errors), _names(undecided))
        if expect.output is not None and verdict.text != expect.output:
            yield Mismatch("output", expect.output, verdict.text)

    def _ids(self, violations: Iterable[Violation]) -> set[str]:
        return {self._id(violation.rule) for violation in violations}

    def _undecided(self, verdict: Verdict) -> set[str]:
        return {self._id(error.rule) for error in verdict.errors}

    def _id(self, name: str) -> str:
        """The rule's id, also where the verdict had to name the document with it."""
        return name.removeprefix(f"{self._document.name}#")

    def _failure(self, test: TestCase, judged: Judged, mismatches: tuple[Mismatch, ...]) -> TestResult:
        missed = tuple(self._missed(test, judged.verdict, judged.rules))
        saw = _saw(judged.verdict, test.given.text)
        return self._result(test, Status.FAILED, mismatches=mismatches, saw=saw, missed=missed)

    def _missed(self, test: TestCase, verdict: Verdict, rules: tuple[ResolvedRule, ...]) -> Iterable[Missed]:
        fired = {*self._ids(verdict.violations), *self._ids(verdict.shadow), *self._undecided(verdict)}
        wanted = test.expect.rules
        if wanted is None:
            nothing_fired = not fired and test.expect.decision != "allow"
            wanted = tuple(rule.rule_id for rule in rules) if nothing_fired else ()
        readings = self.readings(test, test.given.text)
        inapplicable = {self._id(row.rule): row.why for row in verdict.not_applicable}
        by_id = {rule.rule_id: rule for rule in rules}
        for rule_id in wanted:
            if rule_id in fired:
                continue
            rule = by_id.get(rule_id)
            if rule is None:
                yield Missed(
                    rule_id, why_not_in_force(self._document, rule_id, context_of(self._reference, test.given))
                )
            else:
                yield Missed(rule_id, inapplicable.get(rule_id) or self._why(rule, readings))

    def _asked(self, test: TestCase) -> Ask:
        context = context_of(self._reference, test.given)
        facts = {name: value for name in CONTEXT if (value := getattr(context, name)) is not None}
        return Opened(self._with_scores(test.given.scores), facts).ask

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


def _with_golden(test: TestCase) -> Expect:
    """What a test expects, its golden file read if it is there. Raises OSError, or ValueError for what is no text."""
    path = golden_path(test)
    return replace(test.expect, output=read_golden(path)) if path and path.exists() else test.expect


def _chunkings(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every way of cutting a text in two, by the character, and in one piece."""
    cuts = [(f"streamed in two parts, cut at {at}", (text[:at], text[at:])) for at in range(1, len(text))]
    return [("streamed as a whole", (text,)), *cuts, ("streamed by the character", tuple(text))]


def _missing_golden(test: TestCase) -> tuple[Mismatch, ...]:
    path = golden_path(test)
    if path is None or path.exists():
        return ()
    return (Mismatch("golden", f"the file `{path}`", "there is no such file; `--update-golden` writes it"),)


def _golden(test: TestCase, verdict: Verdict) -> Golden | None:
    path = golden_path(test)
    return Golden(str(path), verdict.text) if path else None


def _unexpected(expect: Expect, verdict: Verdict) -> tuple[str, ...]:
    """Why rules could not be decided, where the test does not say which cannot."""
    if expect.errors is not None:
        return ()
    return tuple(f"{error.rule}: {error.message}" for error in verdict.errors)


def _contradicted(stated: tuple[tuple[str, bool], ...], verdict: Verdict) -> Iterable[Mismatch]:
    """What OPA says otherwise than the test states."""
    for reference, value in stated:
        for said in dict.fromkeys(made.value for made in verdict.decisions if made.reference == reference):
            if said is not None and said is not value:
                yield Mismatch(reference, str(value).lower(), str(said).lower())


def _stated(given: Given) -> _Stated:
    return given.decisions, given.scores


def _reached(threshold: float, is_reached: bool) -> str:
    return f"{'at least' if is_reached else 'below'} {threshold:g}"


def _names(rules: Iterable[str]) -> str:
    return ", ".join(sorted(rules)) or "none"


def _saw(verdict: Verdict, text: str) -> tuple[Seen, ...]:
    return (
        *(Seen(violation, _matched_text(violation, text), False) for violation in verdict.violations),
        *(Seen(violation, _matched_text(violation, text), True) for violation in verdict.shadow),
    )


def _matched_text(violation: Violation, text: str) -> str | None:
    return None if violation.start is None else text[violation.start : violation.end]
