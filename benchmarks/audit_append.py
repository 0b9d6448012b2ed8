"""How fast records become durable: appends per second and the latency of each, at 1, 8 and 64 at a time.

    python benchmarks/audit_append.py [--postgres postgresql://…] [--out benchmarks/results/audit_append.json]

Each of N threads appends and waits for the acknowledgement before it appends again; what waits together becomes one
write to the disk. A record has one judged text with ten rules and one span, about 2 kB. Latencies include the making of
the canonical JSON. The folder should lie on the disk that is asked about (`--folder`).
"""

import argparse
import json
import platform
import sqlite3
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import policykit as pk
from policykit.audit import Keeping, Log, Outcome, Record, open_log, render
from policykit.ir.verdict import Decision, Verdict, Violation


def record(number: int, keeping: Keeping) -> Record:
    fired = (Violation("finance/retail#no-guarantees", 10, 28, "compat", "guaranteed returns", "high", 1.0),)
    verdict = Verdict(Decision.BLOCK, "", fired, (), (), (), (), 1.0, f"sha256:{'a' * 64}")
    text = "There are guaranteed returns on this. " * 10
    rules = tuple(f"finance/retail#rule-{i}" for i in range(10))
    judged = keeping.judgement(verdict, channel="content", choice=0, attempt=1, text=text, rules=rules)
    return Record(
        request=f"{number:032x}",
        at=datetime.now(UTC),
        route="/v1/chat/completions",
        outcome=Outcome.BLOCKED,
        decision=Decision.BLOCK,
        status=200,
        tenant="acme",
        key="acme-web",
        profile="retail",
        rules=("finance/retail#no-guarantees",),
        judgements=(judged,),
    )


def measured(log: Log, n_threads: int, seconds: float) -> dict[str, float]:
    keeping = Keeping()
    spent: list[list[float]] = [[] for _ in range(n_threads)]
    end = time.perf_counter() + seconds

    def work(thread: int) -> None:
        number = thread << 32
        while time.perf_counter() < end:
            given = record(number, keeping)
            begin = time.perf_counter()
            log.append(given)
            spent[thread].append(time.perf_counter() - begin)
            number += 1

    begin = time.perf_counter()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    every = sorted(value for one in spent for value in one)
    cuts = statistics.quantiles(every, n=100)
    return {
        "appends_per_s": round(len(every) / took, 1),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "appends": len(every),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="address of a database of its own")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        addresses = {"sqlite": f"{folder}/log", **({"postgresql": args.postgres} if args.postgres else {})}
        for name, address in addresses.items():
            log = open_log(address)
            found[name] = {f"{n} at once": measured(log, n, args.seconds) for n in (1, 8, 64)}
            log.close()
    result = {
        "benchmark": "audit_append",
        "command": "python benchmarks/audit_append.py --postgres postgresql://…",
        "versions": {"policykit": pk.__version__, "sqlite": sqlite3.sqlite_version},
        "machine": {"python": platform.python_version(), "system": platform.machine()},
        "record_bytes": len(render(record(0, Keeping()))),
        "stores": found,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
