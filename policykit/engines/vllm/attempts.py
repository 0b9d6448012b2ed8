"""One attempt of a decoding strategy while it is written: free, followed by its constraint, over where it refuses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policykit.constraint import State
from policykit.decoding.steps import take
from policykit.engines.attest import Finished


class FreeText:
    """Follows the contract of vLLM's `StructuredOutputGrammar` as :class:`MaskedText` does, and closes no token but
    ``not_first`` as the first, and everything but an end of text behind a refused one: whoever asked sees from the
    tokens where that was. With a mask on, a failure would say nothing about the model."""

    def __init__(self, state: State, not_first: frozenset[int], eos_ids: Sequence[int]) -> None:
        self._state = state
        self._not_first = not_first
        self._eos_ids = tuple(eos_ids)
        self._n_before = state.n_tokens
        self._token_ids: list[int] = []
        self._refused_at: int | None = None
        self._refused_by: tuple[str, ...] = ()
        self._n_filled = 0

    @property
    def token_ids(self) -> Sequence[int]:
        """What was drawn here, a refused token and the end behind it included."""
        return self._token_ids

    @property
    def n_tokens(self) -> int:
        return len(self._token_ids)

    @property
    def is_refused(self) -> bool:
        return self._refused_at is not None

    def fill(self, row: NDArray[np.int32]) -> None:
        """Write which tokens may be drawn next into a row that may be wider than the vocabulary."""
        self._n_filled += 1
        size = self._state.vocabulary_size
        row[:] = 0
        if self.is_refused or self._state.finished:
            _open(row, self._eos_ids)
            return
        row[: size // 32] = -1
        _open(row, range(size // 32 * 32, size))
        if not self._token_ids and self._not_first:
            for token_id in self._not_first:
                row.view(np.uint32)[token_id >> 5] &= np.uint32(~(1 << (token_id & 31)) & 0xFFFFFFFF)
            if not row.any():  # every token is known: an end of text, which is known too, says so
                _open(row, self._eos_ids)

    def accept(self, token_ids: Sequence[int]) -> bool:
        return all(self._take(token_id) for token_id in token_ids)

    def _take(self, token_id: int) -> bool:
        if self.is_refused:
            if token_id not in self._eos_ids:
                return False
        elif token_id >= self._state.vocabulary_size:
            return False
        elif not take(self._state, token_id):
            self._refused_by = self._state.blocked_by(token_id)
            self._refused_at = len(self._token_ids)
        self._token_ids.append(token_id)
        return True

    def allowed_prefix(self, token_ids: Sequence[int]) -> list[int]:
        """The longest beginning that can be taken. Changes nothing."""
        before, taken = len(self._token_ids), 0
        for token_id in token_ids:
            if not before + taken and token_id in self._not_first:
                break
            if not self._take(token_id):
                break
            taken += 1
        self.rollback(taken)
        return list(token_ids[:taken])

    def rollback(self, n: int) -> None:
        del self._token_ids[len(self._token_ids) - n :]
        if self._refused_at is not None and len(self._token_ids) <= self._refused_at:
            self._refused_at, self._refused_by = None, ()
        n_legal = len(self._token_ids) if self._refused_at is None else self._refused_at
        self._state.rollback(self._state.n_tokens - self._n_before - n_legal)

    def finished(self, request: str, child: str, digest: str, *, counts_rules: bool) -> Finished:
        closed = dict.fromkeys(self._refused_by, 1) if counts_rules else {}
        return Finished(request, child, digest, self._n_filled, self.n_tokens, False, closed)


def _open(row: NDArray[np.int32], token_ids: Sequence[int] | range) -> None:
    for token_id in token_ids:
        row.view(np.uint32)[token_id >> 5] |= np.uint32(1 << (token_id & 31))
