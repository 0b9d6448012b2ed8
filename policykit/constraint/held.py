"""After which tokens a rule may hold on to the text: it does not let the text end, or a known text does not free it.

As with masks, what a base has is worked out once, and for a state only what the automata that stand apart add to it:
what holds on to the text in the reference holds on in every state of it.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.joint import Joint, RowCache
from policykit.constraint.reader import Reader
from policykit.constraint.rows import Row, set_bits

Which: TypeAlias = tuple[int, ...]
"""Units, by number."""
_NO_IDS = np.zeros(0, np.int64)
_NO_TOKENS = np.zeros(0, np.int32)


class Held:
    """Answers for one machine; lists of tokens are kept among its rows. ``words`` is the length of a row."""

    def __init__(self, reader: Reader, rows: RowCache, words: int) -> None:
        self._reader = reader
        self._rows = rows
        self._words = words
        self._bases: dict[tuple[object, ...], Row | None] = {}

    def tokens(self, joint: Joint, units: Which, row: Row, by_escape: bool = True) -> NDArray[np.int64]:
        """The tokens of a row, ascending, after which the plan's escape does not free one of these automata, or the
        text cannot end there; without it, only the latter count."""
        joint = self._reader.current(joint)
        base = self._base(self._reader.base_of(joint), units, by_escape)
        return _in_row(row, base, self._apart(joint, units, by_escape))

    def or_begun(self, joint: Joint, units: Which, row: Row) -> NDArray[np.int64]:
        """The same, and the tokens that end inside a JSON escape which may lead to where one of these automata does not
        let the text go on. Remembered for each state: nearly everywhere there is none."""
        joint = self._reader.current(joint)
        base = self._reader.base_of(joint)
        key = ("held or begun", units, joint.modes, joint.states)
        more = self._rows.part(key)
        if more is None:
            more = np.union1d(self._apart(joint, units, True), self._begun(joint)).astype(np.int32)
            self._rows.keep_part(key, more)
        return _in_row(row, self._base(base, units, True), more)

    def meet(self, joint: Joint, units: Which, by_escape: bool = True) -> None:
        """Work out what :meth:`tokens` needs."""
        joint = self._reader.current(joint)
        self._base(self._reader.base_of(joint), units, by_escape)
        self._apart(joint, units, by_escape)

    def is_met(self, joint: Joint, units: Which, by_escape: bool = True) -> bool:
        """Whether that is kept."""
        return self._rows.part(_key(joint, units, by_escape)) is not None

    def clear(self) -> None:
        """Forget the bases: their automata are renewed."""
        self._bases.clear()

    def _base(self, base: Joint, units: Which, by_escape: bool) -> Row | None:
        """Those of a base, packed; None where there are none."""
        key = (base.modes, units, by_escape, tuple(base.states[i] for i in units))
        if key not in self._bases:
            row = np.zeros(self._words, np.int32)
            for i in units:
                unit = base.epoch.units[i]
                mode = self._reader.binding.mode_of(i, unit, base.modes)
                row |= unit.held_base(mode, base.states[i], by_escape)
            self._bases[key] = row if row.any() else None
        return self._bases[key]

    def _apart(self, joint: Joint, units: Which, by_escape: bool) -> Row:
        """Those that the automata add which stand apart from the base: ids, ascending."""
        key = _key(joint, units, by_escape)
        ids = self._rows.part(key)
        if ids is None:
            parts = [self._of_unit(i, joint, by_escape) for i in joint.apart if i in units]
            some = [part for part in parts if len(part)]
            ids = np.unique(np.concatenate(some)) if some else _NO_TOKENS
            self._rows.keep_part(key, ids)
        return ids

    def _begun(self, joint: Joint) -> NDArray[np.int64]:
        return self._reader.completions.held(joint, self._reader.base_of(joint), self._rows)

    def _of_unit(self, i: int, joint: Joint, by_escape: bool) -> Row:
        unit = joint.epoch.units[i]
        mode = self._reader.binding.mode_of(i, unit, joint.modes)
        key = ("held" if by_escape else "unended", i, mode, joint.states[i])
        ids = self._rows.part(key)
        if ids is None:
            ids = unit.held_ids(mode, joint.states[i], by_escape)
            self._rows.keep_part(key, ids)
        return ids


def _in_row(row: Row, base: Row | None, more: Row) -> NDArray[np.int64]:
    """The tokens of a row, ascending, that are in a packed set or among some ids."""
    found = set_bits(row & base) if base is not None else _NO_IDS
    if not len(more):
        return found
    more = more[(row.view(np.uint32)[more >> 5] >> (more & 31).astype(np.uint32) & 1).astype(np.bool_)]
    return np.union1d(found, more) if len(found) else more.astype(np.int64)


def _key(joint: Joint, units: Which, by_escape: bool) -> object:
    return "held", units, by_escape, joint.modes, tuple(joint.states[i] for i in units)
