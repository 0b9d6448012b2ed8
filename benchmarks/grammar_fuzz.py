"""What compiling does with schemas and grammars that are nearly right: nothing may end the process or exceed bounds.

    python benchmarks/grammar_fuzz.py --n 100000 --out benchmarks/results/grammar_fuzz.json

Each input is made from its kind and number (`tests/fuzz/grammar_inputs.py`), so that a number names it for ever, and
is compiled by `policykit.Compilers`; each tenth one that compiles goes on to a plan. Counted are: compiled; refused, by
code; declined at the deadline or the bound on memory; what ended the process, made the engine panic or failed
otherwise, each with its number.
"""

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import policykit as pk
from tests.fuzz.grammar_inputs import KINDS, compiled

SHARES = {"json_schema": 6, "gbnf": 4, "ebnf": 4, "lark": 4, "plain_lark": 2, "regex": 4, "structural_tag": 1}
"""How many of 25 inputs are of a kind."""
DECLINED = {"not compiled within": "deadline", "takes more than": "memory", "engine fails": "panic", "ended": "ended"}


@dataclass(slots=True)
class Seen:
    outcomes: Counter[str] = field(default_factory=Counter[str])
    numbers: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    slowest_s: float = 0.0


def outcome(compilers: pk.Compilers, kind: str, number: int) -> str:
    try:
        return compilers.make(compiled, kind, number)
    except pk.PolicyError as error:
        found = error.diagnostics[0]
        if found.code != "PK209":
            return found.code
        return next(name for says, name in DECLINED.items() if says in found.message)
    except pk.InternalError as error:
        return f"failed: {str(error)[:160]}"


def tried(compilers: pk.Compilers, kind: str, numbers: range) -> Seen:
    seen = Seen()
    for number in numbers:
        begun = time.monotonic()
        found = outcome(compilers, kind, number)
        seen.slowest_s = max(seen.slowest_s, time.monotonic() - begun)
        seen.outcomes[found] += 1
        if found != "compiled" and not found.startswith("PK"):
            seen.numbers.setdefault(found, []).append(number)
    return seen


def measure(n: int, bounds: pk.Bounds, first: int = 0) -> dict[str, Any]:
    """The table, by kind."""
    compilers = pk.Compilers(bounds, n_processes=2)
    for _ in range(2):
        outcome(compilers, "gbnf", 0)  # so that no input pays for the start
    jobs = [
        (kind, range(at, min(at + 250, first + n * share // 25)))
        for kind, share in SHARES.items()
        for at in range(first, first + n * share // 25, 250)
    ]
    table = {kind: Seen() for kind in KINDS}
    with ThreadPoolExecutor(2) as threads:
        for (kind, _), seen in zip(jobs, threads.map(lambda job: tried(compilers, *job), jobs), strict=True):
            table[kind].outcomes += seen.outcomes
            table[kind].slowest_s = max(table[kind].slowest_s, seen.slowest_s)
            for name, numbers in seen.numbers.items():
                table[kind].numbers.setdefault(name, []).extend(numbers)
    compilers.close()
    return {
        kind: {
            "inputs": sum(seen.outcomes.values()),
            "outcomes": dict(sorted(seen.outcomes.items())),
            "slowest_s": round(seen.slowest_s, 2),
            "numbers": {name: numbers[:20] for name, numbers in seen.numbers.items()},
        }
        for kind, seen in table.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first number")
    parser.add_argument("--deadline", type=float, default=10.0)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    table = measure(args.n, pk.Bounds(args.deadline, args.memory), args.first)
    found = {
        "inputs": sum(row["inputs"] for row in table.values()),
        "deadline_s": args.deadline,
        "memory_mib": args.memory,
        "kinds": table,
    }
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
