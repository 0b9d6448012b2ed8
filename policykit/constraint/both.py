"""Two grammars at once: a text must be in both. The second is the first without the traps that the rules make."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Matcher(Protocol):
    """What a state needs of a grammar; :class:`policykit.grammar.GrammarState` is one."""

    @property
    def accepting(self) -> bool: ...
    def fill(self, row: NDArray[np.int32]) -> None: ...
    def accept(self, token_id: int) -> bool: ...
    def takes(self, token_ids: Sequence[int]) -> bool: ...
    def rollback(self, n: int) -> None: ...
    def copy(self) -> "Matcher": ...
    def forced_bytes(self) -> bytes: ...


class Both:
    """The conjunction of two matchers over one vocabulary, with the same contract."""

    def __init__(self, first: Matcher, second: Matcher) -> None:
        self._first = first
        self._second = second

    @property
    def accepting(self) -> bool:
        return self._first.accepting and self._second.accepting

    def fill(self, row: NDArray[np.int32]) -> None:
        other = np.empty_like(row)
        self._first.fill(row)
        self._second.fill(other)
        np.bitwise_and(row, other, out=row)

    def accept(self, token_id: int) -> bool:
        if not self._first.accept(token_id):
            return False
        if self._second.accept(token_id):
            return True
        self._first.rollback(1)
        return False

    def takes(self, token_ids: Sequence[int]) -> bool:
        return self._first.takes(token_ids) and self._second.takes(token_ids)

    def rollback(self, n: int) -> None:
        self._first.rollback(n)
        self._second.rollback(n)

    def copy(self) -> "Both":
        return Both(self._first.copy(), self._second.copy())

    def forced_bytes(self) -> bytes:
        """What either forces, as far as both agree."""
        one, two = self._first.forced_bytes(), self._second.forced_bytes()
        longer, shorter = (one, two) if len(one) >= len(two) else (two, one)
        return longer if longer.startswith(shorter) else b""
