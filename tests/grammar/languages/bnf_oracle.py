"""What GBNF and EBNF say, worked out apart from the package: a reader made with lark, and Earley's recogniser.

Nothing here is shared with the code that it judges but the notation itself.
"""

import random
from typing import Any, TypeAlias

from lark import Lark, Token, Tree

Symbol: TypeAlias = "str | tuple[bool, tuple[tuple[int, int], ...]]"
"""The name of a rule, or a class of characters: whether it is negated, and its ranges."""
Bnf: TypeAlias = dict[str, list[tuple[Symbol, ...]]]

_READER = r"""
start: _gap* (rule _gap*)*
rule: HEAD _gap* body
body: sequence ("|" _gap* sequence)*
sequence: (_gap* item)* _gap*
item: atom (_gap* COUNT)?
?atom: NAME -> name
     | TEXT -> text
     | CLASS -> class
     | "." -> any
     | "(" _gap* body _gap* ")" -> group
_gap: GAP
HEAD.3: /[A-Za-z0-9_][A-Za-z0-9_.-]*[ \t]*::=/
NAME: /[A-Za-z0-9_][A-Za-z0-9_.-]*(?![A-Za-z0-9_.-]*[ \t]*::=)/
TEXT: /"(?:\\.|[^"\\\n])*"/
CLASS: /\[\^?(?:\\.|[^\]\\\n])*\]/
COUNT: /[?*+]|\{[ \t]*\d+[ \t]*(?:,[ \t]*\d*[ \t]*)?\}/
GAP: /(?:[ \t\r\n]|#[^\n]*)+/
"""
_GBNF_PLAIN = {"n": "\n", "r": "\r", "t": "\t"}
_EBNF_PLAIN = {**_GBNF_PLAIN, "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "0": "\0"}
# `ambiguity="resolve"` with a gap that may stand in several places gives one of the readings, which all say the same.
_lark = Lark(_READER, parser="earley", lexer="dynamic")


class Oracle:
    """The language of a source. ``longest_hex``: as many digits stand behind `\\x` as there are (EBNF), not two."""

    def __init__(self, source: str, *, longest_hex: bool) -> None:
        self._longest_hex = longest_hex
        self.rules: Bnf = {}
        self._n = 0
        for rule in _lark.parse(source).children:
            if isinstance(rule, Tree):
                head, body = [child for child in rule.children if _is_part(child)]
                self._define(str(head).removesuffix("::=").rstrip(), body)
        self._shortest = self._lengths()

    def _define(self, name: str, body: "Tree[Token]") -> str:
        self.rules[name] = [
            tuple(symbol for item in _trees(sequence) for symbol in self._item(item)) for sequence in _trees(body)
        ]
        return name

    def _fresh(self) -> str:
        self._n += 1
        return f"#{self._n}"

    def _item(self, item: "Tree[Token]") -> tuple[Symbol, ...]:
        atom = _trees(item)[0]
        count = next((str(child) for child in item.children if isinstance(child, Token) and child.type == "COUNT"), "")
        one = self._atom(atom)
        if not count:
            return one
        unit = self._fresh()
        self.rules[unit] = [one]
        least, most = _bounds(count)
        if most is None:
            loop = self._fresh()
            self.rules[loop] = [(), (unit, loop)]
            return (*[unit] * least, loop)
        some: tuple[Symbol, ...] = ()
        for _ in range(most - least):
            name = self._fresh()
            self.rules[name] = [(), (unit, *some)]
            some = (name,)
        return (*[unit] * least, *some)

    def _atom(self, atom: "Tree[Token]") -> tuple[Symbol, ...]:
        match atom.data:
            case "name":
                return (str(atom.children[0]),)
            case "text":
                return tuple((False, ((c, c),)) for c in self._codes(str(atom.children[0])[1:-1]))
            case "any":
                return ((True, ()),)
            case "group":
                return (self._define(self._fresh(), _trees(atom)[0]),)
            case _:
                return (self._class(str(atom.children[0])[1:-1]),)

    def _codes(self, written: str) -> list[int]:
        return [code for code, _ in self._read(written)]

    def _read(self, written: str) -> list[tuple[int, bool]]:
        """Code points, and whether each is a bare dash."""
        found: list[tuple[int, bool]] = []
        at = 0
        plain = _EBNF_PLAIN if self._longest_hex else _GBNF_PLAIN
        while at < len(written):
            if written[at] != "\\":
                found.append((ord(written[at]), written[at] == "-"))
                at += 1
                continue
            kind = written[at + 1]
            at += 2
            if kind in "xuU":
                n = {"x": 2, "u": 4, "U": 8}[kind]
                if kind == "x" and self._longest_hex:
                    n = next((i for i in range(8) if written[at + i : at + i + 1] not in _HEX), 8)
                found.append((int(written[at : at + n], 16), False))
                at += n
            else:
                found.append((ord(plain.get(kind, kind)), False))
        return found

    def _class(self, written: str) -> Symbol:
        is_negated = written.startswith("^")
        chars = self._read(written[1:] if is_negated else written)
        ranges: list[tuple[int, int]] = []
        at = 0
        while at < len(chars):
            low = high = chars[at][0]
            if at + 2 < len(chars) and chars[at + 1][1]:
                high = chars[at + 2][0]
                at += 2
            ranges.append((low, high))
            at += 1
        return is_negated, tuple(ranges)

    def accepts(self, text: str) -> bool:
        """Whether the start derives the text: Earley's algorithm, completions repeated until nothing is new."""
        sets: list[set[tuple[str, int, int, int]]] = [set() for _ in range(len(text) + 1)]
        sets[0] = {("root", i, 0, 0) for i in range(len(self.rules["root"]))}
        for at, items in enumerate(sets):
            pending = list(items)
            waiting: dict[str, set[tuple[str, int, int, int]]] = {}
            done: set[str] = set()
            while pending:
                head, choice, dot, begun = item = pending.pop()
                body = self.rules[head][choice]
                new: list[tuple[str, int, int, int]] = []
                if dot == len(body):
                    parents = waiting.get(head, set()) if begun == at else self._waiting(sets[begun], head)
                    new = [(h, c, d + 1, b) for h, c, d, b in parents]
                    if begun == at:
                        done.add(head)
                elif isinstance(symbol := body[dot], str):
                    waiting.setdefault(symbol, set()).add(item)
                    new = [(symbol, i, 0, at) for i in range(len(self.rules[symbol]))]
                    if symbol in done:
                        new.append((head, choice, dot + 1, begun))
                elif at < len(text) and _is_in(symbol, ord(text[at])):
                    sets[at + 1].add((head, choice, dot + 1, begun))
                for found in new:
                    if found not in items:
                        items.add(found)
                        pending.append(found)
        return any(("root", i, len(body), 0) in sets[-1] for i, body in enumerate(self.rules["root"]))

    def _waiting(self, items: set[tuple[str, int, int, int]], head: str) -> list[tuple[str, int, int, int]]:
        return [i for i in items if i[2] < len(self.rules[i[0]][i[1]]) and self.rules[i[0]][i[1]][i[2]] == head]

    def _lengths(self) -> dict[str, float]:
        """The length of a shortest text of each rule."""
        found = dict.fromkeys(self.rules, float("inf"))
        while True:
            new = {h: min((self._sum(b, found) for b in bodies), default=0) for h, bodies in self.rules.items()}
            if new == found:
                return found
            found = new

    def _sum(self, body: tuple[Symbol, ...], found: dict[str, float]) -> float:
        return sum(found[s] if isinstance(s, str) else 1 for s in body)

    def derive(self, rng: random.Random, most: int = 40) -> str:
        """A text of the language; past some length the shortest way out is taken."""
        stack: list[Symbol] = ["root"]
        written = ""
        steps = 0
        while stack:
            symbol = stack.pop()
            steps += 1
            if not isinstance(symbol, str):
                written += _char(symbol, rng)
                continue
            bodies = self.rules[symbol]
            lengths = [self._sum(body, self._shortest) for body in bodies]
            if len(written) > most or steps > 300:
                bodies = [b for b, n in zip(bodies, lengths, strict=True) if n == min(lengths)]
                bodies = [min(bodies, key=len)]
            else:
                bodies = [b for b, n in zip(bodies, lengths, strict=True) if n < float("inf")]
            stack.extend(reversed(rng.choice(bodies)))
        return written


_HEX = tuple("0123456789abcdefABCDEF")


def _is_in(symbol: Any, code: int) -> bool:
    is_negated, ranges = symbol
    return any(low <= code <= high for low, high in ranges) != is_negated


def _char(symbol: Any, rng: random.Random) -> str:
    is_negated, ranges = symbol
    if not is_negated:
        low, high = rng.choice(ranges)
        return chr(rng.randint(low, high))
    return next(c for c in iter(lambda: rng.choice("aZ09 -_é中😀~\t!,"), None) if _is_in(symbol, ord(c)))


def _bounds(count: str) -> tuple[int, int | None]:
    if count in "?*+":
        return {"?": (0, 1), "*": (0, None), "+": (1, None)}[count]
    low, comma, high = (part.strip() for part in count[1:-1].partition(","))
    return int(low), int(low) if not comma else int(high) if high else None


def _is_part(child: Any) -> bool:
    return isinstance(child, Tree) or (isinstance(child, Token) and child.type == "HEAD")


def _trees(tree: "Tree[Token]") -> "list[Tree[Token]]":
    return [child for child in tree.children if isinstance(child, Tree) and child.data != "_gap"]
