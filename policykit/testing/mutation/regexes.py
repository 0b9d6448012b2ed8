r"""Small changes of regular expressions, as texts: one for each place and each way in which it can be wrong.

Operators, after MutRex (Arcaini, Gargantini, Riccobene: MutRex, a mutation-based generator of fault detecting strings
for regular expressions, ICSTW 2017) and the catalogue of Stryker's weapon-regex:

=========== ==========================================================================================
branch      an alternative is taken out
anchor      `\b`, `^`, `$`, `\A`, `\z` is taken out
flags       `(?i)` and its like are taken out
quantifier  `?`: required, or gone; `*`: at least one, or gone; `+`: exactly one; each bound of `{n,m}` by one
class less  one member of each kind (letters, digits, marks, each named set) is taken out; a range of digits ends
            one digit earlier
class more  any character in place of the class; for a negated class, one member of each kind is allowed
=========== ==========================================================================================

What would tell nothing more is left out (non-redundant operators: Just and Schweiggert, Higher accuracy and lower run
time, STVR 2015): a change that every test notices which notices another one, such as an optional group taken out whose
branches are taken out one by one. A class or a repetition of one that an expression holds several times, letter by
letter, is a word of its author's, and one place: it is changed wherever it stands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<atom> \\x\{[0-9A-Fa-f]+\} | \\[pP]\{[^}]*\} | \\[pP]. | \\x[0-9A-Fa-f]{2} )
    | (?P<quoted> \\Q.*?(?:\\E|$) )
    | (?P<escape> \\. )
    | (?P<bracket> \[\^?\]?(?:\\x\{[0-9A-Fa-f]+\}|\\[pP]\{[^}]*\}|\\.|\[:\^?\w+:\]|[^\]\\])*\] )
    | (?P<flags> \(\?[A-Za-z-]+\) )
    | (?P<open> \((?:\?P?<\w+>|\?[A-Za-z-]*:)? )
    | (?P<close> \) ) | (?P<bar> \| ) | (?P<anchor> [$^] )
    | (?P<times> (?:[*+?]|\{\d+(?:,\d*)?\})\?? )
    | (?P<char> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}\??")
_UNIT = re.compile(
    r"\[:\^?\w+:\]|(?:\\x\{[0-9A-Fa-f]+\}|\\[pP]\{[^}]*\}|\\.|[^\\])(?:-(?:\\x\{[0-9A-Fa-f]+\}|\\.|[^\\\]]))?",
    re.DOTALL,
)
_LOOKS = frozenset({"\\b", "\\B", "\\A", "\\z"})
_ANY = "(?s:.)"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def changed_regexes(source: str) -> Iterator[tuple[str, str]]:
    """Expressions that match a little more or less, each once, with what was done. Some may not be valid."""
    seen = {source}
    for what, changed in _changed(source):
        if changed not in seen:
            seen.add(changed)
            yield what, changed


def _changed(source: str) -> Iterator[tuple[str, str]]:
    tokens = [_token(match) for match in _TOKEN.finditer(source)]
    yield from _without_branches(source, tokens)
    known: set[tuple[str, str]] = set()
    for n, token in enumerate(tokens):
        if token.kind == "anchor" or token.text in _LOOKS:
            yield f"without `{token.text}`", source[: token.start] + source[token.end :]
        elif token.kind == "flags":
            yield f"without the flags `{token.text}`", source[: token.start] + source[token.end :]
        elif token.kind == "open" and ":" in token.text[2:] and token.text != "(?:":
            yield f"without the flags of `{token.text}`", f"{source[: token.start]}(?:{source[token.end :]}"
        elif token.kind == "bracket" or (token.kind in ("atom", "escape") and token.text[1:2] in "dDsSwWpP"):
            if ("", token.text) not in known:
                known.add(("", token.text))
                for what, put in _other_classes(token):
                    yield what, _everywhere(tokens, token, put)
        elif token.kind == "times" and n:
            atom = _atom(tokens, n)
            if (atom, token.text) not in known:
                known.add((atom, token.text))
                yield from _repeated(source, tokens, n, atom)


def _token(match: re.Match[str]) -> _Token:
    return _Token(match.lastgroup or "char", match[0], match.start(), match.end())


def _everywhere(tokens: list[_Token], like: _Token, put: str) -> str:
    return "".join(put if (t.kind, t.text) == (like.kind, like.text) else t.text for t in tokens)


def _atom(tokens: list[_Token], n: int) -> str:
    """What the repetition at ``n`` repeats."""
    return "".join(token.text for token in tokens[_atom_start(tokens, n) : n])


def _atom_start(tokens: list[_Token], n: int) -> int:
    depth, at = 0, n
    while at:
        at -= 1
        depth += (tokens[at].kind == "close") - (tokens[at].kind == "open")
        if depth <= 0:
            break
    return at


def _repeated(source: str, tokens: list[_Token], n: int, atom: str) -> Iterator[tuple[str, str]]:
    """A class is repeated in the same way wherever it is; another atom is one place."""
    token = tokens[n]
    is_class = len(tokens[_atom_start(tokens, n) : n]) == 1
    for what, put, keeps in _other_counts(token.text, has_branches="|" in atom):
        kept = atom + put if keeps else ""
        if is_class:
            yield what.format(f"`{atom}`"), _retimed(tokens, n, kept)
        else:
            start = tokens[_atom_start(tokens, n)].start
            yield what.format(_short(atom)), source[:start] + kept + source[token.end :]


def _retimed(tokens: list[_Token], n: int, put: str) -> str:
    this = (tokens[n - 1].text, tokens[n].text)
    out, at = list[str](), 0
    while at < len(tokens):
        if at + 1 < len(tokens) and (tokens[at].text, tokens[at + 1].text) == this and tokens[at + 1].kind == "times":
            out.append(put)
            at += 2
        else:
            out.append(tokens[at].text)
            at += 1
    return "".join(out)


def _other_counts(text: str, *, has_branches: bool) -> Iterator[tuple[str, str, bool]]:
    """What was done, the other quantifier, and whether the atom is still there."""
    plain = text if text == "?" else text.removesuffix("?")
    match plain:
        case "?":
            yield "{} no longer optional", "", True
            if not has_branches:
                yield "without the optional {}", "", False
        case "*":
            yield "{} at least once", "+", True
            if not has_branches:
                yield "without {}", "", False
        case "+":
            yield "{} exactly once", "", True
        case _ if count := _COUNT.fullmatch(plain):
            yield from _bounds(int(count[1]), bool(count[2]), count[3])
        case _:
            pass


def _bounds(least: int, is_range: bool, most: str) -> Iterator[tuple[str, str, bool]]:
    if not is_range:
        yield f"{{}} {least + 1} times in place of {least}", f"{{{least + 1}}}", True
        if least > 1:
            yield f"{{}} {least - 1} times in place of {least}", f"{{{least - 1}}}", True
        return
    if most != str(least):
        yield f"{{}} at least {least + 1} in place of {least} times", f"{{{least + 1},{most}}}", True
    if least:
        yield f"{{}} at least {least - 1} in place of {least} times", f"{{{least - 1},{most}}}", True
    if most:
        if int(most) > least:
            yield f"{{}} at most {int(most) - 1} in place of {most} times", f"{{{least},{int(most) - 1}}}", True
        yield f"{{}} at most {int(most) + 1} in place of {most} times", f"{{{least},{int(most) + 1}}}", True


def _other_classes(token: _Token) -> Iterator[tuple[str, str]]:
    negated = token.text.startswith("[^")
    if not negated:
        yield f"any character in place of `{token.text}`", _ANY
    if token.kind != "bracket":
        return
    opening = "[^" if negated else "["
    units = _UNIT.findall(token.text[len(opening) : -1])
    by_kind = {_kind(unit): i for i, unit in enumerate(units)}
    for i in by_kind.values():
        shorter = _shorter(units[i])
        if shorter is not None and not negated:
            put = "".join([*units[:i], shorter, *units[i + 1 :]])
            yield f"`{shorter}` in place of `{units[i]}` in `{token.text}`", f"{opening}{put}]"
        elif len(units) > 1:
            put = "".join(units[:i] + units[i + 1 :])
            done = "allowing" if negated else "without"
            yield f"{done} `{units[i]}` in `{token.text}`", f"{opening}{put}]"


def _shorter(unit: str) -> str | None:
    """A range of digits without its last."""
    if len(unit) != 3 or not (unit[0].isdigit() and unit[2].isdigit()) or unit[0] >= unit[2]:
        return None
    last = str(int(unit[2]) - 1)
    return unit[0] if unit[0] == last else f"{unit[0]}-{last}"


def _kind(unit: str) -> str:
    if unit.startswith("[:") or (unit.startswith("\\") and unit[1:2] in "dDsSwWpP"):
        return unit
    first = unit[1:] if unit.startswith("\\") and len(unit) > 1 else unit
    return "digit" if first[0].isdigit() else "letter" if first[0].isalpha() else "mark"


def _without_branches(source: str, tokens: list[_Token]) -> Iterator[tuple[str, str]]:
    """Every branch of every alternation taken out."""
    opened: list[list[int]] = [[0]]  # the starts of the branches of each open group
    groups: list[list[int]] = []
    for token in tokens:
        if token.kind == "open":
            opened.append([token.end])
        elif token.kind == "bar":
            opened[-1].append(token.end)
        elif token.kind == "close" and len(opened) > 1:
            groups.append([*opened.pop(), token.start + 1])
    groups.append([*opened[0], len(source) + 1])
    for starts in groups:
        for n in range(len(starts) - 1 if len(starts) > 2 else 0):
            branch = source[starts[n] : starts[n + 1] - 1]
            is_last = n == len(starts) - 2
            start, end = (starts[n] - 1, starts[n + 1] - 1) if is_last else (starts[n], starts[n + 1])
            yield f"without the branch {_short(branch)}", source[:start] + source[end:]


def _short(text: str) -> str:
    return f"`{text}`" if len(text) <= 40 else f"`{text[:36]}...`"
