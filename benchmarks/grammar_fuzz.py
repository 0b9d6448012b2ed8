"""What compiling does with schemas and grammars of every kind: nothing may end the process or exceed the bounds, and
what compiles is held against judges of its own.

    python benchmarks/grammar_fuzz.py --n 100000 --out benchmarks/results/grammar_fuzz.json

Inputs are right by construction, nearly right, or hostile, in each notation. Each is made from its kind and number
(`tests/fuzz/grammar_inputs.py`), so that a number names it for ever, and a plan is made of it as
`policykit.Compilers.compile` does. Texts are walked from the masks of the plan's constraint and judged by the verifier,
and by `jsonschema` (schemas) or a recogniser of the language that the grammar was written from; so are values and texts
that were made beside it, and spoilt ones. Counted are, by kind:

- `held`: compiled, and nobody disagreed; `partly`: nobody did for `--judge` seconds of processor time, or three times
  as long beside other work, and some texts were left; `disagree`: somebody did;
- refused, by code (`PK208`: unsatisfiable, which is held against the judges, too);
- `late`, `memory`: declined, since not compiled within the bounds;
- `slow mask`: compiled and nobody disagreed, but some token took more than a second; `limit`: the masking engine
  refused to go on with a text, for one of its limits; `unjudged`: judging did not come back within the bounds;
- `ended`, `panic`, `failed`: what ended the process, made the engine panic, or failed otherwise.

Listed are the numbers of all that are neither held nor refused. `over_s` says by how much a call came back behind its
deadline, at most; `distinct` how many of a kind's inputs differ. `--more` goes on where the file `--out` ends and adds
up; `--again` runs what is listed there once more, behind a change, or those with the outcomes behind it; `--one KIND
NUMBER` shows an input and its outcome.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import policykit as pk
from policykit.plan import one_process
from tests.fuzz.grammar_inputs import KINDS, case, compiled

DECLINED = {"not compiled within": "late", "takes more than": "memory", "engine fails": "panic", "ended": "ended"}
QUICK_S = 0.5
AHEAD = 3
"""Blocks that are begun before the first of them is done, so that nobody waits for one slow input."""
ROOMY = 4
"""With so many times the memory a process is tried again that ended, as the engine does where memory runs out."""
Input = tuple[str, int]
Table = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Found:
    outcome: str
    took_s: float

    @property
    def name(self) -> str:
        return self.outcome.partition(": ")[0]


@dataclass(slots=True)
class Tried:
    """Compilers for each thread that tries inputs, with one process each."""

    bounds: pk.Bounds
    judge_s: float
    _own: threading.local = field(default_factory=threading.local)
    _all: list[pk.Compilers] = field(default_factory=list[pk.Compilers])

    def __call__(self, one: Input) -> Found:
        compilers, come_to = self._mine()
        begun = time.monotonic()
        outcome = self._outcome(compilers, one, come_to)
        took_s = time.monotonic() - begun
        if took_s > QUICK_S:
            compilers.make(len, "")  # so that no input pays for the start of a process behind another one
        if outcome == "ended":
            roomy = pk.Compilers(pk.Bounds(self.bounds.deadline_s, self.bounds.memory_mib * ROOMY), n_processes=1)
            outcome = "ended" if self._outcome(roomy, one, come_to) == "ended" else "memory"
            roomy.close()
        return Found(outcome, took_s)

    def _mine(self) -> tuple[pk.Compilers, str]:
        if not hasattr(self._own, "compilers"):
            self._own.compilers = pk.Compilers(self.bounds, n_processes=1)
            self._own.compilers.make(len, "")
            self._own.come_to = tempfile.mkstemp(suffix=".fuzz")[1]
            self._all.append(self._own.compilers)
        return self._own.compilers, self._own.come_to

    def _outcome(self, compilers: pk.Compilers, one: Input, come_to: str) -> str:
        try:
            return compilers.make(compiled, *one, self.judge_s, come_to)
        except pk.PolicyError as error:
            first = error.diagnostics[0]
            if first.code != "PK209":
                return first.code
            name = next((name for says, name in DECLINED.items() if says in first.message), None)
            if name is None:
                return f"PK209: {first.message}"
            has_compiled = Path(come_to).read_text("utf-8") == f"{one[0]} {one[1]}"
            return f"unjudged: {name}" if has_compiled and name in ("late", "memory") else name
        except pk.InternalError as error:
            return f"failed: {str(error)[:300]}"

    def close(self) -> None:
        for compilers in self._all:
            compilers.close()


def empty() -> Table:
    return {kind: {"inputs": 0, "outcomes": {}, "slowest_s": 0.0, "listed": []} for kind in KINDS}


def count(row: dict[str, Any], number: int, found: Found, by: int = 1) -> None:
    row["inputs"] += by
    outcomes: Counter[str] = Counter(row["outcomes"])
    outcomes[found.name] += 1
    row["outcomes"] = dict(sorted(outcomes.items()))
    row["slowest_s"] = max(row["slowest_s"], round(found.took_s, 2))
    if found.name != "held" and not found.outcome.startswith("PK"):
        row["listed"].append(f"{number} {found.outcome}")


def inputs(block: int) -> list[Input]:
    """A block of a hundred inputs, as many of each kind as its share."""
    return [
        (kind, number) for kind, made in KINDS.items() for number in range(block * made.share, (block + 1) * made.share)
    ]


def again(table: Table, names: list[str]) -> Iterator[tuple[dict[str, Any], Input]]:
    """What is listed, with one of these outcomes if there are any; it is no longer counted."""
    for kind, row in table.items():
        listed, row["listed"] = row["listed"], []
        for entry in listed:
            number, outcome = entry.split(" ", 1)
            name = Found(outcome, 0).name
            if names and name not in names:
                row["listed"].append(entry)
                continue
            row["outcomes"] = dict(Counter(row["outcomes"]) - Counter([name]))
            yield row, (kind, int(number))


def distinct(first: int, next_block: int) -> dict[str, int]:
    sys.setrecursionlimit(10_000)  # some of them nest as deep as a process that compiles can write
    return {
        kind: len({hash(case(kind, n).source) for n in range(first * made.share, next_block * made.share)})
        for kind, made in KINDS.items()
    }


def report(table: Table, first: int, next_block: int, tried: Tried, took_s: float) -> dict[str, Any]:
    outcomes = Counter[str]()
    for row in table.values():
        outcomes += Counter(row["outcomes"])
    slowest_s = max(row["slowest_s"] for row in table.values())
    return {
        "benchmark": "grammar_fuzz",
        "command": "python benchmarks/grammar_fuzz.py " + " ".join(sys.argv[1:]),
        "version": version("policykit"),
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cpus": os.cpu_count()},
        "engines": {name: version(name) for name in ("llguidance", "lark", "jsonschema-rs", "jsonschema")},
        "deadline_s": tried.bounds.deadline_s,
        "memory_mib": tried.bounds.memory_mib,
        "judge_s": tried.judge_s,
        "first_block": first,
        "next_block": next_block,
        "took_s": round(took_s),
        "inputs": sum(row["inputs"] for row in table.values()),
        "over_s": round(max(0.0, slowest_s - tried.bounds.deadline_s), 2),
        "outcomes": dict(sorted(outcomes.items())),
        "kinds": table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000, help="how many inputs in all, in hundreds")
    parser.add_argument("--first", type=int, default=0, help="the first block of a hundred inputs")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--deadline", type=float, default=10.0)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--judge", type=float, default=2.0, help="seconds of processor time for judging one input")
    parser.add_argument("--processes", type=int, default=1, help="how many inputs at a time")
    parser.add_argument("--more", action="store_true", help="go on where the file ends")
    parser.add_argument("--again", nargs="*", metavar="OUTCOME", help="run what is listed once more, or these of it")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "NUMBER"), help="show one input and what becomes of it")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    tried = Tried(pk.Bounds(args.deadline, args.memory), args.judge)
    one_process.QUICK_S = args.deadline  # each thread has its process, which gives way to nobody and is used again
    if args.one:
        one = args.one[0], int(args.one[1])
        sys.stdout.write(f"{case(*one).source.encode('utf-8', 'backslashreplace').decode()}\n{tried(one)}\n")
        return
    table, first, at, before_s = empty(), args.first, args.first, 0.0
    if (args.more or args.again is not None) and args.out and args.out.exists():
        before = json.loads(args.out.read_text("utf-8"))
        table, first, at, before_s = before["kinds"], before["first_block"], before["next_block"], before["took_s"]
        for row in table.values():
            row.pop("distinct", None)  # of fewer
    begun = time.monotonic()
    found = report(table, first, at, tried, before_s)
    with ThreadPoolExecutor(args.processes) as threads:

        def written(next_block: int) -> dict[str, Any]:
            now = report(table, first, next_block, tried, before_s + time.monotonic() - begun)
            if args.out:
                beside = args.out.with_suffix(".part")
                beside.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", "utf-8")
                beside.replace(args.out)
            return now

        if args.again is not None:
            listed = list(again(table, args.again))
            for (row, one), outcome in zip(listed, threads.map(tried, [one for _, one in listed]), strict=True):
                count(row, one[1], outcome, by=0)
            found = written(at)
        end = at if args.again is not None else first + args.n // 100
        begins, blocks = at, deque[list[tuple[Input, Future[Found]]]]()
        while True:
            while begins < end and len(blocks) < AHEAD and time.monotonic() < begun + args.minutes * 60:
                blocks.append([(one, threads.submit(tried, one)) for one in inputs(begins)])
                begins += 1
            if not blocks:
                break
            for one, outcome in blocks.popleft():
                count(table[one[0]], one[1], outcome.result())
            at += 1
            found = written(at)
        for kind, n in distinct(first, at).items():
            table[kind]["distinct"] = n
        found = written(at)
    tried.close()
    sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
