"""What a model says of rollouts: log-probabilities of their tokens, raw or with the masks replayed.

The same masks for θ, for the model that sampled and for the reference.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policykit.constraint import Constraint
from policykit.training.masked import MaskedLogProbs, masked_log_probs
from policykit.training.replay import ReplayedMasks, Words, replay_masks
from policykit.training.rl.draw import TokenIds, takes


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """B prompts and their completions, as tensors: ``input_ids`` int64 [B, P + T], prompts padded on the left and
    completions on the right, ``attention_mask`` the same shape, ``is_real`` bool [B, T] over the completions."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    is_real: torch.Tensor

    @property
    def completion_ids(self) -> torch.Tensor:
        """int64 [B, T]."""
        return self.input_ids[:, -self.is_real.shape[1] :]

    @property
    def n_tokens(self) -> int:
        """T, the width of the completions."""
        return self.is_real.shape[1]


def token_batch(
    prompts: Sequence[TokenIds], completions: Sequence[TokenIds], pad_id: int, device: torch.device | str = "cpu"
) -> TokenBatch:
    """The rows as one batch; each needs a token of a prompt at least."""
    width, length = max(map(len, prompts)), max(map(len, completions))
    ids: list[list[int]] = []
    real: list[list[int]] = []
    for prompt, completion in zip(prompts, completions, strict=True):
        left, right = width - len(prompt), length - len(completion)
        ids.append([pad_id] * left + [*prompt, *completion] + [pad_id] * right)
        real.append([0] * left + [1] * (len(prompt) + len(completion)) + [0] * right)
    attention_mask = torch.tensor(real, device=device)
    return TokenBatch(torch.tensor(ids, device=device), attention_mask, attention_mask[:, width:].bool())


def logits_of(model: Any, batch: TokenBatch, *, with_hidden: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits [B, T, V] that the completions' tokens were sampled from, and the last hidden states [B, T, H]."""
    more: dict[str, Any] = {}
    if takes(model, "position_ids"):
        more["position_ids"] = (batch.attention_mask.cumsum(-1) - 1).clamp(min=0)
    if with_hidden:
        more["output_hidden_states"] = True
    n = batch.n_tokens + 1
    if takes(model, "logits_to_keep"):
        more["logits_to_keep"] = n
    out = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False, **more)
    hidden = out.hidden_states[-1][:, -n:-1] if with_hidden else None
    return out.logits[:, -n:][:, :-1], hidden


def log_probs(
    logits: torch.Tensor,
    batch: TokenBatch,
    masks: ReplayedMasks | None,
    *,
    temperature: float = 1.0,
    transformed: torch.Tensor | None = None,
) -> MaskedLogProbs:
    """Of the completions' tokens: replayed where there are masks, of the model itself otherwise.

    Without masks nothing is forced, so that every real token counts that no rule wrote.
    """
    if masks is not None:
        return masked_log_probs(logits, batch.completion_ids, masks, temperature=temperature, transformed=transformed)
    real = batch.is_real
    scores = torch.where(real[..., None], logits, 0.0)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    of_token = scores.gather(-1, batch.completion_ids[..., None])[..., 0]
    logp = torch.where(real, of_token - scores.logsumexp(-1), 0.0)
    counts = real if transformed is None else real & ~transformed.to(real.device)
    return MaskedLogProbs(logp, torch.zeros_like(logp), counts)


def padded(rows: Sequence[Sequence[float]], width: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """The rows as [B, width], 0 on the right of each."""
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], device=device)


class Replayer:
    """Replays masks of completions under one constraint, and keeps what it replayed last, up to ``max_bytes``.

    A trainer asks for the same rows three times: for the model that sampled, for the reference and for θ.
    """

    def __init__(self, constraint: Constraint, max_bytes: int = 256 * 2**20) -> None:
        self.constraint = constraint
        self._max_bytes, self._n_bytes = max_bytes, 0
        self._kept: OrderedDict[tuple[bytes, TokenIds], tuple[Words, np.ndarray[Any, Any]]] = OrderedDict()

    def masks(self, plan_digest: str, rows: Sequence[TokenIds], prefixes: Sequence[bytes]) -> ReplayedMasks:
        """As :func:`policykit.training.replay.replay_masks`."""
        keys = list(zip(prefixes, rows, strict=True))
        missing = list(dict.fromkeys(key for key in keys if key not in self._kept))
        found = dict[tuple[bytes, TokenIds], tuple[Words, np.ndarray[Any, Any]]]()
        if missing:
            new = replay_masks(self.constraint, plan_digest, [row for _, row in missing], [p for p, _ in missing])
            for i, key in enumerate(missing):
                n = len(key[1])
                found[key] = new.words[i, :n].copy(), new.n_allowed[i, :n].copy()
        else:
            replay_masks(self.constraint, plan_digest, [], [])  # the digest is checked all the same
        for key in keys:
            if key in self._kept:
                found[key] = self._kept[key]
        self._keep(found)
        return self._joined([found[key] for key in keys])

    def _keep(self, found: dict[tuple[bytes, TokenIds], tuple[Words, np.ndarray[Any, Any]]]) -> None:
        for key, value in found.items():
            if key in self._kept:
                self._kept.move_to_end(key)
            else:
                self._kept[key] = value
                self._n_bytes += value[0].nbytes
        while self._n_bytes > self._max_bytes and self._kept:
            _, (words, _) = self._kept.popitem(last=False)
            self._n_bytes -= words.nbytes

    def _joined(self, rows: Sequence[tuple[Words, np.ndarray[Any, Any]]]) -> ReplayedMasks:
        size = self.constraint.vocabulary.size
        shape = len(rows), max((len(words) for words, _ in rows), default=0)
        words = np.full((*shape, -(-size // 32)), -1, dtype=np.int32)
        is_real = np.zeros(shape, dtype=np.bool_)
        n_allowed = np.full(shape, size, dtype=np.int64)
        for i, (row, n) in enumerate(rows):
            words[i, : len(row)], n_allowed[i, : len(row)], is_real[i, : len(row)] = row, n, True
        return ReplayedMasks(words, is_real, n_allowed, size)


def is_adapted(model: Any) -> bool:
    """Whether the model has adapters, without which it is its own reference."""
    return hasattr(_unwrapped(model), "disable_adapter") and hasattr(_unwrapped(model), "peft_config")


@contextmanager
def as_reference(model: Any, reference: Any | None) -> Generator[Any]:
    """The reference, without gradients: ``reference`` itself, or else ``model`` without its adapters. Raises
    ValueError for a model that has none."""
    if reference is None and not is_adapted(model):
        raise ValueError("a model without adapters needs a reference of its own")
    with torch.no_grad(), nullcontext() if reference is not None else _unwrapped(model).disable_adapter():
        yield model if reference is None else reference


def _unwrapped(model: Any) -> Any:
    while hasattr(model, "module"):
        model = model.module
    return model
