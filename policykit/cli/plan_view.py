"""A plan for people: what is enforced where and why, what only the verifier checks, and for how long it holds."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from policykit.cli.render import counted
from policykit.ir.plan import Enforcement, Level, Liveness
from policykit.plan import Plan

MAX_NAME = 56  # cells of a name that are kept together; a longer JSON pointer is folded

LEVEL_STYLE: dict[Level, str] = {
    Level.DECODE: "bold green",
    Level.STREAM: "cyan",
    Level.OUTPUT: "yellow",
    Level.OBSERVE: "dim",
    Level.REFUSED: "bold red",
}

_MEANING: dict[Level, str] = {
    Level.DECODE: "cannot be generated",
    Level.STREAM: "found before the text is released",
    Level.OUTPUT: "found when the output is complete",
    Level.OBSERVE: "logged, never changes output",
    Level.REFUSED: "cannot be enforced",
}


def _owner(row: Enforcement) -> str:
    """What a row stands under: its document for a rule, else the kind of its subject."""
    return row.name.partition("#")[0] if row.subject == "rule" else row.subject


def _shown_name(row: Enforcement) -> str:
    return "  " + (row.name.rpartition("#")[2] if row.subject == "rule" else row.name or "(the whole)")


def enforcement_table(enforcements: tuple[Enforcement, ...]) -> Table:
    """One row per rule and per grammar keyword, under the name of its document; strongest level first in each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("level", no_wrap=True)
    longest = max((len(_shown_name(row)) for row in enforcements), default=0)
    table.add_column("rule or keyword", overflow="fold", min_width=min(longest, MAX_NAME))
    table.add_column("why there", overflow="fold", ratio=1)
    order = list(Level)
    for owner in dict.fromkeys(map(_owner, enforcements)):
        table.add_row("", Text(owner, "bold"))
        rows = [row for row in enforcements if _owner(row) == owner]
        for row in sorted(rows, key=lambda row: order.index(row.level)):
            table.add_row(Text(row.level.value, LEVEL_STYLE[row.level]), Text(_shown_name(row)), Text(row.why))
    return table


def level_counts(enforcements: tuple[Enforcement, ...]) -> str:
    """``3 decode, 1 stream``: how many rows each level has; what there is none of is left out."""
    counts = [(sum(row.level is level for row in enforcements), level) for level in Level]
    return ", ".join(f"{n} {level.value}" for n, level in counts if n) or "nothing to enforce"


def liveness_line(liveness: Liveness) -> str:
    horizon = f" {counted(liveness.horizon_bytes, 'byte')} ahead" if liveness.horizon_bytes is not None else ""
    return f"{liveness.kind.value}{horizon}: {liveness.why}"


def _facts(plan: Plan) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("plan", plan.digest)
    facts.add_row("bundle", plan.bundle_digest)
    facts.add_row("valid until", plan.valid_until.isoformat() if plan.valid_until else "no date ends it")
    facts.add_row("liveness", Text(liveness_line(plan.liveness)))
    return facts


def _residue(plan: Plan) -> list[RenderableType]:
    if not plan.residue:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("residue", overflow="fold")
    table.add_column("keyword", no_wrap=True)
    table.add_column("why only the verifier checks it", overflow="fold", ratio=1)
    for row in plan.residue:
        table.add_row(Text(row.pointer or "/"), Text(row.keyword), Text(row.why))
    return [Text(), table]


def legend(enforcements: tuple[Enforcement, ...]) -> Text:
    """What the levels that occur mean, a line each."""
    present = [level for level in Level if any(row.level is level for row in enforcements)]
    lines = (Text.assemble((f"{level.value:<7}", LEVEL_STYLE[level]), f" {_MEANING[level]}") for level in present)
    return Text("\n").join(lines)


def plan_view(plan: Plan) -> Group:
    """The whole plan: its identity, its table, its residue."""
    table = enforcement_table(plan.enforcements)
    return Group(_facts(plan), Text(), table, *_residue(plan), Text(), legend(plan.enforcements))


def plan_data(plan: Plan) -> dict[str, object]:
    """The same as data, for `--format json`."""
    return {
        "digest": plan.digest,
        "bundle_digest": plan.bundle_digest,
        "valid_until": plan.valid_until,
        "liveness": plan.liveness,
        "enforcements": plan.enforcements,
        "residue": plan.residue,
    }
