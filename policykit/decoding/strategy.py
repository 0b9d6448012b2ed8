"""The strategies by name, with their settings, and what each promises about its answers."""

from dataclasses import dataclass, field
from enum import StrEnum

from policykit.diagnostics import PolicyError, did_you_mean


class StrategyName(StrEnum):
    """What a profile, a flag or a log calls a strategy."""

    MASK = "mask"
    REJECT = "reject"
    EXACT = "exact"
    BLOCK = "block"
    AUTO = "auto"
    WEIGHTED = "weighted"


@dataclass(frozen=True, slots=True)
class Mask:
    """Draws under the mask: always legal as far as masks reach, no token too many. At most 1 - P(legal) from exact;
    answers carry the weights that undo it. A text that only the verifier can refuse is drawn again."""

    name: StrategyName = field(default=StrategyName.MASK, init=False)


@dataclass(frozen=True, slots=True)
class Reject:
    """Whole texts, each broken off at its first refused token, until one passes. Exact, and independent."""

    name: StrategyName = field(default=StrategyName.REJECT, init=False)


@dataclass(frozen=True, slots=True)
class Exact:
    """As `Reject`, with a memory of what has been refused, so that nothing fails twice. Exact, and independent."""

    name: StrategyName = field(default=StrategyName.EXACT, init=False)


@dataclass(frozen=True, slots=True)
class Block:
    """Takes a failed text up again at the sentence, and further back after ``n_failures`` there or where at most
    ``min_legal`` of what may follow is legal. For prose. At most 1 - P(legal) from exact, in practice far less."""

    n_failures: int = 2
    min_legal: float = 0.1
    name: StrategyName = field(default=StrategyName.BLOCK, init=False)


@dataclass(frozen=True, slots=True)
class Auto:
    """`Exact` for the first ``n_exact`` failures of an answer, then ``block``. At most the probability of more failures
    than that from exact, so at most (1 - P(legal)) ** (n_exact + 1)."""

    n_exact: int = 3
    block: Block = Block()
    name: StrategyName = field(default=StrategyName.AUTO, init=False)


@dataclass(frozen=True, slots=True)
class Weighted:
    """Sequential Monte Carlo under the mask. Each answer is drawn from a population of ``n_particles``, and carries a
    weight with which averages are unbiased. Needs an engine that sees whole distributions."""

    n_particles: int = 8
    stride: int = 8
    name: StrategyName = field(default=StrategyName.WEIGHTED, init=False)


Strategy = Mask | Reject | Exact | Block | Auto | Weighted

_ALL: tuple[Strategy, ...] = (Mask(), Reject(), Exact(), Block(), Auto(), Weighted())


def strategy(name: str) -> Strategy:
    """The strategy of a name, with its usual settings. Raises PolicyError (PK470).

    >>> strategy("block")
    Block(n_failures=2, min_legal=0.1, name=<StrategyName.BLOCK: 'block'>)
    """
    for one in _ALL:
        if one.name == name:
            return one
    names = [one.name.value for one in _ALL]
    advice = did_you_mean(name, names) or f"the strategies are {', '.join(f'`{n}`' for n in names)}"
    raise PolicyError.of("PK470", f"unknown decoding strategy `{name}`", help=advice)
