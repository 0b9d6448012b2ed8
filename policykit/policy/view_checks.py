"""Whether a phrase or an expression says on each of its views what its author means."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from policykit.automata.regex_normal import matches_empty, matches_nothing
from policykit.diagnostics import Diagnostic, Place
from policykit.ir.regex import MAX_CODE_POINT, Ranges
from policykit.policy.checked import Leaf, RegexLeaf
from policykit.text import LOOK_ALIKE_VIEWS, is_separator, is_word, view

AT_LEAST = {"skeleton": (2, 1), "leet": (2, 10)}
"""Words and letters that a phrase needs on a view where different words fall together (`aims` and `alms`)."""


def check_phrase(phrase: Leaf, views: Sequence[str], diagnostics: list[Diagnostic]) -> None:
    """Something is left of the phrase on every view, and enough on those that many words share."""
    text = str(phrase.value)
    for name in views:
        if all(is_separator[ord(char)] for char in view(name).apply(text)):
            message = f"nothing of the phrase is left on the view `{name}`"
            diagnostics.append(Diagnostic("PK054", message, phrase.place, "use `views: [raw]`, or remove the phrase"))
            return
    for name in views:
        if name in AT_LEAST:
            check_length(text, name, AT_LEAST[name], phrase.place, diagnostics)


def check_length(text: str, what: str, at_least: tuple[int, int], place: Place, diagnostics: list[Diagnostic]) -> None:
    """``at_least`` so many words and letters; ``what`` is the view or option that asks for them."""
    spaced = "".join(" " if is_separator[ord(char)] else char for char in view("compat").apply(text))
    words = [word for word in spaced.split(" ") if any(is_word[ord(char)] for char in word)]
    n_letters = sum(bool(is_word[ord(char)]) for char in spaced)
    if len(words) < at_least[0] or n_letters < at_least[1]:
        wanted = f"{at_least[0]} words" + (f" and {at_least[1]} letters" if at_least[1] > 1 else "")
        message = f"`{text}` is too short for `{what}`, where different words fall together"
        help = f"`{what}` takes phrases of {wanted} or more: put shorter ones into a match without it, under `any`"
        diagnostics.append(Diagnostic("PK069", message, place, help))


def check_regex(leaf: RegexLeaf, views: Sequence[str], looks: bool, diagnostics: list[Diagnostic]) -> None:
    """``looks``: whether a mere assertion is too little; beside a match, `^` alone says something."""
    regex = leaf.parsed.regex
    if matches_nothing(regex):
        message = f"`{leaf.source}` can never match"
        diagnostics.append(Diagnostic("PK121", message, leaf.place, "the expression has an empty class of characters"))
        return
    if matches_empty(regex, looks=looks):
        message = f"`{leaf.source}` matches the empty string, so it is found in every text"
        diagnostics.append(Diagnostic("PK120", message, leaf.place, "let it need a character: `+` instead of `*`"))
        return
    for name in views:
        if matches_empty(regex, lambda ranges, name=name: _meets(_erased(name), ranges), looks):
            message = f"`{leaf.source}` matches the empty string on the view `{name}`, which drops its characters"
            diagnostics.append(Diagnostic("PK120", message, leaf.place, "use `views: [raw]`"))
        _check_classes(leaf, name, diagnostics)


def _check_classes(leaf: RegexLeaf, name: str, diagnostics: list[Diagnostic]) -> None:
    for named in leaf.parsed.classes:
        if not _survives(name, named.ranges):
            finds = "excludes" if named.negated else "finds"
            message = f"`{named.text}` {finds} next to nothing on the view `{name}`, which changes its characters"
            diagnostics.append(Diagnostic("PK121", message, named.place, "use `views: [raw]`, or another class"))
        elif (lost := _broken(name, named.ranges)) is not None:
            image = view(name).image(lost)
            message = f"the view `{name}` reads `{chr(lost)}` as `{image}`, which `{named.text}` does not hold"
            instead = (
                "exclude what stands there instead" if named.negated else "write the characters out, as in `[0-9]`"
            )
            help = f"use `views: [compat]` for this expression, or {instead}"
            diagnostics.append(Diagnostic("PK122", message, named.place, help))


def _meets(flags: NDArray[np.bool_], ranges: Ranges) -> bool:
    return any(bool(flags[low : high + 1].any()) for low, high in ranges)


@cache
def _erased(name: str) -> NDArray[np.bool_]:
    """Which characters the view drops."""
    flags = np.zeros(MAX_CODE_POINT + 1, dtype=np.bool_)
    flags[[code_point for code_point, image in view(name).images.items() if not image]] = True
    return flags


def _flags(ranges: Ranges) -> NDArray[np.bool_]:
    flags = np.zeros(MAX_CODE_POINT + 1, dtype=np.bool_)
    for low, high in ranges:
        flags[low : high + 1] = True
    return flags


@cache
def _survives(name: str, ranges: Ranges) -> bool:
    r"""Whether at least half of a class stays in the class on the view: `\p{Lu}` does not where case is folded."""
    flags = _flags(ranges)
    lost = sum(
        1
        for code_point, image in view(name).images.items()
        if flags[code_point] and not (image and all(flags[ord(char)] for char in image))
    )
    return 2 * lost <= int(flags.sum())


@cache
def _broken(name: str, ranges: Ranges) -> int | None:
    r"""A character of the class that only its look-alike takes out of it (`\d` has no 0 on `skeleton`), if any.

    What compatibility forms take out (`½` holds a stroke) is no loss that an author would notice.
    """
    if name not in LOOK_ALIKE_VIEWS:
        return None
    flags, unmarked = _flags(ranges), view("unmarked")

    def leaves(image: str) -> bool:
        return not all(flags[ord(char)] for char in image)

    moved = (c for c, image in view(name).images.items() if flags[c] and leaves(image))
    return next((c for c in moved if not leaves(unmarked.image(c))), None)
