"""Whether a text that is not complete may still become JSON, as lenient readers take it.

Lenient as in :func:`json.JSONDecoder` with ``strict=False``: byte order marks in front, raw control characters in
strings, `NaN` and `Infinity`.
"""

from dataclasses import dataclass

_WHITE = " \t\n\r"
_LITERALS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
_HEX = "0123456789abcdefABCDEF"
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
    """Reads a text character by character. ``mode`` is what may come next; ``objects_count`` says that a text with
    an object in it is never ruled out, since a reader may refuse its names before it sees the end."""

    objects_count: bool = False
    possible: bool = True
    mode: str = "start"
    stack: str = ""
    detail: str = ""
    is_sticky: bool = False

    def copy(self) -> "JsonPrefix":
        return JsonPrefix(self.objects_count, self.possible, self.mode, self.stack, self.detail, self.is_sticky)

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
            case "string":
                return self._string(char)
            case "escape" | "hex":
                return self._escape(char)
            case "number":
                return self._number(char)
            case "literal":
                self.detail, expected = self.detail[1:], self.detail[0]
                self.mode = self.mode if self.detail else "after"
                return char == expected
            case "start" if char == "\ufeff":
                return True
            case _:
                if char in _WHITE:
                    self.mode = "value" if self.mode == "start" else self.mode
                    return True
                return self._structure(char)

    def _structure(self, char: str) -> bool:
        mode = self.mode
        if mode == "after":
            return self._after(char)
        if mode == "colon":
            self.mode = "value"
            return char == ":"
        if mode in ("name", "first name"):
            if char == "}" and mode == "first name":
                return self._leave()
            self.mode, self.detail = "string", "name"
            return char == '"'
        if char == "]" and mode == "first value":
            return self._leave()
        return self._value(char)

    def _value(self, char: str) -> bool:
        if char == '"':
            self.mode, self.detail = "string", "value"
        elif char in "[{":
            self.stack += char
            self.mode = "first value" if char == "[" else "first name"
            self.is_sticky = len(self.stack) > MAX_DEPTH or (self.objects_count and char == "{")
        elif char == "-" or char in "0123456789":
            self.mode, self.detail = "number", "-" if char == "-" else "0" if char == "0" else "d"
        else:
            literal = next((word for word in _LITERALS if word[0] == char), None)
            self.mode, self.detail = "literal", literal[1:] if literal else ""
            return literal is not None
        return True

    def _after(self, char: str) -> bool:
        inside = self.stack[-1:]
        if char == "," and inside:
            self.mode = "value" if inside == "[" else "name"
            return True
        return bool(inside) and char == ("]" if inside == "[" else "}") and self._leave()

    def _leave(self) -> bool:
        self.stack = self.stack[:-1]
        self.mode = "after"
        return True

    def _string(self, char: str) -> bool:
        if char == '"':
            self.mode = "colon" if self.detail == "name" else "after"
        elif char == "\\":
            self.detail, self.mode = f"{self.detail} ", "escape"
        return True

    def _escape(self, char: str) -> bool:
        """After a backslash; ``detail`` has one blank, and one more for every digit of a `u` escape."""
        if self.mode == "escape":
            if char == "u":
                self.mode = "hex"
                return True
            self.detail, self.mode = self.detail.rstrip(), "string"
            return char in '"\\/bfnrt'
        self.detail += " "
        if self.detail.endswith(" " * 5):
            self.detail, self.mode = self.detail.rstrip(), "string"
        return char in _HEX

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
        self.mode, self.detail = "after", ""
        return self._step(char)


def begins_like_json(text: str) -> bool:
    """Whether a text begins as an object, an array or a string of JSON does, up to its end or its first object.

    What is JSON does, and so does what was cut off, has text behind it, or is JSON for some readers only.
    """
    if text.lstrip(f"\ufeff{_WHITE}")[:1] not in ("{", "[", '"'):
        return False
    prefix = JsonPrefix(objects_count=True)
    prefix.read(text)
    return prefix.possible
