"""Classes of characters in the notation that the masking engine reads as they are meant.

The engine's expressions are Rust's. There `[`, `&&`, `~~` and `--` inside a class nest and combine classes; in
ECMA-262, which JSON Schema patterns are written in, they are characters. There `[]` is a class of nothing and `[^]` one
of everything; in Rust a `]` that stands first is a character. And Rust's `regex-syntax` (that of llguidance
1.7) takes U+D7FF and U+E000 out of a negated class in which one range ends at the first and another begins at the
second. One range across both says the same and is read as it is meant, for between them are surrogates, which are no
characters. `\\s` has U+0085 in Rust and U+FEFF in ECMA-262, and `.` has U+000D, U+2028 and U+2029 in Rust alone.

In JSON strings llguidance writes a class that holds all of U+0000 to U+001F with every escape that there is, `\\"` and
`\\\\` among them, also where `"` and `\\` are not in it (``[^"]``). It gets such a class without U+0001, which strings
hold only where the schema speaks of control characters.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, cast
from urllib.parse import quote, unquote

from policykit.grammar.schema_document import ONE_SCHEMA, SCHEMA_LIST, SCHEMA_MAP
from policykit.grammar.values import Json

BRIDGE: Final = "\ud7ff-\ue000"
NOTHING: Final = "[^\\s\\S]"
ANYTHING: Final = "[\\s\\S]"
IN_LINE: Final = "[^\\n\\r\u2028\u2029]"
"""What `.` is."""
SPACES: Final = {
    r"\s": "\\t-\\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff",
    r"\S": "\\x00-\\x08\\x0e-\\x1f!-\\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff"
    "\u3001-\ufefe\uff00-\U0010ffff",
}
"""White space, and all else, of which the masking engine has another notion."""
LETTERS: Final = {
    **SPACES, r"\d": "0-9", r"\D": "\\x00-/:-\U0010ffff", r"\w": "0-9A-Z_a-z",
    r"\W": "\\x00-/:-@\\[-\\^`{-\U0010ffff",
}  # fmt: skip
"""All of which the verifier has another notion where it looks around."""
_LAST, _NEXT = 0xD7FF, 0xE000
_CONTROLS: Final = {"0": 0, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
"""What a letter behind a backslash is in a class of ECMA-262."""
_ATOM: Final = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{2})|u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})|[xu]\{(?P<b>[0-9A-Fa-f]+)\}"
    r"|(?P<p>[pP])(?:\{(?P<name>[^}]*)\}|(?P<one>\w))|c[A-Za-z]|.)|(?P<c>.)",
    re.DOTALL,
)
_PROPERTY: Final = re.compile(r"\\(?P<p>[pP])(?:\{(?P<name>[^}]*)\}|(?P<one>\w))")
_CLASS_ESCAPE: Final = re.compile(r"\\[dDwWsSpP]")
_LOW: Final = frozenset({"c", "other", "cn", "unassigned", "any"})
_HIGH: Final = frozenset({"c", "other", "co", "privateuse", "any", "assigned"})
"""General categories, as the engine knows them, that U+D7FF and U+E000 are of. No script has either."""


@dataclass(frozen=True, slots=True)
class _Class:
    """A class from its opening bracket to behind its closing one; ``atoms`` are what stands in it, piece by piece."""

    start: int
    end: int
    is_negated: bool
    atoms: tuple[str, ...]


@lru_cache(4096)
def for_the_engine(pattern: str) -> str:
    """An ECMA-262 pattern in which no class is read otherwise, in JSON strings; the same one where none would be."""
    return _in_words(pattern, SPACES, is_quoted=True)


def _in_words(pattern: str, classes: Mapping[str, str], *, is_quoted: bool) -> str:
    """A pattern with classes in other words where these would be misread. ``classes`` are the letters behind a
    backslash that are written out, each with what its class holds; ``is_quoted``: it is read in JSON strings."""
    out: list[str] = []
    at = 0
    for found in _classes(pattern) if "[" in pattern else ():
        written = _written(found, classes, is_quoted=is_quoted)
        before = _spelled(pattern[at : found.start], classes, is_quoted=is_quoted)
        out += [before, written if written else pattern[found.start : found.end]]
        at = found.end
    return "".join([*out, _spelled(pattern[at:], classes, is_quoted=is_quoted)])


def _spelled(outside: str, classes: Mapping[str, str], *, is_quoted: bool) -> str:
    """A part of a pattern that has no class of its own, with the letters and `.` written out."""
    has_property = is_quoted and _PROPERTY.search(outside) is not None
    if "." not in outside and not has_property and not any(letter in outside for letter in classes):
        return outside

    def written(atom: re.Match[str]) -> str:
        if has_property and _PROPERTY.match(atom[0]) and _escapes_leak([(atom[0], None)], is_negated=False):
            return f"[{atom[0]}--\\x01]"
        return f"[{classes[atom[0]]}]" if atom[0] in classes else IN_LINE if atom[0] == "." else atom[0]

    return _ATOM.sub(written, outside)


def for_the_analysis(pattern: str) -> str:
    """An ECMA-262 pattern for a reader that knows of no class within a class, and to which letters are no ASCII."""
    return _in_words(pattern, LETTERS, is_quoted=False)


def for_the_verifier(pattern: str) -> str:
    """The pattern in other words where the verifier would misread it as well as the engine; of brackets and operators
    in ECMA-262 it knows what they are."""
    written = _in_words(pattern, SPACES, is_quoted=False)
    return written if any(word in written for word in (BRIDGE, NOTHING, ANYTHING, IN_LINE)) else pattern


Respelled = Callable[[str], str]


def _with_plain_classes(schema: Json, respelled: Respelled, root: Json) -> Json:
    """A schema with its patterns ``respelled``, and its references as these lead in ``root`` then."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Json] = {}
    for keyword, value in schema.items():
        match value:
            case str() if keyword == "pattern":
                found[keyword] = respelled(value)
            case str() if keyword == "$ref" and "/patternProperties/" in value:
                found[keyword] = _led(value, root, respelled)
            case dict() if keyword in SCHEMA_MAP:
                names = _distinct(value, respelled) if keyword == "patternProperties" else value
                items = [_with_plain_classes(item, respelled, root) for item in value.values()]
                found[keyword] = dict(zip(names, items, strict=True))
            case dict() if keyword in ONE_SCHEMA:
                found[keyword] = _with_plain_classes(value, respelled, root)
            case list() if keyword in SCHEMA_LIST:
                found[keyword] = [_with_plain_classes(item, respelled, root) for item in value]
            case _:
                found[keyword] = value
    return found


def _distinct(patterns: Iterable[str], respelled: Respelled) -> list[str]:
    """Patterns ``respelled``, no two of them the same, so that no subschema takes the place of another one.
    Those that stay keep their names: references may lead there."""
    asked = list(patterns)
    written = [respelled(pattern) for pattern in asked]
    taken = {old for old, new in zip(asked, written, strict=True) if old == new}
    found: list[str] = []
    for old, new in zip(asked, written, strict=True):
        while new != old and new in taken:
            new = f"(?:{new})"
        taken.add(new)
        found.append(new)
    return found


def _led(reference: str, root: Json, respelled: Respelled) -> str:
    """A reference to where it leads once patterns that are names are written otherwise."""
    opening, *parts = reference.split("/")
    node, written, is_name = root, [opening], False
    for part in parts:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        new = name
        if isinstance(node, dict):
            if is_name and name in node:
                new = dict(zip(node, _distinct(node, respelled), strict=True))[name]
            is_name, node = name == "patternProperties" and not is_name, node.get(name)
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            is_name, node = False, node[int(name)]
        else:
            return reference  # from another base
        written.append(part if new == name else quote(new.replace("~", "~0").replace("/", "~1"), safe="~"))
    return "/".join(written)


def plain(schema: dict[str, Json], classes: Mapping[str, str] | None = None) -> dict[str, Json]:
    """A schema with its patterns :func:`for_the_engine`; with ``classes``, for a validator that misreads these."""
    respelled = for_the_engine if classes is None else partial(_in_words, classes=classes, is_quoted=False)
    return cast("dict[str, Json]", _with_plain_classes(schema, respelled, schema))


def misread_complement(source: str) -> bool:
    """Whether an expression in Rust's notation has a class, negated or combined, that may be read otherwise: one of
    its pieces has U+D7FF and another one U+E000."""
    for found in _nested(source):
        atoms = [match[0] for match in _ATOM.finditer(found)]
        is_combined = "^" in atoms or any(word in found for word in ("&&", "~~", "--", "\\P"))
        low, high = ([atom for atom in atoms if _has(atom, code)] for code in (_LAST, _NEXT))
        if is_combined and low and high and not set(low) & set(high):
            return True
    return False


def _classes(pattern: str) -> Iterator[_Class]:
    """The classes of an ECMA-262 pattern. One without an end is none."""
    at = 0
    while at < len(pattern):
        match = _ATOM.match(pattern, at)
        assert match is not None, "something stands there"
        if match[0] != "[":
            at = match.end()
            continue
        start, at = at, at + 1
        is_negated = pattern.startswith("^", at)
        at += is_negated
        atoms: list[str] = []
        while (match := _ATOM.match(pattern, at)) is not None and match[0] != "]":
            atoms.append(match[0])
            at = match.end()
        if match is None:
            return
        at += 1
        yield _Class(start, at, is_negated, tuple(atoms))


def _written(found: _Class, classes: Mapping[str, str], *, is_quoted: bool) -> str | None:
    """The class in other words, where the engine would misread it."""
    if not found.atoms:
        return ANYTHING if found.is_negated else NOTHING
    body = "".join(found.atoms)
    is_misread = "[" in found.atoms or any(pair in body for pair in ("&&", "~~", "--"))
    ranges = list(_ranges(found.atoms))
    needs_bridge = found.is_negated and all(any(map(_holds(code), ranges)) for code in (_LAST, _NEXT))
    spelled = classes.keys() & found.atoms
    is_whole = any({letter, letter.swapcase()} <= spelled for letter in spelled)  # as in `[\\s\\S]`
    if is_whole:
        return NOTHING if found.is_negated else ANYTHING
    leaks = is_quoted and _escapes_leak(ranges, is_negated=found.is_negated)
    if not is_misread and not needs_bridge and not spelled and not leaks:
        return None
    parts = [_plain(low) if high is None else f"{_plain(low)}-{_plain(high)}" for low, high in ranges]
    parts = [classes.get(part, part) for part in parts]
    written = f"{'^' if found.is_negated else ''}{''.join(parts)}{BRIDGE if needs_bridge else ''}"
    return f"[[{written}]--\\x01]" if leaks else f"[{written}]"


def _escapes_leak(ranges: list[tuple[str, str | None]], *, is_negated: bool) -> bool:
    """Whether a class may have all of U+0000 to U+001F and not both of `"` and `\\`."""

    def held(code: int, unknown: bool) -> bool:
        return any(_member(ends, code, unknown != is_negated) for ends in ranges) != is_negated

    return all(held(code, True) for code in range(0x20)) and not all(held(ord(char), False) for char in '"\\')


def _member(ends: tuple[str, str | None], code: int, unknown: bool) -> bool:
    """Whether a control character, `"` or `\\\\` is in a range or an atom; ``unknown`` where that is not known here."""
    low, high = ends
    if high is not None or len(low) != 2 or low[0] != "\\" or low[1] not in "dDwWsS":
        found = _PROPERTY.fullmatch(low)
        if found is None:
            return _holds(code)(ends)
        name = re.sub(r"[\s_-]", "", (found["name"] or found["one"]).lower().rpartition("=")[2])
        if len(name) > 2 or name[0] not in "lmnsz":
            return unknown
        return found["p"] == "P"  # no control character is in these, nor `"` and `\\`
    is_in = 9 <= code <= 13 if low[1] in "sS" else False
    return is_in != low[1].isupper()


def _ranges(atoms: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """Single atoms and the two ends of ranges. A hyphen beside a class escape is a character (annex B.1.2)."""
    at = 0
    while at < len(atoms):
        is_range = at + 2 < len(atoms) and atoms[at + 1] == "-"
        if is_range and not any(map(_CLASS_ESCAPE.match, (atoms[at], atoms[at + 2]))):
            yield atoms[at], atoms[at + 2]
            at += 3
        elif is_range:
            yield from ((atoms[at], None), ("-", None), (atoms[at + 2], None))
            at += 3
        else:
            yield atoms[at], None
            at += 1


def _plain(atom: str) -> str:
    return f"\\{atom}" if atom in ("[", "&", "~", "-", "^") else atom


class _holds:
    """Whether a code point is in a range or an atom."""

    def __init__(self, code: int) -> None:
        self._code = code

    def __call__(self, ends: tuple[str, str | None]) -> bool:
        low, high = ends
        if high is None:
            return _has(low, self._code)
        first, last = _code_of(low), _code_of(high)
        return first is not None and last is not None and first <= self._code <= last


def _has(atom: str, code: int) -> bool:
    """Whether a piece of a class has U+D7FF or U+E000 in it; `\\W`, `\\D` and `\\S` have both in one range."""
    match = _ATOM.fullmatch(atom)
    assert match is not None, "it was found so"
    if match["p"] is None:
        return _code_of(atom) == code
    name = (match["name"] or match["one"]).lower().rpartition("=")[2]
    is_in = re.sub(r"[\s_-]", "", name) in (_LOW if code == _LAST else _HIGH)
    return is_in != (match["p"] == "P")


def _code_of(atom: str) -> int | None:
    """The character that an atom is, if it is one by itself, by its number or by its letter."""
    match = _ATOM.fullmatch(atom)
    assert match is not None, "it was found so"
    number = next((match[name] for name in ("x", "u", "U", "b") if match[name]), None)
    if number is not None:
        return int(number, 16)
    if match["c"] is not None:
        return ord(match["c"])
    if len(atom) == 3:
        return ord(atom[2]) % 32  # `\\cA`
    return _CONTROLS.get(atom[1]) if atom[1].isalnum() else ord(atom[1])


def _nested(source: str) -> Iterator[str]:
    """Outermost bracketed pieces, brackets within them and all; one without an end goes on to the end. A `]` right
    behind the opening is a character."""
    depth, start, opened = 0, 0, -1
    for match in _ATOM.finditer(source):
        if match[0] == "[":
            opened = match.end() + source.startswith("^", match.end())
            start = match.start() if not depth else start
            depth += 1
        elif match[0] == "]" and depth and match.start() != opened:
            depth -= 1
            if not depth:
                yield source[start : match.end()]
    if depth:
        yield source[start:]
