"""The masks under which tokens were sampled, computed again from the plan and the token ids."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from policykit.constraint import Constraint
from policykit.diagnostics import PolicyError
from policykit.rewards import RolloutMode

Words = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ReplayedMasks:
    """The masks of B completions, padded on the right to T tokens.

    ``words`` is int32 [B, T, ceil(V/32)], bit 1 = allowed, one bit for every token of the vocabulary: 25 KB a position
    at V = 200,000. ``is_real`` is bool [B, T]; a padded position allows everything. ``n_allowed`` is int64 [B, T].
    """

    words: Words
    is_real: NDArray[np.bool_]
    n_allowed: NDArray[np.int64]
    vocabulary_size: int

    def widened(self, n_tokens: int) -> "ReplayedMasks":
        """The same masks with padding up to ``n_tokens`` positions."""
        more = n_tokens - self.is_real.shape[1]
        if more <= 0:
            return self
        right = ((0, 0), (0, more))
        words = np.pad(self.words, (*right, (0, 0)), constant_values=-1)
        n_allowed = np.pad(self.n_allowed, right, constant_values=self.vocabulary_size)
        return ReplayedMasks(words, np.pad(self.is_real, right), n_allowed, self.vocabulary_size)

    def allowed(self, start: int, stop: int, width: int) -> torch.Tensor:
        """bool [B, stop - start, width]: the masks of some positions, for a model that scores ``width`` tokens.

        Ids from the vocabulary's size on are not allowed, except where a position is padding.
        """
        out = unpacked_masks(self.words[:, start:stop], self.vocabulary_size, width)
        out |= ~self.is_real[:, start:stop, None]
        return torch.from_numpy(out)

    def chunks(self, width: int, max_bytes: int) -> Iterator[tuple[int, int, torch.Tensor]]:
        """(start, stop, :meth:`allowed`) over all positions, each of at most ``max_bytes`` or of one position."""
        n_rows, n_tokens = self.is_real.shape
        step = max(1, max_bytes // max(1, n_rows * width))
        for start in range(0, n_tokens, step):
            stop = min(start + step, n_tokens)
            yield start, stop, self.allowed(start, stop, width)


def unpacked_masks(words: Words, size: int, width: int) -> NDArray[np.bool_]:
    """bool [..., width] of packed rows, int32 [..., ceil(size/32)]; ids from ``size`` on are not allowed."""
    packed = np.ascontiguousarray(words).astype("<i4", copy=False).view(np.uint8)
    bits = np.unpackbits(packed, axis=-1, count=size, bitorder="little").view(np.bool_)
    if width == size:
        return bits
    out = np.zeros((*bits.shape[:-1], width), dtype=np.bool_)
    out[..., : min(size, width)] = bits[..., :width]
    return out


def replay_masks(
    constraint: Constraint,
    plan_digest: str,
    token_ids: Sequence[Sequence[int]],
    prefixes: Sequence[bytes] | None = None,
) -> ReplayedMasks:
    """The mask before each token of each completion. ``prefixes`` primed the constraint when sampling, one a row.

    Completions hold no padding; they may end with an end of text, or be cut. Raises PolicyError: PK762 where the
    tokens were sampled under another plan, PK766 for a token that its mask forbids.
    """
    if constraint.digest != plan_digest:
        message = f"the tokens were sampled under the plan {plan_digest}, the masks are of {constraint.digest}"
        raise PolicyError.of("PK762", message, help="replay with the plan that sampled")
    if prefixes is not None and len(prefixes) != len(token_ids):
        raise ValueError(f"{len(prefixes)} prefixes for {len(token_ids)} rows")
    size = constraint.vocabulary.size
    shape = len(token_ids), max((len(row) for row in token_ids), default=0)
    words = np.full((*shape, -(-size // 32)), -1, dtype=np.int32)
    is_real = np.zeros(shape, dtype=np.bool_)
    n_allowed = np.full(shape, size, dtype=np.int64)
    for i, row in enumerate(token_ids):
        state = constraint.start(prefixes[i] if prefixes else b"")
        for t, token in enumerate(row):
            mask = np.zeros(words.shape[-1], dtype=np.int32)
            state.fill(mask)
            if state.finished or not 0 <= token < size or not mask[token // 32] >> (token % 32) & 1:
                raise _forbidden(i, t, token)
            if not state.accept(token):
                raise _forbidden(i, t, token)
            words[i, t] = mask
            is_real[i, t] = True
            n_allowed[i, t] = int(np.bitwise_count(mask.view(np.uint32)).sum())
    return ReplayedMasks(words, is_real, n_allowed, size)


def _forbidden(row: int, position: int, token: int) -> PolicyError:
    message = f"token {token}, at position {position} of completion {row}, is forbidden by its replayed mask"
    return PolicyError.of("PK766", message, help="replay with the tokenizer and the prefix that sampled")


def check_one_mode(modes: Sequence[RolloutMode], group_size: int) -> None:
    """Raises PolicyError (PK767) where a group of ``group_size`` rollouts in a row has two modes."""
    for start in range(0, len(modes), group_size):
        found = sorted({mode.value for mode in modes[start : start + group_size]})
        if len(found) > 1:
            message = f"group {start // group_size} has rollouts of the modes {', '.join(found)}"
            raise PolicyError.of("PK767", message, help="sample each group in one mode")
