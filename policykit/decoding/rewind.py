"""Rejection that goes back: draw freely, and after a failure take the text up again where the rule says.

Draws are never masked, so that reaching a refused token has the model's own probability and its failure is a fair
reason to go back. Restarted at the root, the accepted text is an exact sample of the legal part of the distribution,
with or without memory: whatever has been removed by then is proven bad. Restarted elsewhere it is not, and the distance
is at most the probability that the first attempt fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from policykit.decoding.blocks import block_starts
from policykit.decoding.engine import Ask, Stop
from policykit.decoding.memory import Place, condemn, learn, new_root, walk
from policykit.decoding.result import Answer, Ending, Finish
from policykit.decoding.run import Exhausted, Run

FINISHES = {
    Stop.END: Finish.END,
    Stop.LENGTH: Finish.LENGTH,
    Stop.REFUSED: Finish.REFUSED,
    Stop.DEAD_END: Finish.DEAD_END,
    Stop.BROKEN: Finish.REFUSED,
}


class Restart(Protocol):
    """Where to go on after a failure."""

    def after(self, failed: Place) -> Place:
        """``failed`` is the last place that was legal. The result is the same place or one before it."""
        ...

    def begin(self) -> None:
        """Another answer is begun: failures are counted anew."""
        ...


class FromRoot:
    """Always from the start: exact."""

    def begin(self) -> None:
        pass

    def after(self, failed: Place) -> Place:
        return failed.line()[0]


@dataclass(slots=True)
class FromBlock:
    """From the start of the sentence that failed, and from the one before it after ``n_failures`` there, or where less
    than ``min_legal`` of what may follow can be legal. A sentence that had only begun takes the one before along. It
    never goes back before the ``floor``."""

    tokens: tuple[bytes, ...]
    n_failures: int
    min_legal: float
    floor: Callable[[], int] = lambda: 0
    failures: dict[Place, int] = field(default_factory=dict[Place, int])

    def begin(self) -> None:
        self.failures.clear()

    def after(self, failed: Place) -> Place:
        line = failed.line()
        starts = block_starts([self.tokens[place.token] for place in line[1:]])
        at = len(starts) - 1
        if at and failed.depth - starts[at] <= 1:
            at -= 1
        floor = min(self.floor(), failed.depth)
        for start in starts[at:0:-1]:
            if start <= floor:
                break
            place = line[start]
            self.failures[place] = self.failures.get(place, 0) + 1
            if self.failures[place] <= self.n_failures and place.legal >= self.min_legal:
                return place
        return line[floor]


@dataclass(slots=True)
class RootThenBlock:
    """From the root for the first ``n_exact`` failures of an answer, then from the block."""

    block: FromBlock
    n_exact: int
    n_failed: int = 0

    def begin(self) -> None:
        self.n_failed = 0
        self.block.begin()

    def after(self, failed: Place) -> Place:
        self.n_failed += 1
        return failed.line()[0] if self.n_failed <= self.n_exact else self.block.after(failed)


def rewinding(run: Run, restart: Restart, *, has_memory: bool, is_exact: bool) -> Iterator[Answer]:
    """Answers without end; raises Exhausted. Without memory every attempt is a whole new text."""
    place = run.root
    while True:
        legal = _shown(run, place).legal
        if legal <= 0.0 or legal < run.min_legal_mass:
            raise Exhausted(Ending.NO_LEGAL_MASS)
        start = walk(place, run.rng) if has_memory else new_root()
        if start is None:
            # Nothing good can follow: further back, and behind what has been shown there is nothing at all.
            if place.parent is None or place.depth <= run.floor():
                raise Exhausted(Ending.NO_LEGAL_MASS)
            place = restart.after(place.parent)
            continue
        run.begin()
        found, failed = _attempt(run, start, is_exact=is_exact, has_memory=has_memory)
        if found is not None:
            yield found
            place = run.root
            restart.begin()
        else:
            place = restart.after(failed) if has_memory else run.root


def _attempt(run: Run, start: Place, *, is_exact: bool, has_memory: bool) -> tuple[Answer | None, Place]:
    """One attempt from ``start``: its answer if it is accepted, and the place where it ended."""
    weight = 0.0 if is_exact else None
    prefix = start.text
    if start.is_whole:  # a text that was judged before, drawn again: nothing to compute
        end, whole, finish = start, prefix, _finish_of(run, start)
    else:
        explored = sum(kid.p for kid in start.kids.values())
        ask = Ask(prefix, run.max_length, False, frozenset(start.kids), start.knows_mask, explored)
        (drawn,), is_cut = run.draw(ask)
        end = learn(start if has_memory else run.root, drawn)
        whole = (*prefix, *drawn.token_ids)
        finish = Finish.CUT if is_cut else FINISHES[drawn.stop]
        if finish in (Finish.CUT, Finish.REFUSED, Finish.DEAD_END):
            why = ("the budget ended",) if finish is Finish.CUT else drawn.refused_by or ("nothing legal follows",)
            run.record(whole, start.depth, finish, why)
            return None, end
    judged = run.judge.judge(run.text(whole, finish))
    if judged.is_accepted or judged.is_errored:
        end.is_whole = True
    else:
        condemn(end)
    run.record(whole, start.depth, finish, judged)
    if judged.is_accepted:
        return run.answer(end, finish, judged, weight), end
    return None, end.parent or end


def _shown(run: Run, place: Place) -> Place:
    """The last place that cannot be taken back: the root, where nothing has been shown."""
    floor = run.floor()
    return place.line()[min(floor, place.depth)] if floor else run.root


def _finish_of(run: Run, place: Place) -> Finish:
    return Finish.END if place.token in run.vocabulary.eos_ids else Finish.LENGTH
