"""The README's examples as data: which fenced blocks are files, which are shell sessions, which are Python sessions.

A comment directly above a block says what it is: ``<!-- file: NAME -->``, ``<!-- session -->``, ``<!-- doctest -->``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^<!-- (?P<mark>[^>]+?) -->\n+```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One marked block; ``mark`` is what the comment says."""

    mark: str
    language: str
    body: str


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a session with the output that the README shows."""

    command: str
    output: str


def blocks(text: str) -> tuple[Block, ...]:
    """Every marked block, in order."""
    return tuple(Block(m["mark"], m["language"], m["body"]) for m in _BLOCK.finditer(text))


def steps(body: str) -> Iterator[Step]:
    """The commands of a session: a line that starts with ``$ `` and what follows it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Step(command, output.rstrip("\n"))
