"""`near`, `count`, `length` and `script`: what they mean, and what is wrong with them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations

from policykit.automata.scripts import letters_but, letters_of, script_names
from policykit.diagnostics import Diagnostic, Place, did_you_mean
from policykit.ir.document import (
    AllOf,
    Chain,
    Chains,
    Entities,
    Gap,
    Link,
    Matcher,
    Measure,
    Not,
    Phrase,
    Reading,
    Regexes,
    RegexSource,
    Tally,
    Unit,
)
from policykit.ir.regex import Chars, Repeat
from policykit.policy.chain_table import COMPOSED
from policykit.policy.checked import Entries
from policykit.policy.entities import entities_of
from policykit.policy.lists import phrases_of
from policykit.policy.view_checks import check_phrase, check_regex

_ON_RAW = ("length", "script")
"""What measures the text as it is written, and not a view of it."""
MAX_SIDES = 3
_SHOWN = 2
"""Texts that a name shows of each side."""


# -- meaning -------------------------------------------------------------------------------------------------------


def lower_composed(match: Entries, reading: Reading) -> list[Matcher]:
    """The matchers of a match that are put together of others, or measure the text."""
    raw = Reading(("raw",), reading.within, reading.join)
    found: list[Matcher] = []
    near, count, length, script = (match.entries(name) for name in COMPOSED)
    if near:
        found.append(_near(near, reading, match.keys["near"]))
    if count and "entities" in count.fields:
        found += _tallies(count, reading, match.keys["count"])
    elif count:
        link = _link(count)
        name = f"of {_shown([link])}"
        found += _bounds(count, lambda n: Chain(f"{n} {name}", _repeated(link, n), match.keys["count"]), reading)
    if length:
        unit = Unit(str(length.text("unit")))

        def measured(n: int) -> Chain:
            return Chain(f"{n} {unit.value}", (Measure(unit, n),), match.keys["length"])

        found += _bounds(length, measured, raw)
    if script:
        found.append(_script(script, raw, match.keys["script"]))
    return found


def _near(near: Entries, reading: Reading, place: Place) -> Chains:
    links = [_link(side) for side in near.records("of")]
    unit = Unit.WORDS if "words" in near.fields else Unit.CHARACTERS
    gap = Gap(unit, int(near.number(unit.value) or 0))
    ordered = near.flag("ordered")
    joined = " before " if ordered else " and "
    name = f"{joined.join(_shown([link]) for link in links)} within {gap.most} {unit.value}"
    orders = [tuple(links)] if ordered else list(dict.fromkeys(permutations(links)))
    chains = (Chain(name, _spaced(order, gap), place) for order in orders)
    return Chains(tuple(chains), reading, place)


def _link(side: Entries) -> Link:
    phrases = tuple(Phrase(str(leaf.value), leaf.place, data) for leaf, data in phrases_of(side))
    regexes = tuple(RegexSource(leaf.source, leaf.parsed.regex, leaf.place) for leaf in side.regexes("regex"))
    return Link(phrases, regexes, side.flag("exact"))


def _spaced(links: Sequence[Link], gap: Gap) -> tuple[Link | Gap, ...]:
    parts: list[Link | Gap] = [links[0]]
    for link in links[1:]:
        parts += [gap, link]
    return tuple(parts)


def _repeated(link: Link, n: int) -> tuple[Link | Gap, ...]:
    return _spaced([link] * n, Gap(Unit.CHARACTERS, None))


def _tallies(count: Entries, reading: Reading, place: Place) -> list[Matcher]:
    item = Entities(entities_of(count), reading, place)
    return _between(count, lambda n: Tally(item, n, count.flag("distinct"), place))


def _bounds(entries: Entries, chain: Callable[[int], Chain], reading: Reading) -> list[Matcher]:
    def at_least(n: int) -> Chains:
        made = chain(n)
        return Chains((replace(made, name=f"at least {made.name}"),), reading, made.place, counts=True)

    return _between(entries, at_least)


def _between(entries: Entries, at_least: Callable[[int], Matcher]) -> list[Matcher]:
    """What finds at least so many, and not one more than at most so many, as one matcher."""
    least, most = entries.number("atLeast"), entries.number("atMost")
    found: list[Matcher] = [] if least is None else [at_least(int(least))]
    if most is not None:
        found.append(Not(at_least(int(most) + 1)))
    return [AllOf(tuple(found))] if len(found) > 1 else found


def _script(script: Entries, reading: Reading, place: Place) -> Regexes:
    inside, outside = (tuple(str(leaf.value) for leaf in script.leaves(name)) for name in ("in", "notIn"))
    letters = letters_of(inside) if inside else letters_but(outside)
    name = f"letters of {', '.join(inside)}" if inside else f"letters of no script but {', '.join(outside)}"
    source = RegexSource(name, Repeat(Chars(on_view=letters), 1, None), place)
    return Regexes((source,), None, None, reading, place)


def _shown(links: Sequence[Link]) -> str:
    texts = [
        f"`{text}`" for link in links for text in (*(p.text for p in link.phrases), *(r.source for r in link.regexes))
    ]
    return "/".join(texts[:_SHOWN]) + ("/…" if len(texts) > _SHOWN else "")


# -- mistakes ------------------------------------------------------------------------------------------------------


def check_composed(match: Entries, views: Sequence[str], diagnostics: list[Diagnostic]) -> None:
    """Appends what is wrong with these matchers beyond single fields."""
    named = [name for name in COMPOSED if name in match.keys]
    _check_beside(match, named, diagnostics)
    near, count, length, script = (match.entries(name) for name in COMPOSED)
    for side in (*(near.records("of") if near else ()), *((count,) if count else ())):
        for phrase, _ in phrases_of(side):
            check_phrase(phrase, views, diagnostics)
        for regex in side.regexes("regex"):
            check_regex(regex, views, False, diagnostics)
    sides = near.items("of") if near else ()
    if near and not 2 <= len(sides) <= MAX_SIDES and sides:
        message = f"`near` has {len(sides)} sides"
        help = f"texts stand near each other in twos, up to {MAX_SIDES}: `of: [{{phrases: …}}, {{phrases: …}}]`"
        diagnostics.append(Diagnostic("PK130", message, near.keys["of"], help))
    if near and {"words", "characters"} <= near.keys.keys():
        message = "the distance is said twice"
        diagnostics.append(Diagnostic("PK130", message, near.keys["characters"], "keep one of the two"))
    if count and not count.keys.keys() & {"phrases", "regex", "entities"}:
        message = "`count` says nothing"
        help = "it needs one of `phrases`, `regex`, `entities`"
        diagnostics.append(Diagnostic("PK028", message, match.keys["count"], help))
    for bounded in (count, length):
        if bounded:
            _check_bounds(bounded, diagnostics)
    language = match.entries("language")
    if language and {"in", "notIn"} <= language.keys.keys():
        message = "the languages are said twice"
        diagnostics.append(Diagnostic("PK130", message, language.keys["notIn"], "keep one of the two"))
    if script:
        for leaf in (*script.leaves("in"), *script.leaves("notIn")):
            if leaf.value not in script_names():
                help = (
                    did_you_mean(str(leaf.value), script_names()) or "a script by its Unicode name, such as `Cyrillic`"
                )
                message = f"unknown script `{leaf.value}`"
                diagnostics.append(Diagnostic("PK132", message, leaf.place, help))


def _check_beside(match: Entries, named: Sequence[str], diagnostics: list[Diagnostic]) -> None:
    if not named:
        return
    for option in ("before", "after"):
        if option in match.keys:
            message = f"`{option}` says nothing about `{named[0]}`"
            help = "give the other matchers a match of their own under `any`"
            diagnostics.append(Diagnostic("PK131", message, match.keys[option], help))
    for name in _ON_RAW:
        if name in named and "views" in match.keys:
            message = f"`{name}` reads the text as it is written, on no view"
            help = "remove `views`, or give the other matchers a match of their own under `any`"
            diagnostics.append(Diagnostic("PK131", message, match.keys["views"], help))


def _check_bounds(bounded: Entries, diagnostics: list[Diagnostic]) -> None:
    least, most = bounded.number("atLeast"), bounded.number("atMost")
    if least is not None and most is not None and least > most:
        message = f"nothing is at least {least:g} and at most {most:g}"
        diagnostics.append(Diagnostic("PK130", message, bounded.keys["atMost"], "exchange the two"))
