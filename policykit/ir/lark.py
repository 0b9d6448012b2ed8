"""Texts as llguidance's Lark dialect writes them."""


def lark_string(text: str) -> str:
    """A literal that the dialect reads back as ``text``: plain characters, and ``\\u`` escapes for all others."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else character
