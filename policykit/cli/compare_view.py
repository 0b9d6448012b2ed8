"""A comparison for people: how the two sides relate, a shortest text for every difference, and what was left out."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from policykit.analysis import Comparison, Example, Nothing, NotProven, Outside, Relation, Report
from policykit.cli.verdict_view import DECISION_STYLE
from policykit.cli.visible import shown
from policykit.ir.document import Within
from policykit.ir.verdict import Decision

_STYLE = {
    Relation.EQUAL: "bold green",
    Relation.IMPLIES: "bold cyan",
    Relation.IMPLIED: "bold cyan",
    Relation.NEITHER: "bold yellow",
    Relation.NOT_PROVEN: "bold red",
}


def _sentence(relation: Relation, of_rules: bool) -> str:
    act = "finds something" if of_rules else "acts"
    weakly = "" if of_rules else ", at least as strongly"
    match relation:
        case Relation.EQUAL:
            return "A and B find something in the same texts" if of_rules else "A and B decide alike about every text"
        case Relation.IMPLIES:
            return f"wherever A {act}, B does{weakly}; not the other way round"
        case Relation.IMPLIED:
            return f"wherever B {act}, A does{weakly}; not the other way round"
        case Relation.NEITHER:
            return f"each {act} where the other does not{'' if of_rules else ', or more strongly'}"
        case Relation.NOT_PROVEN:
            return "not decided within the state budget"


def _kind(comparison: Comparison) -> str:
    part = ", JSON strings" if comparison.within is Within.JSON_STRINGS else ""
    return f"{comparison.target.value}{part}"


def _difference(found: Example | Nothing | NotProven, one: str, other: str, of_rules: bool) -> list[RenderableType]:
    match found:
        case Nothing():
            return []
        case NotProven(n_states):
            return [Text(f"  {one} but not {other}: not proven within {n_states} states", "bold red")]
        case Example():
            return _example(found, one, other, of_rules)


def _example(found: Example, one: str, other: str, of_rules: bool) -> list[RenderableType]:
    sample = found.shown
    kind = "shortest" if found.is_shortest else "a"
    head = Text.assemble(f"  {one} but not {other}, {kind} text: ", (shown(sample.text) or "(the empty text)", "bold"))
    lines: list[RenderableType] = [head]
    if sample != found.shortest:
        lines[0] = Text.assemble(head, "  (in ASCII; of all texts: ", (shown(found.shortest.text), "bold"), ")")
    if not of_rules:
        sides = ((one, found.by, found.by_rules), (other, found.against, found.against_rules))
        lines += [_side(*side) for side in sides]
    return lines


def _side(name: str, decision: Decision, rules: Sequence[str]) -> Text:
    by = f" by {', '.join(rules)}" if rules else ""
    return Text.assemble(f"    {name}: ", (decision.value, DECISION_STYLE[decision]), by)


def _outside(outside: Sequence[Outside], side: str) -> list[RenderableType]:
    return [Text(f"  {side}: {row.rule} {row.why}", "yellow") for row in outside]


def report_view(report: Report, a: str, b: str, view: str | None) -> Group:
    """The whole report; ``a`` and ``b`` are the sides as they were named."""
    parts: list[RenderableType] = [Text(f"A: {shown(a)}\nB: {shown(b)}")]
    if view:
        parts.append(Text(f"as if every rule read the view `{view}` alone"))
    of_rules = report.of_rules
    for comparison in report.comparisons:
        relation = comparison.relation
        kind = "" if of_rules else f"{_kind(comparison)}: "
        sentence = _sentence(relation, of_rules)
        parts.append(Text.assemble(f"\n{kind}", (relation.value, _STYLE[relation]), f": {sentence}"))
        parts += _difference(comparison.first_only, "A", "B", of_rules)
        parts += _difference(comparison.second_only, "B", "A", of_rules)
    if report.outside_first or report.outside_second:
        parts.append(Text("\nnot compared:", "bold"))
        parts += _outside(report.outside_first, "A") + _outside(report.outside_second, "B")
    return Group(*parts)


def report_data(report: Report, a: str, b: str, view: str | None) -> dict[str, object]:
    """The same as data, for `--format json`."""
    return {
        "a": a,
        "b": b,
        "view": view,
        "relation": report.relation,
        "comparisons": [
            {
                "target": comparison.target,
                "within": comparison.within,
                "relation": comparison.relation,
                "a_only": _difference_data(comparison.first_only),
                "b_only": _difference_data(comparison.second_only),
            }
            for comparison in report.comparisons
        ],
        "outside": {"a": report.outside_first, "b": report.outside_second},
    }


def _difference_data(found: Example | Nothing | NotProven) -> dict[str, object]:
    match found:
        case Nothing():
            return {"answer": "none"}
        case NotProven(n_states):
            return {"answer": "not proven", "states": n_states}
        case Example():
            return {
                "answer": "example",
                "text": found.shortest.text,
                "is_shortest": found.is_shortest,
                "ascii": found.readable.text if found.readable else None,
                "by": {"decision": found.by, "rules": found.by_rules},
                "against": {"decision": found.against, "rules": found.against_rules},
            }
