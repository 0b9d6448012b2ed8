"""What a strategy needs of a model that writes: draw on from a kept prefix, freely or under the mask.

A prefix is given by its token ids, never by its text. An engine keeps what it has computed for prefixes where it can
(a key-value cache, a server's prefix cache), so that going back to a position costs nothing but what is drawn anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from policykit.constraint import Constraint, Vocabulary
from policykit.grammar import ClosingRules
from policykit.plan import Plan


class Stop(StrEnum):
    """Why a draw ended: by an end of text, at its length, at a token that the constraint refuses, because nothing
    legal can follow (under a mask only), or at a token that completes a value which breaks the grammar by a keyword
    that no mask carries."""

    END = "end"
    LENGTH = "length"
    REFUSED = "refused"
    DEAD_END = "dead_end"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Ask:
    """Continue ``prefix`` until the text has ``max_length`` tokens (the prefix included) or ends.

    Unmasked, tokens are drawn from the model's own distribution, so that a failure says something about it; the draw
    stops at the first token that the constraint refuses. ``not_first`` may not come first (their mass has been
    explored: ``explored`` together), and with ``first_is_legal`` neither may anything that the mask forbids there.
    """

    prefix: tuple[int, ...]
    max_length: int
    is_masked: bool = False
    not_first: frozenset[int] = frozenset()
    first_is_legal: bool = False
    explored: float = 0.0
    closing: ClosingRules | None = field(default=None, compare=False, repr=False)
    """By what an engine that draws token by token stops where a complete value breaks the grammar."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The tokens that followed the prefix; one that is refused or breaks the grammar is the last.

    ``logps`` are natural logarithms of the model's own probabilities (at the sampling temperature, before any mask or
    ban); None where the engine cannot tell, which it can of every draw that is not masked. ``log_legal`` are those of
    the mass that the mask leaves open at each place; None where the engine does not see whole distributions.
    """

    token_ids: tuple[int, ...]
    logps: tuple[float, ...] | None
    log_legal: tuple[float, ...] | None
    stop: Stop
    refused_by: tuple[str, ...] = ()


class Session(Protocol):
    """One prompt under one constraint."""

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        """One draw per ask. The same asks with an equal generator give the same draws, on the same machine."""
        ...

    @property
    def n_prefilled(self) -> int:
        """Positions that had to be computed again, or for the first time, besides the drawn tokens."""
        ...

    @property
    def n_requests(self) -> int:
        """Requests that the engine was sent; of a model in this process, draws."""
        ...


class Engine(Protocol):
    """A model, ready to write."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def sees_distributions(self) -> bool:
        """Whether draws carry ``log_legal``: weights and the mask tax need it."""
        ...

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> Session: ...
