"""What sampling returns: answers, every attempt with why it failed, and what it all cost."""

from dataclasses import dataclass
from enum import StrEnum
from math import fsum

from policykit.ir.verdict import Verdict


class Ending(StrEnum):
    """How a sampling ended. Only ``ACCEPTED`` has all the answers that were asked for; none is ever made up."""

    ACCEPTED = "accepted"
    OUT_OF_TOKENS = "out_of_tokens"
    OUT_OF_TIME = "out_of_time"
    OUT_OF_ATTEMPTS = "out_of_attempts"
    NO_LEGAL_MASS = "no_legal_mass"


class Finish(StrEnum):
    """How a text ended: by itself, cut at its length, or at a token that was refused."""

    END = "end"
    LENGTH = "length"
    REFUSED = "refused"
    DEAD_END = "dead_end"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a sampling may cost; None is no limit. ``n_tokens`` counts drawn tokens, ``n_attempts`` texts that were
    tried: those of failures included."""

    n_tokens: int | None = None
    time_s: float | None = None
    n_attempts: int | None = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One text that was tried. ``text`` is its bytes as far as it got, a refused token included; ``kept`` are the
    tokens that it took over from earlier attempts. ``reasons`` are rules, checks or `grammar`; empty if accepted."""

    text: str
    n_drawn: int
    kept: int
    finish: Finish
    reasons: tuple[str, ...]
    is_errored: bool = False

    @property
    def is_accepted(self) -> bool:
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that the plan's verifier passed. ``text`` is what may be shown (transforms applied), ``raw`` what the
    model wrote. ``logp`` is the model's own log-probability of the raw text, and ``log_weight`` the logarithm of the
    weight that makes averages over answers unbiased for the legal part of the model's distribution; None where the
    engine or the strategy has none, or a choice among answers was made. ``mask_tax`` is -sum(log Z): what a mask takes
    of this text's places, in nats."""

    text: str
    raw: str
    token_ids: tuple[int, ...]
    finish: Finish
    logp: float | None
    log_weight: float | None
    mask_tax: float | None
    verdict: Verdict
    reward: float | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """The outcome for one prompt. ``legal_mass_bound``: no more than this share of what the model would write is
    legal, as proven by the failures (1.0 where nothing is proven). ``log_z`` are unbiased estimates of the legal mass
    in logarithms, one per population, from `weighted` alone: -inf for a population without an answer, None where a
    check could not be made. ``searched`` is how a search for the best ended: only `ACCEPTED` has looked at as many
    answers as it was to, or as were enough; without one it is ``ending``."""

    prompt: str
    strategy: str
    ending: Ending
    answers: tuple[Answer, ...]
    attempts: tuple[Attempt, ...]
    n_tokens: int
    n_prefilled: int
    seconds: float
    legal_mass_bound: float
    digest: str
    bundle_digest: str
    seed: int
    n_requests: int = 0
    log_z: tuple[float | None, ...] = ()
    searched: Ending = Ending.ACCEPTED

    @property
    def acceptance_rate(self) -> float | None:
        """Accepted attempts by attempts; None before the first."""
        return sum(a.is_accepted for a in self.attempts) / len(self.attempts) if self.attempts else None

    @property
    def tokens_per_answer(self) -> float | None:
        """Drawn tokens by accepted answers; None where there are none."""
        return self.n_tokens / len(self.answers) if self.answers else None

    @property
    def mask_tax(self) -> float | None:
        """Mean of -sum(log Z) over the answers; None where the engine does not tell."""
        taxes = [answer.mask_tax for answer in self.answers if answer.mask_tax is not None]
        return fsum(taxes) / len(taxes) if taxes else None

    @property
    def reasons(self) -> dict[str, int]:
        """How many attempts each rule or check refused."""
        found: dict[str, int] = {}
        for attempt in self.attempts:
            for reason in attempt.reasons:
                found[reason] = found.get(reason, 0) + 1
        return found
