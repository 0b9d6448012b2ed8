"""What an entity type is: a regular language, what may stand beside a match, and what decides whether it is one.

Bodies are RE2 source without assertions; letter case does not matter. Every match of a type is in its language, so the
language is an over-approximation where a validator or context words decide, and exact where neither does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policykit.entities.compact import Compact, Places
from policykit.ir.document import Entity

BEFORE, AFTER = 48, 24
"""How many characters may stand between a context word and the match, on either side."""

YES, NO, ASK = 1, 0, -1
"""What is known of one of many stretches; ASK: it has to be looked at by itself."""
MOST = 61
"""Letters and digits of a match that are told apart in a set of lengths; more count as so many."""
ANY_LENGTH = (1 << MOST + 1) - 1
"""The set of all lengths."""

SPACE = r" \x{A0}\x{2007}\x{2009}\x{202F}"
DASH = r"\-\x{2010}-\x{2015}\x{2212}"
GAP = rf"(?:[{SPACE}]?[{DASH}][{SPACE}]?|[{SPACE}])"
"""What may stand between the groups of a number: one space, or a dash with or without a space on either side."""
MARKED = rf"(?:[{SPACE}]?[{DASH}./][{SPACE}]?|[{SPACE}])"
""":data:`GAP`, or a full stop or slash."""


def digits(*groups: int | str, gap: str = GAP) -> str:
    """RE2 source for groups of digits with an optional gap between any two; a text stands for itself."""
    return f"{gap}?".join(g if isinstance(g, str) else f"[0-9]{{{g}}}" for g in groups)


@dataclass(frozen=True, slots=True)
class Guard:
    """What may stand directly beside a match.

    ``left`` and ``right`` are RE2 source that reads what stands there, an end of the text included; ``behind`` and
    ``ahead`` say the same as assertions of Python's `re`.
    """

    left: str
    right: str
    behind: str
    ahead: str


WORD = Guard(r"(?:\A|[^0-9A-Za-z])", r"(?:\z|[^0-9A-Za-z])", r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])")
"""No letter or digit of ASCII."""
_LEFT_OF_NUMBER = r"(?:\A[.,]?|[^0-9A-Za-z.,]|[^0-9][.,])"
_BEHIND_NUMBER = r"(?<![0-9A-Za-z])(?<![0-9][.,])"
NUMBER = Guard(_LEFT_OF_NUMBER, WORD.right, _BEHIND_NUMBER, WORD.ahead)
""":data:`WORD`, and no digit and point before: what follows is a fraction."""
DIGITS = Guard(r"(?:\A[.,]?|[^0-9.,]|[^0-9][.,])", r"(?:\z|[^0-9])", r"(?<![0-9])(?<![0-9][.,])", r"(?![0-9])")
""":data:`NUMBER`, where letters do not matter."""
TOKEN = Guard(WORD.left, r"(?:\z|[^0-9A-Za-z_\-])", WORD.behind, r"(?![0-9A-Za-z_\-])")
""":data:`WORD`, and no `-` or `_` after it, which belong to tokens."""
FREE = Guard("", "", "", "")
"""Anything."""


@dataclass(frozen=True, slots=True)
class Check:
    """A named validator. ``run`` gets the matched text and the policy's entry; what it raises is an error of the rule.

    ``name`` is in the digest: it changes when what is valid changes. ``package`` is the distribution whose version is.
    ``lengths`` says for many places, at which something like a match begins, how many letters and digits what is valid
    there may have: the n-th bit is set for n of them, at least for those that are possible.
    ``decide`` says of many, as they stand in the text, what ``run`` says where no region is named: YES, NO, or ASK.
    ``read_ahead`` reads what is read once in a process.
    """

    name: str
    run: Callable[[str, Entity], bool]
    package: str | None = None
    lengths: Callable[[Compact, Places], Places] | None = None
    decide: Callable[[Compact, Places, Places], NDArray[np.int8]] | None = None
    read_ahead: Callable[[], None] | None = None


@dataclass(frozen=True)
class EntityType:
    """One kind of identifier. ``regions`` are the countries (ISO 3166-1) whose law or register it belongs to.

    ``check`` reads letters and digits alone, in capitals, or with ``as_seen`` the text of the view; with
    ``punctuated`` what else stands there is still no part of the value. ``words`` must
    stand near a match where ``needs_context``, and where the policy says so; on the view `compat`, in small letters.
    ``options`` are fields of the policy's entry that the type reads; ``regional`` is the body where the entry names a
    region.
    """

    name: str
    about: str
    body: str
    guard: Guard = WORD
    check: Check | None = None
    as_seen: bool = False
    punctuated: bool = False
    words: tuple[str, ...] = ()
    needs_context: bool = False
    regions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    label: str = ""
    regional: str = ""

    @property
    def shown(self) -> str:
        """What `{type}` in a mask says."""
        return self.label or self.name.upper()

    @property
    def is_compact(self) -> bool:
        """Whether letters and digits alone are the value of a match."""
        return self.punctuated or (self.check is not None and not self.as_seen)

    @cached_property
    def fingerprint(self) -> tuple[str, ...]:
        """Everything that decides what is found, but the versions of packages."""
        guard = (self.guard.left, self.guard.right)
        check = self.check.name if self.check else ""
        context = (str(self.needs_context), str(BEFORE), str(AFTER), *self.words)
        return (self.name, self.shown, self.body, self.regional, *guard, check, str(self.as_seen), *context)
