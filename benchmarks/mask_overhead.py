"""What a mask costs: grammar alone, policy alone, both, per step, in one process.

    python benchmarks/mask_overhead.py --tokenizer tokenizer.json [--out benchmarks/results/mask_overhead.json]

A step is filling the row and accepting the token. Two walks: texts of the bundled corpus inside a JSON document, and
an adversarial walk that picks, among allowed tokens, one that leads every step to a state never seen before. The
grammar's own time is measured beside the policy's on the same tokens, so the ratios hold on a noisy machine.
"""

import argparse
import gzip
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

import policykit as pk
from policykit.compile import lower
from policykit.constraint import PolicyMachine
from policykit.embedded.corpus.chat import reply, situation
from policykit.grammar import CompiledGrammar
from policykit.ir.document import PolicySet
from policykit.ir.plan import Level

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "category": {"enum": ["billing", "delivery", "advice", "complaint"]},
        "paragraphs": {"type": "array", "items": {"type": "string"}},
        "score": {"type": "number"},
    },
    "required": ["title", "category", "paragraphs"],
    "additionalProperties": False,
}
REGEXES = (
    r"guaranteed?\s+returns?", r"\brisk[\s-]*free\b", r"\b(?:buy|sell|short)\s+(?:now|today|immediately)\b",
    r"(?:double|triple|10x)\s+your\s+(?:money|savings|investment)s?", r"\b\d{3}-\d{2}-\d{4}\b",
    r"\b(?:cannot|can.?t|will\s+never)\s+(?:\w+\s+){0,2}(?:lose|fail)\b", r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
    r"\b[\w.+-]+@[\w-]+\.[\w.]{2,}\b", r"\b(?:\d{4}[ -]?){3}\d{4}\b", r"\bAKIA[0-9A-Z]{16}\b",
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b", r"\+\d{1,3}[ -]?\d{2,4}[ -]?\d{4,8}\b", r"\bacct[- ]?\d{8}\b",
    r"\b[A-CEGHJ-PR-TW-Z]{2}\d{6}[A-D]\b", r"eyJ[\w-]{10,}\.[\w-]{10,}", r"\bpassword\s*[:=]\s*\S+",
    r"\b\d{1,3}\s?%\s+(?:guaranteed|profit)\b", r"\bsure\s+(?:win|bet|thing)\b", r"\b\d{5}-\d{4}\b",
    r"\bMRN[: ]?\d{6,10}\b",
)  # fmt: skip


def word_list(texts: Sequence[str]) -> list[str]:
    return sorted({w.strip(".,!?:;\"'()").lower() for t in texts for w in t.split() if w.isascii() and len(w) > 3})


def make_phrases(n: int, texts: Sequence[str]) -> list[str]:
    """Phrases of two or three words from the corpus's own words, so that texts often begin one and seldom end one."""
    rng = random.Random(17)
    words = [w for w in word_list(texts) if w.isalpha()]
    found: dict[str, None] = {}
    while len(found) < n:
        found[" ".join(rng.choices(words, k=rng.choice((2, 2, 3))))] = None
    return list(found)


def policy_file(phrases: Sequence[str], regexes: Sequence[str]) -> PolicySet:
    rules: list[dict[str, object]] = [
        {"id": "phrases", "match": {"phrases": list(phrases)}, "action": {"block": {"onMatch": "avoid"}}}
    ]
    if regexes:
        rules.append({"id": "regexes", "match": {"regex": list(regexes)}, "action": {"block": {"onMatch": "avoid"}}})
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "bench/mask", "version": "1.0.0", "owner": "bench@example.org", "why": "a benchmark"},
        "rules": rules,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".policy.yaml", delete=False) as file:
        json.dump(document, file)
    return pk.load_policies(file.name)


def corpus_texts(n: int) -> list[str]:
    """Customer-service replies of the bundled corpus."""
    rng = random.Random(5)
    return [reply(situation(rng)) for _ in range(n)]


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    us = sorted(s * 1e6 for s in seconds)

    def at(q: float) -> float:
        return us[min(len(us) - 1, int(q * len(us)))]

    return {
        "mean_us": round(statistics.fmean(us), 2),
        "p50_us": round(at(0.5), 2),
        "p90_us": round(at(0.9), 2),
        "p99_us": round(at(0.99), 2),
        "max_us": round(us[-1], 2),
        "steps": len(us),
    }


class Steps(Protocol):
    """What is walked: the state of a constraint, or of a grammar alone."""

    def fill(self, row: NDArray[np.int32]) -> None: ...

    def accept(self, token_id: int) -> bool: ...


class Walked:
    """One matcher walked step by step; times are kept per step."""

    def __init__(self, start: Callable[[], Steps], size: int) -> None:
        self.start = start
        self.state = start()
        self.row = np.zeros(-(-size // 32), np.int32)
        self.seconds: list[float] = []

    def step(self, token_id: int) -> None:
        begin = time.perf_counter()
        self.state.fill(self.row)
        accepted = self.state.accept(token_id)
        self.seconds.append(time.perf_counter() - begin)
        assert accepted, "the text is legal"

    def restart(self) -> None:
        self.state = self.start()


def memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def legal_documents(plan: pk.Plan, texts: Sequence[str], n: int) -> list[str]:
    rng = random.Random(3)
    out: list[str] = []
    while len(out) < n:
        value = {
            "title": rng.choice(texts).split(".")[0][:60],
            "category": rng.choice(["billing", "delivery", "advice", "complaint"]),
            "paragraphs": rng.sample(texts, 6),
        }
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if plan.verify(text).decision is pk.Decision.ALLOW:
            out.append(text)
    return out


def adversarial(constraint: pk.Constraint, steps: int) -> tuple[list[float], int]:
    """Times of a walk that never meets a joint state twice."""
    rng = random.Random(9)
    machine = constraint.machine
    size = constraint.vocabulary.size
    row = np.zeros(-(-size // 32), np.int32)
    seen: set[object] = set()
    seconds: list[float] = []
    state = constraint.start()
    fresh = 0
    for _ in range(steps):
        begin = time.perf_counter()
        state.fill(row)
        filled = time.perf_counter() - begin
        allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")[:size])
        chosen = best = None
        for token_id in rng.choices(allowed.tolist(), k=40):
            if token_id in constraint.vocabulary.special_ids:
                continue
            joint = machine.advance(state.joint, token_id)
            if joint is None or joint.modes != ("inside",):
                continue
            key = (joint.pending, joint.modes, joint.states)
            away = sum(u.automaton.reference(s) != s for u, s in zip(joint.epoch.units, joint.states, strict=True))
            if key not in seen and (best is None or away > best):
                chosen, best = (token_id, key), away
        if chosen is None:
            token_id = int(rng.choice(allowed.tolist()))
        else:
            token_id = chosen[0]
            seen.add(chosen[1])
            fresh += 1
        begin = time.perf_counter()
        accepted = state.accept(token_id)
        seconds.append(filled + time.perf_counter() - begin)
        if not accepted or state.finished:
            state = constraint.start()
    return seconds, fresh


def compile_times(vocabulary: pk.Vocabulary, texts: Sequence[str]) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for n in (10, 100, 1_000, 10_000):
        policies = policy_file(make_phrases(n, texts), ())
        begin = time.perf_counter()
        plan = pk.compile(policies)
        planned = time.perf_counter()
        machine = PolicyMachine(lower([r for r in plan.spec.rules if r.level is Level.DECODE]), vocabulary)
        machine.mask(machine.start())
        done = time.perf_counter()
        out[str(n)] = {
            "plan_s": round(planned - begin, 3),
            "bind_s": round(done - planned, 3),
            "total_s": round(done - begin, 3),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, type=Path)
    parser.add_argument("--eos", default="<|endoftext|>")
    parser.add_argument("--documents", type=int, default=30)
    parser.add_argument("--adversarial-steps", type=int, default=1500)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    raw = options.tokenizer.read_bytes()
    source = gzip.decompress(raw) if options.tokenizer.suffix == ".gz" else raw
    with tempfile.NamedTemporaryFile("wb", suffix=".json", delete=False) as file:
        file.write(source)
    vocabulary = pk.Vocabulary.from_file(file.name, eos_token=options.eos)
    encoder = Tokenizer.from_str(source.decode())
    texts = corpus_texts(2_000)
    # The first binding builds the vocabulary's images, which every plan shares: it is reported, not hidden in a row.
    begin = time.perf_counter()
    warm = PolicyMachine(lower(pk.compile(policy_file(["a b"], ())).spec.rules), vocabulary)
    warm.mask(warm.start())
    first_s = time.perf_counter() - begin
    compiled = compile_times(vocabulary, texts)
    grammar = pk.Grammar.from_json_schema(SCHEMA)
    policies = policy_file(make_phrases(1_000, texts), REGEXES)
    begin = time.perf_counter()
    plan = pk.compile(policies, grammar)
    constraint = plan.constraint(vocabulary)
    compile_s = time.perf_counter() - begin
    free = pk.compile(policies).constraint(vocabulary)
    alone = CompiledGrammar(grammar, vocabulary.table)
    documents = legal_documents(plan, texts, options.documents)
    before_mb = memory_mb()
    walks = {
        "grammar": Walked(alone.start, vocabulary.size),
        "policy": Walked(free.start, vocabulary.size),
        "both": Walked(constraint.start, vocabulary.size),
    }
    n_tokens = 0
    for text in documents:
        for walk in walks.values():
            walk.restart()
        for token_id in encoder.encode(text).ids:
            n_tokens += 1
            for walk in walks.values():
                walk.step(token_id)
    rows = constraint.machine.rows
    hits = {"hits": rows.hits, "misses": rows.misses, "rate": round(rows.hits / max(1, rows.hits + rows.misses), 4)}
    cold = plan.constraint(vocabulary)
    seconds, fresh = adversarial(cold, options.adversarial_steps)
    after_mb = memory_mb()
    text_table = {name: quantiles(walk.seconds) for name, walk in walks.items()}
    result = {
        "benchmark": "mask_overhead",
        "command": " ".join(["python", "benchmarks/mask_overhead.py", "--tokenizer", "TOKENIZER.json"]),
        "versions": {"policykit": pk.__version__, "llguidance": version("llguidance"), "numpy": np.__version__},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cpus": 2},
        "vocabulary": vocabulary.size,
        "rules": {"phrases": 1_000, "regexes": len(REGEXES)},
        "liveness": plan.liveness.kind.value,
        "first_binding_s": round(first_s, 3),
        "compile_phrases": compiled,
        "compile_all_s": round(compile_s, 3),
        "text": {"documents": len(documents), "tokens": n_tokens, **text_table},
        "text_ratio_both_to_grammar_p50": round(text_table["both"]["p50_us"] / text_table["grammar"]["p50_us"], 2),
        "row_cache": hits,
        "adversarial": {**quantiles(seconds), "new_states": fresh},
        "memory_mb": {"before_walks": before_mb, "after_walks": after_mb, "growth": round(after_mb - before_mb, 1)},
    }
    text = json.dumps(result, indent=2)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
