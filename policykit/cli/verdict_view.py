"""A verdict for people: the decision, each violation underlined in the text, and the text that may be released."""

from collections.abc import Iterable
from typing import assert_never

from rich.console import Group, RenderableType
from rich.text import Text

from policykit.cli.render import counted, snippet
from policykit.cli.visible import shown
from policykit.diagnostics import Place
from policykit.ir.verdict import CheckError, Decision, DecisionMade, TransformApplied, Verdict, Violation

DECISION_STYLE: dict[Decision, str] = {
    Decision.BLOCK: "bold red",
    Decision.ESCALATE: "bold magenta",
    Decision.TRANSFORM: "bold yellow",
    Decision.ALLOW: "bold green",
}


def lines_of(text: str) -> list[str]:
    """The lines of a text under test: broken at LF only, so that offsets and columns agree."""
    return text.split("\n")


def place_of(text: str, file: str, start: int, end: int) -> Place:
    """The place of the code points ``[start, end)`` of ``text``."""
    line_start, end_start = text.rfind("\n", 0, start) + 1, text.rfind("\n", 0, end) + 1
    line, end_line = text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1
    return Place(file, line, start - line_start + 1, end_line, end - end_start + 1)


def _decision(decision: Decision) -> str:
    match decision:
        case Decision.BLOCK:
            return "blocked"
        case Decision.ESCALATE:
            return "escalated"
        case Decision.TRANSFORM:
            return "transformed"
        case Decision.ALLOW:
            return "allowed"
        case _:
            assert_never(decision)


def headline(verdict: Verdict) -> Text:
    """One line: the decision, how much was found, the plan it was judged by."""
    counts = [
        (len(verdict.violations), "violation"),
        (len(verdict.errors), "error"),
        (len(verdict.shadow), "shadow finding"),
    ]
    found = ", ".join(counted(n, noun) for n, noun in counts if n)
    cost = f", cost {verdict.cost:g}" if verdict.cost else ""
    return Text.assemble(
        (_decision(verdict.decision), DECISION_STYLE[verdict.decision]),
        f": {found or 'no violations'}{cost}",
        (f"  plan {verdict.digest}", "dim"),
    )


def _violation(violation: Violation, text: str, file: str, width: int, label: str, style: str) -> Text:
    view = f" on view `{violation.view}`" if violation.view and violation.view != "raw" else ""
    about = "".join(f", {name}: {value}" for name, value in violation.data)
    what = f"{violation.rule}: {violation.matched}{view}{about}"
    line = Text()
    if violation.start is None or violation.end is None:
        line.append(f"{file}: ", "bold")
    else:
        place = place_of(text, file, violation.start, violation.end)
        line.append(f"{place}: ", "bold")
    line.append(f"{label}: ", f"bold {style}").append(shown(what) + "\n")
    if violation.start is not None and violation.end is not None:
        place = place_of(text, file, violation.start, violation.end)
        line.append_text(snippet(place, lines_of(text), width, style=style))
    return line


def _error(error: CheckError) -> Text:
    return Text.assemble(("error: ", "bold red"), shown(f"{error.rule}: {error.message}") + "\n")


def _decided(made: DecisionMade) -> Text:
    asker = f"{made.rule}: exception {made.exception}" if made.exception else made.rule
    said = made.problem if made.value is None else "true" if made.value else "false"
    known_as = f" (decision {made.decision_id})" if made.decision_id else ""
    return Text(shown(f"{asker}: OPA on {made.reference}: {said}{known_as}") + "\n")


def _changes(transforms: Iterable[TransformApplied], text: str) -> Iterable[Text]:
    for change in transforms:
        before, after = shown(text[change.start : change.end]), shown(change.replacement)
        yield Text.assemble(f"{change.rule}: ", (before, "red"), " -> ", (after, "green"), "\n")


def verdict_view(verdict: Verdict, text: str, file: str, width: int) -> Group:
    """The verdict on ``text``, which is named ``file`` in places."""
    parts: list[RenderableType] = [
        _violation(violation, text, file, width, violation.severity, "red") for violation in verdict.violations
    ]
    parts += [_violation(violation, text, file, width, "shadow", "yellow") for violation in verdict.shadow]
    parts += [_error(error) for error in verdict.errors]
    if verdict.decision is Decision.TRANSFORM:
        parts += _changes(verdict.transforms, text)
    parts += [Text(f"{e.rule}: waits in `{e.queue}` for {e.binding}\n") for e in verdict.escalations]
    parts += [
        Text(f"{e.rule}: exception {e.exception} applied, approved by {shown(e.approved_by)}\n")
        for e in verdict.exceptions
    ]
    parts += [_decided(made) for made in verdict.decisions]
    parts.append(headline(verdict))
    if verdict.not_applicable:
        names = ", ".join(row.rule for row in verdict.not_applicable)
        parts.append(Text(f"not applicable to this text: {names}", "dim"))
    return Group(*parts)
