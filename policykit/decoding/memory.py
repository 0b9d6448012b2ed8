"""What attempts have taught about a prompt: a tree of what was written, with a proven bound of the legal mass.

For every place the bound ``legal`` is at least the probability, given the text up to there, that a free continuation is
legal: 1 where nothing is known, 0 where all of it is proven bad. Only proven mass is ever taken away, so a draw in
proportion to ``p * legal`` gives legal texts in proportion to their probability.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from policykit.decoding.engine import Draw, Stop
from policykit.decoding.steps import NO_MASS, WRONG_TOTAL
from policykit.diagnostics import PolicyError

LEAST_LOGP = -700.0


@dataclass(eq=False, slots=True)
class Place:
    """A text so far. ``p`` is the model's own probability of its last token; ``open_mass`` what the mask leaves open
    for the next one (1.0 where the engine does not tell); ``is_whole``: the text ends here, and nothing has been proven
    against it."""

    token: int
    parent: "Place | None"
    depth: int
    p: float = 1.0
    legal: float = 1.0
    open_mass: float = 1.0
    knows_mask: bool = False
    is_whole: bool = False
    kids: dict[int, "Place"] = field(default_factory=dict[int, "Place"])

    @property
    def text(self) -> tuple[int, ...]:
        return tuple(place.token for place in self.line())[1:]

    def line(self) -> "tuple[Place, ...]":
        """The places from the root to this one."""
        return tuple(self._upwards())[::-1]

    def _upwards(self) -> "Iterator[Place]":
        place: Place | None = self
        while place is not None:
            yield place
            place = place.parent

    @property
    def unexplored(self) -> float:
        """The mass of next tokens that no attempt has taken yet."""
        return max(0.0, self.open_mass - sum(kid.p for kid in self.kids.values()))

    def settle(self) -> None:
        """Compute the bounds anew from here up to the root, after something below has changed."""
        for place in self._upwards():
            if place.kids or place.knows_mask:
                rest = place.unexplored
                place.legal = (rest if rest > NO_MASS else 0.0) + sum(k.p * k.legal for k in place.kids.values())


def new_root() -> Place:
    return Place(-1, None, 0)


def walk(place: Place, rng: np.random.Generator) -> Place | None:
    """Where the next attempt leaves what is known: chosen by mass among explored tokens and the unexplored rest, so
    without a forward pass. It may be a whole text; None where nothing good is left below ``place``."""
    while not place.is_whole and (place.kids or place.knows_mask):
        kids = list(place.kids.values())
        weights = np.array([*(kid.p * kid.legal for kid in kids), place.unexplored])
        weights[weights <= NO_MASS] = 0.0
        total = float(weights.sum())
        if total <= 0.0:
            return None
        at = int(np.searchsorted(np.cumsum(weights), rng.random() * total, side="right"))
        at = min(at, int(np.nonzero(weights)[0][-1]))
        if at == len(kids):
            return place
        place = kids[at]
    return place if place.legal > 0.0 else None


def learn(place: Place, draw: Draw) -> Place:
    """Add what a draw from ``place`` wrote, and return the last place that the constraint let it reach.

    A refused token is proven bad: by the mask's own mass where the engine tells it, else by itself; so is one that
    breaks the grammar, which the mask did not know. Raises ValueError
    for a draw without probabilities, which teaches nothing, and PolicyError (PK474) for what is none.
    """
    if draw.logps is None:
        raise ValueError("the draw has no probabilities")
    for logp in draw.logps:
        if not LEAST_LOGP < logp < WRONG_TOTAL:  # beyond that its exponential is 0, and it was not drawn
            message = f"the model's log-probability of a token is {logp:g}"
            raise PolicyError.of("PK474", message, help="load the model in a wider type, and look at its logits")
    at = place
    for i, token in enumerate(draw.token_ids):
        if draw.log_legal is not None and not at.knows_mask:
            at.open_mass, at.knows_mask = float(np.exp(draw.log_legal[i])), True
        is_refused = draw.stop is Stop.REFUSED and i == len(draw.token_ids) - 1
        if is_refused and at.knows_mask:
            break
        kid = at.kids.get(token)
        if kid is None:
            kid = at.kids[token] = Place(token, at, at.depth + 1, float(np.exp(draw.logps[i])))
        if is_refused:
            kid.legal = 0.0
            kid.knows_mask, kid.open_mass = True, 0.0
            break
        at = kid
    if draw.stop is Stop.DEAD_END:
        at.open_mass, at.knows_mask = sum(kid.p for kid in at.kids.values()), True  # nothing besides what is known
    if draw.stop is Stop.BROKEN and at.parent is not None:
        condemn(at)
        return at.parent
    at.settle()
    return at


def condemn(place: Place) -> None:
    """A verifier that gives the same answer every time refuses this whole text, or whatever goes on from it."""
    place.open_mass, place.knows_mask, place.is_whole = 0.0, True, False
    place.settle()
