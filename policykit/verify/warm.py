"""What the first texts of a process would wait for, done ahead: expressions are compiled, automata worked out."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import assert_never

from policykit.compile.resolve import leaves
from policykit.entities import body_of
from policykit.ir.document import Entities, Leaf, Regexes
from policykit.ir.plan import ResolvedRule
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Regex, Repeat
from policykit.text import view
from policykit.verify.finders import EntityLeafSearch, LeafSearch, Searches
from policykit.verify.units import Seen, SeenUnit, Unit

_PLAIN = "Dear Ms Example, your reference is 4929 0000-1234 of 01/02/2003. Call us at +1 212 555 0100 or a@b.example."
_WIDE = "Größe 12 € – été, naïve; Привет мир, ваш счёт 40817; 口座番号は1234です。안녕하세요 שלום مرحبا"
_SEED, _REPEATS, _MOST = 1, 40, 40_000


def warm(rules: Iterable[ResolvedRule], searches: Searches) -> None:
    """Compile the searches of some rules and let each read a little text. Asks nobody and judges nothing."""
    on_view: dict[str, dict[Leaf, None]] = {}
    todo = list(rules)
    while todo:
        rule = todo.pop()
        todo += rule.admits or ()
        for leaf in leaves(rule.matcher):
            for name in leaf.reading.views:
                on_view.setdefault(name, {})[leaf] = None
    for name, own in on_view.items():
        on = view(name)
        seen = [Seen(tuple(SeenUnit(Unit(text), on) for text in texts)) for texts in _readings(own)]
        for leaf in own:
            search = searches.entities(leaf, on) if isinstance(leaf, Entities) else searches.get(leaf, on)
            if isinstance(search, EntityLeafSearch | LeafSearch):
                search.warm(seen)
                continue
            for read in seen:
                search.find(read)


def _readings(on_view: Iterable[Leaf]) -> Sequence[tuple[str, ...]]:
    """Texts as they are read together: ASCII and others, one and several, have searches of their own. The last is full
    of what nearly matches, in an order that is the same every time."""
    rng = Random(_SEED)
    words = [word for leaf in on_view for regex in _regexes(leaf) for word in _words(regex, rng)]
    rng.shuffle(words)
    near = " ".join(word[: rng.randrange(len(word) + 1)] for word in words)[:_MOST]
    return (_PLAIN,), (_WIDE,), (_PLAIN, _PLAIN), (_PLAIN, _WIDE), (near,)


def _regexes(leaf: Leaf) -> Iterator[Regex]:
    if isinstance(leaf, Regexes):
        yield from (item.regex for item in leaf.regexes)
    elif isinstance(leaf, Entities):
        yield from map(body_of, leaf.entities)


def _words(regex: Regex, rng: Random) -> Iterator[str]:
    for _ in range(_REPEATS):
        yield _word(regex, rng)


def _word(regex: Regex, rng: Random) -> str:
    """What an expression reads, as far as ASCII goes; what it asserts of places is left out."""
    match regex:
        case Empty() | Assertion():
            return ""
        case Chars(literal, on_view):
            found = [(low, min(high, 0x7E)) for low, high in (*literal, *on_view) if low <= 0x7E and high >= 0x20]
            low, high = rng.choice(found) if found else (ord("a"), ord("a"))
            return chr(rng.randint(max(low, 0x20), high))
        case Concat(items):
            return "".join(_word(item, rng) for item in items)
        case Alternation(items):
            return _word(rng.choice(items), rng) if items else ""
        case Repeat(item, least, most):
            more = least + 2 if most is None else min(most, least + 2)
            return "".join(_word(item, rng) for _ in range(rng.randint(least, more)))
        case _:
            assert_never(regex)
