"""`policykit compare`: two policies, or two rules, by the texts on which they act."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from policykit.analysis import MAX_STATES, NotProven, Outside, Relation, Report, compare, compare_rules, on_view
from policykit.cli.command import Command, add_format
from policykit.cli.compare_view import report_data, report_view
from policykit.cli.exits import Exit
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import add_context_arguments, context_from, positive
from policykit.cli.streams import Streams
from policykit.compile import resolve
from policykit.diagnostics import PolicyError, did_you_mean
from policykit.ir.document import Mode, PolicySet, Rule
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.policy import load_policies
from policykit.text import VIEW_NAMES

_EXPECTED = {
    "equal": (Relation.EQUAL,),
    "implies": (Relation.EQUAL, Relation.IMPLIES),
    "implied": (Relation.EQUAL, Relation.IMPLIED),
}


def _configure(parser: ArgumentParser) -> None:
    for name in ("A", "B"):
        parser.add_argument(name.lower(), metavar=name, help="a policy file, a folder of them, or FILE#RULE")
    parser.add_argument("--view", choices=VIEW_NAMES, help="compare as if every rule read this view of the text alone")
    parser.add_argument("--json", action="store_true", help="the output is JSON: rules on the output read its strings")
    parser.add_argument(
        "--max-states",
        type=positive,
        default=MAX_STATES,
        metavar="N",
        help=f"states that one search may meet; beyond them it is not proven (default: {MAX_STATES})",
    )
    parser.add_argument("--expect", choices=tuple(_EXPECTED), help="exit with 1 where A and B are not so related")
    add_context_arguments(parser)
    add_format(parser, "json")


@dataclass(frozen=True, slots=True)
class _Side:
    """What one argument names. ``left_out`` are rules that the context, or their mode, leaves out."""

    name: str
    is_rule: bool
    rules: tuple[ResolvedRule, ...]
    left_out: tuple[Outside, ...]


def _side(given: str, args: Namespace) -> _Side:
    file, mark, rule_id = given.rpartition("#")
    is_rule = bool(mark) and not Path(given).exists()
    policies = load_policies(file if is_rule else given)
    context = context_from(args)
    if is_rule:
        policies = _only(policies, rule_id, given)
    rules = resolve(policies, context, json_output=args.json)
    if args.view:
        rules = tuple(on_view(rule, args.view) for rule in rules)
    return _Side(given, is_rule, rules, _left_out(policies, rules, context))


def _only(policies: PolicySet, rule_id: str, given: str) -> PolicySet:
    """The one rule, in whatever mode it is: what is asked is what it finds."""
    found = [replace(d, rules=tuple(r for r in d.rules if r.id == rule_id)) for d in policies.documents]
    found = [document for document in found if document.rules]
    if len(found) != 1:
        known = [rule.id for document in policies.documents for rule in document.rules]
        help = did_you_mean(rule_id, known) or f"its rules are {', '.join(f'`{name}`' for name in known)}"
        raise PolicyError.of("PK700", f"`{given}` names {len(found) or 'no'} rules", help=help)
    (document,) = found
    return PolicySet((replace(document, rules=(replace(document.rules[0], mode=Mode.ENFORCE),)),))


def _left_out(policies: PolicySet, kept: Sequence[ResolvedRule], context: CompileContext) -> tuple[Outside, ...]:
    names = {rule.name for rule in kept} | {allow.name for rule in kept for allow in rule.admits or ()}
    every = [(f"{document.name}#{rule.id}", rule) for document in policies.documents for rule in document.rules]
    return tuple(Outside(name, _why(rule, context), rule.place) for name, rule in every if name not in names)


def _why(rule: Rule, context: CompileContext) -> str:
    return "is off" if rule.mode is Mode.OFF else f"does not apply in this context on {context.at}"


def _compared(a: _Side, b: _Side, max_states: int) -> Report:
    if a.is_rule and b.is_rule and a.rules and b.rules:
        report = compare_rules(a.rules[0], b.rules[0], max_states)
    else:
        report = compare(a.rules, b.rules, max_states)
    for side, outside in ((a, report.outside_first), (b, report.outside_second)):
        if len(side.rules) == len(outside):
            why = "; ".join(f"`{row.rule}` {row.why}" for row in (*outside, *side.left_out))
            raise PolicyError.of("PK701", f"`{side.name}` has no rule to compare by the texts that it finds", help=why)
    return replace(
        report,
        outside_first=report.outside_first + a.left_out,
        outside_second=report.outside_second + b.left_out,
    )


def _status(report: Report, expected: str | None) -> Exit:
    """Not proven is never what was expected; else it is a search over its limit."""
    if expected and report.relation not in _EXPECTED[expected]:
        return Exit.FAILED
    unproven = any(isinstance(d, NotProven) for c in report.comparisons for d in (c.first_only, c.second_only))
    return Exit.OVER_LIMIT if unproven else Exit.FINE


def _run(args: Namespace, streams: Streams) -> Exit:
    a, b = _side(args.a, args), _side(args.b, args)
    report = _compared(a, b, args.max_states)
    if args.format == "json":
        streams.write(to_json(report_data(report, a.name, b.name, args.view)))
    else:
        streams.out.print(report_view(report, a.name, b.name, args.view), soft_wrap=False)
    return _status(report, args.expect)


COMMAND = Command("compare", "compare two policies, or two rules, by the texts on which they act", _configure, _run)
