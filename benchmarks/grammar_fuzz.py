"""What compiling does with schemas and grammars of every kind: nothing may end the process or exceed the bounds, and
what compiles is held against judges of its own.

    python benchmarks/grammar_fuzz.py --n 100000 --out benchmarks/results/grammar_fuzz.json

Inputs are right by construction, nearly right, or hostile, in each notation. Each is made from its kind and number
(`tests/fuzz/grammar_inputs.py`), so that a number names it for ever, and is compiled by `policykit.Compilers`; each
tenth goes on to a plan. Of what compiles texts are walked from the mask and judged by the verifier, and by `jsonschema`
(schemas) or a recogniser of the language that the grammar was written from; so are values and texts that were made
beside it, and spoilt ones. Counted are, by kind:

- `held`: compiled, and nobody disagreed; `disagree`: somebody did;
- refused, by code (`PK208`: unsatisfiable);
- `late`, `memory`: not compiled within the bounds; `slow mask`: compiled, but not judged within them;
- `ended`, `panic`, `failed`: what ended the process, made the engine panic, or failed otherwise.

The numbers of all but the first three are listed. `--more` goes on where the file `--out` ends and adds up.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import policykit as pk
from tests.fuzz.grammar_inputs import KINDS, compiled, only_compiled

DECLINED = {"not compiled within": "late", "takes more than": "memory", "engine fails": "panic", "ended": "ended"}
MAX_LISTED = 40
Table = dict[str, dict[str, Any]]


def outcome(compilers: pk.Compilers, kind: str, number: int) -> str:
    found = _called(compilers, compiled, kind, number)
    if found == "late" and _called(compilers, only_compiled, kind, number) == "compiled":
        return "slow mask"
    if found == "ended":  # as the engine does where memory runs out: with more of it this does not happen
        roomy = pk.Compilers(pk.Bounds(compilers.bounds.deadline_s, compilers.bounds.memory_mib * 8), n_processes=1)
        again = _called(roomy, compiled, kind, number)
        roomy.close()
        return again if again == "ended" else "memory"
    return found


def _called(compilers: pk.Compilers, function: Any, kind: str, number: int) -> str:
    try:
        return compilers.make(function, kind, number)
    except pk.PolicyError as error:
        found = error.diagnostics[0]
        if found.code != "PK209":
            return found.code
        return next(name for says, name in DECLINED.items() if says in found.message)
    except pk.InternalError as error:
        return f"failed: {str(error)[:300]}"


def empty() -> Table:
    return {kind: {"inputs": 0, "outcomes": {}, "slowest_s": 0.0, "listed": []} for kind in KINDS}


def count(row: dict[str, Any], number: int, found: str, took_s: float) -> None:
    name, _, says = found.partition(": ")
    row["inputs"] += 1
    row["outcomes"] = dict(sorted((Counter(row["outcomes"]) + Counter([name])).items()))
    row["slowest_s"] = max(row["slowest_s"], round(took_s, 2))
    if name != "held" and not name.startswith("PK") and len(row["listed"]) < MAX_LISTED:
        row["listed"].append([number, name, says][: 3 if says else 2])


def run(table: Table, blocks: range, compilers: pk.Compilers, until: float) -> int:
    """Blocks of a hundred inputs; the number of the next one."""
    for block in blocks:
        if time.monotonic() > until:
            return block
        for kind, made in KINDS.items():
            for number in range(block * made.share, (block + 1) * made.share):
                begun = time.monotonic()
                found = outcome(compilers, kind, number)
                count(table[kind], number, found, time.monotonic() - begun)
    return blocks.stop


def report(table: Table, first: int, next_block: int, bounds: pk.Bounds, took_s: float) -> dict[str, Any]:
    outcomes = Counter[str]()
    for row in table.values():
        outcomes += Counter(row["outcomes"])
    return {
        "benchmark": "grammar_fuzz",
        "command": "python benchmarks/grammar_fuzz.py " + " ".join(sys.argv[1:]),
        "version": version("policykit"),
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cpus": os.cpu_count()},
        "engines": {name: version(name) for name in ("llguidance", "lark", "jsonschema-rs", "jsonschema")},
        "deadline_s": bounds.deadline_s,
        "memory_mib": bounds.memory_mib,
        "first_block": first,
        "next_block": next_block,
        "took_s": round(took_s),
        "inputs": sum(row["inputs"] for row in table.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "kinds": table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000, help="how many inputs, in hundreds")
    parser.add_argument("--first", type=int, default=0, help="the first block of a hundred inputs")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--deadline", type=float, default=10.0)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--more", action="store_true", help="go on where the file ends")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    table, first, at, took_s = empty(), args.first, args.first, 0.0
    if args.more and args.out and args.out.exists():
        before = json.loads(args.out.read_text("utf-8"))
        table, first, at, took_s = before["kinds"], before["first_block"], before["next_block"], before["took_s"]
    bounds = pk.Bounds(args.deadline, args.memory)
    compilers = pk.Compilers(bounds, n_processes=1)
    outcome(compilers, "gbnf made", 0)  # so that no input pays for the start
    begun = time.monotonic()
    until, end = begun + args.minutes * 60, at + args.n // 100
    text = ""
    while at < end and time.monotonic() < until:
        at = run(table, range(at, min(at + 2, end)), compilers, until)
        found = report(table, first, at, bounds, took_s + time.monotonic() - begun)
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        if args.out:
            args.out.write_text(text, "utf-8")
    compilers.close()
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
