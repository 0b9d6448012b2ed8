"""A model to run, with an adapter or without, and with what is to be said about the two."""
# torch, transformers and peft leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from policykit.constraint import Vocabulary
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.engines.scoring import Forward, forward_of
from policykit.engines.transformers import load_model
from policykit.plan import Plan
from policykit.plan.pins import Pins, check_pins, pin_diagnostics, read_pins

CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that runs with its adapter. ``peft`` is the wrapper that can switch the adapter off, None without one;
    ``warnings`` are about the adapter and the plan that it is used under."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    vocabulary: Vocabulary
    peft: Any = None
    pins: Pins | None = None
    warnings: tuple[Diagnostic, ...] = ()

    def forward(self) -> Forward:
        return forward_of(self.model)

    def base_forward(self) -> Forward | None:
        """The same model without its adapter; None where it has none."""
        if self.peft is None:
            return None
        forward, peft = forward_of(self.model), self.peft

        def without(ids: torch.Tensor, is_real: torch.Tensor, positions: torch.Tensor, keep: int) -> torch.Tensor:
            with peft.disable_adapter():
                return forward(ids, is_real, positions, keep)

        return without

    def encode(self, text: str) -> list[int]:
        """Token ids of a text that follows another: nothing is put around it."""
        tokenizer: Any = self.tokenizer
        return tokenizer(text, add_special_tokens=False)["input_ids"]


def load(
    name: str | Path, adapter: str | Path | None = None, plan: Plan | None = None, device: str | None = None
) -> LoadedModel:
    """The model of a folder, a hub id or `embedded`, with the LoRA adapter of a folder.

    A folder that holds an adapter stands for the base model that it names. Pins are compared with ``plan``.
    Raises PolicyError: PK450 and PK451 as :func:`load_model`, PK842 for pins that are not of the weights, PK843 for an
    adapter that the model does not take.
    """
    folder = Path(adapter) if adapter is not None else Path(name) if (Path(name) / CONFIG).is_file() else None
    base = _base_of(folder) if adapter is None and folder is not None else str(name)
    model, tokenizer = load_model(base, device)
    any_tokenizer: Any = tokenizer
    vocabulary = Vocabulary.from_tokenizer(any_tokenizer)
    shown = str(name) if folder is None or adapter is None else f"{name} + {folder.name}"
    if folder is None:
        return LoadedModel(shown, model, tokenizer, vocabulary)
    pins = read_pins(folder)
    warnings = pin_diagnostics(pins, plan, folder) if plan is not None else ()
    peft = _with_adapter(model, folder)
    return LoadedModel(shown, peft.get_base_model(), tokenizer, vocabulary, peft, pins, warnings)


def load_trained_under(plan: Plan, name: str | Path, adapter: str | Path) -> LoadedModel:
    """The model with an adapter that was trained under ``plan``: for who writes under that plan, and measures nothing.

    What does not fit is refused before the model is loaded. Raises PolicyError as :func:`load`, and PK842 for an
    adapter of another bundle, or of none that it names.
    """
    folder = Path(adapter)
    if not (folder / CONFIG).is_file():
        help = "name the folder `adapter` of a run of `policykit train`"
        raise PolicyError.of("PK843", f"there is no adapter: `{CONFIG}` is missing", Place(str(folder)), help)
    check_pins(read_pins(folder), plan, folder)
    return load(name, folder, plan)


def _base_of(folder: Path) -> str:
    found = json.loads((folder / CONFIG).read_text("utf-8")).get("base_model_name_or_path")
    if not isinstance(found, str) or not found:
        help = "name the base model, and the adapter with `--adapter`"
        raise PolicyError.of("PK843", "the adapter does not say which model it belongs to", Place(str(folder)), help)
    return found


def _with_adapter(model: PreTrainedModel, folder: Path) -> Any:
    from peft import PeftModel

    try:
        peft: Any = PeftModel.from_pretrained(model, str(folder), local_files_only=True)
    except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        help = "name the model that it was trained on"
        raise PolicyError.of("PK843", f"the adapter cannot be loaded: {reason}", Place(str(folder)), help) from error
    return peft.eval()
