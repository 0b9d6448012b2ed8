"""Transforms that cannot do what they ask for are refused with their place."""

from collections.abc import Iterable

from policykit.compile.resolve import has_place
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.ir.document import Append, Prepend, SpanTransform, Truncate
from policykit.ir.plan import ResolvedRule


def check_transforms(rules: Iterable[ResolvedRule], is_json: bool) -> None:
    """Raises PolicyError for every rule that replaces an absence (PK304), or that puts text around JSON or cuts it
    (PK199), under a grammar whose output is JSON."""
    wrong = [diagnostic for rule in rules if (diagnostic := _complaint(rule, is_json))]
    if wrong:
        raise PolicyError(wrong)


def _complaint(rule: ResolvedRule, is_json: bool) -> Diagnostic | None:
    action = rule.action
    if isinstance(action, SpanTransform) and not (rule.matcher and has_place(rule.matcher)):
        message = f"rule `{rule.rule_id}` transforms an absence: there is nothing to replace"
        help = "use `block`, or combine `not` with a matcher under `all`"
        return Diagnostic("PK304", message, rule.place, help)
    if is_json and isinstance(action, Append | Prepend | Truncate):
        what = "cuts" if isinstance(action, Truncate) else "puts text around"
        message = f"rule `{rule.rule_id}` {what} an output that is JSON by its grammar, and would be JSON no more"
        return Diagnostic("PK199", message, rule.place, "keep the rule out of this profile's scope, or use `block`")
    return None
