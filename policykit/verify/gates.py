"""What a rule needs beside a find: its tools, its condition, approvals that are missing, no exception.

Everything here fails closed: a condition that cannot be decided is an error of the rule; a fact that an exception
lacks leaves the exception unapplied.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from policykit.approvals import (
    Approval,
    Missing,
    Requirement,
    SignedApproval,
    SpentInMemory,
    args_digest,
    check,
    text_digest,
    verify,
)
from policykit.compile.facts import CONTEXT, checked, schema_of
from policykit.compile.resolve import glob_matches
from policykit.conditions import ConditionResult, compile_condition
from policykit.diagnostics import PolicyError
from policykit.ir.decision import Answer
from policykit.ir.document import Condition, Escalate, Expression, Rego, Target
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.ir.verdict import ExceptionApplied
from policykit.text.json_prefix import begins_like_json
from policykit.verify.decisions import Questions
from policykit.verify.resources import Resources
from policykit.verify.subject import BROKEN_JSON, Ambiguous, Subject

_Decide: TypeAlias = Callable[[Mapping[str, object]], ConditionResult]
_When: TypeAlias = _Decide | Rego | None
_NOTHING_SPENT = SpentInMemory()


@dataclass(frozen=True, slots=True)
class Fires:
    """Nothing stands between the find and the action."""


@dataclass(frozen=True, slots=True)
class Rests:
    """The condition does not hold, or the approvals are there: these are used up if the verdict lets the text pass."""

    used: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Excused:
    exception: ExceptionApplied


@dataclass(frozen=True, slots=True)
class Undecided:
    """A condition that should have been decided and could not."""

    why: str


Passage: TypeAlias = Fires | Rests | Excused | Undecided


@dataclass(frozen=True, slots=True)
class Setting:
    """What all rules of a verifier share: the plan's context and digest, and the deployment's resources."""

    context: CompileContext
    digest: str
    resources: Resources

    @property
    def facts(self) -> dict[str, object]:
        return {name: value for name in CONTEXT if (value := getattr(self.context, name)) is not None}


def applies(rule: ResolvedRule, subject: Subject) -> str | None:
    """Why a rule that is about the subject's target does not apply to it, or None.

    Raises Ambiguous where a rule on JSON cannot tell: the text begins like JSON, and is none for a strict reader.
    """
    if rule.tools and not any(glob_matches(tool, subject.tool or "") for tool in rule.tools):
        return f"is about {', '.join(rule.tools)}, not `{subject.tool}`"
    if rule.target is Target.JSON and not subject.parsed[0]:
        if begins_like_json(subject.text):
            raise Ambiguous(BROKEN_JSON)
        return "reads JSON, and the output is not JSON"
    return None


def is_about(rule: ResolvedRule, target: Target) -> bool:
    """Whether a rule judges such subjects: rules on JSON judge outputs."""
    return rule.target is target or (rule.target is Target.JSON and target is Target.OUTPUT)


class Gate:
    """The way from a find to the action, for one rule. Raises PolicyError for a condition that cannot be read."""

    def __init__(self, rule: ResolvedRule, name: str, setting: Setting) -> None:
        self._rule = rule
        self._name = name
        self._setting = setting
        self._when = self._compile(rule.when)
        self._exceptions = [(exception, self._compile(exception.when)) for exception in rule.exceptions]

    def _compile(self, when: Condition | None) -> _When:
        if not isinstance(when, Expression):
            return when
        schema = schema_of(self._rule.facts_schema, self._rule.document_place or self._rule.place)
        return compile_condition(checked(when, schema))

    def passage(self, subject: Subject, count: int, questions: Questions) -> Passage:
        """What happens to a rule whose matcher fired with ``count`` violations."""
        if self._when is None and not self._exceptions and self._rule.approvals is None:
            return Fires()
        known = subject.known(self._setting.facts)
        holds = self._holds(self._when, known, subject, questions)
        if holds is False:
            return Rests()
        if holds is not True:
            return Undecided(holds)
        if self._rule.approvals:
            found = self._approvals(subject)
            if not isinstance(found, Missing):
                return Rests(found)
        for exception, when in self._exceptions:
            if self._holds(when, known, subject, questions, exception.id) is True:
                applied = ExceptionApplied(
                    self._name, exception.id, exception.approved_by, exception.reason, max(count, 1)
                )
                return Excused(applied)
        return Fires()

    def _holds(
        self,
        when: _When,
        known: Mapping[str, object],
        subject: Subject,
        questions: Questions,
        exception: str | None = None,
    ) -> bool | str:
        """Whether a condition holds, or why that cannot be decided."""
        if when is None:
            return True
        if isinstance(when, Rego):
            answer = questions.ask(when, subject, self._name, exception)
            return answer.value if isinstance(answer, Answer) else str(answer)
        result = when(known)
        return result if isinstance(result, bool) else str(result)

    def _approvals(self, subject: Subject) -> tuple[Approval, ...] | Missing:
        wanted = self._rule.approvals
        assert wanted is not None, "asked only where approvals are wanted"
        ttl = self._rule.action.ttl if isinstance(self._rule.action, Escalate) else None
        requirement = Requirement(wanted.role, wanted.count, wanted.distinct_by, wanted.not_requester, ttl)
        resources = self._setting.resources
        if resources.approvals is None and not resources.preview:
            return Missing(())  # what could be used twice is not used at all
        genuine = [
            approval for one in subject.approvals if (approval := _genuine(one, resources.keys, resources.preview))
        ]
        spent = (resources.approvals or _NOTHING_SPENT).among([approval.nonce for approval in genuine])
        binding = binding_of(self._rule, subject, self._setting)
        result = check(requirement, genuine, subject.requester, binding, subject.moment, spent)
        return result if isinstance(result, Missing) else result.approvals


def _genuine(one: Approval | SignedApproval, keys: Mapping[str, bytes], preview: bool) -> Approval | None:
    """The approval if it can be trusted: signed with a key of the deployment; unsigned ones only in previews."""
    if isinstance(one, Approval):
        return one if preview else None
    if one.key_name not in keys:
        return None
    try:
        return verify(one, keys)
    except PolicyError as error:
        if error.diagnostics[0].code != "PK081":
            raise
        return None


def binding_of(rule: ResolvedRule, subject: Subject, setting: Setting) -> str:
    """The digest of exactly what an approval is for: the rule, the tenant, and the arguments or the text."""
    tenant = setting.context.tenant or setting.resources.tenant
    bound = subject if subject.approved is None else replace(subject, text=subject.approved, approved=None)
    args_bound = rule.action.bind_to == "args" if isinstance(rule.action, Escalate) else True
    if subject.target is Target.TOOL_CALL and args_bound:
        args = cast(Mapping[str, object], bound.parsed[1])
        return args_digest(subject.tool or "", args, tenant=tenant, rule=rule.name, bundle_digest=setting.digest)
    return text_digest(bound.text, tenant=tenant, rule=rule.name, bundle_digest=setting.digest)
