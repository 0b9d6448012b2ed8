"""Engines that tests start in a process of their own: `python -m tests.engines.vllm.apart NAME FOLDER`."""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import policykit as pk
from policykit.embedded import model_path
from policykit.ir.document import PolicySet
from policykit.plan.pins import FILE, pins_of, write_pins
from tests.engines.vllm.conftest import PROMPT, started
from tests.engines.vllm.plans import POLICY, plan
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


def pins(folder: Path) -> None:
    """What an adapter was trained under is held against the plan of its request: another bundle is named once, with
    both digests, and the plan holds; pins that are not of the weights fail the request, and no other."""
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    said: list[str] = []
    told = logging.Handler()
    told.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    ours = plan()
    other = pk.compile(PolicySet((pk.parse_document(POLICY.replace("risk-free", "purple"), "other.policy.yaml"),)))
    adapters: dict[str, Any] = {}
    for number, (name, under) in enumerate((("kin", ours), ("stranger", other), ("torn", ours)), 1):
        (folder / name).mkdir()
        write_adapter(folder / name, number)
        write_pins(folder / name, pins_of(under))
        adapters[name] = LoRARequest(name, number, str(folder / name))
    torn = folder / "torn" / FILE
    torn.write_text(torn.read_text().replace(ours.bundle_digest, other.bundle_digest))
    engine = started(enable_lora=True, max_lora_rank=8, max_loras=1)
    logging.getLogger("vllm.policykit").addHandler(told)  # its configuration drops handlers from before

    def written(name: str) -> list[tuple[str, str | None]]:
        params = SamplingParams(max_tokens=16, temperature=1.0, seed=1)
        found = engine.generate([PROMPT] * 2, params, lora_request=adapters[name], use_tqdm=False)
        return [(choice.text, choice.finish_reason) for request in found for choice in request.outputs]

    def about(name: str) -> list[str]:
        return [line for line in said if f"adapter `{name}`" in line]

    assert all(text for text, _ in written("kin"))
    assert about("kin") == []
    for _ in range(2):
        assert all(text and not forbidden(text + "x") for text, _ in written("stranger"))
    (line,) = about("stranger")
    assert "PK842" in line
    assert ours.bundle_digest in line
    assert other.bundle_digest in line
    assert [(text, end) for text, end in written("torn")] == [("", "error")] * 2
    assert all(text for text, _ in written("kin")), "the engine goes on"


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
    {"drafts": drafts, "adapters": adapters, "pins": pins}[sys.argv[1]](Path(sys.argv[2]))
    print("held")
