"""A composed adapter on the real vLLM: each request names its own, and gets the model with that sum of changes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="adapters need torch")

from policykit.embedded import model_path  # noqa: E402
from tests.serving.imported import Forked  # noqa: E402
from tests.serving.real_vllm import STARTS_WITHIN_S, environment, forked, free_port  # noqa: E402

pytestmark = pytest.mark.vllm

PARTS = {
    "enterprise": {"r": 4, "lora_alpha": 8, "alpha_pattern": {"o_proj": 3}},
    "tenant": {"r": 9, "lora_alpha": 5, "use_rslora": True},
    "locale": {"r": 2, "lora_alpha": 2},
}
LAYERS = {
    "enterprise": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "tenant": ("q_proj", "v_proj"),
    "locale": ("down_proj",),
}
TOKENS = [5, 60, 71, 9, 200, 33, 8, 120]


def plain_model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(model_path()), dtype=torch.float32).eval()


def scale(name: str, layer: str) -> float:
    """By hand, from the settings above."""
    if name == "enterprise":
        return 3 / 4 if layer.endswith("o_proj") else 8 / 4
    return 5 / math.sqrt(9) if name == "tenant" else 2 / 2


def changes(name: str, model: Any) -> dict[str, tuple[Any, Any]]:
    """A and B for each layer that an adapter changes."""
    generator = torch.Generator().manual_seed(sorted(PARTS).index(name))
    rank = int(str(PARTS[name]["r"]))
    found: dict[str, tuple[Any, Any]] = {}
    for layer, module in model.named_modules():
        if layer.rsplit(".", 1)[-1] in LAYERS[name]:
            n_out, n_in = module.weight.shape
            a = torch.randn(rank, n_in, generator=generator) / math.sqrt(n_in)
            found[layer] = a, torch.randn(n_out, rank, generator=generator) * 0.15
    return found


def write_adapter(folder: Path, name: str, model: Any) -> Path:
    from safetensors.torch import save_file

    folder.mkdir()
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "embedded", "bias": "none",
        "lora_dropout": 0.0, "target_modules": list(LAYERS[name]), **PARTS[name],
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors: dict[str, Any] = {}
    for layer, (a, b) in changes(name, model).items():
        tensors[f"base_model.model.{layer}.lora_A.weight"] = a
        tensors[f"base_model.model.{layer}.lora_B.weight"] = b
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def merged(names: tuple[str, ...]) -> Any:
    """The model with the changes of some adapters added to its weights."""
    model = plain_model()
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name in names:
            for layer, (a, b) in changes(name, model).items():
                modules[layer].weight += scale(name, layer) * (b @ a)
    return model


def ask(url: str, adapter: str) -> Mapping[str, Any]:
    body = {"model": adapter, "prompt": TOKENS, "max_tokens": 8, "temperature": 0, "logprobs": 1,
            "prompt_logprobs": 0, "return_token_ids": True, "ignore_eos": True}  # fmt: skip
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        (choice,) = json.loads(answer.read())["choices"]
        return choice


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from policykit.adapters.compose import compose

    folder = tmp_path_factory.mktemp("served")
    parts = [write_adapter(folder / name, name, plain_model()) for name in PARTS]
    both, everything = compose(parts[:2], folder / "two"), compose(parts, folder / "three")
    assert (both.rank, everything.rank, everything.max_lora_rank) == (13, 15, 16)
    port = free_port()
    modules = [f"{name}={folder / name}" for name in ("enterprise", "two", "three")]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(model_path()), "--host", "127.0.0.1"),
        *("--port", str(port), "--dtype", "float32", "--max-model-len", "256", "--enforce-eager", "--enable-lora"),
        *("--max-lora-rank", str(everything.max_lora_rank), "--max-loras", "3", "--lora-modules", *modules),
    ]  # fmt: skip
    with (folder / "output.txt").open("wb") as output:
        process = forked(command, environment(folder), output)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "output.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def wait_for(url: str, process: Forked, output: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        assert process.poll() is None, output.read_text("utf-8", "replace")[-4000:]
        assert time.monotonic() < until, output.read_text("utf-8", "replace")[-4000:]
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)


def test_each_request_is_answered_by_its_own_sum_of_adapters(url: str) -> None:
    sums = {"enterprise": ("enterprise",), "two": ("enterprise", "tenant"), "three": tuple(PARTS)}
    written: dict[str, list[int]] = {}
    first: dict[str, float] = {}
    for adapter in ("three", "enterprise", "two", "three"):  # one after the other, and one again
        choice = ask(url, adapter)
        model, ids = merged(sums[adapter]), list(TOKENS)
        for token, logp in zip(choice["token_ids"], choice["logprobs"]["token_logprobs"], strict=True):
            with torch.inference_mode():
                wanted = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            assert token == int(wanted.argmax())
            assert logp == pytest.approx(float(wanted[token]), abs=1e-3)
            ids.append(token)
        assert written.setdefault(adapter, choice["token_ids"]) == choice["token_ids"]
        first[adapter] = choice["logprobs"]["token_logprobs"][0]
    distances = [abs(first[a] - first[b]) for a in first for b in first if a < b]
    assert min(distances) > 0.02  # far more than what they are equal to
