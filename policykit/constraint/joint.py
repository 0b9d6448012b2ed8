"""Joint states of all automata, and the caches that share what was worked out for them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.rows import Row
from policykit.constraint.unit import Unit


class Epoch:
    """One generation of automata and tables. When they outgrow their bound, a new one begins."""

    def __init__(self, units: tuple[Unit, ...]) -> None:
        self.units = units


@dataclass(eq=False, slots=True)
class Joint:
    """A joint state: pending UTF-8 bytes, the lexers' modes, one state per automaton. Immutable but for what it
    remembers: ``next`` is where tokens (or a token's last bytes) lead (None: forbidden), ``rows`` its masks while the
    cache keeps them, by the automata for which they close traps, ``may_end`` whether the text may end there, ``base``
    the same context without progress, from which only the automata ``apart`` differ."""

    epoch: Epoch
    pending: bytes
    modes: tuple[str, ...]
    states: tuple[int, ...]
    next: "dict[int | bytes, Joint | None]" = field(default_factory=dict["int | bytes", "Joint | None"])
    rows: dict[tuple[int, ...], Row] = field(default_factory=dict[tuple[int, ...], Row])
    base: "Joint | None" = None
    apart: tuple[int, ...] = ()
    table: "BaseTable | None" = None
    may_end: bool | None = None

    @property
    def is_masked(self) -> bool:
        """Whether a mask of it is kept."""
        return bool(self.rows)


@dataclass(frozen=True, eq=False)
class BaseTable:
    """Where every token leads from a base: ``states[index[token]]``, all automata at once."""

    index: NDArray[np.int32]
    states: tuple[tuple[int, ...], ...]


Forget: TypeAlias = Callable[[], None]
KEPT_BYTES = 400
"""What keeping a row takes beside its words: many have few or none."""


class RowCache:
    """Rows within a bound on their bytes; the oldest go first. ``hits`` and ``misses`` count the masks asked for."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.n_bytes = 0
        self.hits = 0
        self.misses = 0
        self._parts: dict[object, Row] = {}
        self._order: deque[tuple[int, Forget]] = deque()

    def mask(self, joint: Joint, closing: tuple[int, ...]) -> Row | None:
        """The mask that is kept on a joint state where traps of these automata are closed, counted."""
        row = joint.rows.get(closing)
        if row is None:
            self.misses += 1
        else:
            self.hits += 1
        return row

    def keep_mask(self, joint: Joint, closing: tuple[int, ...], row: Row) -> None:
        joint.rows[closing] = row

        def forget() -> None:
            joint.rows.pop(closing, None)

        self._keep(row, forget)

    def part(self, key: object) -> Row | None:
        """A row that masks are made of: of one automaton's state."""
        return self._parts.get(key)

    def keep_part(self, key: object, row: Row) -> None:
        self._parts[key] = row

        def forget() -> None:
            self._parts.pop(key, None)

        self._keep(row, forget)

    def _keep(self, row: Row, forget: Forget) -> None:
        n_bytes = row.nbytes + KEPT_BYTES
        self._order.append((n_bytes, forget))
        self.n_bytes += n_bytes
        while self.n_bytes > self.limit and len(self._order) > 1:
            n_bytes, oldest = self._order.popleft()
            self.n_bytes -= n_bytes
            oldest()

    def clear(self) -> None:
        while self._order:
            self._order.popleft()[1]()
        self.n_bytes = 0
