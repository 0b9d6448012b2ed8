"""What holds no citation, by plain Python: texts are cut where sentences end, and each piece is looked at."""

import re

LINE_BREAKS = "\n\r\v\f\x85\u2028\u2029"
BEHIND_STOP = r"""[.!?…](?:[.!?…"')\]}»’*_~`\u200b\u00ad]|MARK)*$"""


def pieces(text: str, per: str, mark: str) -> list[str]:
    """The sentences or lines of a text, or the text. All but the last are finished; the last may be empty."""
    found = [""]
    for at, char in enumerate(text):
        found[-1] += char
        ended = per == "line" and char in LINE_BREAKS
        if per == "sentence":
            before = text[:at]
            behind = bool(re.search(BEHIND_STOP.replace("MARK", mark), before))
            ended = char in LINE_BREAKS or char in "。！．？｡" or (char.isspace() and behind)
        if ended:
            found.append("")
    return found


def lacks(piece: str, mark: str) -> bool:
    """Whether a piece says something and holds no mark."""
    return any(char.isalnum() for char in piece) and not re.search(mark, piece)


def is_uncited(text: str, per: str = "sentence", mark: str = r"\[[0-9]+\]") -> bool:
    return any(lacks(piece, mark) for piece in pieces(text, per, mark))


def can_go_on(text: str, per: str = "sentence", mark: str = r"\[[0-9]+\]") -> bool:
    """Whether nothing that is finished lacks a citation: what is not can still get one."""
    return not any(lacks(piece, mark) for piece in pieces(text, per, mark)[:-1])
