"""The demo as pictures: pairs of replies, one step of decoding, and the score. Values in, rich renderables out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from policykit.cli.render import counted
from policykit.cli.visible import shown
from policykit.ir.verdict import Decision, Verdict, Violation

BAR_CELLS = 20


@dataclass(frozen=True, slots=True)
class Reply:
    """A text as the reader gets it, and the verdict on exactly that text.

    ``changed_by`` names the rules whose action (a transform, a message) the plan applied before the release.
    """

    text: str
    verdict: Verdict
    changed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt answered twice with the same seed: freely and under the plan."""

    prompt: str
    free: Reply
    constrained: Reply


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that the model wants next, with its probability and the rules that closed it (none: it is open)."""

    token: str
    probability: float
    closed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of decoding: the text so far, its most probable continuations, all probability that is masked."""

    prompt: str
    written: str
    candidates: tuple[Candidate, ...]
    masked_mass: float


def violates(verdict: Verdict) -> bool:
    """Whether a reply broke a rule, blocked or transformed."""
    return verdict.decision is not Decision.ALLOW


def _safe(text: str) -> str:
    return "\n".join(map(shown, text.split("\n")))


def marked(text: str, violations: Iterable[Violation]) -> Text:
    """``text`` with every violation in red."""
    spans = sorted((v.start, v.end) for v in violations if v.start is not None and v.end is not None)
    out, at = Text(), 0
    for start, end in spans:
        out.append(_safe(text[at : max(at, start)])).append(
            _safe(text[max(at, start) : end]), "bold underline white on red"
        )
        at = max(at, end)
    return out.append(_safe(text[at:]))


def _short(rule: str) -> str:
    return rule.rsplit("#", 1)[-1]


def _found(reply: Reply) -> Text:
    if not violates(reply.verdict):
        changed = f", after {', '.join(map(_short, reply.changed_by))}" if reply.changed_by else ""
        return Text(f"✓ keeps every rule{changed}", "green")
    found = [(_short(v.rule), reply.text[v.start : v.end] if v.start is not None else v.matched)
             for v in reply.verdict.violations]  # fmt: skip
    found += [(_short(error.rule), error.message) for error in reply.verdict.errors]
    lines = (Text.assemble(("✗ ", "bold red"), (rule, "red"), (f"  “{shown(what)}”", "dim")) for rule, what in found)
    return Text("\n").join(lines)


def _column(table: Table, name: str, style: str, reply: Reply) -> None:
    table.add_column(Text(name, style), footer=_found(reply), ratio=1, overflow="fold")


def pair_view(pair: Pair, number: int, total: int, width: int) -> Table:
    """One prompt with its two replies side by side, and what the verifier says of each."""
    table = Table(
        title=Text.assemble((f"{number}/{total} ", "dim"), (_safe(pair.prompt), "bold")),
        title_justify="left",
        title_style="",
        box=box.ROUNDED,
        border_style="dim",
        width=width,
        padding=(0, 1),
        show_footer=True,
    )
    _column(table, "free", "bold", pair.free)
    _column(table, "under the plan", "bold green", pair.constrained)
    table.add_row(*(marked(reply.text, reply.verdict.violations) for reply in (pair.free, pair.constrained)))
    return table


def _bar(probability: float, style: str) -> Text:
    cells = round(probability * BAR_CELLS)
    return Text("█" * cells or "▏", style)


def _candidate_row(candidate: Candidate, open_mass: float) -> tuple[Text, ...]:
    name = shown(candidate.token).replace(" ", "␣")
    free = f"{candidate.probability:.1%}" if candidate.probability >= 0.001 else "<0.1%"
    if candidate.closed_by:
        rules = Text.assemble(("closed by ", "dim"), (", ".join(map(_short, candidate.closed_by)), "red"))
        return Text(name, "red strike"), Text(free), _bar(candidate.probability, "red"), rules
    now = candidate.probability / open_mass
    held = Text.assemble(("open  ", "green"), _bar(now, "green"), f" {now:.1%}")
    return Text(name, "bold"), Text(free), _bar(candidate.probability, "green"), held


def step_view(step: Step) -> Group:
    """The step's candidates, each with its probability when the model is free, and what the mask makes of it."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("token", no_wrap=True)
    table.add_column("free", justify="right", no_wrap=True)
    table.add_column("", width=BAR_CELLS, no_wrap=True)
    table.add_column("under the plan", no_wrap=True)
    for candidate in step.candidates:
        table.add_row(*_candidate_row(candidate, 1 - step.masked_mass))
    tail = _safe(step.written)
    tail = f"…{tail[-72:]}" if len(tail) > 72 else tail
    where = Text.assemble((_safe(step.prompt), "dim"), "\n", (tail, "italic"), ("▌", "bold"), "\n")
    mass = (f"{step.masked_mass:.2%}", "bold")
    total = Text.assemble("\nAll closed tokens together hold ", mass, " of the probability.")
    total.append("\nA mask closes tokens; what was written before them stays, also where no good word is left.", "dim")
    return Group(where, table, total)


def heading(title: str, subtitle: str = "") -> Text:
    """A section's heading with a line to say what it shows."""
    return Text.assemble(("\n" + title, "bold cyan"), (f"  {subtitle}" if subtitle else "", "dim"), "\n")


def score_view(pairs: Sequence[Pair], free_tokens_per_s: float, constrained_tokens_per_s: float) -> Text:
    """How many replies broke a rule, freely and under the plan, and how fast each batch was written."""
    n_free = sum(violates(pair.free.verdict) for pair in pairs)
    n_constrained = sum(violates(pair.constrained.verdict) for pair in pairs)
    speed = f"{free_tokens_per_s:.0f} tokens/s free, {constrained_tokens_per_s:.0f} tokens/s under the plan"
    return Text.assemble(
        "Replies that break a rule: ",
        (f"free {n_free}/{len(pairs)}", "bold red" if n_free else "bold"),
        ", ",
        (f"under the plan {n_constrained}/{len(pairs)}", "bold red" if n_constrained else "bold green"),
        (f"\nSpeed: {speed}, masks included", "dim"),
    )


def intro(n_pairs: int, model: str, n_rules: int, digest: str) -> Text:
    """What the reader is about to see."""
    return Text.assemble(
        ("policykit demo", "bold cyan"),
        f"  {counted(n_pairs, 'prompt')}, each answered twice from the same seed: freely, and under one plan\n",
        (f"model {model}   {counted(n_rules, 'rule')}   plan {digest[:19]}…\n", "dim"),
    )
