"""What a test gives, as a verifier takes it, and why a rule is not in force there."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from policykit.approvals import Approval
from policykit.ir.document import Document, Given, Mode, Target
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.verify import Subject, Verifier


def reads_json(given: Given, is_json: bool) -> bool:
    """Whether what a test gives is read as JSON, where outputs are JSON or not."""
    return is_json if given.target is Target.OUTPUT else given.target is Target.TOOL_CALL


def subject_of(given: Given, context: CompileContext, rules: Iterable[ResolvedRule], verifier: Verifier) -> Subject:
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


def why_not_in_force(document: Document, rule_id: str, context: CompileContext) -> str:
    """Why a rule of the document takes no part in a context."""
    rule = next((rule for rule in document.rules if rule.id == rule_id), None)
    if rule is None:
        return "the document has no such rule"
    if rule.mode is Mode.OFF:
        return "its mode is `off`"
    fields = ("profile", "tenant", "locale", "jurisdiction", "at")
    given = ", ".join(f"{name} `{getattr(context, name)}`" for name in fields if getattr(context, name) is not None)
    return f"it does not apply to {given}"
