"""Runs on the same prompts beside each other: differences with paired bounds, win rates, exact tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from policykit.charts import Interval, histogram, intervals
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.evaluation.pages import Page, Part, Plot, Section, Table
from policykit.evaluation.report import estimate_words, percent, rate_words
from policykit.evaluation.results import Saved
from policykit.evaluation.statistics import Estimate, Rate, WinRate, bootstrap, sign_test, win_rate

Line = Mapping[str, Any]
DECIDED = {"violated": 1.0, "satisfied": 0.0}


@dataclass(frozen=True, slots=True)
class Change:
    """A number of a run less that of the first run, over the prompts that have it in both. ``p`` is the sign test's,
    over the prompts on which the two differ."""

    measure: str
    difference: Estimate
    n_lower: int
    n_higher: int
    p: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One run against the first. ``win_rate`` counts the better answer to each prompt: one that violates loses to one
    that does not, then the higher F1 wins, or the valid one where there are no references."""

    name: str
    win_rate: WinRate
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first run, and the others against it."""

    first: str
    runs: tuple[Compared, ...]


def compare(runs: Sequence[Saved], seed: int = 0) -> Comparison:
    """Raises PolicyError (PK846) for runs that were not made on the same prompts and judged by the same plan."""
    first, *others = runs
    found = [problem for other in others for problem in _problems(first, other)]
    if found:
        raise PolicyError(found)
    return Comparison(first.name, tuple(_compared(first, other, seed) for other in others))


def _problems(first: Saved, other: Saved) -> list[Diagnostic]:
    problems: list[Diagnostic] = []
    help = "judge its answers anew: `policykit eval --outputs RUN/outputs.jsonl --policies …`"
    for which in ("first", "second"):
        one, two = (run.results[which] and run.results[which]["plan_digest"] for run in (first, other))
        if one != two and (which == "first" or (one and two)):
            message = f"`{other.name}` was judged by the plan {two}, `{first.name}` by {one}"
            problems.append(Diagnostic("PK846", message, None, help))
    one, two = ([(row["id"], row["prompt"]) for row in run.rows] for run in (first, other))
    if one != two:
        same = sum(a == b for a, b in zip(one, two, strict=False))
        message = f"`{other.name}` and `{first.name}` are on other prompts: {same} of {len(one)} and {len(two)} agree"
        problems.append(Diagnostic("PK846", message, None, "evaluate both on one file of prompts"))
    return problems


def _violated(row: Line, which: str = "outcome") -> float | None:
    return DECIDED.get(cast(str, row.get(which)))


def _number(row: Line, name: str) -> float | None:
    value = row.get(name)
    return None if value is None else float(value)


MEASURES: Mapping[str, Callable[[Line], float | None]] = {
    "violations": _violated,
    "violations, the second verifier": lambda row: _violated(row, "second_outcome"),
    "exact match": lambda row: _number(row, "exact_match"),
    "F1": lambda row: _number(row, "f1"),
    "valid by the schema": lambda row: _number(row, "is_valid"),
    "tokens": lambda row: _number(row, "n_tokens"),
    "KL from base, nat per text": lambda row: _number(row, "kl"),
}  # fmt: skip


def quality(row: Line) -> tuple[float, ...] | None:
    """What makes an answer better than another: it keeps the plan, then its task. None where that is not known."""
    violated = _violated(row)
    if violated is None:
        return None
    task = next((value for name in ("f1", "is_valid") if (value := _number(row, name)) is not None), 0.0)
    return -violated, task


def _compared(first: Saved, other: Saved, seed: int) -> Compared:
    pairs: list[tuple[Sequence[float], Sequence[float]] | None] = []
    for one, two in zip(first.rows, other.rows, strict=True):
        before, after = quality(one), quality(two)
        pairs.append(None if before is None or after is None else (after, before))
    changes = [_change(name, first, other, seed) for name in MEASURES]
    return Compared(other.name, win_rate(pairs, seed), tuple(one for one in changes if one is not None))


def _change(measure: str, first: Saved, other: Saved, seed: int) -> Change | None:
    value = MEASURES[measure]
    found = [(value(one), value(two)) for one, two in zip(first.rows, other.rows, strict=True)]
    differences = [two - one for one, two in found if one is not None and two is not None]
    estimate = bootstrap(differences, seed)
    if estimate is None:
        return None
    n_lower, n_higher = sum(d < 0 for d in differences), sum(d > 0 for d in differences)
    return Change(measure, estimate, n_lower, n_higher, sign_test(n_higher, n_lower))


def comparison_page(runs: Sequence[Saved], found: Comparison) -> Page:
    """The report of a comparison."""
    return Page(
        f"{', '.join(run.name for run in runs)}: compared",
        (
            _beside(runs),
            _rules(runs),
            *(_against(found.first, one) for one in found.runs),
            *_spreads(runs),
            _made(runs),
        ),
    )


def _rate(found: Mapping[str, Any] | None) -> Rate | None:
    return None if found is None else Rate(**found)


def _estimate(found: Mapping[str, Any] | None) -> Estimate | None:
    return None if found is None else Estimate(**found)


def _beside(runs: Sequence[Saved]) -> Section:
    def row(name: str, words: Sequence[str]) -> tuple[str, ...] | None:
        return None if all(word == "–" for word in words) else (name, *words)

    def of(*path: str) -> list[Any]:
        found: list[Any] = []
        for run in runs:
            value: Any = run.results
            for part in path:
                value = None if value is None else value[part]
            found.append(value)
        return found

    rows = [
        row("violations", [rate_words(_rate(v)) for v in of("first", "whole")]),
        row("violations, the second verifier", [rate_words(_rate(v)) for v in of("second", "whole")]),
        row("accepted by rejection", [rate_words(_rate(v)) for v in of("first", "accepted")]),
        row("ended by themselves", [rate_words(_rate(v)) for v in of("ended")]),
        row("exact match", [estimate_words(_estimate(v)) for v in of("task", "exact_match")]),
        row("F1", [estimate_words(_estimate(v)) for v in of("task", "f1")]),
        row("valid by the schema", [rate_words(_rate(v)) for v in of("task", "valid")]),
        row("citations, precision", [estimate_words(_estimate(v)) for v in of("task", "citations", "precision")]),
        row("citations, recall", [estimate_words(_estimate(v)) for v in of("task", "citations", "recall")]),
        row("KL from base, nat per token", ["–" if v is None else f"{v:.4f}" for v in of("divergence", "per_token")]),
        row("mask tax, nat per text", [estimate_words(_estimate(v)) for v in of("mask_tax", "mean")]),
        row("preference pairs that are right", [rate_words(_rate(v)) for v in of("margins", "correct")]),
    ]
    table = Table(("", *(run.name for run in runs)), tuple(one for one in rows if one is not None))
    return Section("Beside each other", (table,))


def _rules(runs: Sequence[Saved]) -> Section:
    rows: dict[str, dict[str, Interval]] = {}
    for run in runs:
        verification = run.results["first"]
        found = [("any rule", verification["whole"]), *((r["rule"], r["rate"]) for r in verification["by_rule"])]
        for name, one in found:
            rate = Rate(**one)
            rows.setdefault(name, {})[run.name] = Interval(rate.low, rate.value or 0.0, rate.high)
    drawn = intervals("Violations by rule", list(rows.items()), "share of texts, with exact bounds")
    return Section("Violations by rule", (Plot("violations", "Violations by rule", drawn),))


def _against(first: str, one: Compared) -> Section:
    won = one.win_rate
    said = (
        f"`{one.name}` has the better answer to {won.n_won} prompts, `{first}` to {won.n_lost}; {won.n_tied} are ties "
        f"and {won.n_left_out} could not be compared."
    )
    if won.estimate is not None:
        bounds = f"{percent(won.estimate.low)} to {percent(won.estimate.high)}"
        said += f" Win rate {percent(won.estimate.value)} ({bounds}), sign test p = {won.p:.3g}."
    rows = (
        (c.measure, estimate_words(c.difference, 4), str(c.n_lower), str(c.n_higher), f"{c.p:.3g}") for c in one.changes
    )
    table = Table(("difference, prompt by prompt", "mean", "lower on", "higher on", "sign test p"), tuple(rows))
    return Section(f"{one.name} against {first}", (said, table))


def _spreads(runs: Sequence[Saved]) -> list[Section]:
    of = {run.name: [float(row["kl"]) for row in run.rows if row.get("kl") is not None] for run in runs}
    known = {name: values for name, values in of.items() if values}
    if not known:
        return []
    parts: tuple[Part, ...] = (Plot("kl", "KL from base", histogram("KL from base, of a text", known, "nat")),)
    return [Section("KL from base", parts)]


def _made(runs: Sequence[Saved]) -> Section:
    rows = [
        (run.name, str(run.results["made"]["model"]), str(run.results["made"]["adapter"] or "–"),
         str(run.results["made"]["data"]), str(run.results["made"]["settings"]))
        for run in runs
    ]  # fmt: skip
    return Section("Runs", (Table(("run", "model", "adapter", "data", "settings"), tuple(rows)),))
