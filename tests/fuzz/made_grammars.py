"""Grammars that are valid by construction, in every notation, with the language that they were written from.

A language is a set of rules over characters as a value of its own; `accepts` and `derive` work on that value, and share
nothing with the readers and the engine that they judge.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Node: TypeAlias = "tuple[Any, ...]"
"""`("text", str)`, `("chars", ranges, is_negated)`, `("ref", name)`, `("all", nodes)`, `("any", nodes)`,
`("times", node, least, most or None)`."""
LETTERS = "aaabbbc01 -"
RARE = "é中😀\"\\[]^/.|*+?{}()'#&~\n\t\x00\x7f\u2028\U0010ffff\ufffd"
CLASSES: tuple[tuple[tuple[tuple[int, int], ...], bool], ...] = (
    (((97, 99),), False),
    (((48, 57),), False),
    (((97, 122), (65, 90), (48, 57)), False),
    (((97, 97),), True),
    (((10, 10), (34, 34)), True),
    (((0xE0, 0xFF), (0x4E00, 0x4E10)), False),
    (((0x1F600, 0x1F640), (93, 94), (45, 45)), False),
    (((0x7F, 0x10FFFF),), False),
    (((0xD000, 0xE000),), False),
    ((), True),
)

AROUND_SURROGATES = (((0xD000, 0xD7FF), (0xE000, 0xE010)), True)
"""Which the masking engine misreads where nobody writes it otherwise; the Lark dialect has it refused."""


@dataclass(slots=True)
class Language:
    rules: dict[str, Node]

    def accepts(self, text: str) -> bool:
        """Whether the first rule derives the text: ends of every rule at every place, up to a least fixpoint."""
        ends: dict[tuple[str, int], set[int]] = {}
        start = next(iter(self.rules))
        is_new = True
        while is_new:
            is_new, seen = False, set[tuple[str, int]]()

            def of(name: str, at: int, seen: set[tuple[str, int]] = seen) -> set[int]:
                nonlocal is_new
                known = ends.setdefault((name, at), set())
                if (name, at) not in seen:
                    seen.add((name, at))
                    found = _ends(self.rules[name], text, at, of)
                    if not found <= known:
                        known |= found
                        is_new = True
                return set(known)

            of(start, 0)
        return len(text) in ends[start, 0]

    def derive(self, rng: random.Random, most: int = 24) -> str | None:
        """A text of the language, or None where it gets too long."""
        budget = [400]
        try:
            text = self._derived(self.rules[next(iter(self.rules))], rng, budget)
        except (RecursionError, OverflowError):
            return None
        return text if len(text) <= most * 4 else None

    def _derived(self, node: Node, rng: random.Random, budget: list[int]) -> str:
        budget[0] -= 1
        if budget[0] < 0:
            raise OverflowError
        match node:
            case ("text", text):
                return text
            case ("chars", ranges, is_negated):
                return _char(ranges, is_negated, rng)
            case ("ref", name):
                return self._derived(self.rules[name], rng, budget)
            case ("all", items):
                return "".join(self._derived(item, rng, budget) for item in items)
            case ("any", items):
                return self._derived(items[-1] if budget[0] < 250 else rng.choice(items), rng, budget)
            case ("times", item, least, most):
                n = least + (0 if budget[0] < 250 else rng.choice((0, 1, 1, 2, 3)))
                return "".join(self._derived(item, rng, budget) for _ in range(n if most is None else min(n, most)))
        raise AssertionError(node)


_ANY = "aZ09 -_é中😀~\t!,"


def _char(ranges: tuple[tuple[int, int], ...], is_negated: bool, rng: random.Random) -> str:
    if is_negated:
        return next(c for c in rng.sample(_ANY, len(_ANY)) if not any(a <= ord(c) <= b for a, b in ranges))
    low, high = rng.choice(ranges)
    code = rng.choice((low, high, rng.randint(low, high)))
    return chr(low if 0xD800 <= code <= 0xDFFF else code)


def _ends(node: Node, text: str, at: int, of: Callable[[str, int], set[int]]) -> set[int]:
    match node:
        case ("text", word):
            return {at + len(word)} if text.startswith(word, at) else set()
        case ("chars", ranges, is_negated):
            return (
                {at + 1} if at < len(text) and any(a <= ord(text[at]) <= b for a, b in ranges) != is_negated else set()
            )
        case ("ref", name):
            return of(name, at)
        case ("all", items):
            here = {at}
            for item in items:
                here = {end for place in here for end in _ends(item, text, place, of)}
            return here
        case ("any", items):
            return {end for item in items for end in _ends(item, text, at, of)}
        case ("times", item, least, most):
            here = {at}
            for _ in range(least):
                here = {end for place in here for end in _ends(item, text, place, of)}
            found, n = set(here), least
            while here and (most is None or n < most):
                here = {end for place in here for end in _ends(item, text, place, of)} - found
                found |= here
                n += 1
            return found
    raise AssertionError(node)


def language(rng: random.Random, *, recursive: bool = True) -> Language:
    names = ["root", *(f"r{i}" for i in range(rng.choice((0, 1, 2, 3, 5)) if recursive else 0))]
    rules: dict[str, Node] = {}
    for at, name in enumerate(names):
        later = names[at + 1 :]
        some = [_node(rng, 3, names if recursive else []) for _ in range(rng.choice((0, 1, 1, 2)))]
        rules[name] = ("any", (*some, _node(rng, 3, later)))  # so that each rule has an end
    return Language(rules)


def _node(rng: random.Random, depth: int, names: list[str]) -> Node:
    if names and rng.random() < 0.3:
        return ("ref", rng.choice(names))
    if depth <= 0 or rng.random() < 0.25:
        return _plain(rng)
    items = tuple(_node(rng, depth - 1, names) for _ in range(rng.choice((1, 2, 2, 3))))
    match rng.randrange(7):
        case 0 | 1 | 2:
            return ("all", items)
        case 3 | 4:
            return ("any", items)
        case _:
            few = ((0, 1), (0, None), (1, None), (0, 3), (1, 3), (0, 0), (2, 2))
            many = ((2, None), (3, 7), (0, 40), (17, 17), (0, 60))
            least, most = rng.choice((*few, *many) if items[0][0] in ("text", "chars") else few)
            return ("times", items[0], least, most)


def _plain(rng: random.Random) -> Node:
    if rng.random() < 0.35:
        return ("chars", *(AROUND_SURROGATES if rng.random() < 0.02 else rng.choice(CLASSES)))
    letters = LETTERS if rng.random() < 0.85 else RARE
    return ("text", "".join(rng.choice(letters) for _ in range(rng.choice((0, 1, 1, 1, 2, 3)))))


def bnf(found: Language, rng: random.Random, *, is_ebnf: bool) -> str:
    """As GBNF or EBNF, which differ in what an empty alternative is."""
    style = _Bnf(rng, is_ebnf)
    lines = [f"{name} ::={rng.choice((' ', '  '))}{style.top(node)}" for name, node in found.rules.items()]
    if rng.random() < 0.2:
        lines.insert(rng.randint(0, len(lines)), rng.choice(("# what it is", "", "  # \"'[")))
    return "\n".join(lines) + rng.choice(("", "\n", "\n\n"))


class _Bnf:
    def __init__(self, rng: random.Random, is_ebnf: bool) -> None:
        self.rng, self.is_ebnf = rng, is_ebnf

    def top(self, node: Node) -> str:
        return " | ".join(self.sequence(item) for item in node[1]) if node[0] == "any" else self.sequence(node)

    def sequence(self, node: Node) -> str:
        if node[0] != "all":
            return self.item(node)
        return " ".join(map(self.item, node[1])) or '""'

    def item(self, node: Node) -> str:
        match node:
            case ("text", text):
                return '"' + "".join(self.char(c, '"\\') for c in text) + '"'
            case ("chars", (), True):
                return "[^]" if self.is_ebnf or self.rng.random() < 0.3 else "."
            case ("chars", ranges, is_negated):
                return f"[{'^' if is_negated else ''}{''.join(map(self.range, ranges))}]"
            case ("ref", name):
                return name
            case ("times", item, least, most):
                inner = self.item(item)
                return (f"({inner})" if item[0] == "times" or self.rng.random() < 0.2 else inner) + count(least, most)
            case _:
                return f"({self.top(node)})"

    def range(self, ends: tuple[int, int]) -> str:
        low, high = (self.char(chr(code), '"\\[]^-') for code in ends)
        return low if ends[0] == ends[1] else f"{low}-{high}"

    def char(self, char: str, special: str) -> str:
        code = ord(char)
        if char.isprintable() and char not in special and self.rng.random() < 0.9:
            return char
        if code < 0x80 and not self.is_ebnf:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def count(least: int, most: int | None) -> str:
    short = {(0, 1): "?", (0, None): "*", (1, None): "+"}.get((least, most))
    if short is not None:
        return short
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


def lark(found: Language, rng: random.Random, *, terminals: bool) -> str:
    """As Lark, over characters; with ``terminals`` texts and some of what refers to no rule are lexemes."""
    style = _Lark(rng, terminals)
    lines = []
    for at, (name, node) in enumerate(found.rules.items()):
        head = "start" if not at else rng.choice((name, name, f"?{name}")) if terminals else name
        lines.append(f"{head}: {style.top(node)}")
    return "\n".join([*lines, *style.defined]) + "\n"


class _Lark:
    def __init__(self, rng: random.Random, terminals: bool) -> None:
        self.rng, self.terminals = rng, terminals
        self.defined: list[str] = []

    def top(self, node: Node) -> str:
        return " | ".join(self.sequence(item) for item in node[1]) if node[0] == "any" else self.sequence(node)

    def sequence(self, node: Node) -> str:
        return (" ".join(map(self.item, node[1])) or "()") if node[0] == "all" else self.item(node)

    def item(self, node: Node) -> str:
        if self.terminals and node[0] in ("all", "any", "times") and self.rng.random() < 0.4 and is_lexeme(node):
            name = f"T{len(self.defined)}"
            self.defined.append(f"{name}: /{regex(node, None)}/")
            return name
        match node:
            case ("text", ""):
                return "()"
            case ("text", text) if self.terminals:
                return self.text(text)
            case ("text", text):
                written = " ".join(map(self.text, text))
                return written if len(text) == 1 else f"({written})"
            case ("chars", _, _):
                return f"/{regex(node, None)}/"
            case ("ref", name):
                return "start" if name == "root" else name
            case ("times", item, least, most):
                inner = self.item(item)
                inner = f"({inner})" if item[0] == "times" else inner
                short = {(0, 1): "?", (0, None): "*", (1, None): "+"}.get((least, most))
                if short is not None:
                    return inner + short
                return f"({inner}~{least} {inner}*)" if most is None else f"{inner}~{least}..{most}"
            case _:
                return f"({self.top(node)})"

    def text(self, text: str) -> str:
        return '"' + "".join(_lark_char(c) for c in text) + '"'


def _lark_char(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return {"\n": "\\n", "\t": "\\t"}.get(char) or (
        f"\\x{ord(char):02x}"
        if ord(char) < 0x80
        else f"\\u{ord(char):04x}"
        if ord(char) < 0x10000
        else f"\\U{ord(char):08x}"
    )


def is_lexeme(node: Node) -> bool:
    """Whether it refers to no rule and has no empty text, as lark asks of a terminal."""
    return not _refers(node) and not _is_nullable(node)


def _refers(node: Node) -> bool:
    match node:
        case ("ref", _):
            return True
        case ("all" | "any", items):
            return any(map(_refers, items))
        case ("times", item, _, _):
            return _refers(item)
        case _:
            return False


def _is_nullable(node: Node) -> bool:
    match node:
        case ("text", text):
            return not text
        case ("all", items):
            return all(map(_is_nullable, items))
        case ("any", items):
            return any(map(_is_nullable, items))
        case ("times", item, least, _):
            return not least or _is_nullable(item)
        case _:
            return False


def regex(node: Node, rng: random.Random | None) -> str:
    """As an expression; with a source of chance as RE2 writes it, in several ways; else as Rust and Python read it."""
    match node:
        case ("text", text):
            return (
                "".join(_regex_char(c, rng, _SPECIAL) for c in text) if len(text) == 1 else f"(?:{_joined(text, rng)})"
            )
        case ("chars", (), True):
            return "(?s:.)"
        case ("chars", ranges, is_negated):
            body = "".join(
                _regex_char(chr(a), rng, _IN_CLASS) + (f"-{_regex_char(chr(b), rng, _IN_CLASS)}" if a != b else "")
                for a, b in ranges
            )
            return f"[{'^' if is_negated else ''}{body}]"
        case ("all", items):
            return f"(?:{''.join(regex(item, rng) for item in items)})"
        case ("any", items):
            return f"{'(' if rng and rng.random() < 0.3 else '(?:'}{'|'.join(regex(item, rng) for item in items)})"
        case ("times", item, least, most):
            inner = regex(item, rng)
            return (f"(?:{inner})" if item[0] == "times" else inner) + count(least, most)
    raise AssertionError(node)


def _joined(text: str, rng: random.Random | None) -> str:
    return "".join(_regex_char(c, rng, _SPECIAL) for c in text)


_SPECIAL = "\\.^$|?*+()[]{}/#&~-"
_IN_CLASS = "\\]^[-&~/"


def _regex_char(char: str, rng: random.Random | None, special: str) -> str:
    code = ord(char)
    if rng is not None and (not char.isprintable() or rng.random() < 0.05):
        return f"\\x{{{code:x}}}" if 0xD7FF < code < 0xE000 or rng.random() < 0.5 or code > 255 else f"\\x{code:02x}"
    if char in special:
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"
