"""Engines that tests start in a process of their own: `python -m tests.engines.vllm.apart drafts|adapters FOLDER`."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from policykit.embedded import model_path
from tests.engines.vllm.conftest import PROMPT, started
from tests.engines.vllm.test_engine import OPENINGS, forbidden, texts


def drafts(_: Path) -> None:
    """Speculative decoding by n-grams, with prompts that make it draft forbidden words."""
    from vllm import SamplingParams

    speculative = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 3, "prompt_lookup_min": 1}
    vllm = SimpleNamespace(engine=started(speculative_config=speculative), params=SamplingParams)
    phrases = ("guaranteed returns", "a safe bet")
    baits = [f"<|user|>Say: {phrase}! {phrase}! {phrase}!<|assistant|>{phrase[:-3]}" for phrase in phrases]
    prompts = [*baits * 10, *(PROMPT + opening for opening in OPENINGS * 8)]
    for temperature in (0.0, 0.8):
        said = texts(vllm, prompts, temperature=temperature, seed=None, max_tokens=40)
        whole = [prompt.rpartition("<|assistant|>")[2] + text for prompt, text in zip(prompts, said, strict=True)]
        assert [text for text in whole if forbidden(text)] == []


def adapters(folder: Path) -> None:
    """A request's LoRA adapter: it changes what is written, and not what may be."""
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    write_adapter(folder, 0)
    engine, adapter = started(enable_lora=True, max_lora_rank=8), LoRARequest("tenant", 1, str(folder))
    prompts = [PROMPT + opening for opening in OPENINGS] * 8

    def written(n: int, **params: Any) -> list[str]:
        lora = params.pop("lora", None)
        found = engine.generate(prompts[:n], SamplingParams(**params), lora_request=lora, use_tqdm=False)
        return [choice.text + "x" for request in found for choice in request.outputs]

    assert [text for text in written(32, max_tokens=50, temperature=1.0, lora=adapter) if forbidden(text)] == []
    plain = written(4, max_tokens=20, temperature=0.0)
    assert plain != written(4, max_tokens=20, temperature=0.0, lora=adapter), "or the adapter does nothing"


def write_adapter(folder: Path, seed: int) -> None:
    """A LoRA adapter of the embedded model with random weights."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((model_path() / "config.json").read_text())
    width, rank = config["hidden_size"], 4
    out = config["num_attention_heads"] * (config.get("head_dim") or width // config["num_attention_heads"])
    torch.manual_seed(seed)
    weights: dict[str, Any] = {}
    for layer in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        weights[f"{name}.lora_A.weight"] = torch.randn(rank, width) * 0.1
        weights[f"{name}.lora_B.weight"] = torch.randn(out, rank) * 0.1
    save_file(weights, str(folder / "adapter_model.safetensors"))
    described = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**described, "task_type": "CAUSAL_LM"}))


if __name__ == "__main__":
    {"drafts": drafts, "adapters": adapters}[sys.argv[1]](Path(sys.argv[2]))
    print("held")
