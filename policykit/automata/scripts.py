"""Letters by script, as Unicode's Scripts.txt assigns them (UAX 24)."""

from collections.abc import Sequence
from functools import cache

from policykit.ir.regex import Ranges, complement, ranges_of
from policykit.text import category_ranges, script_names as _all_names

_NO_SCRIPT = ("Common", "Inherited")
"""What scripts share: digits, punctuation, marks that any letter can have. It belongs to none of them."""


@cache
def script_names() -> tuple[str, ...]:
    """The scripts that letters can be told by, sorted."""
    return tuple(sorted(set(_all_names()) - set(_NO_SCRIPT)))


def letters_of(scripts: Sequence[str]) -> Ranges:
    """Letters and marks (categories L and M) of these scripts."""
    return _common(_letters(), _union(scripts))


def letters_but(scripts: Sequence[str]) -> Ranges:
    """Letters and marks of all other scripts. What several scripts share is in none."""
    others = [name for name in script_names() if name not in scripts]
    return _common(_letters(), _union(others))


@cache
def _letters() -> Ranges:
    return ranges_of([pair for name in ("L", "M") for pair in category_ranges(name) or ()])


def _union(scripts: Sequence[str]) -> Ranges:
    return ranges_of([pair for name in scripts for pair in category_ranges(name) or ()])


def _common(a: Ranges, b: Ranges) -> Ranges:
    return complement(ranges_of([*complement(a), *complement(b)]))
