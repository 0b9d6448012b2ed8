"""States numbered by what they consist of, on first use."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Interned(Generic[Key]):
    """Numbers from 1 for keys; 0 is left to *found*, which has no key. ``memo[state]`` remembers its successors."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._numbers: dict[Key, int] = {}
        self.memo: list[dict[int, int]] = [{}]

    def __len__(self) -> int:
        return len(self.memo)

    def number(self, key: Key) -> int:
        state = self._numbers.get(key)
        if state is None:
            self._keys.append(key)
            state = self._numbers[key] = len(self._keys)
            self.memo.append({})
        return state

    def key(self, state: int) -> Key:
        """The key of a state other than *found*."""
        return self._keys[state - 1]
