"""Whether a text begins like JSON, as lenient readers take it, and where only some of them know its strings.

Lenient readers skip what is white in front and byte order marks, and take raw control characters in strings, `NaN`
and `Infinity`, as :func:`json.JSONDecoder` with ``strict=False`` does; others take single quotes, comments, commas
too many, or a series of values, as JSON5 and readers of JSON lines do. Nobody can list them all: so a text is ruled
out only where it is prose.
"""

import re
from dataclasses import dataclass

_LITERALS = ("true", "false", "null", "NaN", "Infinity")
_WORDS = (*_LITERALS, "undefined", "True", "False", "None")
"""What may stand in an array beside numbers, with the words of JavaScript and Python."""
_FIRST_OF_FIGURES, _OF_FIGURES = "0123456789+-.", "0123456789abcdefABCDEFxX+-._"
"""Of numbers as any reader takes them: `01`, `.5`, `0xFF`, `1_000`."""
MAX_DEPTH = 200
"""Nesting over which nothing is ruled out any more: some reader may give up before it sees what is wrong."""

_NUMBER = {
    "-": {"0": "0", "1": "d"},
    "0": {".": ".", "e": "e"},
    "d": {"0": "d", "1": "d", ".": ".", "e": "e"},
    ".": {"0": "f", "1": "f"},
    "f": {"0": "f", "1": "f", "e": "e"},
    "e": {"0": "x", "1": "x", "s": "s"},
    "s": {"0": "x", "1": "x"},
    "x": {"0": "x", "1": "x"},
}
"""States of a number (RFC 8259 section 6); `1` is any other digit, `s` a sign, `d` whole, `f` fraction, `x` power."""
_WHOLE_NUMBERS = "0dfx"


@dataclass(slots=True)
class JsonPrefix:
    """Reads a text character by character. It is ``possible`` that it is JSON until prose begins:

    - a text that begins with `{` is never ruled out;
    - one that begins with `[` is not from its first string, object or comment on; before it there are numbers,
      literals, commas and brackets, and such arrays may follow one another. What else comes is prose: `[1] says`;
    - one that begins with `"` is where something stands behind the string: `"No", she said`;
    - numbers and literals are where they are none, or something stands behind them; the rest is at once.

    ``mode`` is what was read last, ``depth`` how many arrays are open, ``detail`` the state of a number, what a
    literal still lacks, or a word so far.
    """

    possible: bool = True
    mode: str = "start"
    depth: int = 0
    detail: str = ""
    is_sticky: bool = False

    def read(self, text: str) -> int:
        """How many characters were read when JSON was ruled out, or all of them."""
        for i, char in enumerate(text):
            if self.is_sticky or not self.possible:
                return i if not self.possible else len(text)
            self.possible = self._step(char)
            if not self.possible:
                return i + 1
        return len(text)

    def _step(self, char: str) -> bool:
        match self.mode:
            case "start":
                return _is_white(char) or self._begin(char)
            case "string":
                self.mode = "end" if char == '"' else "escape" if char == "\\" else "string"
                return True
            case "escape":
                self.mode = "string"
                return True
            case "number":
                return self._number(char)
            case "literal":
                self.detail, expected = self.detail[1:], self.detail[0]
                self.mode = self.mode if self.detail else "end"
                return char == expected
            case "end":
                return _is_white(char)
            case "slash":
                self.is_sticky = char in "/*"
                return self.is_sticky
            case _:
                return self._array(char)

    def _begin(self, char: str) -> bool:
        if char in "[{":
            return self._array(char)
        if char == '"':
            self.mode = "string"
        elif char == "-" or char in "0123456789":
            self.mode, self.detail = "number", "-" if char == "-" else "0" if char == "0" else "d"
        else:
            literal = next((word for word in _LITERALS if word[0] == char), None)
            self.mode, self.detail = "literal", literal[1:] if literal else ""
            return literal is not None
        return True

    def _array(self, char: str) -> bool:
        """In arrays that have no string and no object yet, and between them."""
        if char == "{" or (self.depth and char in "\"'"):
            self.is_sticky = True
        elif char in "[],}":
            self.depth += (char == "[") - (char == "]" and self.depth > 0)
            self.mode, self.is_sticky = "value" if char in "[," else "after", self.depth > MAX_DEPTH
        elif _is_white(char):
            self.mode = "value" if self.mode == "value" else "after"
        elif char == "/":
            self.mode = "slash"
        else:
            return bool(self.depth) and self._word(char)
        return True

    def _word(self, char: str) -> bool:
        if self.mode == "figure" and char != "I":
            return char in _OF_FIGURES
        if self.mode == "after":
            return False
        if self.mode == "value" and char in _FIRST_OF_FIGURES:
            self.mode = "figure"
            return True
        self.detail = self.detail + char if self.mode == "word" else char
        self.mode = "word"
        return any(word.startswith(self.detail) for word in _WORDS)

    def _number(self, char: str) -> bool:
        if self.detail == "-" and char == "I":
            self.mode, self.detail = "literal", "nfinity"
            return True
        kind = "1" if char in "123456789" else "e" if char in "eE" else "s" if char in "+-" else char
        to = _NUMBER[self.detail].get(kind)
        if to is not None:
            self.detail = to
            return True
        if self.detail not in _WHOLE_NUMBERS:
            return False
        self.mode = "end"
        return self._step(char)


def _is_white(char: str) -> bool:
    return char == "\ufeff" or char.isspace()


def begins_like_json(text: str) -> bool:
    """Whether a text begins as an object, an array or a string of JSON does, and no prose begins up to its end.

    What is JSON does, and so does what was cut off, has text behind it, or is JSON for some readers only.
    """
    if next((char for char in text if not _is_white(char)), "") not in ("{", "[", '"'):
        return False
    prefix = JsonPrefix()
    prefix.read(text)
    return prefix.possible


_PIECE = re.compile(r""" "(?:[^"\\]++|\\.)*+"? | [\[{] | [\]}] | ['`#\u2018\u2019\u201c\u201d] | /[/*] """, re.S | re.X)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|u[0-9a-fA-F]{0,3}\Z|(.))", re.S)
_OTHER_ESCAPES = frozenset("xuv0123456789\n\r\u2028\u2029")
"""What stands for something else than itself behind a backslash in JSON5, JavaScript or Python, and not in JSON."""


def has_other_strings(text: str) -> bool:
    """Whether lenient readers of a text that begins like JSON may see other strings in it than the lexer of JSON: it
    has other quotes or comments inside its objects and arrays, or escapes that JSON has not. Linear."""
    depth = 0
    for i, found in enumerate(_PIECE.finditer(text)):
        piece = found[0]
        if piece[0] == '"':
            if (depth or not i) and any(escape[1] in _OTHER_ESCAPES for escape in _ESCAPE.finditer(piece)):
                return True
        elif piece in "[{":
            depth += 1
        elif piece in "]}":
            depth = max(depth - 1, 0)
        elif depth:
            return True
    return False
