"""What the parts of a rule mean together: targets, tools, defaults, exceptions, approvals."""

from collections.abc import Iterable, Sequence

from policykit.conditions import FactsSchema, parse_condition
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.policy.checked import Entries, Leaf
from policykit.policy.transforms import is_on_spans

DEFAULT_RULE = "default"
"""How verdicts call `default: block`."""
ABOUT_TOOLS = ("tool_call", "tool_result")


def check_rules(document: Entries, rules: Sequence[Entries], diagnostics: list[Diagnostic]) -> None:
    """Appends what is wrong with the rules beyond single fields and matches."""
    for rule in rules:
        _check_target(rule, diagnostics)
        _check_action(rule, diagnostics)
    _check_default(document, rules, diagnostics)
    _check_conditions(document, rules, diagnostics)


def exception_ids(rules: Iterable[Entries]) -> list[Leaf | None]:
    """The ids of all exceptions, in order."""
    return [item.leaf("id") for rule in rules for item in rule.records("except")]


def _check_target(rule: Entries, diagnostics: list[Diagnostic]) -> None:
    target = rule.text("target") or "output"
    if "tool" in rule.fields and target not in ABOUT_TOOLS:
        message = f"`tool` has no effect on target `{target}`"
        help = f"use it with `target: {'` or `target: '.join(ABOUT_TOOLS)}`, or remove it"
        diagnostics.append(Diagnostic("PK056", message, rule.keys["tool"], help))
    action = rule.entries("action")
    escalate = action.entries("escalate") if action else None
    bind_to = escalate.leaf("bindTo") if escalate else None
    if bind_to and bind_to.value == "args" and target != "tool_call":
        message = f"target `{target}` has no arguments to bind an approval to"
        diagnostics.append(Diagnostic("PK066", message, bind_to.place, "use `bindTo: text`, or `target: tool_call`"))


def _check_action(rule: Entries, diagnostics: list[Diagnostic]) -> None:
    action = rule.entries("action")
    if action is None:
        return
    transform = action.entries("transform")
    if transform and is_on_spans(transform) and "match" not in rule.keys:
        message = "`transform` has nothing to replace without `match`"
        help = "say in `match` what to replace, or use `block`, `append` or `prepend`"
        diagnostics.append(Diagnostic("PK058", message, action.keys["transform"], help))
    require = rule.entries("require")
    approvals = require.keys.get("approvals") if require else None
    if approvals and not action.keys.keys() & {"block", "escalate"}:
        message = "approvals can only stand before `block` or `escalate`"
        diagnostics.append(Diagnostic("PK065", message, approvals, "use `action: {escalate: {queue: …}}`"))
    if "allow" in action.keys:
        _check_allow(rule, diagnostics)


def _check_allow(rule: Entries, diagnostics: list[Diagnostic]) -> None:
    """An allow rule is a plain union of texts, or a guard: what would weaken a guard in silence is refused."""
    for name in ("except", "require"):
        if name in rule.keys:
            message = f"`{name}` has no meaning for an allow rule"
            diagnostics.append(Diagnostic("PK068", message, rule.keys[name], "narrow it with `when`"))
    match = rule.entries("match")
    if match:
        _check_admitted(match, diagnostics)


def _check_admitted(match: Entries, diagnostics: list[Diagnostic]) -> None:
    for name in ("all", "not", "before", "after"):
        if name in match.keys:
            message = f"an allow rule admits whole texts: `{name}` says nothing about those"
            diagnostics.append(Diagnostic("PK068", message, match.keys[name], "use `phrases`, `regex` or `any`"))
    for name in ("squeeze", "unescape"):
        if name in match.keys:
            message = f"an allow rule does not admit evasive spellings: `{name}` is for what is forbidden"
            diagnostics.append(Diagnostic("PK068", message, match.keys[name], "remove it"))
    for item in match.records("any"):
        _check_admitted(item, diagnostics)


def _check_conditions(document: Entries, rules: Sequence[Entries], diagnostics: list[Diagnostic]) -> None:
    """Every condition, against the facts schema if there is one that can be used."""
    facts = document.entries("facts")
    described = facts.data("inline") if facts else None
    schema: FactsSchema | None = None
    try:
        if facts and isinstance(described, dict):
            schema = FactsSchema.from_json(described, facts.fields["inline"].place)
    except PolicyError as error:
        diagnostics.extend(error.diagnostics)
    for holder in (part for rule in rules for part in (rule, *rule.records("except"))):
        condition = holder.leaf("when")
        if condition is None:
            continue
        try:
            parse_condition(str(condition.value), condition.place, schema)
        except PolicyError as error:
            diagnostics.extend(error.diagnostics)


def _check_default(document: Entries, rules: Sequence[Entries], diagnostics: list[Diagnostic]) -> None:
    default = document.leaf("default")
    blocks = default is not None and default.value == "block"
    allows = [action for rule in rules if (action := rule.entries("action")) and "allow" in action.keys]
    if allows and not blocks:
        message = "`allow` means nothing where everything is admitted that no rule blocks"
        help = "say `default: block` in the document, or write an exception of the rule that blocks too much"
        diagnostics.append(Diagnostic("PK062", message, allows[0].keys["allow"], help))
    if blocks and default and not allows and len(rules) == len([r for r in rules if r.entries("action")]):
        message = "`default: block` without an allow rule would block everything"
        diagnostics.append(Diagnostic("PK063", message, default.place, "add rules with `action: {allow: {}}`"))
