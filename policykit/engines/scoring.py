"""What a model says about texts that are already written: log-probabilities, KL to another model, and mask tax.

Everything is exact over the whole vocabulary, at every position: no estimate from the sampled tokens alone.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from policykit.constraint import Constraint
from policykit.diagnostics import InternalError, PolicyError
from policykit.engines.rows import unpacked

MAX_VALUES = 2**24
"""Probabilities that are looked at in one step: 128 MB in double precision."""

Forward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Token ids, attention mask and position ids, int64 [B, T], to logits [B, keep, V] of the last ``keep`` positions."""

Written = tuple[tuple[int, ...], tuple[int, ...]]
"""The token ids of a prompt, and of what was written after it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One number per written token, in nats. ``kl`` is KL(model ‖ base) of the distributions that the token was drawn
    from, ``log_z`` the log mass that the mask leaves open there; None where nothing was asked for."""

    logps: tuple[float, ...]
    kl: tuple[float, ...] | None
    log_z: tuple[float, ...] | None

    @property
    def logp(self) -> float:
        return fsum(self.logps)

    @property
    def mask_tax(self) -> float | None:
        """−Σ log Z."""
        return None if self.log_z is None else -fsum(self.log_z)


def forward_of(model: PreTrainedModel) -> Forward:
    """Logits of a causal language model."""
    callable_model: Any = model

    def forward(ids: torch.Tensor, is_real: torch.Tensor, positions: torch.Tensor, keep: int) -> torch.Tensor:
        found = callable_model(
            input_ids=ids, attention_mask=is_real, position_ids=positions, use_cache=False, logits_to_keep=keep
        )
        return found.logits[:, -keep:]

    return forward


def score(
    model: PreTrainedModel,
    rows: Sequence[Written],
    *,
    temperature: float = 1.0,
    base: Forward | None = None,
    constraint: Constraint | None = None,
    batch_size: int = 16,
    done: Callable[[int], None] | None = None,
) -> list[Scored]:
    """:func:`score_under` the model as it is."""
    return score_under(
        forward_of(model), model.device, rows, temperature=temperature, base=base, constraint=constraint,
        batch_size=batch_size, done=done,
    )  # fmt: skip


def score_under(
    forward: Forward,
    device: torch.device,
    rows: Sequence[Written],
    *,
    temperature: float = 1.0,
    base: Forward | None = None,
    constraint: Constraint | None = None,
    batch_size: int = 16,
    done: Callable[[int], None] | None = None,
) -> list[Scored]:
    """The scores of every row, computed in batches that are padded on the left; ``done`` is told how many are ready.

    Logits are divided by the temperature, of both models. Raises PolicyError (PK841) where the base scores another
    number of tokens, InternalError for a token that the constraint forbids.
    """
    found: list[Scored] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        keep = max(len(written) for _, written in batch) + 1
        ids, is_real, positions = (part.to(device) for part in _padded(batch))
        with torch.inference_mode():
            logits = forward(ids, is_real, positions, keep)
            other = base(ids, is_real, positions, keep) if base else None
            if other is not None and other.shape[-1] != logits.shape[-1]:
                message = f"the base scores {other.shape[-1]} tokens, the model {logits.shape[-1]}"
                raise PolicyError.of("PK841", message, help="name the model that this one was trained from")
            for i, (_, written) in enumerate(batch):
                n = len(written)
                there = slice(keep - 1 - n, keep - 1)
                of_base = None if other is None else other[i, there]
                found.append(_row(logits[i, there], of_base, written, temperature, constraint))
        if done:
            done(len(found))
    return found


def _padded(batch: Sequence[Written]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and positions, int64 [B, T]; every row ends at the right edge."""
    whole = [prompt + written for prompt, written in batch]
    width = max(map(len, whole))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in whole])
    is_real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in whole])
    return ids, is_real, (is_real.cumsum(-1) - 1).clamp(min=0)


def _row(
    logits: torch.Tensor,
    base: torch.Tensor | None,
    written: tuple[int, ...],
    temperature: float,
    constraint: Constraint | None,
) -> Scored:
    """The scores of one row: ``logits`` and those of the base are [n, V]."""
    masks = None if constraint is None else _masks(constraint, written)
    step = max(1, MAX_VALUES // logits.shape[-1])
    logps: list[float] = []
    kl: list[float] = []
    log_z: list[float] = []
    for start in range(0, len(written), step):
        there = slice(start, start + step)
        scores = (logits[there].double() / temperature).log_softmax(-1)
        tokens = torch.tensor(written[there], device=scores.device)[:, None]
        logps += scores.gather(-1, tokens)[:, 0].tolist()
        if base is not None:
            of_base = (base[there].double() / temperature).log_softmax(-1)
            kl += torch.where(scores.isneginf(), 0.0, scores.exp() * (scores - of_base)).sum(-1).tolist()
        if masks is not None and constraint is not None:
            allowed = torch.from_numpy(unpacked(masks[there], constraint.vocabulary.size, scores.shape[-1]))
            log_z += scores.masked_fill(~allowed.to(scores.device), float("-inf")).logsumexp(-1).tolist()
    return Scored(
        tuple(logps),
        None if base is None else tuple(max(0.0, value) for value in kl),
        None if masks is None else tuple(min(0.0, value) for value in log_z),
    )


def _masks(constraint: Constraint, written: tuple[int, ...]) -> "np.ndarray[tuple[int, int], np.dtype[np.int32]]":
    """The mask before every token, int32 [n, ceil(V/32)]."""
    state = constraint.start()
    masks = np.zeros((len(written), -(-constraint.vocabulary.size // 32)), dtype=np.int32)
    for i, token in enumerate(written):
        state.fill(masks[i])
        if not state.accept(token):
            raise InternalError(f"token {token}, at position {i}, is forbidden by the mask that is scored with")
    return masks
