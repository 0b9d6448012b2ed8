"""JSON Schemas and their instances, token by token, through one engine after the other: what each masks, and how fast.

    python benchmarks/jsonschema_bench.py --data schemas.jsonl.gz --tokenizer tokenizer.json.gz \\
        [--engines policykit,llguidance,xgrammar,outlines-core] [--limit N] [--out results.json] [--rows rows.jsonl]
    python benchmarks/jsonschema_bench.py --suite json-schema-test-suite.tar.gz --drafts draft7,draft2020-12 ...

``--data`` holds a JSON object a line: ``name``, ``schema``, ``tests: [{valid, data}]`` (the form of MaskBench). Each
engine runs in a process of its own that is killed and started again where a schema takes longer than ``--timeout-s``;
for each schema the engines take turns, so that ratios hold on a noisy machine. A schema passes where it compiles, every
valid instance can be written to its end (as it stands, or in canonical form: names in the order in which they are
defined) and no invalid one can, or where it is shown to be unsatisfiable and has invalid instances only.

TTFM is the time from a schema to its first mask; TBM from one mask to the next: accept a token, fill the row. Both are
CPU time of the engine's process, so that what else a machine does in the meantime is not counted.
"""

import argparse
import json
import os
import platform
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from jsonschema_data import (
    broken_keywords,
    canonical,
    end_of_first_fault,
    end_tokens,
    read_data,
    read_suite,
    written,
)
from jsonschema_engines import ENGINES, Compiled, Refused, Tokens, Unsatisfiable, engine_version
from jsonschema_report import report
from numpy.typing import NDArray
from rich.progress import Progress
from tokenizers import Tokenizer

import policykit as pk

Row = dict[str, Any]
MAX_STEPS: Final = 20_000


def load_tokens(path: Path, eos: str | None) -> Tokens:
    found = pk.Vocabulary.from_file(path, eos_token=eos)
    return Tokens(path, found.tokens, found.special_ids, found.eos_ids[0])


def has_bit(row: NDArray[np.int32], token_id: int) -> bool:
    return bool((int(row[token_id >> 5]) >> (token_id & 31)) & 1)


def walk_instance(compiled: Compiled, ids: Sequence[int], eos: int, between: list[float]) -> int | None:
    """The index of the first token that the mask closes (``len(ids)`` is the end of text); None if it closes none."""
    walk = compiled.walk()
    row = walk.fill()
    for at, token_id in enumerate(ids):
        if not has_bit(row, token_id):
            return at
        begun = time.process_time()
        is_taken = walk.accept(token_id)
        row = walk.fill() if is_taken else row
        between.append(time.process_time() - begun)
        if not is_taken:
            return at
    return None if has_bit(row, eos) else len(ids)


def run_schema(engine: Any, tokenizer: Tokenizer, tokens: Tokens, case: Row) -> Row:
    """Everything that one engine does with one schema and its instances."""
    begun = time.process_time()
    try:
        compiled = engine.compile(case["schema"])
        compiled.walk().fill()
    except Refused as error:
        kind = "unsat" if isinstance(error, Unsatisfiable) else "refused"
        counts = {"n_tests": len(case["tests"]), "n_valid": sum(test["valid"] for test in case["tests"])}
        spent = time.process_time() - begun
        return {"outcome": kind, "why": str(error)[:300], "compile_s": spent, **counts, "tests": []}
    row: Row = {"outcome": "compiled", "ttfm_s": time.process_time() - begun}
    row["residue"] = list(compiled.residue())  # no mask waits for what it does not carry
    row["n_tests"] = len(case["tests"])
    between: list[float] = []
    row["tests"] = [run_test(compiled, tokenizer, tokens, case["schema"], test, between) for test in case["tests"]]
    return {**row, "tbm_s": between}


def run_test(
    compiled: Compiled, tokenizer: Tokenizer, tokens: Tokens, schema: Any, test: Row, between: list[float]
) -> Row:
    """One instance as it is written, and a valid one that is refused once more in canonical form: an engine that writes
    names in the order of their definition, and each number in one way, does not refuse a value by that."""
    text = written(test["data"])
    encoded = tokenizer.encode(text, add_special_tokens=False)
    ids = encoded.ids[:MAX_STEPS]
    closed = walk_instance(compiled, ids, tokens.eos, between)
    found = compiled.judge(text) if compiled.judge else None
    as_written = closed is None
    if test["valid"] and not as_written:
        reordered = written(canonical(schema, test["data"]))
        ids = tokenizer.encode(reordered, add_special_tokens=False).ids[:MAX_STEPS]
        closed = walk_instance(compiled, ids, tokens.eos, [])
    row: Row = {"valid": test["valid"], "tokens": len(ids), "closed_at": closed, "found": found}
    row["as_written"] = as_written
    if not test["valid"]:
        fault = end_of_first_fault(schema, test["data"])
        row["fault"], end = (None, len(ids)) if fault is None else (fault[0], end_tokens(encoded.offsets, fault[1]))
        row["broken"] = broken_keywords(schema, test["data"]) if closed is None else []
        row["late"] = max(0, (len(ids) if closed is None else closed) - end)
    return row


def work(name: str, tokenizer_path: Path, eos: str | None) -> None:
    """The loop of one engine's process: a case a line on its input, a result a line on its output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints is not a result
    tokens = load_tokens(tokenizer_path, eos)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    engine = ENGINES[name](tokens)
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        try:
            row = run_schema(engine, tokenizer, tokens, json.loads(line))
        except Exception as error:  # an engine may raise anything; the row says what
            row = {"outcome": "crashed", "why": f"{type(error).__name__}: {error}"[:300], "tests": []}
        row["max_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(row), file=out, flush=True)


class Worker:
    """An engine's process, started again after a time-out or a crash."""

    def __init__(self, name: str, tokenizer: Path, eos: str | None) -> None:
        self._command = [sys.executable, __file__, "--worker", name, "--tokenizer", str(tokenizer)]
        self._command += ["--eos", eos] if eos else []
        self._process: subprocess.Popen[str] | None = None

    def ask(self, case: Row, timeout_s: float) -> Row:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"schema": case["schema"], "tests": case["tests"]}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended("crashed")
        line = self._line(process, timeout_s)
        return json.loads(line) if line else self._ended("timeout" if line is None else "crashed")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ended(self, how: str) -> Row:
        self.stop()
        return {"outcome": how, "why": "the process ended" if how == "crashed" else "", "tests": []}

    def _start(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        if not self._line(self._process, 300):
            raise SystemExit(f"{' '.join(self._command)} did not start")
        return self._process

    @staticmethod
    def _line(process: "subprocess.Popen[str]", timeout_s: float) -> str | None:
        """A whole line, an empty one at the end of the process, or None after the time."""
        assert process.stdout is not None
        is_there, _, _ = select.select([process.stdout], [], [], timeout_s)
        return process.stdout.readline() if is_there else None


def run(cases: Sequence[Row], names: Sequence[str], args: argparse.Namespace, tokenizer: Path) -> Iterator[Row]:
    workers = {name: Worker(name, tokenizer, args.eos) for name in names}
    try:
        with Progress(disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("schemas", total=len(cases))
            for number, case in enumerate(cases):
                for name in names[number % len(names) :] + names[: number % len(names)]:  # nobody is always first
                    yield {"name": case["name"], "engine": name, **workers[name].ask(case, args.timeout_s)}
                progress.advance(bar)
    finally:
        for worker in workers.values():
            worker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--suite", type=Path, help="the official suite, as a tar file")
    parser.add_argument("--drafts", default="draft7,draft2020-12")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json, or one that is gzipped")
    parser.add_argument("--eos", help="the end of text, where the tokenizer's file does not name it")
    parser.add_argument("--engines", default="policykit,llguidance,xgrammar,outlines-core")
    parser.add_argument("--limit", type=int, help="every so-and-so-many-th schema, this many in all")
    parser.add_argument("--timeout-s", type=float, default=60.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=Path, help="every schema's result, a line each")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.tokenizer, args.eos)
        return
    names = args.engines.split(",")
    if unknown := [name for name in names if name not in ENGINES]:
        parser.error(f"unknown engine `{unknown[0]}`; there are {', '.join(ENGINES)}")
    if (args.data is None) == (args.suite is None):
        parser.error("either --data or --suite is needed")
    cases = read_data(args.data) if args.data else read_suite(args.suite, args.drafts.split(","))
    if args.limit and args.limit < len(cases):
        cases = [cases[i * len(cases) // args.limit] for i in range(args.limit)]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = plain_file(args.tokenizer, Path(folder))
        rows = list(run(cases, names, args, tokenizer))
    if args.rows:
        args.rows.write_text("".join(json.dumps({**row, "tbm_s": []}) + "\n" for row in rows))
    what = f"--data {args.data.name}" if args.data else f"--suite {args.suite.name} --drafts {args.drafts}"
    result = {
        "benchmark": "jsonschema_bench",
        "command": f"python benchmarks/jsonschema_bench.py {what} --tokenizer {args.tokenizer.name} "
        f"--engines {args.engines}" + (f" --limit {args.limit}" if args.limit else ""),
        "versions": {name: engine_version(name) for name in names} | {"jsonschema-rs": version("jsonschema-rs")},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cores": os.cpu_count()},
        "schemas": len(cases),
        **report(rows, names),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(result["table"], file=sys.stderr)
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


def plain_file(path: Path, folder: Path) -> Path:
    """The tokenizer's file as engines read it."""
    if path.suffix != ".gz":
        return path
    import gzip

    (folder / "tokenizer.json").write_bytes(gzip.decompress(path.read_bytes()))
    return folder / "tokenizer.json"


if __name__ == "__main__":
    main()
