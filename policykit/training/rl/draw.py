"""Free and masked samples of a batch of prompts, with the log-probabilities under which they were drawn.

Departures from ``generate``: no top-k, no top-p, no penalties, since gradients are of the distribution that was
sampled; rows that have ended leave the batch, so that a step costs what is still being written.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from policykit.constraint import Constraint, State
from policykit.training.replay import unpacked_masks

TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Completions of prompts, one each. ``token_ids`` hold the end token where there is one, and no padding.

    ``logps`` are natural logarithms, one per token, under the distribution that was sampled. ``is_dead`` where nothing
    legal could follow and the text was ended there.
    """

    token_ids: tuple[TokenIds, ...]
    logps: tuple[tuple[float, ...], ...]
    is_dead: tuple[bool, ...]


@dataclass(slots=True)
class _Writing:
    """Rows that are still being written: where they stand in the batch, and their states under the constraint."""

    places: list[int]
    states: list[State]


@torch.no_grad()
def draw(
    model: Any,
    prompts: Sequence[TokenIds],
    ends: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    constraint: Constraint | None = None,
    prefixes: Sequence[bytes] | None = None,
    generator: torch.Generator | None = None,
) -> Drawn:
    """One sample for each prompt, under the constraint's masks where there is one.

    ``prompts`` are token ids without padding, at least one each; ``prefixes`` prime the constraint, one a row. The
    model is in evaluation mode meanwhile. Draws from ``generator``, or from torch's own state.
    """
    device = next(model.parameters()).device
    written: list[list[int]] = [[] for _ in prompts]
    logps: list[list[float]] = [[] for _ in prompts]
    is_dead = [False] * len(prompts)
    given = prefixes or [b""] * len(prompts)
    states = [constraint.start(prefix) for prefix in given] if constraint else []
    rows = _Writing(list(range(len(prompts))), states)
    with evaluating(model):
        step = _Steps(model, prompts, ends[0], device)
        ended = torch.tensor(list(ends), device=device)
        for t in range(max_new_tokens):
            scores = step.logits.float() / temperature
            if constraint is not None:
                scores = scores.masked_fill(~_allowed(rows, is_dead, constraint, scores), float("-inf"))
            token_logps = scores.log_softmax(-1)
            tokens = torch.multinomial(token_logps.exp(), 1, generator=generator)
            taken = token_logps.gather(-1, tokens)[:, 0].tolist()
            for place, token, logp in zip(rows.places, tokens[:, 0].tolist(), taken, strict=True):
                written[place].append(token)
                logps[place].append(logp)
            goes_on = ~torch.isin(tokens[:, 0], ended)
            kept = goes_on.nonzero()[:, 0]
            if t + 1 == max_new_tokens or not len(kept):
                break
            rows = _continued(rows, kept.tolist(), tokens[:, 0].tolist())
            step.advance(tokens, kept)
    as_rows = tuple(tuple(row) for row in written), tuple(tuple(row) for row in logps)
    return Drawn(*as_rows, tuple(is_dead))


def _allowed(rows: _Writing, is_dead: list[bool], constraint: Constraint, scores: torch.Tensor) -> torch.Tensor:
    """bool [B, W]. At a dead end the text may only end."""
    size = constraint.vocabulary.size
    words = np.zeros((len(rows.states), -(-size // 32)), dtype=np.int32)
    for i, state in enumerate(rows.states):
        if not state.fill(words[i]):
            is_dead[rows.places[i]] = True
    return torch.from_numpy(unpacked_masks(words, size, scores.shape[-1])).to(scores.device)


def _continued(rows: _Writing, kept: Sequence[int], tokens: Sequence[int]) -> _Writing:
    states = [rows.states[i] for i in kept] if rows.states else []
    for i, state in zip(kept, states, strict=False):
        if not state.accept(tokens[i]):
            raise AssertionError(f"token {tokens[i]} was drawn from its mask and is refused")
    return _Writing([rows.places[i] for i in kept], states)


class _Steps:
    """Forward passes over a batch whose rows leave it when they end. ``logits`` [B, V] are of the next token."""

    def __init__(self, model: Any, prompts: Sequence[TokenIds], pad_id: int, device: torch.device) -> None:
        self._model = model
        width = max(len(ids) for ids in prompts)
        ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in prompts], device=device)
        is_real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
        self._is_padded = any(len(row) < width for row in prompts)
        self._is_real, self._n = is_real, is_real.sum(-1)
        self._cache: Any = DynamicCache(config=inner(model).config)
        self.logits = self._forward(ids, (is_real.cumsum(-1) - 1).clamp(min=0))

    def advance(self, tokens: torch.Tensor, kept: torch.Tensor) -> None:
        """Take ``tokens`` [B, 1], and go on with the rows ``kept``."""
        if len(kept) < len(tokens):
            self._cache.batch_select_indices(kept)
            tokens, self._is_real, self._n = tokens[kept], self._is_real[kept], self._n[kept]
        self._is_real = torch.cat([self._is_real, torch.ones_like(tokens)], -1)
        self._n = self._n + 1
        self.logits = self._forward(tokens, self._n[:, None] - 1)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        more: dict[str, Any] = {"attention_mask": self._is_real} if self._is_padded else {}
        if takes(self._model, "position_ids"):
            more["position_ids"] = positions
        more["cache" if takes(self._model, "cache") else "past_key_values"] = self._cache
        return self._model(input_ids=ids, use_cache=True, logits_to_keep=1, **more).logits[:, -1]


@contextmanager
def evaluating(model: Any) -> Generator[None]:
    """The model without dropout; afterwards as it was."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


def inner(model: Any) -> Any:
    """The model of transformers inside an adapter's or a process group's wrapper."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif hasattr(model, "module"):
            model = model.module
        else:
            return model


def takes(model: Any, name: str) -> bool:
    """Whether the model's ``forward`` has an argument of this name."""
    return name in _arguments(type(inner(model)))


@lru_cache
def _arguments(model: type[Any]) -> frozenset[str]:
    return frozenset(signature(model.forward).parameters)
