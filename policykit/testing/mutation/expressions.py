"""Small changes of regular expressions and conditions, as texts."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
    \\x\{[0-9A-Fa-f]+\} | \\[pP]\{[^}]*\} | \\[pP]. | \\x[0-9A-Fa-f]{2} | \\Q.*?(?:\\E|$) | \\.   # escapes
    | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]                                                     # a class
    | \(\?[^)(:]*[:)] | \(\?P?<\w+> | [()|^$]                                                     # groups
    | (?:[*+?]|\{\d+(?:,\d*)?\})\??                                                              # repetition
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}(\??)")
_UNIT = re.compile(
    r"\[:\^?\w+:\]|(?:\\x\{[0-9A-Fa-f]+\}|\\[pP]\{[^}]*\}|\\.|[^\\])(?:-(?:\\x\{[0-9A-Fa-f]+\}|\\.|[^\\\]]))?",
    re.DOTALL,
)


def changed_regexes(source: str) -> Iterator[tuple[str, str]]:
    """Expressions that match a little more or less, each with what was done. Some may not be valid."""
    tokens = [(m[0], m.start(), m.end()) for m in _TOKEN.finditer(source)]
    for n, (token, start, end) in enumerate(tokens):
        for what, put in _changed_token(token, is_first=n == 0):
            yield what, source[:start] + put + source[end:]
    yield from _without_branches(source, tokens)


def _changed_token(token: str, *, is_first: bool) -> Iterator[tuple[str, str]]:
    match token.rstrip("?") or "?":
        case "\\b" | "\\B" | "^" | "$" | "\\A" | "\\z":
            yield f"widen: without `{token}`", ""
        case "*" if not is_first:
            yield "narrow: at least one", "+"
        case "+" if not is_first:
            yield "narrow: exactly one", ""
        case "?" if not is_first:
            yield "narrow: no longer optional", ""
        case counted if (count := _COUNT.fullmatch(counted)) and not is_first:
            yield from _counts(count)
        case bracket if bracket.startswith("[") and len(bracket) > 2:
            yield from _without_members(token)
        case _:
            pass


def _counts(count: re.Match[str]) -> Iterator[tuple[str, str]]:
    least, comma, most = int(count[1]), count[2], count[3]
    if not comma:
        yield f"{least + 1} in place of {least}", f"{{{least + 1}}}"
        yield f"narrow or widen: {least - 1} in place of {least}", f"{{{max(least - 1, 0)}}}"
        return
    yield f"narrow: at least {least + 1}", f"{{{least + 1},{most}}}"
    if least:
        yield f"widen: at least {least - 1}", f"{{{least - 1},{most}}}"
    if most:
        yield f"narrow: at most {int(most) - 1}", f"{{{least},{int(most) - 1}}}"
        yield f"widen: at most {int(most) + 1}", f"{{{least},{int(most) + 1}}}"


def _without_members(token: str) -> Iterator[tuple[str, str]]:
    opening = "[^" if token.startswith("[^") else "["
    units = _UNIT.findall(token[len(opening) : -1])
    if len(units) < 2:
        return
    for n, unit in enumerate(units):
        rest = "".join(units[:n] + units[n + 1 :])
        yield f"the class without `{unit}`", f"{opening}{rest}]"


def _without_branches(source: str, tokens: list[tuple[str, int, int]]) -> Iterator[tuple[str, str]]:
    """Every branch of every alternation taken out."""
    opened: list[list[int]] = [[0]]  # the starts of the branches of each open group
    groups: list[list[int]] = []
    for token, start, end in tokens:
        if token.startswith("(") and not token.endswith(")"):
            opened.append([end])
        elif token == "|":
            opened[-1].append(end)
        elif token == ")" and len(opened) > 1:
            groups.append([*opened.pop(), start + 1])
    groups.append([*opened[0], len(source) + 1])
    for starts in groups:
        for n in range(len(starts) - 1 if len(starts) > 2 else 0):
            branch = source[starts[n] : starts[n + 1] - 1]
            is_last = n == len(starts) - 2
            start, end = (starts[n] - 1, starts[n + 1] - 1) if is_last else (starts[n], starts[n + 1])
            yield f"narrow: without the branch `{branch}`", source[:start] + source[end:]


_CEL = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|&&|\|\||[<>=!]=|[<>]|!|\d+\.\d+|\d+|[\w.]+|\s+|.""", re.S)
_OPPOSITE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}


def changed_conditions(source: str) -> Iterator[tuple[str, str]]:
    """Conditions that hold in slightly other cases, each with what was done. Some may not be valid."""
    yield "negate the condition", f"!({source})"
    for match in _CEL.finditer(source):
        token, before, after = match[0], source[: match.start()], source[match.end() :]
        if token in _OPPOSITE:
            yield f"`{_OPPOSITE[token]}` in place of `{token}`", f"{before}{_OPPOSITE[token]}{after}"
        elif token == "!":
            yield "without `!`", before + after
        elif token.isdigit():
            for number in (int(token) + 1, int(token) - 1):
                yield f"{number} in place of {token}", f"{before}{number}{after}"
        elif token.replace(".", "", 1).isdigit():
            for number in (float(token) * 1.25 + 0.01, float(token) * 0.75 - 0.01):
                yield f"{number:g} in place of {token}", f"{before}{number:g}{'.0' * (number == int(number))}{after}"
        elif token[0] in "\"'" and len(token) > 1:
            yield f"another text in place of {token}", f"{before}{token[:-1]}~{token[-1]}{after}"
