"""Entities as patterns of the regular algebra: what an automaton searches, and whether that says it all."""

import re
from functools import cache

from policykit.automata import Pattern, parse_regex
from policykit.automata.nfa import build
from policykit.automata.regex_normal import alternation
from policykit.diagnostics import Place
from policykit.entities.compact import compact
from policykit.entities.entity import AFTER, BEFORE, EntityType
from policykit.entities.registry import entity_type
from policykit.ir.document import Entities, Entity
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Regex, Repeat, ranges_of
from policykit.text import View, view

_BETWEEN_WORDS = r"[ \t\n\r\x{A0}_\-./:]{0,3}"
BETWEEN_WORDS = r"[ \t\n\r\xa0_\-./:]{0,3}"
"""What may stand between two words of a context phrase, or nothing (`dateOfBirth`), in Python's syntax."""


@cache
def _parsed(source: str) -> Regex:
    return parse_regex(f"(?i){source}", Place("entities"))


@cache
def guard_of(source: str) -> Regex:
    """What may stand beside a match, as it stands on a view; letters are told apart by case."""
    return _on_view(parse_regex(source, Place("entities"))) if source else Empty()


def _on_view(regex: Regex) -> Regex:
    match regex:
        case Chars(literal, on_view):
            return Chars((), ranges_of([*literal, *on_view]))
        case Concat(items):
            return Concat(tuple(map(_on_view, items)))
        case Alternation(items):
            return Alternation(tuple(map(_on_view, items)))
        case Repeat(item, least, most):
            return Repeat(_on_view(item), least, most)
        case Empty() | Assertion():
            return regex


def guarded(entity: Entity) -> Regex:
    """The body with what may stand on either side of it."""
    guard = entity_type(entity.type).guard
    return Concat((guard_of(guard.left), body_of(entity), guard_of(guard.right)))


def words_of(entity: Entity) -> Regex:
    """The context words of the entity's type, without the boundaries of words."""
    return alternation(_word(word) for word in entity_type(entity.type).words)


def body_of(entity: Entity) -> Regex:
    """What a match looks like, whatever stands beside it."""
    kind = entity_type(entity.type)
    if entity.pattern:
        return entity.pattern.regex
    return _parsed(kind.regional if entity.region and kind.regional else kind.body)


def needs_context(entity: Entity) -> bool:
    """Whether a word must stand near a match."""
    return entity_type(entity.type).needs_context if entity.context is None else entity.context


def is_exact(entity: Entity) -> bool:
    """Whether the entity's patterns find exactly what is valid: neither a validator nor context decides."""
    return entity_type(entity.type).check is None and not needs_context(entity)


def labels_of(leaf: Entities) -> tuple[str, ...]:
    """What masks call the entities, in the order of the leaf."""
    return tuple(entity_type(entity.type).shown for entity in leaf.entities)


def value_of(name: str, content: str) -> str:
    """The same for two matches of a type where they are one value, however its letters and digits are grouped. What the
    type does not know to be the same stays different, such as a telephone number with and without its country."""
    plain = view("compat").apply(content)
    return compact(plain) if entity_type(name).is_compact else plain


def entity_patterns(entity: Entity, *, in_json: bool) -> tuple[Pattern, ...]:
    """Patterns that find at least what is valid. Context is part of them, without the boundaries of its words; in JSON,
    where a key is context too, it is left out."""
    kind, body = entity_type(entity.type), body_of(entity)
    if in_json or not needs_context(entity):
        left, right = (guard_of(side) if side else None for side in (kind.guard.left, kind.guard.right))
        return (Pattern(body, (left, 0) if left else None, (right, 0) if right else None),)
    words = words_of(entity)
    return Pattern(body, before=(words, BEFORE)), Pattern(body, after=(words, AFTER))


def arriving_patterns(entity: Entity) -> tuple[Pattern, ...]:
    """Patterns that find at least what is valid, each complete as soon as it is that whatever follows: with the guard
    or the end of the context word behind it."""
    kind, body = entity_type(entity.type), body_of(entity)
    if not needs_context(entity):
        return entity_patterns(entity, in_json=True)
    right = (guard_of(kind.guard.right), 0) if kind.guard.right else None
    ended = alternation(_word(word, _END_OF_WORD if _ends_in_letter(word) else "") for word in kind.words)
    return Pattern(body, (words_of(entity), BEFORE), right), Pattern(body, after=(ended, AFTER))


_END_OF_WORD = r"(?:\z|[^A-Za-z])"


@cache
def _fits(body: Regex) -> bool:
    nfa = build(view("raw"), Pattern(body))
    of_number = {nfa.alphabet.of(char) for char in "0123456789+-.eE"}
    seen, todo = {nfa.start}, [nfa.start]
    while todo:
        at = todo.pop()
        ahead = [*nfa.free[at], *(to for classes, to in nfa.edges[at] if classes & of_number)]
        ahead = [to for to in ahead if to not in seen]
        seen.update(ahead)
        todo += ahead
    return nfa.final in seen


def fits_numbers(entity: Entity) -> bool:
    """Whether a match can consist of characters of a JSON number alone."""
    return _fits(body_of(entity))


def _word(word: str, behind: str = "") -> Regex:
    return _parsed(_BETWEEN_WORDS.join("".join(map(letter_of_word, part)) for part in word.split(" ")) + behind)


def _ends_in_letter(word: str) -> bool:
    return word[-1].isascii() and word[-1].isalpha()


def letter_of_word(char: str) -> str:
    """A letter of a context word where case does not matter, as source."""
    # Python's `re` takes both other letters for an i where case does not matter; Unicode's simple folding does not.
    return r"[i\x{130}\x{131}]" if char == "i" else rf"\Q{char}\E"


def words_near(kind: EntityType, on: View) -> re.Pattern[str]:
    """A type's context words on a view: whole words where they begin or end with a letter of ASCII."""
    longest_first = sorted((on.apply(word) for word in kind.words), key=len, reverse=True)
    return re.compile("|".join(map(_bounded, longest_first)), re.IGNORECASE)


def _bounded(word: str) -> str:
    left = "(?<![A-Za-z])" if word[0].isascii() and word[0].isalpha() else ""
    right = "(?![A-Za-z])" if _ends_in_letter(word) else ""
    return left + BETWEEN_WORDS.join(map(re.escape, word.split(" "))) + right
