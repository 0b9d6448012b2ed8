"""transformers as an engine for decoding strategies: it owns the key-value cache, and goes back to any kept prefix.

Departures from ``generate``: no top-k, no top-p, no penalties. The model's own distribution at the temperature is what
strategies reason about.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from policykit.constraint import Constraint, Vocabulary
from policykit.decoding.steps import Logps, StepSession
from policykit.engines.batched import CachedBatch, whole_cache
from policykit.engines.prompts import prompt_ids
from policykit.plan import Plan

N_KEPT = 16
"""Texts of one prompt whose keys and values are kept; the one that was used longest ago goes first."""


@dataclass(frozen=True)
class TransformersEngine:
    """A local model. ``chat`` puts prompts into the tokenizer's chat template, by default where it has one."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    vocabulary: Vocabulary
    chat: bool | None = None
    sees_distributions: bool = True

    @staticmethod
    def of(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, chat: bool | None = None
    ) -> "TransformersEngine":
        """Raises PolicyError (PK4xx) for a tokenizer that cannot be constrained."""
        return TransformersEngine(model, tokenizer, Vocabulary.from_tokenizer(cast(Any, tokenizer)), chat)

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> StepSession:
        return StepSession(_CachedScorer(self, self.encoded(prompt), temperature), constraint)

    def open_all(self, prompts: Sequence[str], temperature: float = 1.0) -> CachedBatch:
        """Several prompts at once, for :func:`policykit.decoding.sample_all`."""
        ids = [self.encoded(prompt) for prompt in prompts]
        return CachedBatch(self.model, ids, self.vocabulary.size, temperature, _cache_name(type(self.model)))

    def encoded(self, prompt: str) -> tuple[int, ...]:
        """The prompt's token ids, in the chat template where there is one."""
        ids = prompt_ids(self.tokenizer, prompt, self.chat)
        return ids or self.vocabulary.eos_ids[:1]  # something has to stand before the first token


@dataclass(slots=True)
class _Kept:
    """Token ids whose keys and values ``cache`` holds, and the log-probabilities of the token after them."""

    token_ids: tuple[int, ...]
    cache: Any
    logps: Logps


class _CachedScorer:
    """Log-probabilities after the prompt and a text. A text that continues a kept one costs one forward pass over what
    is new; one that only begins alike takes over the common part."""

    def __init__(self, engine: TransformersEngine, prompt: tuple[int, ...], temperature: float) -> None:
        self._engine = engine
        self._prompt = prompt
        self._temperature = temperature
        self._kept: list[_Kept] = []  # the last used is the last
        self.n_prefilled = 0

    def logps(self, texts: Sequence[tuple[int, ...]]) -> list[Logps]:
        wanted = set(texts)
        return [self._after(text, wanted) for text in texts]

    def _after(self, text: tuple[int, ...], wanted: set[tuple[int, ...]]) -> Logps:
        whole = self._prompt + text
        nearest = max(self._kept, key=lambda kept: _n_common(kept.token_ids, whole), default=None)
        if nearest is not None and nearest.token_ids == whole:
            return nearest.logps
        n_common = min(_n_common(nearest.token_ids, whole), len(whole) - 1) if nearest else 0
        if nearest is not None and n_common == len(nearest.token_ids):
            self._kept.remove(nearest)  # it is continued in place
            cache = nearest.cache
        else:
            cache = self._forked(nearest.cache if nearest else None, n_common)
        kept = _Kept(whole, cache, self._forward(whole[n_common:], cache))
        self.n_prefilled += len(whole) - n_common - 1
        self._kept.append(kept)
        del self._kept[: -max(N_KEPT, len(wanted))]
        return kept.logps

    def _forked(self, cache: Any, length: int) -> Any:
        """A cache of its own that holds the first ``length`` positions of ``cache``."""
        fork = whole_cache(self._engine.model)
        if cache is not None and length:
            for i, layer in enumerate(cache.layers):
                fork.update(layer.keys[:, :, :length].clone(), layer.values[:, :, :length].clone(), i)
        return fork

    def _forward(self, token_ids: tuple[int, ...], cache: Any) -> Logps:
        model: Any = self._engine.model
        with torch.inference_mode():
            ids = torch.tensor([token_ids], device=model.device)
            kept = {_cache_name(type(model)): cache}
            logits = model(input_ids=ids, **kept, use_cache=True, logits_to_keep=1).logits[0, -1]
            size = self._engine.vocabulary.size
            scores = logits[:size].double() / self._temperature
            logps: Logps = torch.log_softmax(scores, -1).cpu().numpy()
            return logps


@lru_cache
def _cache_name(model: type[Any]) -> str:
    """What a model's ``forward`` calls its cache: newer versions of transformers have renamed it."""
    return "cache" if "cache" in signature(model.forward).parameters else "past_key_values"


def _n_common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    n = min(len(one), len(other))
    if one[:n] == other[:n]:
        return n
    return next(i for i in range(n) if one[i] != other[i])
