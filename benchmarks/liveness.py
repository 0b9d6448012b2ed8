"""How it is known that no text runs into a dead end: 50 schemas and 40 grammars under a policy of 1,000 phrases.

    python benchmarks/liveness.py --data schemas.jsonl.gz [--out benchmarks/results/liveness.json]

Each is compiled with the policy in a child process that has the policy already; what is measured is compiling in
processor time, and the child's peak of resident memory, of which what stood before is told apart. Outcomes are what the
plan says (`policykit explain --plan`): rules that reset at the end of each JSON string while every string can be closed
(i), a product of grammar and automata that was walked, trimmed where it had to be (ii), a search at run time (bounded),
or a refusal by its code. ``--grammars`` are those of `grammars/` and the first of `tests/grammar/languages`.
"""

import argparse
import json
import os
import pickle
import platform
import resource
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsonschema_data import read_data
from mask_overhead import corpus_texts, make_phrases, policy_file
from rich.progress import track

import policykit as pk
from policykit.ir.document import PolicySet

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))
OUTCOMES = {
    "proved: resets": "(i) every string can be closed",
    "proved: product": "(ii) product",
    "proved: escape": "free text",
    "bounded": "bounded",
}
Row = dict[str, Any]


def sources(data: Path, n_schemas: int, n_grammars: int) -> Iterator[tuple[str, str, Any]]:
    """(kind, name, source) of everything that is compiled."""
    from tests.grammar.languages.lark_files import COMMON

    cases = read_data(data)
    n = min(n_schemas, len(cases))
    for i in range(n):
        case = cases[i * len(cases) // n]
        yield "schema", case["name"], case["schema"]
    shipped = [(path.name, path.read_text("utf-8")) for path in sorted((ROOT / "grammars").glob("*.lark"))]
    for name, source in [*shipped, *((name, source) for name, (source, _) in COMMON.items())][:n_grammars]:
        yield "grammar", name, source


def compiled(policies: PolicySet, kind: str, source: Any) -> Row:
    """What the plan says, or why there is none."""
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.process_time()
    try:
        grammar = pk.Grammar.from_json_schema(source) if kind == "schema" else pk.Grammar.from_lark(source)
        found = pk.compile(policies, grammar).liveness
        said = {"outcome": OUTCOMES[found.kind.value], "why": found.why[:200]}
    except pk.PolicyError as error:
        first = error.diagnostics[0]
        said = {"outcome": "refused", "why": f"{first.code}: {first.message}"[:200]}
    spent = time.process_time() - begun
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**said, "compile_s": round(spent, 3), "peak_mb": round(peak_mb, 1), "before_mb": round(before_mb, 1)}


def in_child(policies: PolicySet, kind: str, source: Any, limit_s: int) -> Row:
    """The same in a forked process, which is ended after so much processor time."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
        with os.fdopen(writable, "wb") as out:
            pickle.dump(compiled(policies, kind, source), out)
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) or not said:
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "ended"
        return {"outcome": f"not compiled in {limit_s} s", "why": how, "compile_s": float(limit_s)}
    return pickle.loads(said)


def summary(rows: Sequence[Row]) -> Row:
    """Counts by outcome, with time and memory of the plans that were made."""
    out: Row = {}
    for outcome in dict.fromkeys(row["outcome"] for row in sorted(rows, key=lambda r: r["outcome"])):
        here = [row for row in rows if row["outcome"] == outcome]
        seconds = sorted(row["compile_s"] for row in here)
        grown = [row["peak_mb"] - row["before_mb"] for row in here if "peak_mb" in row]
        out[outcome] = {
            "n": len(here),
            "compile_s": {"median": statistics.median(seconds), "max": seconds[-1]},
            "peak_mb": max((row["peak_mb"] for row in here if "peak_mb" in row), default=None),
            "grown_mb": round(max(grown), 1) if grown else None,
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--schemas", type=int, default=50)
    parser.add_argument("--grammars", type=int, default=40)
    parser.add_argument("--limit-s", type=int, default=60, help="processor time for one plan")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    policies = policy_file(make_phrases(1_000, corpus_texts(400)), ())
    pk.compile(policies)  # what every process would do before its first plan
    wanted = list(sources(args.data, args.schemas, args.grammars))
    rows: list[Row] = []
    for kind, name, source in track(wanted, "plans", disable=not sys.stderr.isatty()):
        rows.append({"kind": kind, "name": name, **in_child(policies, kind, source, args.limit_s)})
    result = {
        "benchmark": "liveness",
        "command": f"python benchmarks/liveness.py --data {args.data.name}",
        "versions": {"policykit": pk.__version__, "llguidance": version("llguidance")},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cores": os.cpu_count()},
        "clock": "processor time of the child",
        "rules": {"phrases": 1_000},
        "schemas": summary([row for row in rows if row["kind"] == "schema"]),
        "grammars": summary([row for row in rows if row["kind"] == "grammar"]),
        "plans": rows,
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(json.dumps({part: result[part] for part in ("schemas", "grammars")}, indent=2))
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
