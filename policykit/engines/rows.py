"""One constraint over the rows of a batch, whatever the engine does with the rows between two steps.

States are keyed by what a row has written, not by where it stands: rows may be reordered, duplicated or dropped
(beam search does all three), and rows that wrote the same share one state and one mask.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from policykit.constraint import Outcome
from policykit.diagnostics import InternalError

Packed = NDArray[np.int32]
History = NDArray[np.int64]
Key = tuple[int, bytes]


class TokenVocabulary(Protocol):
    """What rows need to know of a vocabulary: how many ids, and which of them end the text."""

    @property
    def size(self) -> int: ...
    @property
    def eos_ids(self) -> tuple[int, ...]: ...
    def decode(self, token_ids: Iterable[int]) -> bytes: ...


class TokenState(Protocol):
    """The part of a constraint's state that rows use."""

    @property
    def finished(self) -> bool: ...
    @property
    def outcome(self) -> Outcome: ...
    def fill(self, row: Packed) -> object: ...
    def accept(self, token_id: int) -> bool: ...
    def copy(self) -> Self: ...


class TokenConstraint(Protocol):
    """The part of a constraint that rows use."""

    @property
    def vocabulary(self) -> TokenVocabulary: ...
    def start(self, prefix: bytes = b"") -> TokenState: ...


@dataclass(slots=True)
class _Seat:
    """A history's state and its mask. ``state`` is None where the history left the constraint."""

    state: TokenState | None
    mask: Packed | None = None


class ConstraintRows:
    """The states of a batch's rows. ``prefixes`` prime them: one for all rows, or one per group of equal size.

    ``pad_id`` may follow the end of text, as any end token may; nothing else. With ``keeps_lost_rows`` a token that
    the constraint does not accept closes its row for good (an empty mask) where it would raise otherwise: beam search
    carries hypotheses of score minus infinity along.
    """

    def __init__(
        self,
        constraint: TokenConstraint,
        prefixes: Sequence[bytes] = (b"",),
        *,
        pad_id: int | None = None,
        keeps_lost_rows: bool = False,
    ) -> None:
        self._constraint = constraint
        self._prefixes = tuple(prefixes)
        self._ends = frozenset(constraint.vocabulary.eos_ids)
        self._after_end = self._ends | ({pad_id} if pad_id is not None else set[int]())
        self._keeps_lost_rows = keeps_lost_rows
        self._seats: dict[Key, _Seat] = {}
        self._end_mask = packed(self._ends, constraint.vocabulary.size)

    def masks(self, written: History) -> Packed:
        """The masks, int32 [B, ceil(V/32)] (bit 1 = allowed), of rows that have written ``written``, int64 [B, T].

        Costs one ``accept`` and one ``fill`` per distinct row when each row continues one of the previous call; any
        other row is replayed from its start. At a dead end the text may only end; `outcome` tells. Raises InternalError
        for a token that the constraint does not accept, and for a row in which nothing is allowed.
        """
        keys = self._keys(written)
        rows = {key: written[i] for i, key in enumerate(keys)}
        heirs = Counter(self._parent(key, row) for key, row in rows.items() if key not in self._seats)
        seats: dict[Key, _Seat] = {}
        for key, row in rows.items():
            seats[key] = self._seats.get(key) or self._seat(key, row, heirs)
        self._seats = seats
        return np.stack([self._mask(seats[key], i, written.shape[1]) for i, key in enumerate(keys)])

    def outcome(self, token_ids: Sequence[int], prefix: bytes = b"") -> Outcome | None:
        """How a text of these tokens stands, by replaying it from its start; None if it leaves the constraint."""
        state = self._constraint.start(prefix)
        return state.outcome if all(self._accept(state, token) for token in token_ids) else None

    def forget(self) -> None:
        """Drop every state: the next call starts anew."""
        self._seats = {}

    def _keys(self, written: History) -> list[Key]:
        n = len(written)
        if n % len(self._prefixes):
            raise InternalError(f"{n} rows cannot share {len(self._prefixes)} prefixes evenly")
        return [(i * len(self._prefixes) // n, row.tobytes()) for i, row in enumerate(written)]

    def _parent(self, key: Key, row: History) -> Key:
        return (key[0], row[:-1].tobytes())

    def _seat(self, key: Key, row: History, heirs: Counter[Key]) -> _Seat:
        parent_key = self._parent(key, row)
        parent = self._seats.get(parent_key) if len(row) else None
        if parent is None:
            return self._advanced(self._constraint.start(self._prefixes[key[0]]), row.tolist())
        # The last heir takes the state itself; the others need copies.
        heirs[parent_key] -= 1
        if parent.state is None:
            return _Seat(None)
        state = parent.state.copy() if heirs[parent_key] else parent.state
        return self._advanced(state, [int(row[-1])])

    def _advanced(self, state: TokenState, tokens: Sequence[int]) -> _Seat:
        for token in tokens:
            if not self._accept(state, token):
                if self._keeps_lost_rows:
                    return _Seat(None)
                raise InternalError(
                    f"the engine chose token {token}, which the mask forbids; "
                    "something after the mask changed the scores, or the rows come from beam search"
                )
        return _Seat(state)

    def _accept(self, state: TokenState, token: int) -> bool:
        if state.finished:
            return token in self._after_end
        return 0 <= token < self._constraint.vocabulary.size and state.accept(token)

    def _mask(self, seat: _Seat, row: int, n_written: int) -> Packed:
        if seat.mask is None:
            seat.mask = self._filled(seat.state)
        if not seat.mask.any() and not self._keeps_lost_rows:
            raise InternalError(f"nothing is allowed in row {row} after {n_written} tokens, not even the end of text")
        return seat.mask

    def _filled(self, state: TokenState | None) -> Packed:
        if state is not None and state.finished:
            return self._end_mask
        mask = np.zeros_like(self._end_mask)
        # At a dead end a state lets the text end, so that decoding stops; to a beam search that would be a good end.
        if state is not None and not (self._keeps_lost_rows and state.outcome is Outcome.DEAD_END):
            state.fill(mask)
        return mask


def packed(token_ids: Iterable[int], size: int) -> Packed:
    """The mask that allows these tokens: int32 [ceil(size/32)], token i at bit i % 32 of word i // 32."""
    bits = np.zeros(-(-size // 32) * 32, dtype=np.uint8)
    bits[list(token_ids)] = 1
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32, copy=False)


def unpacked(masks: Packed, size: int, width: int) -> NDArray[np.bool_]:
    """The masks as bool [B, width]; ids from ``size`` on, which no vocabulary knows, are not allowed."""
    words = np.ascontiguousarray(masks, dtype="<i4").view(np.uint8)
    bits = np.unpackbits(words, axis=1, count=size, bitorder="little").view(np.bool_)
    if width == size:
        return bits
    out = np.zeros((len(masks), width), dtype=np.bool_)
    out[:, : min(size, width)] = bits[:, :width]
    return out
