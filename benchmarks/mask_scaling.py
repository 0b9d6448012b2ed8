"""What a policy adds to the time between masks, over many schemas, and as phrases, vocabulary, batch and depth grow.

    python benchmarks/mask_scaling.py --data schemas.jsonl.gz --tokenizer tokenizer.json.gz --eos '<|endoftext|>' \\
        [--schemas N] [--out benchmarks/results/mask_scaling.json]

A step is accepting a token and filling the row. Each step is taken by both engines one after the other, on the same
token, in one process: llguidance alone, and policykit with 1,000 phrases and 20 expressions. Times are processor time
of the thread, so that other work on the machine is not waited for; caches are cold at first, and what it costs to fill
them is in the numbers; then all texts are walked again, as by a server that has met such texts before, and once more by
a new engine that begins with the warm set of the first. A text is walked as far as both admit it. The two halves, many
schemas and growing sizes, have a process each. The plot is written beside the results.
"""

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema_bench import has_bit, load_tokens, plain_file
from jsonschema_data import canonical, read_data, written
from jsonschema_engines import ENGINES, Compiled, Refused, Walk
from mask_overhead import REGEXES, SCHEMA, corpus_texts, legal_documents, make_phrases, policy_file, quantiles
from tokenizers import Tokenizer

import policykit as pk
from policykit.charts import Line, lines
from policykit.plan import WarmSets

OURS = "policykit+policy"
NAMES = {
    "llguidance": "llguidance",
    OURS: "policykit, 1,000 phrases + 20 regexes",
}
MAX_STEPS, N_DOCUMENTS = 2_000, 10
PHRASES = (10, 100, 1_000, 10_000)
VOCABULARIES = (32_000, 64_000, 128_000)
"""Beside the whole one."""
BATCHES = (1, 4, 16, 64, 256)
DEPTHS = (1, 4, 16, 64)
NESTED = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "child": {"$ref": "#"}},
    "required": ["text"],
    "additionalProperties": False,
}
Seconds = dict[str, list[float]]


def walk_together(walks: Mapping[str, Walk], ids: Sequence[int], seconds: Seconds) -> None:
    """Step all engines over the tokens, as far as all admit them; the times are added to each engine's own."""
    rows = {name: walk.fill() for name, walk in walks.items()}
    for token_id in ids:
        if not all(has_bit(row, token_id) for row in rows.values()):
            return
        for name, walk in walks.items():
            begun = time.thread_time()
            walk.accept(token_id)
            rows[name] = walk.fill()
            seconds[name].append(time.thread_time() - begun)


def beside_llguidance(cases: Sequence[dict[str, Any]], path: Path, eos: str | None, warm: Path) -> dict[str, Any]:
    tokens, tokenizer = load_tokens(path, eos), Tokenizer.from_file(str(path))
    engines: dict[str, Any] = {name: ENGINES[name](tokens) for name in NAMES}
    engines[OURS].warm = WarmSets(warm)
    seconds: Seconds = {name: [] for name in NAMES}
    searched: Seconds = {name: [] for name in NAMES}
    again: Seconds = {name: [] for name in NAMES}
    begun: Seconds = {name: [] for name in NAMES}
    walked: list[tuple[Any, dict[str, Compiled], list[int]]] = []
    outcomes: Counter[str] = Counter()
    for case in cases:
        compiled: dict[str, Compiled] = {}
        for name, engine in engines.items():
            try:
                compiled[name] = engine.compile(case["schema"])
            except Refused:
                outcomes[f"refused by {NAMES[name]}"] += 1
        if len(compiled) < len(engines):
            continue
        here: Seconds = {name: [] for name in NAMES}
        for test in case["tests"]:
            text = written(canonical(case["schema"], test["data"]) if test["valid"] else test["data"])
            ids = tokenizer.encode(text, add_special_tokens=False).ids[:MAX_STEPS]
            walk_together({name: c.walk() for name, c in compiled.items()}, ids, here)
            walked.append((case["schema"], compiled, ids))
        kind = compiled[OURS].liveness
        outcomes[kind] += 1
        print(f"{case['name']}: {kind}, {len(here['llguidance'])} steps", file=sys.stderr, flush=True)
        for name, found in here.items():
            seconds[name] += found
            if kind == "bounded":
                searched[name] += found
    for _, compiled, ids in walked:
        walk_together({name: c.walk() for name, c in compiled.items()}, ids, again)
    engines[OURS].warm.keep()
    fresh: Any = ENGINES[OURS](tokens)  # with automata and rows of its own
    fresh.warm = WarmSets(warm)
    for schema, compiled, ids in walked:
        both = compiled | {OURS: fresh.compile(schema)}
        walk_together({name: c.walk() for name, c in both.items()}, ids, begun)
    return {
        "schemas": len(cases),
        "outcomes": dict(outcomes),
        "steps": {name: quantiles(found) for name, found in seconds.items()},
        "steps where liveness is bounded": {n: quantiles(found) for n, found in searched.items() if found},
        "steps when all texts are walked again": {name: quantiles(found) for name, found in again.items()},
        "steps that begin with a warm set": {name: quantiles(found) for name, found in begun.items()},
        "ratio_of_means": ratio(seconds),
        "ratio_of_means_when_walked_again": ratio(again),
        "ratio_of_means_with_a_warm_set": ratio(begun),
    }


def ratio(seconds: Seconds) -> float:
    return round(float(np.mean(seconds[OURS]) / np.mean(seconds["llguidance"])), 2)


# ---- one thing grows


def greedy(tokens: Sequence[bytes], special: frozenset[int], text: str) -> list[int]:
    """The longest token first: a tokenisation for a vocabulary that was cut."""
    ids = {token: i for i, token in enumerate(tokens) if token and i not in special}
    longest, data, at = max(map(len, ids)), text.encode(), 0
    found: list[int] = []
    while at < len(data):
        size = next(n for n in range(min(longest, len(data) - at), 0, -1) if data[at : at + n] in ids)
        found.append(ids[data[at : at + size]])
        at += size
    return found


def times(constraint: pk.Constraint, texts: Sequence[Sequence[int]]) -> list[float]:
    row = np.zeros(-(-constraint.vocabulary.size // 32), np.int32)
    seconds: list[float] = []
    for ids in texts:
        state = constraint.start()
        state.fill(row)
        for token_id in ids:
            begun = time.thread_time()
            taken = state.accept(token_id)
            state.fill(row)
            seconds.append(time.thread_time() - begun)
            assert taken, "the text is legal"
    return seconds


def batch_times(constraint: pk.Constraint, texts: Sequence[Sequence[int]], n: int) -> list[float]:
    """Processor time per state, of steps that accept and fill for ``n`` states."""
    rows = np.zeros((n, -(-constraint.vocabulary.size // 32)), np.int32)
    chosen = [texts[i % len(texts)] for i in range(n)]
    states = [constraint.start() for _ in chosen]
    for state, row in zip(states, rows, strict=True):
        state.fill(row)
    seconds: list[float] = []
    for at in range(min(map(len, chosen))):
        begun = time.thread_time()
        for state, row, ids in zip(states, rows, chosen, strict=True):
            state.accept(ids[at])
            state.fill(row)
        seconds.append((time.thread_time() - begun) / n)
    return seconds


def nested(depth: int, texts: Sequence[str]) -> str:
    value: dict[str, Any] = {"text": texts[0]}
    for level in range(1, depth):
        value = {"text": texts[level % len(texts)], "child": value}
    return written(value)


def growing(path: Path, eos: str | None) -> dict[str, dict[str, dict[str, Any]]]:
    """For each thing that grows, by its size, what a step takes with the policy, and by the grammar alone."""
    tokens, tokenizer = load_tokens(path, eos), Tokenizer.from_file(str(path))
    corpus = corpus_texts(2_000)
    vocabulary = pk.Vocabulary.from_tokens(tokens.tokens, special_ids=tokens.special, eos_ids=[tokens.eos])
    grammar = pk.Grammar.from_json_schema(SCHEMA)
    plans = {n: pk.compile(policy_file(make_phrases(n, corpus), REGEXES), grammar) for n in PHRASES}
    documents = [
        d for d in legal_documents(plans[1_000], corpus, N_DOCUMENTS) if plans[10_000].verify(d).decision == "allow"
    ]
    encoded = [tokenizer.encode(d, add_special_tokens=False).ids for d in documents]

    def row(found: Sequence[float], plan: pk.Plan, over: pk.Vocabulary, texts: Sequence[Sequence[int]]) -> Any:
        alone = times(pk.compile(None, plan.spec.grammar).constraint(over), texts)
        return {"policy": quantiles(found), "grammar_mean_us": quantiles(alone)["mean_us"]}

    out: dict[str, dict[str, Any]] = {"phrases": {}, "vocabulary": {}, "batch": {}, "depth": {}}
    for n, plan in plans.items():
        out["phrases"][str(n)] = row(times(plan.constraint(vocabulary), encoded), plan, vocabulary, encoded)
    plan = plans[1_000]
    for n in VOCABULARIES:
        kept = (*tokens.tokens[: n - 1], b"<end>")
        special = frozenset({n - 1, *(i for i in tokens.special if i < n)})
        small = pk.Vocabulary.from_tokens(kept, special_ids=special, eos_ids=[n - 1])
        ids = [greedy(kept, special, d) for d in documents]
        out["vocabulary"][str(n)] = row(times(plan.constraint(small), ids), plan, small, ids)
    out["vocabulary"][str(vocabulary.size)] = out["phrases"]["1000"]
    constraint = plan.constraint(vocabulary)  # its states are known by now: batches and depths are measured warm
    for n in BATCHES:
        out["batch"][str(n)] = row(batch_times(constraint, encoded, n), plan, vocabulary, encoded)
    deep_plan = pk.compile(plan.spec.policies, pk.Grammar.from_json_schema(NESTED))
    deep = deep_plan.constraint(vocabulary)
    free = pk.compile(plan.spec.policies)
    sayings = [text for text in (t.split(".")[0] for t in corpus) if free.verify(text).decision == "allow"][:40]
    nests = {n: [tokenizer.encode(nested(n, sayings), add_special_tokens=False).ids] * 5 for n in DEPTHS}
    times(deep, nests[DEPTHS[-1]])
    for n, ids in nests.items():
        out["depth"][str(n)] = row(times(deep, ids), deep_plan, vocabulary, ids)
    return out


def plot(grown: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    series = [
        Line(f"{name}, {min(map(int, sizes)):,} to {max(map(int, sizes)):,}", tuple(_points(sizes)))
        for name, sizes in grown.items()
    ]
    title = "Mean processor time of a step (accept, fill) in µs, as one thing grows"
    return lines(title, series, "size beside the smallest, as a power of ten")


def _points(sizes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[float, float]]:
    first = min(map(int, sizes))
    for n, found in sizes.items():
        yield math.log10(int(n) / first), found["policy"]["mean_us"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json, or one that is gzipped")
    parser.add_argument("--eos", help="the end of text, where the tokenizer's file does not name it")
    parser.add_argument("--schemas", type=int, default=16, help="every so-and-so-many-th, this many in all")
    parser.add_argument("--only", choices=("schemas", "sizes"), help="one half")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    cases = read_data(args.data)
    n = min(args.schemas, len(cases))
    cases = [cases[i * len(cases) // n] for i in range(n)]
    result: dict[str, Any] = {
        "benchmark": "mask_scaling",
        "command": f"python benchmarks/mask_scaling.py --data {args.data.name} --tokenizer {args.tokenizer.name}"
        f" --eos '{args.eos}' --schemas {args.schemas}" + (f" --only {args.only}" if args.only else ""),
        "versions": {"policykit": pk.__version__, "llguidance": version("llguidance"), "numpy": np.__version__},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cores": os.cpu_count()},
        "clock": "processor time of the thread",
        "rules": {"phrases": 1_000, "regexes": len(REGEXES)},
    }
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        path = plain_file(args.tokenizer, Path(folder))
        halves: dict[str, Future[dict[str, Any]]] = {}
        if args.only != "sizes":
            halves["beside llguidance"] = pool.submit(beside_llguidance, cases, path, args.eos, Path(folder))
        if args.only != "schemas":
            halves["growing"] = pool.submit(growing, path, args.eos)
        result |= {name: half.result() for name, half in halves.items()}
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
        if "growing" in result:
            args.out.with_suffix(".svg").write_text(plot(result["growing"]), encoding="utf-8")


if __name__ == "__main__":
    main()
