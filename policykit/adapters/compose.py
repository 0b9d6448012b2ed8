"""Several LoRA adapters as one whose change to the model is exactly the sum of theirs.

The change of a layer is s·B·A. Blocks stacked along the rank, [B₁ B₂]·[s₁A₁; s₂A₂], multiply to s₁B₁A₁ + s₂B₂A₂: this
is PEFT's `cat`, and the only one of its combinations that is a sum. It is done on the files, without the base model:
PEFT's own keeps `use_rslora` of the first adapter, and then scales the result by √r too much.
"""
# safetensors leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file

from policykit.adapters.card import write_card
from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.plan.pins import WEIGHTS, Pins, Weight, read_pins, write_pins

CONFIG = "adapter_config.json"
EXACT = "cat"
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for `max_lora_rank`."""

_APART = "it sums the A and the B matrices apart, and multiplies what it should not: A₁ with B₂ and A₂ with B₁"
_SPARSE = "it drops entries of the matrices and scales up the rest"
_LOW_RANK = "it cuts the sum down to a rank that does not hold it"
WRONG = {
    "linear": _APART,
    "svd": _LOW_RANK,
    "ties": f"{_APART}; and {_SPARSE}",
    "dare_linear": f"{_APART}; and {_SPARSE}, at random",
    "dare_ties": f"{_APART}; and {_SPARSE}, at random",
    "magnitude_prune": f"{_APART}; and {_SPARSE}",
    "ties_svd": f"{_SPARSE}; and {_LOW_RANK}",
    "dare_linear_svd": f"{_SPARSE}, at random; and {_LOW_RANK}",
    "dare_ties_svd": f"{_SPARSE}, at random; and {_LOW_RANK}",
    "magnitude_prune_svd": f"{_SPARSE}; and {_LOW_RANK}",
}
"""PEFT's other combinations, and why none of them is the sum of the adapters."""

_A, _B = ("lora_A.weight", "lora_embedding_A"), ("lora_B.weight", "lora_embedding_B")


@dataclass(frozen=True, slots=True)
class Composed:
    """A folder with one adapter. ``rank`` is the sum of the ranks; ``max_lora_rank`` is what vLLM needs to load it."""

    folder: Path
    rank: int
    max_lora_rank: int
    pins: Pins | None


@dataclass(frozen=True, slots=True)
class _Adapter:
    """One adapter as read: factors by layer, the scale s taken into A."""

    folder: Path
    config: Mapping[str, Any]
    factors: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    kinds: Mapping[str, int]
    rank: int
    pins: Pins | None


def compose(
    folders: Sequence[Path],
    output: Path,
    *,
    weights: Sequence[float] | None = None,
    method: str = EXACT,
    names: Sequence[str] | None = None,
) -> Composed:
    """Write the weighted sum of the adapters in ``folders`` to ``output``, as one adapter that PEFT and vLLM load.

    Weights are 1 if not given, and may be negative. The pins of the parts become one where all have the same bundle;
    ``names`` are what they call the parts, by default their folders' names.
    Raises PolicyError: PK843 for another ``method`` and for adapters that cannot be summed, each with its reason.
    """
    if method != EXACT:
        raise _wrong_method(method)
    factors = tuple(weights) if weights is not None else (1.0,) * len(folders)
    if not folders or len(factors) != len(folders) or not all(map(math.isfinite, factors)):
        raise PolicyError.of("PK843", f"{len(factors)} weights for {len(folders)} adapters", help="give one for each")
    adapters = [_read(folder) for folder in folders]
    _check_together(adapters)
    # Before anything is written: adapters of several bundles are refused.
    pins = _pins(adapters, tuple(names) if names is not None else tuple(folder.name for folder in folders))
    rank = sum(adapter.rank for adapter in adapters)
    tensors: dict[str, torch.Tensor] = {}
    for layer in dict.fromkeys(layer for adapter in adapters for layer in adapter.factors):
        parts = [
            (weight * adapter.factors[layer][0], adapter.factors[layer][1])
            for adapter, weight in zip(adapters, factors, strict=True)
            if layer in adapter.factors
        ]
        kind = next(adapter.kinds[layer] for adapter in adapters if layer in adapter.kinds)
        a, b = torch.cat([part[0] for part in parts], 0), torch.cat([part[1] for part in parts], 1)
        # Layers that not every adapter changes are padded with zeros: loaders expect one rank for all.
        tensors[f"{layer}.{_A[kind]}"] = _padded(a, rank, 0)
        tensors[f"{layer}.{_B[kind]}"] = _padded(b, rank, 1)
    output.mkdir(parents=True, exist_ok=True)
    save_file(tensors, output / WEIGHTS, metadata={"format": "pt"})
    (output / CONFIG).write_text(json.dumps(_config(adapters, rank), indent=2, sort_keys=True) + "\n")
    if pins is not None:
        write_pins(output, pins)
        write_card(output, pins)
    return Composed(output, rank, max_lora_rank(rank), pins)


def max_lora_rank(rank: int) -> int:
    """The least value of vLLM's `--max-lora-rank` for an adapter. Raises PolicyError (PK843) beyond its greatest.

    >>> max_lora_rank(24)
    32
    """
    found = next((value for value in VLLM_RANKS if value >= rank), None)
    if found is None:
        message = f"the ranks add up to {rank}, and vLLM loads none above {VLLM_RANKS[-1]}"
        raise PolicyError.of("PK843", message, help="train with lower ranks, or merge one adapter into the model")
    return found


def _wrong_method(method: str) -> PolicyError:
    if method in WRONG:
        help = f"use `{EXACT}`: it is the sum, to the last bit that additions keep"
        return PolicyError.of("PK843", f"`{method}` is not the sum of the adapters: {WRONG[method]}", help=help)
    names = (EXACT, *WRONG)
    advice = did_you_mean(method, names) or f"use `{EXACT}`"
    return PolicyError.of("PK843", f"there is no combination `{method}`", help=advice)


def _read(folder: Path) -> _Adapter:
    place = Place(str(folder))
    try:
        config = cast("dict[str, Any]", json.loads((folder / CONFIG).read_text("utf-8")))
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        message = f"no adapter can be read: {error}"
        raise PolicyError.of("PK843", message, place, f"a folder holds `{CONFIG}` and `{WEIGHTS}`") from None
    _check_kind(config, tensors, place)
    factors: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    kinds: dict[str, int] = {}
    for name, a in tensors.items():
        kind = next((i for i, suffix in enumerate(_A) if name.endswith("." + suffix)), None)
        if kind is None:
            continue
        layer = name.removesuffix("." + _A[kind])
        kinds[layer] = kind
        factors[layer] = (a * _scale(config, layer, a.shape[0]), tensors[f"{layer}.{_B[kind]}"])
    rank = max((a.shape[0] for a, _ in factors.values()), default=0)
    return _Adapter(folder, config, factors, kinds, rank, read_pins(folder))


def _scale(config: Mapping[str, Any], layer: str, rank: int) -> float:
    """s of a layer: alpha/r, or alpha/√r (Kalajdzievski 2023) for `use_rslora`."""
    patterns = cast("dict[str, float]", config.get("alpha_pattern") or {})
    # The first pattern that fits whole parts at the end of the layer's name, as PEFT and vLLM read them.
    fitting = (alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(?:.*\.)?(?:{pattern})", layer))
    alpha = float(next(fitting, config["lora_alpha"]))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check_kind(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], place: Place) -> None:
    """Refuse what is no plain low-rank sum."""
    reasons = {
        "its type is not LORA": config.get("peft_type") != "LORA",
        "it is a DoRA: it normalises the sum": bool(config.get("use_dora")),
        "it trains biases": config.get("bias", "none") != "none" or bool(config.get("lora_bias")),
        "it replaces whole layers (`modules_to_save`)": bool(config.get("modules_to_save")),
        "it trains single tokens (`trainable_token_indices`)": bool(config.get("trainable_token_indices")),
        "it repeats layers (`layer_replication`)": bool(config.get("layer_replication")),
        "it begins at certain tokens (`alora_invocation_tokens`)": bool(config.get("alora_invocation_tokens")),
        "its start changed the base model (`init_lora_weights`)": _changes_base(config.get("init_lora_weights")),
    }
    known = [f".{suffix}" for suffix in (*_A, *_B)]
    strange = [name for name in tensors if not any(name.endswith(suffix) for suffix in known)]
    reasons[f"it holds `{strange[0] if strange else ''}`"] = bool(strange)
    found = [
        Diagnostic("PK843", f"the adapter cannot be summed: {why}", place) for why, is_so in reasons.items() if is_so
    ]
    if found:
        raise PolicyError(found)


def _changes_base(init: object) -> bool:
    """Whether an initialisation took a part of the base model's weights away (PiSSA, OLoRA, CorDA, LoftQ)."""
    return isinstance(init, str) and init.lower().startswith(("pissa", "olora", "corda", "loftq"))


def _check_together(adapters: Sequence[_Adapter]) -> None:
    first = adapters[0]
    wrong: list[Diagnostic] = []
    for other in adapters[1:]:
        place = Place(str(other.folder))
        for name in ("base_model_name_or_path", "fan_in_fan_out", "task_type"):
            one, two = first.config.get(name), other.config.get(name)
            if one != two:
                help = "compose adapters of one base model"
                wrong.append(Diagnostic("PK843", f"`{name}` is `{two}`, and `{one}` in {first.folder}", place, help))
        for layer, (a, b) in other.factors.items():
            if layer in first.factors and (a.shape[1:], b.shape[0]) != (
                first.factors[layer][0].shape[1:],
                first.factors[layer][1].shape[0],
            ):
                wrong.append(Diagnostic("PK843", f"`{layer}` is of another size than in {first.folder}", place))
                break
    if wrong:
        raise PolicyError(wrong)


def _padded(tensor: torch.Tensor, rank: int, dim: int) -> torch.Tensor:
    missing = rank - tensor.shape[dim]
    if not missing:
        return tensor.contiguous()
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor, tensor.new_zeros(shape)], dim).contiguous()


def _config(adapters: Sequence[_Adapter], rank: int) -> dict[str, Any]:
    """The first adapter's configuration, with alpha = r, so that the scale is 1, and without patterns."""
    layers = {layer for adapter in adapters for layer in adapter.factors}
    # Whole names: a last part alone would name layers that no adapter has changed.
    targets = sorted(layer.removeprefix("base_model.model.") for layer in layers)
    plain = {"rank_pattern": {}, "alpha_pattern": {}, "use_rslora": False, "lora_dropout": 0.0, "inference_mode": True}
    untold = {"layers_to_transform": None, "layers_pattern": None, "exclude_modules": None, "target_parameters": None}
    return {**adapters[0].config, **plain, **untold, "r": rank, "lora_alpha": rank, "target_modules": targets}


def _pins(adapters: Sequence[_Adapter], names: Sequence[str]) -> Pins | None:
    known = [(name, adapter.pins) for name, adapter in zip(names, adapters, strict=True) if adapter.pins is not None]
    if len(known) < len(adapters):
        return None
    digests = sorted({pins.bundle_digest for _, pins in known})
    if len(digests) > 1:
        wrong = ", ".join(f"{name} {pins.bundle_digest}" for name, pins in known)
        message = f"the adapters were trained under several bundles: {wrong}"
        raise PolicyError.of("PK842", message, help="train them under one bundle")
    moved = sum(bool(pins.weights) for _, pins in known)
    return Pins(
        digests[0],
        known[0][1].plan_digest,
        tuple(sorted({policy for _, pins in known for policy in pins.policies})),
        tuple(dict.fromkeys(one for _, pins in known for one in pins.data)),
        (*(stage for _, pins in known for stage in pins.stages), f"sum: {' + '.join(names)}"),
        tuple(
            Weight(w.step, f"{name}/{w.group}" if moved > 1 else w.group, w.value)
            for name, pins in known
            for w in pins.weights
        ),
        parents=tuple((name, pins.bundle_digest) for name, pins in known),
    )
