"""What the rows of the JSON Schema benchmark come to: one table, and the figures behind it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9}


def report(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    by_engine = {name: [row for row in rows if row["engine"] == name] for name in names}
    engines = {name: of_engine(found) for name, found in by_engine.items()}
    result: dict[str, Any] = {"engines": engines, "table": table(engines)}
    if "policykit" in names:
        result["policykit"] = of_masks(by_engine["policykit"])
        if "llguidance" in names:
            result["beside llguidance"] = beside(by_engine["policykit"], by_engine["llguidance"])
    return result


def is_admitted(test: Row, with_judge: bool) -> bool:
    return test["closed_at"] is None and not (with_judge and test["found"])


def passes(row: Row, with_judge: bool) -> bool:
    if row["outcome"] == "unsat":
        return not row["n_valid"]
    return row["outcome"] == "compiled" and all(is_admitted(t, with_judge) == t["valid"] for t in row["tests"])


def of_engine(rows: Sequence[Row]) -> dict[str, Any]:
    outcomes = Counter(row["outcome"] for row in rows)
    tested = [row for row in rows if row.get("n_tests", 1)]
    compiled = [row for row in rows if row["outcome"] == "compiled"]
    tests = [test for row in compiled for test in row["tests"]]
    valid, invalid = [t for t in tests if t["valid"]], [t for t in tests if not t["valid"]]
    return {
        "outcomes": dict(outcomes),
        "schemas": len(tested),
        "passing by the mask alone": sum(passes(row, False) for row in tested),
        "passing end to end": sum(passes(row, True) for row in tested),
        "valid": len(valid),
        "valid rejected": sum(not is_admitted(t, False) for t in valid),
        "valid rejected as written": sum(not t["as_written"] for t in valid),
        "valid rejected end to end": sum(not is_admitted(t, True) for t in valid),
        "invalid": len(invalid),
        "invalid accepted by the mask": sum(is_admitted(t, False) for t in invalid),
        "invalid accepted end to end": sum(is_admitted(t, True) for t in invalid),
        "ttfm_ms": spread(row["ttfm_s"] * 1e3 for row in compiled),
        "tbm_us": spread(second * 1e6 for row in compiled for second in row["tbm_s"]),
        "max_rss_mb": max((row.get("max_rss_mb", 0) for row in rows), default=0),
    }


def spread(values: Iterable[float]) -> dict[str, float]:
    found = np.fromiter(values, float)
    if not len(found):
        return {}
    quantiles = {name: float(np.percentile(found, q)) for name, q in QUANTILES.items()}
    return {
        name: round(value, 2)
        for name, value in {"mean": float(found.mean()), **quantiles, "max": float(found.max())}.items()
    }


def of_masks(rows: Sequence[Row]) -> dict[str, Any]:
    """What policykit's mask leaves to its verifier, and how late that is noticed."""
    compiled = [row for row in rows if row["outcome"] == "compiled"]
    invalid = [(row, test) for row in compiled for test in row["tests"] if not test["valid"]]
    admitted = [(row, test) for row, test in invalid if test["closed_at"] is None]
    late = np.array([test["late"] for _, test in invalid] or [0])
    unnamed = [row["name"] for row, test in admitted if not is_named(test["broken"], row["residue"])]
    return {
        "admitted by keyword": dict(Counter(str(test["fault"]) for _, test in admitted).most_common()),
        "admitted, and not named as residue": sorted(set(unnamed)),
        "schemas with residue": sum(bool(row["residue"]) for row in compiled),
        "residue at the root": sum("" in row["residue"] for row in compiled),
        "tokens from the end of the value to its detection": {
            "median": float(np.median(late)),
            "p90": float(np.percentile(late, 90)),
            "max": int(late.max()),
        },
        "valid rejected by the mask": sorted(
            {row["name"] for row in compiled for t in row["tests"] if t["valid"] and t["closed_at"] is not None}
        ),
        "not compiled": {
            row["name"]: f"{row['outcome']}: {row['why']}" for row in rows if row["outcome"] != "compiled"
        },
        "wrong end to end": sorted(
            row["name"] for row in compiled if any(is_admitted(t, True) and not t["valid"] for t in row["tests"])
        ),
    }


def is_named(broken: Sequence[Sequence[str]], residue: Sequence[str]) -> bool:
    """Whether the plan has named what an instance breaks: each of the keywords, or one on the way to it.

    >>> is_named([["/items", "/items/format"]], ["/items/format"]), is_named([["/not"]], ["/items"])
    (True, False)
    """
    return bool(broken) and all(not set(way).isdisjoint(residue) for way in broken)


def beside(ours: Sequence[Row], theirs: Sequence[Row]) -> dict[str, Any]:
    """What the mask alone rejects, on the schemas that llguidance compiles and on those that it refuses; and how long
    the first mask takes on those that both compile: what it refuses is mostly what takes longest."""
    pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if mine["outcome"] == "compiled"]
    missed = [
        mine["name"]
        for mine, other in pairs
        if other["outcome"] == "compiled"
        for a, b in zip(mine["tests"], other["tests"], strict=True)
        if not a["valid"] and a["closed_at"] is None and b["closed_at"] is not None
    ]
    refused = [t for mine, other in pairs if other["outcome"] == "refused" for t in mine["tests"] if not t["valid"]]
    both = [(mine["ttfm_s"] * 1e3, other["ttfm_s"] * 1e3) for mine, other in pairs if other["outcome"] == "compiled"]
    keywords = Counter(str(t["fault"]) for t in refused)
    closed = Counter(str(t["fault"]) for t in refused if t["closed_at"] is not None)
    share = {k: f"{closed[k]} of {n}" for k, n in keywords.most_common()}
    return {
        "rejected by llguidance's mask and not by ours": sorted(set(missed)),
        "where llguidance refuses, invalid instances": len(refused),
        "where llguidance refuses, rejected by our mask": closed.total(),
        "by keyword": share,
        "where both compile, schemas": len(both),
        "where both compile, TTFM ms p50, ours and llguidance's": [
            round(float(np.median(side or [0])), 2) for side in zip(*both, strict=True)
        ],
        "where both compile, TTFM as a multiple, p50": round(float(np.median([a / b for a, b in both] or [0])), 2),
    }


def table(engines: dict[str, dict[str, Any]]) -> str:
    """The table of MaskBench, in Markdown."""
    heads = [
        "engine", "passing (mask; end to end)", "refused", "unsat", "timed out or crashed", "valid rejected",
        "invalid accepted (mask; end to end)", "TTFM ms p50 / p90 / p99",
        "TBM µs mean / p50 / p90 / p99 / p99.9 / max", "MB",
    ]  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, e in engines.items():
        outcomes, ttfm, tbm = e["outcomes"], e["ttfm_ms"], e["tbm_us"]
        cells = [
            name,
            f"{e['passing by the mask alone']}; {e['passing end to end']} of {e['schemas']}",
            str(outcomes.get("refused", 0)),
            str(outcomes.get("unsat", 0)),
            str(outcomes.get("timeout", 0) + outcomes.get("crashed", 0)),
            f"{e['valid rejected']} of {e['valid']}",
            f"{e['invalid accepted by the mask']}; {e['invalid accepted end to end']} of {e['invalid']}",
            " / ".join(str(ttfm.get(q, "")) for q in ("p50", "p90", "p99")),
            " / ".join(str(tbm.get(q, "")) for q in ("mean", "p50", "p90", "p99", "p99.9", "max")),
            str(e["max_rss_mb"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
