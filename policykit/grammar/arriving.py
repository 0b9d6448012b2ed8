"""JSON that arrives, as far as every reader would read it the same (I-JSON, RFC 7493).

For text that is JSON otherwise: the syntax is the grammar's own.
"""

import re

from policykit.grammar.strict_json import MAX_DEPTH, JsonFault, parse

_PLAIN = re.compile(r'[^"\\]+')
_OF_NUMBER = frozenset("-+.0123456789eE")
_WHITE = " \t\n\r"
_STRUCTURE = '{}[]:,"'
_MAX_NUMBER = 400
"""Characters of a number that is looked at, at most: more digits than any double has."""


class Unambiguous:
    """Tells repeated names, numbers beyond a double, unpaired surrogates and deep nesting where they become so.

    A number that grows too large may yet shrink by its exponent: such a one counts as ambiguous, too.
    """

    __slots__ = ("_after_colon", "_escaped", "_is_key", "_names", "_number", "_scalar", "_string")

    def __init__(self) -> None:
        self._names: list[set[object] | None] = []  # per bracket that is open; None for arrays
        self._after_colon = False
        self._is_key = False
        self._escaped = False
        self._string: list[str] | None = None
        self._number = ""
        self._scalar = 0  # 1: a number or a word was read last; 2: and white space behind it

    def read(self, text: str) -> tuple[int, list[int]]:
        """Read on: how many characters come before the one that makes it ambiguous (all of them if none does), and
        which of these are white space between tokens."""
        spaces: list[int] = []
        i = 0
        while i < len(text):
            if self._string is not None and not self._escaped:
                plain = _PLAIN.match(text, i)
                if plain:
                    self._string.append(plain[0])
                    i = plain.end()
                    continue
            if self._string is None and text[i] in _WHITE:
                spaces.append(i)
                self._number, self._scalar = "", 2 if self._scalar else 0
            elif not self._takes(text[i]):
                break
            i += 1
        return i, spaces

    def _takes(self, char: str) -> bool:
        if self._string is not None:
            self._string.append(char)
            if char == '"' and not self._escaped:
                return self._close("".join(self._string))
            self._escaped = char == "\\" and not self._escaped
            return True
        is_scalar = char not in _STRUCTURE
        if is_scalar and self._scalar == 2:
            return False  # two scalars with white space between them
        self._scalar = int(is_scalar)
        if char in _OF_NUMBER and (self._number or char == "-" or char.isdigit()):
            self._number += char
            found = parse(self._number)
            too_large = isinstance(found, JsonFault) and found.keyword == "number"
            return not too_large and len(self._number) <= _MAX_NUMBER
        self._number = ""
        return self._structure(char)

    def _structure(self, char: str) -> bool:
        match char:
            case '"':
                self._string, self._escaped = [char], False
                self._is_key = bool(self._names) and self._names[-1] is not None and not self._after_colon
            case "{" | "[":
                self._names.append(set() if char == "{" else None)
                self._after_colon = False
            case "}" | "]":
                del self._names[-1:]
                self._after_colon = False
            case ":":
                self._after_colon = True
            case ",":
                self._after_colon = False
            case _:
                pass
        return len(self._names) <= MAX_DEPTH

    def _close(self, string: str) -> bool:
        self._string = None
        value = parse(string)
        names = self._names[-1] if self._names else None
        if isinstance(value, JsonFault) or (self._is_key and names is not None and value in names):
            return False
        if self._is_key and names is not None:
            names.add(value)
        return True
