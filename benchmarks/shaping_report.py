"""The table and the plot of `benchmarks/shaping.py`, from the numbers that it has written.

    python benchmarks/shaping_report.py benchmarks/results/shaping.json --readme README.md

prints the table, draws the plot beside the numbers, and puts the table where the README has its place for it.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policykit.charts import Interval, intervals

Row = dict[str, Any]
START, END = "| model | breaks a rule |", "\nNumbers, plot ("
"""Where the README's table begins, and what stands behind it."""
MADE_BY = {
    "base": "the model as it was",
    "tuned": "rejection tuning",
    "rloo": "then RLOO with λ",
    "grpo": "then GRPO with λ",
    "ppo": "then PPO with λ",
    "dpo": "DPO",
}
COLUMNS = (
    "model", "breaks a rule", "by the second policy", "masked, by both", "task", "well-formed", "wrong source",
    "accepted", "mask tax, nat",
)  # fmt: skip
LIMIT = 0.012


def label(row: Row) -> str:
    """What a model is called in the table."""
    if row["method"] == "base":
        return MADE_BY["base"]
    narrow = ", narrow policy" if row["policy"] != "claims" else ""
    return f"{MADE_BY[row['method']]}{narrow}, seed {row['seed']}"


def table(rows: Sequence[Row]) -> str:
    """One line a model, in Markdown. Behind a share of violations stands its upper bound at 95 %."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for row in rows:
        free, masked = row["free"], row["masked"]
        cells = [
            label(row), _bounded(free["violations"]), _bounded(free["second_violations"]),
            f"{masked['violations']['k']} and {masked['second_violations']['k']}", _share(free["task"]),
            _share(free["well_formed"]), _share(free["wrong_citations"]), _share(free["all_right"]),
            f"{masked['mask_tax_nats']:.3f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def caption(written: Row) -> str:
    """How many questions and which seeds the table is of, and what else has to be said of it."""
    asked = written["models"][0]["free"]["violations"]["n"]
    seeds = ", ".join(map(str, written["extent"]["seeds"]))
    note = f" Of this run: {written['note']}." if "note" in written else ""
    spent = written["seconds"]
    took = f" It took {spent['all'] / 60:.0f} minutes, {spent['cpu'] / 60:.0f} of CPU time." if "cpu" in spent else ""
    return f"{asked:,} questions; seeds of rejection tuning and RLOO: {seeds}; others: one.{took}{note}\n"


def numbers(written: Row) -> str:
    """What the README shows of the results."""
    return f"{table(written['models'])}\n{caption(written)}"


def plot(rows: Sequence[Row]) -> str:
    """The shares of replies that break a rule, by either policy, as an SVG."""
    names = {"violations": "the policy of training", "second_violations": "a policy that training never saw"}
    return intervals(
        f"Replies that break a rule, of {rows[0]['free']['violations']['n']} a model, with bounds at 95 %",
        [(label(row), {name: _interval(row["free"][key]) for key, name in names.items()}) for row in rows],
        "share of replies",
        limit=LIMIT,
    )


def in_readme(readme: str, of: str) -> str:
    """The README with the table in its place. Raises ValueError if it has no place for it."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"there is no place between `{START}` and `{END.strip()}`")
    return f"{before}{of}{end}{after}"


def write_plot(results: Path) -> None:
    """Draw the plot beside the numbers."""
    rows = json.loads(results.read_text("utf-8"))["models"]
    results.with_suffix(".svg").write_text(plot(rows), encoding="utf-8")


def _share(one: Row) -> str:
    return f"{one['share'] * 100:.1f} %"


def _bounded(one: Row) -> str:
    return f"{one['share'] * 100:.2f} % (≤ {one['high'] * 100:.2f} %)"


def _interval(one: Row) -> Interval:
    return Interval(one["low"], one["share"], one["high"])


def main() -> None:
    parser = argparse.ArgumentParser(description="table and plot of what `shaping.py` found")
    parser.add_argument("results", type=Path)
    parser.add_argument("--readme", type=Path, help="put the table into this file")
    args = parser.parse_args()
    found = numbers(json.loads(args.results.read_text("utf-8")))
    write_plot(args.results)
    print(found, end="")
    if args.readme:
        args.readme.write_text(in_readme(args.readme.read_text("utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
