"""Expressions with lookaround, said without: a text matches where it matches some expressions and none of others.

`^(?=.*\\d)(?!admin$).{8,}$` matches what matches `^(?:.*\\d)` and `^.{8,}$`, and not `^(?:admin$)`. That is exact where
an assertion stands at the beginning, or behind pieces of one character each, so that there is one place for it; at the
end of the text for what looks behind; and where it stands before every character (`^(?:(?!no).)*$`). Any other one is
left out, and a backreference becomes the group that it repeats: what is left matches more.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(
    r"\\(?:[xu]\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[pP]\{[^}]*\}|k<[^>]*>|c[A-Za-z]|[1-9][0-9]*|.)"
    r"|\[\^?(?:\\.|[^\]\\])*\]|[*+?]\??|\{[0-9]+(?:,[0-9]*)?\}\??|\((?:\?(?:[:=!]|<[=!]|<[A-Za-z_]\w*>))?|.",
    re.DOTALL,
)
_MAY_LOOK: Final = re.compile(r"\(\?<?[=!]|\\[bBk1-9]")
_AHEAD: Final = {"(?=": True, "(?!": False}
_BEHIND: Final = {"(?<=": True, "(?<!": False}
_QUANTIFIER: Final = re.compile(r"[*+?{]")


@dataclass(frozen=True, slots=True)
class Said:
    """A text matches the expression only if it matches all of ``found`` and none of ``missing``, each of them searched
    for; and if, where that ``is_exact``."""

    found: tuple[str, ...]
    missing: tuple[str, ...]
    is_exact: bool


@lru_cache(maxsize=1024)
def without_lookaround(pattern: str) -> Said | None:
    """An ECMA-262 pattern in terms of those that look nowhere; None where it does not look anywhere itself, or where it
    is not understood."""
    if not looks_around(pattern):
        return None
    try:
        pieces = list(_pieces(pattern))
        return _said(pieces, _Groups(pattern))
    except _Unread:
        return None


def looks_around(pattern: str) -> bool:
    """Whether anything in an expression looks around, or refers back, as no engine does that takes bounded time."""
    return _MAY_LOOK.search(pattern) is not None and any(_MAY_LOOK.match(m[0]) for m in _TOKEN.finditer(pattern))


class _Unread(Exception):
    """An expression that is not understood."""


def _pieces(pattern: str) -> Iterator[str]:
    """What an expression is a sequence of: characters, classes, whole groups, quantifiers, anchors, `|`."""
    depth, start = 0, 0
    for token in _TOKEN.finditer(pattern):
        if token[0][0] == "(":
            if pattern.startswith("(?", token.start()) and token[0] == "(":
                raise _Unread  # flags, or another dialect's
            start = token.start() if not depth else start
            depth += 1
        elif token[0] == ")":
            depth -= 1
            if depth < 0:
                raise _Unread
            if not depth:
                yield pattern[start : token.end()]
        elif not depth:
            yield token[0]
    if depth:
        raise _Unread


def _inside(piece: str) -> tuple[str, str]:
    """How a group begins, and what is in it; of any other piece nothing."""
    match = re.match(r"\((?:\?(?:[:=!]|<[=!]|<[A-Za-z_]\w*>))?", piece)
    return (match[0], piece[match.end() : -1]) if match else ("", "")


class _Groups:
    """The groups that backreferences repeat, by number and by name."""

    def __init__(self, pattern: str) -> None:
        self._named: dict[str, str] = {}
        begun: list[tuple[str, int]] = []
        order: list[tuple[int, str]] = []
        for token in _TOKEN.finditer(pattern):
            if token[0][0] == "(":
                begun.append((token[0], token.end()))
            elif token[0] == ")" and begun:
                opening, at = begun.pop()
                name = opening[3:-1] if opening.startswith("(?<") else ""
                if opening == "(" or (name and name[0] not in "=!"):
                    order.append((at, pattern[at : token.start()]))
                    self._named |= {name: pattern[at : token.start()]} if name else {}
        self._numbered = [inside for _, inside in sorted(order)]

    def repeated(self, reference: str) -> str:
        """Raises _Unread where there is no such group, or one that looks or refers anywhere itself."""
        name = reference[3:-1] if reference.startswith("\\k<") else ""
        number = 0 if name else int(reference[1:])
        found = self._named.get(name) if name else self._numbered[number - 1 : number][0] if self.has(number) else None
        if found is None or looks_around(found):
            raise _Unread
        return f"(?:{found})?"  # a group that took no part matches nothing

    def has(self, number: int) -> bool:
        return 0 < number <= len(self._numbered)


def _said(pieces: Sequence[str], groups: _Groups) -> Said:
    found: list[str] = []
    missing: list[str] = []
    is_exact = True
    if "|" in pieces:
        return Said(("".join(_plain(piece, groups) for piece in pieces),), (), False)
    starts, ends = pieces[0] == "^", len(pieces) > 1 and pieces[-1] == "$"
    inner = list(pieces[starts : len(pieces) - ends])
    if starts and ends and (tempered := _before_each(inner)) is not None:
        return tempered
    start, end = "^" if starts else "", "$" if ends else ""
    at, passed = 0, ""
    while at < len(inner):
        opening, inside = _inside(inner[at])
        is_repeated = at + 1 < len(inner) and _QUANTIFIER.match(inner[at + 1]) is not None
        if opening in _AHEAD and not is_repeated:
            is_exact = _note(f"{start}{passed}", inside, "", _AHEAD[opening], starts, found, missing) and is_exact
        elif is_repeated or opening or inner[at] in ("^", "$", "\\b", "\\B") or _MAY_LOOK.match(inner[at]):
            break
        else:
            passed += inner[at]
        at += 1
    rest = inner[at:]
    while rest and ends and _inside(rest[-1])[0] in _BEHIND:
        opening, inside = _inside(rest.pop())
        is_exact = _note("", inside, "$", _BEHIND[opening], True, found, missing) and is_exact
    is_exact = is_exact and not any(map(looks_around, rest))
    whole = f"{start}{passed}{''.join(_plain(piece, groups) for piece in rest)}{end}"
    return Said((*found, whole), tuple(missing), is_exact)


def _note(
    before: str, inside: str, after: str, is_found: bool, is_placed: bool, found: list[str], missing: list[str]
) -> bool:
    """Note what an assertion asks for; whether that is all of it."""
    if looks_around(inside):
        return False
    if is_found:
        found.append(f"{before}(?:{inside}){after}")
    elif is_placed:
        missing.append(f"{before}(?:{inside}){after}")
    return is_placed


def _before_each(inner: Sequence[str]) -> Said | None:
    """`(?:(?!a)(?!b)c)*`: characters at none of which something begins."""
    if len(inner) != 2 or inner[1] not in ("*", "+"):
        return None
    opening, inside = _inside(inner[0])
    parts = list(_pieces(inside)) if opening in ("(", "(?:") else []
    ahead = [_inside(part) for part in parts[:-1]]
    is_so = bool(ahead) and all(begun == "(?!" and not looks_around(said) for begun, said in ahead)
    if not is_so or _inside(parts[-1])[0] or parts[-1] in ("^", "$", "|") or _MAY_LOOK.match(parts[-1]):
        return None
    # What begins at the very end is not looked for, and what is empty begins there.
    if any(_begins_late(said) for _, said in ahead):
        return None
    return Said((f"^(?:{parts[-1]}){inner[1]}$",), tuple(f"(?:{said})" for _, said in ahead), True)


def _begins_late(inside: str) -> bool:
    """Whether an expression may match nothing, or asks where it stands."""
    pieces = list(_pieces(inside))
    if "|" in pieces or not pieces:
        return True
    is_repeated = len(pieces) > 1 and _QUANTIFIER.match(pieces[1]) is not None
    return is_repeated or bool(_inside(pieces[0])[0]) or pieces[0] in ("^", "$", "\\b", "\\B")


def _plain(piece: str, groups: _Groups) -> str:
    """A piece without lookaround. What was an assertion matches nothing, however often."""
    opening, inside = _inside(piece)
    if opening in _AHEAD or opening in _BEHIND or piece in ("\\b", "\\B"):
        return "(?:)"
    if re.fullmatch(r"\\(?:[1-9][0-9]*|k<[^>]*>)", piece):
        return groups.repeated(piece)
    if opening and looks_around(inside):
        return f"{opening}{''.join(_plain(part, groups) for part in _pieces(inside))})"
    return piece
