"""Characters that were begun and not finished: which of their completions keep *all* automata alive.

Every automaton may leave some completion open and yet no completion be open to all, so one must be found that is.
Nearly always a frequent one is left: a few are asked about first, and all of them only where none of these is.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from operator import add

import numpy as np
from numpy.typing import NDArray

from policykit.automata import run
from policykit.constraint.binding import Binding
from policykit.constraint.choice import Choice, Endings, Option, What
from policykit.constraint.formula import for_good
from policykit.constraint.images import cut
from policykit.constraint.joint import Joint, RowCache
from policykit.constraint.unit import Unit

MAX_KEPT = 20_000
"""Answers kept before they are forgotten together."""
MAX_FREQUENT, EACH = 64, 2
"""How many completions are asked about first, and how many of them for each beginning."""


class Completions:
    """Answers about one generation of automata."""

    def __init__(self, binding: Binding, units: Sequence[Unit]) -> None:
        self._binding = binding
        self._units = units
        self._requirements = binding.program.requirements
        self._can: dict[tuple[What, tuple[int, ...]], bool] = {}
        self._endings = Endings(binding, units)
        self._choices: list[Choice] = []

    @cached_property
    def _frequent(self) -> Choice:
        """A few completions of everything that a token can begin: where one is left nothing else need be asked."""
        begun: list[What] = [*cut(self._binding.vocabulary).tails, *self._binding.unfinished_modes()]
        options = dict.fromkeys(
            option for n in range(EACH) for what in begun for option in self._options(what)[n : n + 1]
        )
        return self._choice("frequent", list(islice(options, MAX_FREQUENT)))

    @cached_property
    def _all(self) -> Choice:
        """Everything that an unfinished character or escape can become."""
        unfinished = (option for modes in self._binding.unfinished_modes() for option in self._options(modes))
        return self._choice("all", list(dict.fromkeys((*self._binding.strings, *unfinished))))

    @cached_property
    def _closings(self) -> Choice:
        """Every way to end an escape and then the string, at once or after the plan's escape."""
        modes = self._binding.unfinished_modes()
        options = dict.fromkeys(option for what in modes for option in self._binding.closings_of(what))
        return self._choice("closings", list(options), self._closings_of)

    def _closings_of(self, what: What) -> list[Option]:
        return [] if isinstance(what, bytes) else self._binding.closings_of(what)

    @cached_property
    def _freeing(self) -> Choice:
        """A few completions of every character that a token can begin, with the plan's escape behind each."""
        begun = cut(self._binding.vocabulary).tails
        options = dict.fromkeys(o for n in range(EACH) for what in begun for o in self._freeing_of(what)[n : n + 1])
        return self._choice("freeing", list(islice(options, MAX_FREQUENT)), self._freeing_of, may_end=True)

    def _freeing_of(self, what: What) -> list[Option]:
        if not isinstance(what, bytes):
            return []
        groups = (group for group, _ in self._binding.scope_of_group)
        escape = [tuple(c for char in self._binding.escape for c in g.symbols_of(ord(char))) for g in groups]
        return [tuple(map(add, option, escape)) for option in self._options(what)]

    def _choice(
        self,
        name: str,
        options: list[Option],
        options_of: Callable[[What], Sequence[Option]] | None = None,
        *,
        may_end: bool = False,
    ) -> Choice:
        made = Choice(name, self._endings, options, options_of, may_end=may_end)
        self._choices.append(made)
        return made

    @property
    def n_bytes(self) -> int:
        """Memory of what grows while running: the sets of the automata's states and of the bases."""
        return sum(choice.n_bytes for choice in self._choices)

    def can_complete(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> bool:
        """Whether one way to finish the character that was begun keeps all automata alive."""
        what = pending or modes
        known = self._can.get((what, states))
        if known is None:
            if len(self._can) >= MAX_KEPT:
                self._can.clear()
            known = self._can[what, states] = self._completes(what, states)
        return known

    def _options(self, what: What) -> list[Option]:
        return self._endings.options(what)

    def _completes(self, what: What, states: tuple[int, ...]) -> bool:
        if not self._binding.groups:
            return True
        if self._requirements:
            return any(self._lets_on(states, option) for option in self._options(what))
        return self._frequent.completes(what, states) or self._all.completes(what, states)

    def _lets_on(self, states: tuple[int, ...], option: Option) -> bool:
        """Whether one completion keeps all automata alive and every requirement open."""
        after: list[int] = []
        for i, unit in enumerate(self._units):
            own = unit.symbol_list
            after.append(run(unit.automaton, states[i], [own[c] for c in option[self._binding.place[i][0]]]))
        broken = any(for_good(r.formula, after) for r in self._requirements)
        return not broken and all(after[i] for i in self._binding.forbids)

    def shut(self, joint: Joint, base: Joint, kept: RowCache) -> NDArray[np.int64]:
        """The tokens after which no completion keeps all automata alive. ``base`` is the base of the joint state."""
        shut = self._all.shut_by_base(base)
        doubtful = self._frequent.shut(joint, base, kept) & ~shut
        if base is not joint and doubtful.any():
            shut = self._all.shut(joint, base, kept)
        return self.ends_in(joint.modes)[shut]

    def held(self, joint: Joint, base: Joint, kept: RowCache) -> NDArray[np.int64]:
        """The tokens that end inside a JSON escape and may lead to where a rule holds on to the text, or forbids what
        a grammar may want."""
        if not self._binding.unfinished_modes():
            return self.ends_in(joint.modes)[:0]
        return self.ends_in(joint.modes)[self._closings.partly_shut(joint, base, kept)]

    def unfreed(self, joint: Joint, base: Joint, kept: RowCache) -> NDArray[np.int64]:
        """The tokens that end inside a character, but for those that a few completions and the plan's escape show to
        leave a way to the end."""
        ends = self._endings.in_modes(joint.modes)
        return ends.ids[self._freeing.shut(joint, base, kept) & ends.in_bytes]

    def ends_in(self, modes: tuple[str, ...]) -> NDArray[np.int64]:
        """The tokens that end inside a character in these lexer modes."""
        return self._endings.in_modes(modes).ids
