"""A constraint written by hand: no forbidden phrase, ASCII case ignored, judged by brute force on the bytes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policykit.constraint import Outcome, Vocabulary


@dataclass
class BanState:
    """Every step looks at the whole text again. ``only`` restricts the tokens further, from their number on."""

    ban: "PhraseBan"
    text: bytes
    n: int = 0
    finished: bool = False
    dead: bool = False

    def allowed(self, token: int) -> bool:
        if self.n in self.ban.traps:
            return token in self.ban.traps[self.n]
        if token in self.ban.vocabulary.special_ids:
            return token in self.ban.vocabulary.eos_ids
        grown = (self.text + self.ban.vocabulary.tokens[token]).lower()
        return bool(self.ban.vocabulary.tokens[token]) and not any(p in grown for p in self.ban.phrases)

    @property
    def outcome(self) -> Outcome:
        if self.finished:
            return Outcome.DEAD_END if self.dead else Outcome.FINISHED
        return Outcome.DEAD_END if self.ban.traps.get(self.n) == frozenset() else Outcome.RUNNING

    def fill(self, row: NDArray[np.int32]) -> None:
        self.ban.fills += 1
        row[:] = 0
        allowed = [t for t in range(self.ban.vocabulary.size) if self.allowed(t)]
        if not allowed and self.ban.ends_when_dead:
            allowed = list(self.ban.vocabulary.eos_ids)
        for token in allowed:
            row[token // 32] |= np.array(1 << (token % 32), np.uint32).astype(np.int32)

    def accept(self, token_id: int) -> bool:
        is_end = token_id in self.ban.vocabulary.eos_ids
        stuck = self.outcome is Outcome.DEAD_END and self.ban.ends_when_dead
        if self.finished or not (self.allowed(token_id) or (is_end and stuck)):
            return False
        self.dead = stuck
        self.finished = is_end
        self.text += self.ban.vocabulary.tokens[token_id]
        self.n += 1
        return True

    def copy(self) -> "BanState":
        self.ban.copies += 1
        return BanState(self.ban, self.text, self.n, self.finished, self.dead)


@dataclass
class PhraseBan:
    """``traps[n]`` are the only tokens allowed after n tokens; an empty trap is a dead end."""

    vocabulary: Vocabulary
    phrases: tuple[bytes, ...]
    traps: dict[int, frozenset[int]] = field(default_factory=dict)
    ends_when_dead: bool = True
    fills: int = 0
    copies: int = 0

    def start(self, prefix: bytes = b"") -> BanState:
        return BanState(self, prefix)
