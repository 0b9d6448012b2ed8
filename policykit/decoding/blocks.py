"""Where a text can be taken up again: the starts of its sentences and lines."""

import re
from collections.abc import Sequence

_STOP = re.compile(rb"[.!?][\"')\]]*\Z")
_SEPARATED = re.compile(rb"[.!?][\"')\]]*\s+\Z|\n\s*\Z|(?:\xe3\x80\x82|\xef\xbc\x81|\xef\xbc\x9f)\Z")
_SEEN = 16  # bytes of the text before a token that are looked at


def block_starts(tokens: Sequence[bytes]) -> tuple[int, ...]:
    """Numbers of tokens to keep so that what follows begins a sentence or a line; 0 is always one of them.

    A full stop inside a number or a name starts nothing: white space follows, or the text ends. Full-width stops need
    none.

    >>> block_starts([b"One", b".", b" Two", b" 2", b".", b"5", b"!"])
    (0, 2, 7)
    """
    starts = [0]
    text = b""
    for i, token in enumerate(tokens):
        if i and (_SEPARATED.search(text) or (token[:1].isspace() and _STOP.search(text))):
            starts.append(i)
        text = (text + token)[-_SEEN:]
    if tokens and (_SEPARATED.search(text) or _STOP.search(text)):
        starts.append(len(tokens))
    return tuple(starts)
