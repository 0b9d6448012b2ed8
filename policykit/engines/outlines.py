"""Outlines: a plan as the output of an Outlines generator, masked while it is written and verified when it is whole.

Departures from Outlines: models of transformers only; one behind an API takes no mask and is refused (PK452). Beam
search and assisted decoding are not claimed.
"""
# outlines leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from outlines.generator import SteerableGenerator
from outlines.models import Transformers
from outlines.processors.base_logits_processor import OutlinesLogitsProcessor

from policykit.constraint import Constraint, Vocabulary
from policykit.diagnostics import InternalError, PolicyError
from policykit.engines.rows import ConstraintRows, unpacked
from policykit.ir.verdict import Verdict
from policykit.plan import Plan


class PolicyProcessor(OutlinesLogitsProcessor):
    """A logits processor for `outlines.Generator(model, processor=...)` that holds a constraint on every row.

    For greedy decoding and sampling, any batch and number of samples; logits are torch or numpy. What stands in
    ``input_ids`` at the first call after `reset` is the prompt. Raises InternalError for a row in which nothing is
    allowed, and for a token that was chosen against the mask.
    """

    def __init__(self, constraint: Constraint, tensor_library_name: str = "torch", pad_id: int | None = None) -> None:
        if tensor_library_name not in ("torch", "numpy"):
            message = f"Outlines hands over logits as `{tensor_library_name}`; a plan masks torch and numpy"
            raise PolicyError.of("PK452", message, None, "use a model of transformers")
        super().__init__(tensor_library_name)
        self._torch = tensor_library_name == "torch"
        self._size = constraint.vocabulary.size
        self._rows = ConstraintRows(constraint, pad_id=pad_id)
        self._prompt: Any = None

    def reset(self) -> None:
        """Another call of the generator: what comes next is a prompt."""
        self._prompt = None
        self._rows.forget()

    def process_logits(self, input_ids: Any, logits: Any) -> Any:
        """``logits`` [B, W] with every forbidden token at minus infinity; ``input_ids`` is int [B, T]."""
        if logits.shape[1] < self._size:
            raise InternalError(f"the model scores {logits.shape[1]} tokens, the vocabulary has {self._size}")
        ids = np.asarray(input_ids.cpu() if self._torch else input_ids, dtype=np.int64)
        prompt = self._prompt
        if prompt is None or not np.array_equal(ids[:, : prompt.shape[1]], prompt):
            self.reset()
            self._prompt = prompt = ids.copy()
        written = np.ascontiguousarray(ids[:, prompt.shape[1] :])
        allowed = unpacked(self._rows.masks(written), self._size, logits.shape[1])
        if not self._torch:
            return np.where(allowed, logits, -np.inf).astype(logits.dtype)
        import torch

        return logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), float("-inf"))


def processor(model: Any, plan: Plan) -> PolicyProcessor:
    """The plan as a logits processor for one Outlines model.

    Raises PolicyError: PK452 for a model that takes no logits processor, and what `Plan.constraint` raises.
    """
    if not isinstance(model, Transformers):
        message = f"`{type(model).__name__}` takes no mask from a plan"
        raise PolicyError.of("PK452", message, None, "use `outlines.from_transformers`, or serve it behind the guard")
    tokenizer = cast(Any, model.hf_tokenizer)
    constraint = plan.constraint(Vocabulary.from_tokenizer(tokenizer))
    return PolicyProcessor(constraint, model.tensor_library_name, tokenizer.pad_token_id)


@dataclass(frozen=True, slots=True)
class PlanGenerator:
    """An Outlines generator whose texts are verdicts: ``text`` is what may be shown, ``decision`` why.

    A limit of tokens can cut a word so that what is left is forbidden; then the decision is that of its rule.
    """

    inner: SteerableGenerator
    plan: Plan

    def __call__(self, prompt: Any, **settings: Any) -> Verdict | list[Verdict]:
        """One verdict, or as many as ``num_return_sequences`` asks for."""
        return self._judged(self.inner(prompt, **settings))

    def batch(self, prompts: Sequence[Any], **settings: Any) -> list[Verdict | list[Verdict]]:
        """For each prompt what a call gives."""
        return [self._judged(texts) for texts in self.inner.batch(list(prompts), **settings)]

    def _judged(self, texts: str | list[str]) -> Any:
        return self.plan.verify(texts) if isinstance(texts, str) else [self._judged(text) for text in texts]


def generator(model: Any, plan: Plan) -> PlanGenerator:
    """The plan as the output type: `outlines.Generator(model, output_type)` with the plan's mask and its verifier.

    Raises PolicyError as `processor` does.
    """
    return PlanGenerator(SteerableGenerator.from_processor(model, processor(model, plan)), plan)
