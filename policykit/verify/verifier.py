"""The verifier: one text in, one verdict out, by the same automata that make the masks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from policykit.compile.facts import schema_of
from policykit.compile.resolve import reads_facts
from policykit.conditions import FactsSchema
from policykit.grammar import GrammarValidator
from policykit.ir.document import Target
from policykit.ir.grammar import GrammarSpec
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.ir.verdict import CheckError, Decision, TransformApplied, Verdict, Violation, Violations
from policykit.verify.decisions import Questions
from policykit.verify.finders import Searches, joint_searches
from policykit.verify.gates import Setting, binding_of
from policykit.verify.judgement import (
    FACTS,
    INPUT,
    CheckGrammar,
    Judgement,
    RuleCheck,
    compile_rules,
    judge,
    ungrammatical,
)
from policykit.verify.opened import Opened
from policykit.verify.resources import NONE, Resources
from policykit.verify.subject import Subject
from policykit.verify.transforms import TransformFailed, Transforms, apply_edits
from policykit.verify.units import Readings
from policykit.verify.warm import warm

MAX_BYTES = 10_000_000
ANYWHERE = CompileContext()


class Verifier:
    """Judges whole texts by the resolved rules and the grammar of one plan.

    A check that cannot run is an error and fails closed. ``prefilter=False`` changes the speed and nothing else.
    Where ``rules`` are a part of a plan's, they are named as ``among`` all of them. ``check_grammar`` judges by the
    grammar where that may take too long to be done here.
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
        resources: Resources = NONE,
        context: CompileContext = ANYWHERE,
        among: tuple[ResolvedRule, ...] | None = None,
        check_grammar: CheckGrammar | None = None,
    ) -> None:
        self._transforms = Transforms(rules, resources)
        self._setting = Setting(context, digest, resources)
        among = rules if among is None else among
        self._searches = searches or joint_searches(rules)
        self._resolved = rules
        self._rules = compile_rules(rules, self._searches, prefilter, self._setting, among)
        self._schemas = _schemas(rules)
        self._opened = Opened(resources, self._setting.facts)
        self._is_elsewhere = check_grammar is not None
        self._grammar = check_grammar or (GrammarValidator(grammar).check if grammar else None)
        self._is_json = bool(grammar and grammar.is_json)
        self._digest = digest
        self._max_bytes = max_bytes

    def verify(self, subject: str | Subject) -> Verdict:
        """The verdict on a text: an output, or what the subject says it is. Spans are code point offsets in it.

        Transforms are applied once; the result is judged again, and blocked if anything still fires. Approvals are
        used up by a verdict that lets the subject pass because of them, and by no other.
        """
        if isinstance(subject, str):
            subject = Subject(subject)
        questions = Questions(self._setting.resources.opa, self._setting.facts)
        verdict = self._verdict_on(subject, questions)
        return replace(verdict, decisions=tuple(questions.made)) if questions.made else verdict

    def _verdict_on(self, subject: Subject, questions: Questions) -> Verdict:
        judged = self._judge(subject, questions)
        if judged.fails_closed or judged.blockers:
            return self._verdict(judged, Decision.BLOCK, _message(judged))
        if judged.escalations:
            message = next((e.message for _, e in judged.escalations if e.message), "")
            return self._verdict(judged, Decision.ESCALATE, message)
        try:
            edits = self._transforms.plan(subject.text, judged.wanted, judged.whole)
        except TransformFailed as error:
            judged.errors.append(CheckError(error.rule, str(error)))
            return self._verdict(judged, Decision.BLOCK, "")
        changed = apply_edits(subject.text, edits)
        if edits:
            again = self._judge(replace(subject, text=changed, approved=subject.text), questions)
            if again.fails_closed or again.violations:
                judged.errors += again.errors
                judged.violations = (*judged.violations, *_residual(again.violations))
                return self._verdict(judged, Decision.BLOCK, _message(again))
        if not self._use(judged, subject):
            return self._verdict(judged, Decision.BLOCK, "")
        return self._verdict(judged, Decision.TRANSFORM if edits else Decision.ALLOW, changed, edits)

    def warm(self) -> None:
        """Do now what the first texts would wait for. Verdicts are the same without."""
        warm(self._resolved, self._searches)

    @property
    def checks(self) -> tuple[RuleCheck, ...]:
        """The rules with their compiled matchers and gates, in the order of the plan."""
        return self._rules

    @property
    def transforms(self) -> Transforms:
        return self._transforms

    @property
    def max_bytes(self) -> int:
        """Bytes of UTF-8 over which a text is too long to judge."""
        return self._max_bytes

    @property
    def waits_for_grammar(self) -> bool:
        """Whether what judges by the grammar is elsewhere, and to be waited for."""
        return self._is_elsewhere

    def problems(self, subject: Subject) -> list[str]:
        """What makes a subject unusable whatever its text is."""
        return self._problems(subject)

    def check_grammar(self, text: str) -> tuple[Violation, ...]:
        """What is ungrammatical about an output."""
        return ungrammatical(self._grammar(text)) if self._grammar else ()

    def binding(self, rule: ResolvedRule, subject: Subject) -> str:
        """The digest that approvals for a rule must have to count for this subject."""
        return binding_of(rule, subject, self._setting)

    def _use(self, judged: Judgement, subject: Subject) -> bool:
        """Use up the approvals that rules rest on; False if somebody else has used one meanwhile, or if that cannot
        be written down."""
        store = self._setting.resources.approvals
        if not judged.used or store is None:
            return True
        try:
            if store.spend(judged.used, subject.moment):
                return True
            why = "an approval was used by another request meanwhile"
        except Exception as error:
            why = f"the use of an approval cannot be kept: {type(error).__name__}: {error}"
        judged.errors.append(CheckError(FACTS, why))
        return False

    def _judge(self, subject: Subject, questions: Questions) -> Judgement:
        refused = unreadable(subject.text, self._max_bytes)
        if refused:
            return Judgement(errors=[CheckError(INPUT, refused)], fails_closed=True)
        problems = self._problems(subject)
        if problems:
            return Judgement(errors=[CheckError(FACTS, problem) for problem in problems], fails_closed=True)
        is_output = subject.target is Target.OUTPUT
        is_json = self._is_json if is_output else subject.target is Target.TOOL_CALL
        grammar = self._grammar if is_output else None
        readings = Readings(subject.text, is_json, self._opened.ask, subject.facts)
        return judge(readings, subject, self._rules, grammar, self._transforms, self._setting, questions)

    def _problems(self, subject: Subject) -> list[str]:
        """What makes the subject unusable, the facts schemas of documents with conditions included."""
        found = subject.problems(self._setting.facts)
        for schema in self._schemas:
            found += schema.problems(subject.facts)
        return found

    def _verdict(
        self, judged: Judgement, decision: Decision, text: str, edits: tuple[TransformApplied, ...] = ()
    ) -> Verdict:
        return Verdict(
            decision=decision,
            text=text,
            violations=judged.violations,
            transforms=edits,
            errors=tuple(judged.errors),
            shadow=judged.shadow,
            not_applicable=tuple(judged.not_applicable),
            cost=sum(_costs(judged.violations)),
            digest=self._digest,
            escalations=tuple(escalation for escalation, _ in judged.escalations),
            exceptions=tuple(judged.exceptions),
        )


def _schemas(rules: Iterable[ResolvedRule]) -> tuple[FactsSchema, ...]:
    """The facts schemas of all documents whose rules read facts, each once."""
    named = {rule.facts_schema: rule.document_place or rule.place for rule in rules if reads_facts(rule)}
    schemas = (schema_of(source, place) for source, place in named.items())
    return tuple(schema for schema in schemas if schema)


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


def _costs(violations: tuple[Violation, ...] | Violations) -> Iterable[float]:
    return violations.costs if isinstance(violations, Violations) else (one.cost for one in violations)


def _residual(violations: Sequence[Violation]) -> list[Violation]:
    """What fires on the transformed text, once per rule. It has no span in the original."""
    first = {violation.rule: violation for violation in reversed(violations)}
    return [
        replace(violation, start=None, end=None, view=None, matched=f"after transforms: {violation.matched}")
        for violation in reversed(first.values())
    ]
