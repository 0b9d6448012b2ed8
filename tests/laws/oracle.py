"""What policies and grammars mean, by the standard library alone: `re`, `json`, `unicodedata` and plain recursion.

Nothing here is the package's code. A policy is read from its document (the YAML values), a JSON Schema from its JSON,
and only over the characters of `CHARACTERS` and ASCII.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

ERASED = "\u200b\u00ad\u2060"
"""Default-ignorable characters among those that the tests use."""
SEPARATORS = " \t\n\r\u00a0-_*~`"
ACCENTS = "\u00b4\u02db\u3164"
"""Accents that stand alone, and a Hangul filler: a space on `compat`, and nothing where marks are dropped."""
CHARACTERS = "abcAéａßﬁЖ1☃.\u0301\U0001d41a" + ERASED + SEPARATORS + ACCENTS
_IMAGES = (
    CHARACTERS
    + "".join(map(chr, range(128)))
    + "".join(unicodedata.normalize("NFKD", c).casefold() for c in CHARACTERS)
)
_PHRASE_WORD = "[" + "".join(sorted({c for c in _IMAGES if unicodedata.category(c)[0] in "LMN"})) + "]"
_REGEX_WORD = _PHRASE_WORD[:-1] + "_]"
_BOUNDARY = {
    r"\b": f"(?:(?<={_REGEX_WORD})(?!{_REGEX_WORD})|(?<!{_REGEX_WORD})(?={_REGEX_WORD}))",
    r"\B": f"(?:(?<={_REGEX_WORD})(?={_REGEX_WORD})|(?<!{_REGEX_WORD})(?!{_REGEX_WORD}))",
    r"\w": _REGEX_WORD,
    "$": r"\Z",
}


def knows(text: str) -> bool:
    """Whether every character is one that this oracle has been told about."""
    return set(text) <= set(_IMAGES)


def on_view(text: str, view: str) -> str:
    """The text as a matcher on the view sees it."""
    if view == "raw":
        return text
    alone = " " if view == "compat" else ""
    kept = "".join(alone if c in ACCENTS else c for c in text if c not in ERASED)
    seen = unicodedata.normalize("NFKD", "".join(unicodedata.normalize("NFKD", c).casefold() for c in kept))
    if view == "compat":
        return seen
    return "".join(c for c in seen if not unicodedata.combining(c) and unicodedata.category(c) not in ("Mn", "Me"))


def phrase_as_re(phrase: str, view: str, exact: bool, squeeze: bool = False) -> str:
    """A phrase as an expression of `re` over the view's text."""
    seen = on_view(phrase, view)
    if squeeze:
        return _squeezed_as_re([p for p in re.split(f"[{re.escape(SEPARATORS)}]+", seen) if p])
    pieces = [seen] if exact else [p for p in re.split(f"[{re.escape(SEPARATORS)}]+", seen) if p]
    left = f"(?<!{_PHRASE_WORD})" if re.match(_PHRASE_WORD, pieces[0]) else ""
    right = f"(?!{_PHRASE_WORD})" if re.match(_PHRASE_WORD, pieces[-1][-1]) else ""
    return left + f"[{re.escape(SEPARATORS)}]+".join(map(re.escape, pieces)) + right


def _squeezed_as_re(words: list[str]) -> str:
    """Letters apart by anything between them; or, between words, by separators, or dots without white space."""
    tight = re.escape("-_*~`" + ERASED)
    gap = f"(?:[{re.escape(SEPARATORS + ERASED)}]*|[./{tight}]*)"
    other = f"[^{_PHRASE_WORD[1:]}"
    loose = gap.join(f"{other}*".join(map(re.escape, word)) for word in words)
    letters = "".join(words)
    gaps = ["", *(f"{other}{'*' if unicodedata.category(c)[0] == 'M' else '+'}" for c in letters[1:])]
    apart = "".join(gap + re.escape(c) for gap, c in zip(gaps, letters, strict=True))
    return f"(?<!{_PHRASE_WORD})(?:{loose}|{apart})(?!{_PHRASE_WORD})"


def regex_as_re(source: str, view: str) -> str:
    """An expression of the tests' subset of RE2 syntax as one of `re`; literals mean what they are on the view."""
    parts = re.split(r"(\\b|\\B|\\w|\$|\\.)", source)
    return "".join(_BOUNDARY.get(p, p if p.startswith("\\") else on_view(p, view)) for p in parts)


def finds(match: dict[str, Any], text: str, is_json: bool) -> bool:
    """Whether a matcher of a policy document finds something in the whole text."""
    if "all" in match:
        return all(finds(item, text, is_json) for item in match["all"])
    if "any" in match:
        return any(finds(item, text, is_json) for item in match["any"])
    if "not" in match:
        return not finds(match["not"], text, is_json)
    within = match.get("within", "auto")
    reads_strings = within == "json.strings" or (within == "auto" and is_json)
    units = json_texts(text, match.get("join") == "array") if reads_strings else [text]
    return any(_finds_in(match, on_view(unit, view), view) for unit in units for view in match.get("views", ["compat"]))


def _finds_in(match: dict[str, Any], seen: str, view: str) -> bool:
    how = match.get("exact", False), match.get("squeeze", False)
    bodies = [phrase_as_re(p, view, *how) for p in match.get("phrases", [])]
    bodies += [regex_as_re(r, view) for r in match.get("regex", [])]
    before, after = (_context(match.get(side), view) for side in ("before", "after"))
    return any(re.search(_around(body, before, after), seen) for body in bodies)


def _context(context: dict[str, Any] | None, view: str) -> tuple[str, str] | None:
    if context is None:
        return None
    return f"(?:{regex_as_re(context['regex'], view)})", rf"[\s\S]{{0,{context['within']}}}"


def _around(body: str, before: tuple[str, str] | None, after: tuple[str, str] | None) -> str:
    left = "".join(before) if before else ""
    right = "".join(reversed(after)) if after else ""
    return f"{left}(?:{body}){right}"


def json_texts(text: str, joined: bool) -> list[str]:
    """Keys and string values, decoded; consecutive elements of an array joined by a space if asked for."""
    return list(_texts(json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs)), joined))


def _texts(value: Any, joined: bool) -> Iterator[str]:
    match value:
        case str():
            yield value
        case ("object", pairs):
            for key, item in pairs:
                yield key
                yield from _texts(item, joined)
        case list():
            run: list[str] = []
            for item in value:
                if isinstance(item, str) and joined:
                    run.append(item)
                    continue
                if run:
                    yield " ".join(run)
                run = []
                yield from _texts(item, joined)
            if run:
                yield " ".join(run)


def breaks_a_rule(rules: list[dict[str, Any]], text: str, is_json: bool) -> bool:
    return any(finds(rule["match"], text, is_json) for rule in rules)


# ---- grammars


def is_canonical(text: str, schema: dict[str, Any]) -> bool:
    """Whether the text is a valid value, compact, in canonical escapes, with keys in the schema's order."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return spelled(value) == text and fits(value, schema) and _is_ordered(value, schema)


def spelled(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """JSON Schema, the keywords that the tests use; patterns are anchored at both ends."""
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "anyOf" in schema and not any(fits(value, s) for s in schema["anyOf"]):
        return False
    match schema.get("type"):
        case "string":
            return isinstance(value, str) and _string_fits(value, schema)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            in_bounds = isinstance(value, list) and schema.get("minItems", 0) <= len(value) <= schema.get(
                "maxItems", 99
            )
            return in_bounds and all(fits(item, schema["items"]) for item in value)
        case "object":
            known = schema["properties"]
            has_all = isinstance(value, dict) and set(schema.get("required", ())) <= set(value)
            return has_all and all(key in known and fits(item, known[key]) for key, item in value.items())
        case _:
            return True


def _string_fits(value: str, schema: dict[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
        return False
    return "pattern" not in schema or re.fullmatch(schema["pattern"][1:-1], value) is not None


def _is_ordered(value: Any, schema: dict[str, Any]) -> bool:
    match value:
        case dict():
            order = [key for key in schema["properties"] if key in value]
            return list(value) == order and all(_is_ordered(v, schema["properties"][k]) for k, v in value.items())
        case list():
            return all(_is_ordered(item, schema["items"]) for item in value)
        case _:
            return True


def derives(rules: dict[str, list[list[str]]], text: str, head: str = "start") -> bool:
    """Whether a context-free grammar derives the text. Bodies hold heads and quoted literals; the least fixpoint over
    all (head, begin) of where they can end."""
    ends: dict[tuple[str, int], set[int]] = {(h, at): set() for h in rules for at in range(len(text) + 1)}

    def after(symbol: str, at: int) -> set[int]:
        if not symbol.startswith('"'):
            return ends[symbol, at]
        literal = symbol[1:-1]
        return {at + len(literal)} if text.startswith(literal, at) else set()

    def sequence(body: list[str], at: int) -> set[int]:
        places = {at}
        for symbol in body:
            places = {end for place in places for end in after(symbol, place)}
        return places

    grown = True
    while grown:
        grown = False
        for name, at in ends:
            found = {end for body in rules[name] for end in sequence(body, at)}
            grown |= not found <= ends[name, at]
            ends[name, at] |= found
    return len(text) in ends[head, 0]
