"""The model that is trained: loaded, adapters merged into it, and an adapter of its own put on."""
# torch, transformers and PEFT leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from dataclasses import dataclass
from typing import Any

import torch

from policykit.constraint import Vocabulary
from policykit.diagnostics import Place, PolicyError
from policykit.engines.transformers import load_model
from policykit.training.config import Config

SHARDING = {"FSDP": "ACCELERATE_USE_FSDP", "DeepSpeed": "ACCELERATE_USE_DEEPSPEED"}
"""What divides a model among processes, and the variables by which `accelerate launch` asks for it."""


def sharding() -> list[str]:
    """By what this process was launched to hold a part of a model only; nothing where it holds all of it."""
    return [name for name, variable in SHARDING.items() if os.environ.get(variable, "").lower() in ("1", "true")]


@dataclass(frozen=True, slots=True)
class Trained:
    """A PEFT model with its tokenizer. ``with model.disable_adapter()`` it is the model that training began with."""

    model: Any
    tokenizer: Any

    @property
    def pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)

    @property
    def n_trainable(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def vocabulary(self) -> Vocabulary:
        return Vocabulary.from_tokenizer(self.tokenizer)


def load_trained(config: Config) -> Trained:
    """The file's model with its `adapters` merged into it, under a new LoRA adapter, drawn from the seed.

    Raises PolicyError: PK450 and PK451 for the model, PK785 for an adapter or `lora.modules` that do not fit it.
    """
    begun = load_merged(config)
    return Trained(with_lora(begun.model, config, "CAUSAL_LM"), begun.tokenizer)


def load_merged(config: Config) -> Trained:
    """The file's model with its `adapters` merged into it, and nothing else: no PEFT model yet. Raises PolicyError as
    :func:`load_trained` does."""
    model, tokenizer = load_model(config.model)
    if getattr(tokenizer, "eos_token_id", None) is None:
        help = "name it in the model's `tokenizer_config.json`: `eos_token`"
        raise PolicyError.of("PK400", "the tokenizer names no end of text", config.place("model"), help)
    return Trained(merged(model, config), tokenizer)


def merged(model: Any, config: Config) -> Any:
    """The model with the weights of the file's adapters added to its own, so that it is what training begins with."""
    from peft import PeftModel

    for path in config.adapters:
        if not (path / "adapter_config.json").is_file():
            raise PolicyError.of("PK785", "the folder holds no adapter", Place(str(path)), "check the path")
        try:
            model = PeftModel.from_pretrained(model, str(path)).merge_and_unload()
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            help = "name the model that the adapter was trained on"
            raise PolicyError.of(
                "PK785", f"the adapter does not fit the model: {reason}", Place(str(path)), help
            ) from error
    return model


def with_lora(model: Any, config: Config, task_type: str, **more: Any) -> Any:
    """The model under a new LoRA adapter, whose beginning is drawn from the seed and changes nothing yet."""
    from peft import LoraConfig, get_peft_model

    lora = config.lora
    _check_modules(model, config)
    torch.manual_seed(config.steps.seed)
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType] # it divides by the rank: a float is meant
        lora_dropout=lora.dropout,
        target_modules=list(lora.modules) or "all-linear",
        task_type=task_type,
        **more,
    )
    return get_peft_model(model, settings)


def _check_modules(model: Any, config: Config) -> None:
    """PEFT leaves out a name that no layer has where another name has some."""
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    for name in config.lora.modules:
        if not any(layer == name or layer.endswith(f".{name}") for layer in linear):
            known = ", ".join(sorted({layer.rpartition(".")[2] for layer in linear}))
            message = f"the model has no linear layer `{name}`"
            raise PolicyError.of("PK785", message, config.place("lora", "modules"), f"its linear layers are {known}")
