"""What a policy costs on vLLM: time per output token beside plain vLLM and vLLM's own guidance backend, in one run.

    python benchmarks/vllm_overhead.py --tokenizer tokenizer.json.gz [--out benchmarks/results/vllm_overhead.json]

Three engines stand side by side, each in a process of its own, with the same tiny model over the whole vocabulary, so
that what the host does per token is not hidden behind a large one. Rounds go through all cases
in turn; the ratios are of medians. Run it with an interpreter that has vLLM.
"""

import argparse
import gzip
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

BATCHES = (1, 8, 32)
TOKENS = 64
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 40}, "text": {"type": "string", "minLength": 4000}},
    "required": ["title", "text"],
    "additionalProperties": False,
}
CASES: dict[str, tuple[str, str, bool]] = {
    "plain vLLM": ("none", "", False),
    "guidance, grammar": ("guidance", "", True),
    "policykit, grammar": ("policykit", "grammar", False),
    "policykit, grammar + 1,000 phrases + 20 regexes": ("policykit", "both", False),
    "policykit, free text + 1,000 phrases + 20 regexes": ("policykit", "policy", False),
}
"""Each case's engine, its plan, and whether the request carries the grammar."""


def make_model(folder: Path, tokenizer: Path, steps: int) -> None:
    """A tiny Llama over the tokenizer's vocabulary that has read the bundled corpus, as `save_pretrained` writes it.

    It is trained over the corpus' own tokens; the other rows of its head are zero, and sampling is cut to the twenty
    likeliest tokens, so that it writes words. A model of random weights would write what no policy is met with.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    data = gzip.decompress(tokenizer.read_bytes()) if tokenizer.suffix == ".gz" else tokenizer.read_bytes()
    (folder / "tokenizer.json").write_bytes(data)
    described = json.loads(data)
    ids = [*described["model"]["vocab"].values(), *(token["id"] for token in described["added_tokens"])]
    end = next(token for token in described["added_tokens"] if token["content"] == "<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end["content"]})
    )
    torch.manual_seed(0)
    size = -(-(max(ids) + 1) // 64) * 64
    shape: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": None, "tie_word_embeddings": False,
    }  # fmt: skip
    text = torch.tensor(Tokenizer.from_str(data.decode()).encode(" ".join(replies(3000))).ids)
    kept, small_text = torch.unique(text, return_inverse=True)
    small = LlamaForCausalLM(LlamaConfig(vocab_size=len(kept), eos_token_id=0, **shape))
    optimiser = torch.optim.AdamW(small.parameters(), lr=3e-3)
    for step in range(steps):
        starts = torch.randint(0, len(small_text) - 65, (32,))
        rows = torch.stack([small_text[at : at + 64] for at in starts])
        loss = small(input_ids=rows, labels=rows).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"training: step {step} of {steps}, loss {loss.item():.2f}", file=sys.stderr, flush=True)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=size, eos_token_id=end["id"], **shape))
    state = small.state_dict()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        grown = torch.zeros(size, shape["hidden_size"])
        grown[kept] = state[name]
        state[name] = grown
    model.load_state_dict(state)
    model.save_pretrained(folder)


def replies(n: int) -> list[str]:
    """Texts of the bundled corpus."""
    from policykit.embedded.corpus import DOMAINS, chat

    rng = random.Random(5)
    return [chat(rng, DOMAINS[i % len(DOMAINS)]).completion for i in range(n)]


def make_plans(run: Path) -> dict[str, str]:
    """The plans' digests by name, saved where the engine looks."""
    from verify_policy import REGEXES, VIEWS, make_phrases

    import policykit as pk
    from policykit.engines.attest import plan_path

    phrases = make_phrases(1000, replies(2000))
    rules: list[dict[str, Any]] = [
        {
            "id": "phrases",
            "match": {"phrases": phrases, "views": list(VIEWS)},
            "action": {"block": {}},
        },
        *({"id": f"regex-{i}", "match": {"regex": [r]}, "action": {"block": {}}} for i, r in enumerate(REGEXES[:20])),
    ]
    document = {
        "apiVersion": "policykit/v1", "kind": "Policy", "rules": rules, "tests": [],
        "metadata": {"name": "bench", "version": "1.0.0", "owner": "bench", "why": "a benchmark"},
    }  # fmt: skip
    path = run / "bench.policy.yaml"
    path.write_text(json.dumps(document))
    policies, grammar = pk.load_policies(path), pk.Grammar.from_json_schema(SCHEMA)
    plans = {
        "grammar": pk.compile(None, grammar),
        "both": pk.compile(policies, grammar),
        "policy": pk.compile(policies),
    }
    for plan in plans.values():
        plan.save(plan_path(run, plan.digest))
    return {name: plan.digest for name, plan in plans.items()}


def serve(model: Path, backend: str) -> None:
    """One engine: reads cases as lines of JSON, answers each with the seconds per output token."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from policykit.engines.attest import XARG, MaskRequest

    if backend == "policykit":
        from policykit.engines.vllm.plugin import install

        install()
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    engine = LLM(
        model=str(model), dtype="float32", enforce_eager=True, max_model_len=256, max_num_seqs=32,
        distributed_executor_backend="uni", enable_prefix_caching=False,
        structured_outputs_config={"backend": "guidance" if backend == "none" else backend},
    )  # fmt: skip
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        params = SamplingParams(max_tokens=TOKENS, temperature=1.0, top_k=20, seed=asked["seed"])
        if asked["plan"]:
            params.extra_args = {XARG: MaskRequest("bench", asked["plan"], "", "").render()}
        if asked["grammar"]:
            params.structured_outputs = StructuredOutputsParams(json=SCHEMA)
        prompts = [f"Text number {i}:" for i in range(asked["batch"])]
        start = time.perf_counter()
        found = engine.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - start
        steps = max(len(choice.token_ids) for request in found for choice in request.outputs)
        print(json.dumps({"ms": 1000 * seconds / steps, "steps": steps}), flush=True)


class Engine:
    """A :func:`serve` in another process."""

    def __init__(self, model: Path, backend: str, run: Path) -> None:
        variables = {"POLICYKIT_RUN": str(run), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        variables |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", backend, "--model", str(model)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **variables},
        )  # fmt: skip
        while (line := self._line()) != "ready":
            if not line and self._process.poll() is not None:
                raise RuntimeError(f"the engine with backend {backend} did not start")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        while not (line := self._line()).startswith("{"):
            if self._process.poll() is not None:
                raise RuntimeError("an engine has stopped")
        return json.loads(line)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(model: Path, run: Path, rounds: int) -> dict[str, dict[str, Any]]:
    digests = make_plans(run)
    engines = {backend: Engine(model, backend, run) for backend in ("none", "guidance", "policykit")}
    found: dict[tuple[str, int], list[float]] = {}
    try:
        for at in range(-1, rounds):  # the first round warms up
            for batch in BATCHES:
                for name, (backend, plan, grammar) in CASES.items():
                    asked = {"plan": digests.get(plan, ""), "grammar": grammar, "batch": batch, "seed": 100 + at}
                    answer = engines[backend].ask(**asked)
                    if at >= 0:
                        found.setdefault((name, batch), []).append(answer["ms"])
            print(f"round {at + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for engine in engines.values():
            engine.stop()
    return {name: {str(b): summary(found, name, b) for b in BATCHES} for name in CASES}


def summary(found: dict[tuple[str, int], list[float]], name: str, batch: int) -> dict[str, float]:
    """The median, and the median of the ratios round by round to guidance with the grammar and to plain vLLM."""
    mine = found[name, batch]

    def ratio(other: str) -> float:
        pairs: Sequence[tuple[float, float]] = list(zip(mine, found[other, batch], strict=True))
        return round(statistics.median(a / b for a, b in pairs), 3)

    return {
        "ms_per_token": round(statistics.median(mine), 3),
        "to_guidance": ratio("guidance, grammar"),
        "to_plain": ratio("plain vLLM"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--training-steps", type=int, default=600)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.model, args.serve)
        return
    if args.tokenizer is None:
        parser.error("--tokenizer is needed: a tokenizer.json, or one that is gzipped")
    with tempfile.TemporaryDirectory() as folder:
        model, run = Path(folder, "model"), Path(folder, "run")
        model.mkdir()
        (run / "plans").mkdir(parents=True)
        make_model(model, args.tokenizer, args.training_steps)
        vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
        measured = measure(model, run, args.rounds)
    result = {
        "benchmark": "vllm_overhead",
        "command": f"python benchmarks/vllm_overhead.py --tokenizer {args.tokenizer.name} --rounds {args.rounds} "
        f"--training-steps {args.training_steps}",
        "versions": {name: version(name) for name in ("vllm", "torch", "llguidance", "numpy")},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "device": "cpu, 1 thread"},
        "vocabulary": vocabulary,
        "tokens": TOKENS,
        "cases": measured,
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
