"""How a text can be spelled with escapes that its reader decodes."""

from collections.abc import Iterable, Iterator
from functools import cache

from policykit.text.escapes import ESCAPES, NAMES, referenced, unescape

_MOST_NAMES = 2
_SHORT = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", '"': '"', "\\": "\\", "/": "/"}


@cache
def encodings(kind: str, char: str) -> tuple[str, ...]:
    """Some escapes of one character; the most usual one first, none where there is none."""
    match kind:
        case "html":
            return tuple(_references(char))
        case "url":
            spelled = "".join(f"%{byte:02X}" for byte in char.encode())
            return tuple(dict.fromkeys((spelled, spelled.lower())))
        case "json":
            return tuple(dict.fromkeys(_json(char)))
        case _:
            raise ValueError(f"no kind of escapes is called {kind!r}")


def _references(char: str) -> Iterator[str]:
    point = ord(char)
    if referenced(point) == char:
        yield from (f"&#{point};", f"&#x{point:x};", f"&#X{point:06X};", f"&#00{point};")
    names = sorted((name for name in _named().get(char, ())), key=lambda name: (len(name), name))
    yield from (f"&{name}" for name in names[:_MOST_NAMES])


@cache
def _named() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in NAMES.items():
        if name.endswith(";"):
            found[value] = (*found.get(value, ()), name)
    return found


def _json(char: str) -> Iterator[str]:
    encoded = char.encode("utf-16-be")
    units = [int.from_bytes(encoded[i : i + 2]) for i in range(0, len(encoded), 2)]
    yield "".join(f"\\u{unit:04x}" for unit in units)
    yield "".join(f"\\u{unit:04X}" for unit in units)
    if char in _SHORT:
        yield f"\\{_SHORT[char]}"


def says(kind: str, spelled: str, text: str) -> bool:
    """Whether decoding makes the same of both."""
    return _decoded(kind, spelled) == _decoded(kind, text)


def _decoded(kind: str, text: str) -> str:
    found = unescape(ESCAPES[kind], text)
    return text if found is None else found.text


def encoded(kind: str, text: Iterable[str], way: int) -> str:
    """Every character by the ``way``-th of its escapes; one that has none as it is."""
    return "".join(found[way % len(found)] if (found := encodings(kind, char)) else char for char in text)
