"""A difference for people: what the rules say differently, how many texts that changes, and examples of each kind."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from policykit.cli.render import counted
from policykit.cli.verdict_view import DECISION_STYLE
from policykit.cli.visible import ELLIPSIS, shown
from policykit.testing.difference import Change, Difference, Kind, RuleChange, Side

_MARK = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_SAYS = {
    Kind.ERROR: "a check could not run",
    Kind.STRICTER: "stricter",
    Kind.LOOSER: "looser",
    Kind.RULES: "same decision, other rules",
    Kind.TEXT: "same decision, another text is released",
}
_MAX_TEXT = 160
_MAX_VALUE = 60


def difference_view(found: Difference, examples: int) -> RenderableType:
    """``examples``: how many texts are shown of each kind."""
    parts: list[RenderableType] = [*_rules(found)]
    if found.n_texts:
        head = f"{counted(found.n_texts, 'text')} judged by both: {len(found.changes)} come out differently"
        parts += [Text(head, "bold green" if not found.changes else "bold yellow")]
        if found.n_unchecked:
            parts += [Text(f"{counted(found.n_unchecked, 'text')} could not be checked by one of them", "bold red")]
        if found.changes:
            parts += [_fired(found)]
        for kind in Kind:
            parts += _examples(found, kind, examples)
    return Group(*parts)


def _cut(text: str, most: int) -> str:
    text = shown(text)
    return text if len(text) <= most else text[: most - 1] + ELLIPSIS


def _rules(found: Difference) -> Iterator[Text]:
    if not found.rules:
        yield Text("the rules say the same")
    for change in found.rules:
        mark, style = _MARK[change.what]
        yield Text(f"{mark} {_name(change)} {change.what}", style)
        for field, old, new in change.fields:
            values = (_cut(old or "nothing", _MAX_VALUE), _cut(new or "nothing", _MAX_VALUE))
            yield Text(f"    {field}: {values[0]} -> {values[1]}")


def _name(change: RuleChange) -> str:
    return f"{change.document}#{change.rule}" if change.rule else change.document


def _fired(found: Difference) -> RenderableType:
    """The rules that fire on another number of texts."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("rule")
    table.add_column("old", justify="right")
    table.add_column("new", justify="right")
    rows = [row for row in found.fired if row[1] != row[2]]
    for rule, old, new in rows:
        table.add_row(rule, str(old), str(new))
    return table if rows else Text("every rule fires on as many texts as before")


def _examples(found: Difference, kind: Kind, most: int) -> Iterator[Text]:
    changes = [change for change in found.changes if change.kind is kind]
    if not changes:
        return
    yield Text(f"{_SAYS[kind]}: {counted(len(changes), 'text')}", "bold")
    for change in changes[:most]:
        yield Text(f"  {change.place}: {_cut(change.judged, _MAX_TEXT)}")
        yield _sides(change)
    if len(changes) > most:
        yield Text(f"  and {len(changes) - most} more (`--examples N`, or `--format json` for all)", "dim")


def _sides(change: Change) -> Text:
    old, new = _side(change, change.old), _side(change, change.new)
    return Text.assemble("    ", old, " -> ", new)


def _side(change: Change, side: Side) -> Text:
    words = Text(side.decision.value, DECISION_STYLE[side.decision])
    if side.rules:
        words.append(f" by {', '.join(side.rules)}")
    if change.kind is Kind.TEXT:
        words.append(f": {_cut(side.text, _MAX_VALUE)}")
    if side.error:
        words.append(f" ({_cut(side.error, _MAX_VALUE)})")
    return words
