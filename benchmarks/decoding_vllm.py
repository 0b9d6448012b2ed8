"""The strategies on the real vLLM: what they keep, and the requests and computed positions that going back costs there.

    python benchmarks/decoding_vllm.py --out benchmarks/results/decoding_vllm.json

The task of `benchmarks/decoding.py` on the same model in vLLM, with an interpreter that has it; prompts with almost no
legal mass; and the distance to the exact distribution on a model in vLLM whose every text is listed
(`benchmarks/listed_llama.py`). `prefilled_per_answer` are positions that were computed besides the drawn tokens: the
prompt once, less than a block where a text is taken up again, and the step behind a refused token.
"""

import argparse
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from math import exp
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import listed_llama
import numpy as np
from decoding import HARMLESS, Results, hopeless_rows, least_mass_rows, plan_of, run_row
from reply_task import POLICY, Question, questions, train
from rich.console import Console

from policykit.decoding import Auto, Block, Budget, Exact, Mask, Reject, Settings, Strategy, sample
from policykit.engines.vllm.sampling import BLOCK, VllmEngine

PIECES, LENGTH, RULE, SEED = "abc\n", 5, "ba|ca|ab", 5
N_DRAWS = 1000
JOBS: tuple[tuple[Strategy | None, bool], ...] = (
    (None, False), (Block(), False), (Mask(), False), (Exact(), False), (Reject(), False),
    (Block(), True), (Exact(), True), (Auto(), False),
)  # fmt: skip


def started(folder: Path, length: int) -> VllmEngine:
    fixed: dict[str, Any] = {"enforce_eager": True, "dtype": "float32", "distributed_executor_backend": "uni"}
    return VllmEngine.load(str(folder), chat=False, max_model_len=length, **fixed)


def task_rows(engine: VllmEngine, asked: Sequence[Question], kept: Results) -> None:
    free, plan = plan_of(HARMLESS % ("free", "qqqqqqqq")), plan_of(POLICY)
    for strategy, cited in JOBS:
        name = strategy.name.value if strategy else "free"
        if not kept.has("task", strategy=name, citations_checked=cited):
            row = run_row(
                engine, asked, plan if strategy else free, strategy or Reject(),
                name=name, with_citations=cited, tick=lambda: None,
            )  # fmt: skip
            kept.add("task", row | {"citations_checked": cited, "cache_block": BLOCK})
    hopeless_rows(engine, asked[:30], kept)
    least_mass_rows(engine, asked[:15], kept, (0.001, 0.01, 0.02, 0.05))


def distances(engine: VllmEngine, listed: listed_llama.Listed, kept: Results) -> None:
    """Each strategy's distance to the listed distribution, and how far as many exact draws lie from it by chance."""
    plan = plan_of(HARMLESS % ("table", RULE))
    constraint = plan.constraint(engine.vocabulary)
    legal = {text: exp(logp) for text, logp in listed.texts() if not re.search(RULE, listed.text_of(text))}
    mass = sum(legal.values())
    p = np.array(list(legal.values())) / mass
    rng = np.random.default_rng(1)
    noise = np.array([np.abs(rng.multinomial(N_DRAWS, p) / N_DRAWS - p).sum() / 2 for _ in range(200)])
    for strategy in (Mask(), Reject(), Exact(), Block(), Auto(1)):
        if kept.has("listed_models", strategy=strategy.name.value):
            continue
        drawn: Counter[tuple[int, ...]] = Counter()
        n_requests = 0
        for seed in range(N_DRAWS):
            settings = Settings(LENGTH, seed=seed, budget=Budget(n_attempts=None))
            found = sample(engine, listed_llama.PROMPT, plan, strategy, settings=settings, constraint=constraint)
            drawn[found.answers[0].token_ids] += 1
            n_requests += found.n_requests
        far = sum(abs(drawn[text] / N_DRAWS - q) for text, q in zip(legal, p, strict=True)) / 2
        bound = (1 - mass) ** 2 if isinstance(strategy, Auto) else 1 - mass
        kept.add(
            "listed_models",
            {
                "world": "llama", "strategy": strategy.name.value, "draws": N_DRAWS, "legal_mass": mass,
                "illegal": sum(count for text, count in drawn.items() if text not in legal),
                "tv": float(far), "noise_mean": float(noise.mean()), "noise_max": float(noise.max()),
                "stated_bound": 0.0 if isinstance(strategy, Reject | Exact) else bound,
                "requests_per_answer": n_requests / N_DRAWS,
            },
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="decoding strategies on vLLM")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a folder that `reply_task.train` wrote (default: train one)")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=999)
    args = parser.parse_args()
    kept = Results(args.out, Console(file=sys.stderr), "decoding_vllm", vllm=version("vllm"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.model
        if folder is None:
            folder = Path(scratch) / "model"
            kept.console.print("training the model: a minute or two")
            train(folder, n_heads=3)  # vLLM has no kernel on CPUs for heads of 24
        task_rows(started(folder, 256), questions(args.prompts, args.seed), kept)
        small = Path(scratch) / "listed"
        listed_llama.write(small, PIECES, seed=SEED)
        distances(started(small, 64), listed_llama.Listed(small, PIECES, LENGTH), kept)


if __name__ == "__main__":
    main()
