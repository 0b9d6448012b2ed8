"""How long masks may hold up an engine: its steps wait for the masks of all of their texts.

An ambiguous grammar compiles at once, and its masks then take longer with every token: with the square of the text's
length and more, without one of them being slow enough to stand out. So a text owes what its masks take, less what each
may take, and fails where it owes too much. Grammars that came with requests (not those that are made of a profile's own
schemas and tools) owe together, too, whichever texts they have: each plan has a purse of what its masks have taken
beyond an everyday mask's time, and belongs to a payer, the tenant whose request it was (where nobody says whose, each
plan pays for itself). Debts are forgiven a share of the time that goes by, equal parts to each payer, and of that to
each of its plans. A payer that owes more than its fair part of :data:`BURST_S` (the part that would be left to it if no
payer owed more than it does) is over; then those of its plans fail that owe more than their fair part of that, by the
same rule, and where it owes twice as much, all of them. So:

- In any T seconds the masks of n payers take at most ``EVERYDAY_S`` each, and together beyond that ``SHARE`` * T,
  twice the sum of max(``FREE_S``, ``BURST_S`` / k) over k = 1 to n, and for each payer the one mask with which it owes
  so much (one for each text that a step makes masks of at once), however many grammars it sends.
- No text fails for what others do while its payer owes at most ``FREE_S``, whatever they do; nor while it owes at most
  ``BURST_S`` over the number of payers that owe.
- Of one payer, a plan that owes little goes on beside one that owes much, until the payer owes twice its part.

A text's first mask is made in a thread, where no step waits for it, but the processor is the same. Those have a share
of their own (:func:`first_masks`): beyond ``FIRST_QUICK_S`` each is owed by the payer alone, and a payer that is over
has no first mask of a new plan made.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from policykit.diagnostics import PolicyError
from policykit.engines.debts import Debts

MAX_MASK_S = 5.0
"""Of the processor's time, for a text's first mask, which is made in a thread."""
QUICK_S = 0.02
"""What a mask may take that costs its text nothing. Everyday ones take 0.1 to 3 ms, and where a state is met first
rarely more than this."""
MAX_OWED_S = 1.0
EVERYDAY_S = 0.002
"""What a mask may take that costs its plan nothing: several times the mean of everyday ones."""
SHARE, BURST_S = 0.1, 2.0
"""What all grammars of requests may owe together: this part of the time that goes by, and so much at once."""
FREE_S = 0.3
"""What a payer may owe whatever the others do: a few slow masks, of states that are met first."""
FIRST_QUICK_S = 0.1
"""What a first mask may take that costs nothing: everyday schemas take a quarter of it over 200,000 tokens."""
FIRST_BURST_S, FIRST_FREE_S = 2 * MAX_MASK_S, 1.0
_HELP = "make the grammar smaller, or less ambiguous: no rule that repeats what repeats itself"


def check_first(began: float) -> None:
    """Raises PolicyError (PK209) where making a first mask takes too long, by this thread's time since ``began``."""
    took = time.thread_time() - began
    if took > MAX_MASK_S:
        message = f"one mask of it takes {took:.1f} s of the processor's time, at most {MAX_MASK_S:g} s"
        raise PolicyError.of("PK209", message, help=_HELP)


class EngineShare:
    """The part of an engine's time that masks of requests' grammars may have. Safe for threads.

    What is forgiven is forgiven lazily: counting a mask, and asking about a payer, looks at no other plans than those
    whose debts are gone by then, once each, and at the few largest (:class:`policykit.engines.debts.Debts`)."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        everyday_s: float = EVERYDAY_S,
        burst_s: float = BURST_S,
        free_s: float = FREE_S,
    ) -> None:
        self._clock = clock
        self._everyday_s, self._burst_s, self._free_s = everyday_s, burst_s, free_s
        self._lock = Lock()
        self._payers = Debts()
        self._purses: dict[str, _Purse] = {}  # of those payers
        self._at = clock()

    def take(self, plan: str, seconds: float, payer: str = "") -> None:
        """Count one mask of a plan; without a ``payer`` it pays for itself."""
        payer, over = payer or plan, seconds - self._everyday_s
        purse = self._purses.get(payer)
        if over <= 0 and (purse is None or plan not in purse.plans):
            return
        with self._lock:
            self._forgive()
            plans = self._plans(payer)
            plans.put(plan, plans.owed(plan) + over)
            self._payers.put(payer, plans.total)
            if payer in self._payers:
                self._purses[payer] = _Purse(plans, self._payers.level)
            else:
                self._purses.pop(payer, None)

    def owed_s(self, plan: str, payer: str = "") -> float:
        """What a plan owes now."""
        with self._lock:
            self._forgive()
            return self._plans(payer or plan).owed(plan)

    def is_spent(self, plan: str, payer: str = "") -> bool:
        """Whether a plan may have no mask now, for what it owes or for what its payer does."""
        payer = payer or plan
        if payer not in self._purses:
            return False
        with self._lock:
            part = self._part(payer)
            if part is None:
                return False
            plans = self._plans(payer)
            return plans.total > 2 * part or plans.exceeds(plan, part)

    def is_over(self, payer: str) -> bool:
        """Whether a payer owes more than its fair part."""
        with self._lock:
            return self._part(payer) is not None

    def _part(self, payer: str) -> float | None:
        """The fair part of a payer that owes more than that; None of one that does not."""
        if self._payers.owed(payer) <= self._free_s:
            return None
        self._forgive()
        part = self._payers.part(self._burst_s, self._free_s)
        return part if self._payers.owed(payer) > part else None

    def _plans(self, payer: str) -> Debts:
        """What the plans of a payer owe, when it has been forgiven what it is now."""
        purse = self._purses.get(payer)
        if purse is None:
            return Debts()
        purse.plans.forgive(self._payers.level - purse.level)
        purse.level = self._payers.level
        return purse.plans

    def _forgive(self) -> None:
        """Take the share of the time that went by off the payers: small ones are empty first."""
        now = self._clock()
        passed, self._at = SHARE * (now - self._at), now
        if passed > 0:
            for payer in self._payers.forgive(passed):
                del self._purses[payer]


@dataclass(slots=True)
class _Purse:
    """What the plans of one payer owe, as it was when each payer had been forgiven ``level``."""

    plans: Debts
    level: float


def first_masks(clock: Callable[[], float] = time.monotonic) -> EngineShare:
    """The share of first masks."""
    return EngineShare(clock, everyday_s=FIRST_QUICK_S, burst_s=FIRST_BURST_S, free_s=FIRST_FREE_S)


class MaskTime:
    """What one text's masks have taken. ``share``: of an engine, for a text whose grammar came with its request;
    ``plan`` and ``payer``: whose purse there."""

    def __init__(self, share: EngineShare | None = None, plan: str = "", payer: str = "") -> None:
        self._share, self._plan, self._payer = share, plan, payer
        self._owed_s = 0.0

    def check(self) -> None:
        """Before a mask. Raises PolicyError (PK209) where the text's plan may have none."""
        if self._share is not None and self._share.is_spent(self._plan, self._payer):
            whose = "of its tenant's grammars" if self._payer else "of the same grammar"
            message = f"its masks hold up the engine: with those {whose} for more than their part of the time"
            raise PolicyError.of("PK209", message, help=f"{_HELP}; or try again later")

    def spend(self, seconds: float) -> None:
        """Count one mask. Raises PolicyError (PK209) where the text, or its plan or payer, owes too much."""
        self._owed_s = max(0.0, self._owed_s + seconds - QUICK_S)
        if self._share is not None:
            self._share.take(self._plan, seconds, self._payer)
        if self._owed_s > MAX_OWED_S:
            message = f"its masks hold up the engine: by {self._owed_s:.1f} s of the processor's time so far"
            raise PolicyError.of("PK209", f"{message}, at most {MAX_OWED_S:g} s", help=_HELP)
        self.check()


class FirstMask:
    """What making one text's first mask takes: everything from a plan's constraint to the mask."""

    def __init__(self, share: EngineShare, plan: str, payer: str = "") -> None:
        self._share, self._payer = share, payer or plan

    def check(self) -> None:
        """Before it. Raises PolicyError (PK209) where the payer may have none made."""
        if self._share.is_over(self._payer):
            message = "making first masks of its tenant's grammars takes more than their part of the time"
            raise PolicyError.of("PK209", message, help=f"{_HELP}; or try again later")

    def spend(self, seconds: float) -> None:
        """Count it, made or failed."""
        if seconds > FIRST_QUICK_S:
            self._share.take(self._payer, seconds, self._payer)
