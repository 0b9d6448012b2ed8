"""Builds ``look_alikes.npz``: the maps of the views ``skeleton`` and ``leet``, from Unicode's confusables.

    python -m policykit.text.build_look_alikes policykit/text/confusables.txt policykit/text/look_alikes.npz

UTS 39 compares texts by a directed map that is not closed under case: it sends `I` to `l` and `i` nowhere. A view
must be one map per code point, idempotent, and the same for both cases of a letter. So the characters that are left
on ``unmarked`` are put into classes, and a class goes to one character:

1. every character joins the one that UTS 39 sends it to;
2. then the small form of a letter joins what its capital is sent to (`т` looks like nothing Latin, `Т` like `T`);
3. then what UTS 39 sends to several characters goes there (`m` to `rn`), small forms before capitals.

No step may join two ASCII characters, but for those in ``TOGETHER``; so where the cases of a letter look like
different ones, its small form decides (`ν` is a `v`, so `Ν` is one too and no `n`). Nor may it join a separator of
words to anything else (UTS 39 sends the em dash to a Japanese letter). ``Classes.dropped`` lists what was refused.

Departures from UTS 39 besides: ``MORE`` is added; `%` and `"` stay single characters, and a U+0338 is dropped like
every other overlay.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from policykit.text.build_tables import image_arrays, write_tables
from policykit.text.properties import UNICODE_VERSION, category_ranges, is_separator, simple_folding
from policykit.text.views import View, view

NEGATION = "\u0338"
TOGETHER = ("li1|", "o0")
"""ASCII characters that are one character on the view, the first of each."""

KEPT = {"''": '"', "o/0": "%"}
"""What UTS 39 takes apart and the views do not: the pieces would be words or lengthen every quotation."""

MORE = {"\u0274": "n", "\u0280": "r", "\ua730": "f", "\ua7af": "q"} | {
    chr(first + i): chr(ord("a") + i) for first in (0x1F150, 0x1F170) for i in range(26)
}
"""What UTS 39 leaves out: small capitals, and letters in black circles and squares (the white ones decompose)."""

LEET = {"3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s"}
"""Digits and signs read as letters; 0 and 1 are letters already. Not `!` and `+`, which end words in plain text."""


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` shall look like ``target``: characters on the base view."""

    source: str
    target: str


def read_confusables(path: Path) -> dict[int, str]:
    """Unicode's map. Raises ``ValueError`` where the file is of another Unicode version than the tables."""
    content = path.read_text(encoding="utf-8-sig")
    version = re.search(r"^# Version: (\S+)$", content, re.MULTILINE)
    if version is None or version[1] != UNICODE_VERSION:
        raise ValueError(f"{path.name} is of Unicode {version[1] if version else '?'}, the tables of {UNICODE_VERSION}")
    rows = (line.split("#", 1)[0].split(";") for line in content.splitlines())
    return {int(f[0], 16): "".join(chr(int(c, 16)) for c in f[1].split()) for f in rows if len(f) > 1}


def base_of(text: str, unmarked: View) -> str:
    """The text on ``unmarked``, and U+0338 dropped too."""
    return unmarked.apply(text).replace(NEGATION, "")


def _capitals() -> dict[str, str]:
    """The other case of every letter that is on the base view, where it is one letter too."""
    kinds = {
        kind: {c for low, high in category_ranges(kind) or () for c in range(low, high + 1)} for kind in ("Lu", "Ll")
    }
    return {
        chr(to): chr(point)
        for point, to in simple_folding().items()
        if (point in kinds["Lu"] and to in kinds["Ll"]) or (point in kinds["Ll"] and to in kinds["Lu"])
    }


def edges_of(confusables: Mapping[int, str], unmarked: View) -> tuple[list[Edge], list[Edge]]:
    """What characters of the base view look like, by themselves and by their capitals; both in order."""
    direct: list[Edge] = []
    by_case: list[Edge] = []
    capitals = _capitals()

    def add(edges: list[Edge], source: str, target: str) -> None:
        image = base_of(target, unmarked)
        image = KEPT.get(image, image)
        if image and image != source:
            edges.append(Edge(source, image))

    for point in sorted(confusables):
        source = chr(point)
        if base_of(source, unmarked) == source:
            add(direct, source, confusables[point])
    for source in sorted(capitals):
        if base_of(source, unmarked) == source and ord(capitals[source]) in confusables:
            add(by_case, source, confusables[ord(capitals[source])])
    return direct, by_case


class Classes:
    """Characters that look alike, joined step by step."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self.expansion: dict[str, str] = {}
        self.dropped: list[Edge] = []
        for group in TOGETHER:
            for char in group:
                self._parent[char] = group[0]

    def find(self, char: str) -> str:
        while (parent := self._parent.get(char, char)) != char:
            char = parent
        return char

    def join(self, edge: Edge) -> None:
        """Join two characters, unless both classes hold an ASCII one or only one is of separators."""
        source, target = self.find(edge.source), self.find(edge.target)
        if source == target:
            return
        both_ascii = source.isascii() and target.isascii()
        if both_ascii or is_separator[ord(source)] != is_separator[ord(target)]:
            self.dropped.append(edge)
        elif source.isascii():
            self._parent[target] = source
        else:
            self._parent[source] = target

    def expand(self, edge: Edge) -> None:
        """Send a class to several characters, unless it is sent elsewhere or holds an ASCII one other than this."""
        root = self.find(edge.source)
        spaced = any(is_separator[ord(char)] for char in edge.source + edge.target)
        if root in self.expansion or spaced or (root.isascii() and root != edge.source):
            self.dropped.append(edge)
        else:
            self.expansion[root] = edge.target

    def image(self, char: str) -> str:
        root = self.find(char)
        expanded = self.expansion.get(root)
        return root if expanded is None else "".join(self.image(c) for c in expanded)

    @property
    def members(self) -> Iterable[str]:
        return self._parent.keys() | self.expansion.keys()


def classes_of(confusables: Mapping[int, str], unmarked: View) -> Classes:
    """The classes after all three steps."""
    direct, by_case = edges_of({**confusables, **{ord(char): to for char, to in MORE.items()}}, unmarked)
    classes = Classes()
    for edges in (direct, by_case):
        for edge in edges:
            if len(edge.target) == 1:
                classes.join(edge)
    for edges in (direct, by_case):
        for edge in edges:
            if len(edge.target) > 1:
                classes.expand(edge)
    return classes


def images_over(unmarked: View, after: Mapping[str, str]) -> dict[int, tuple[int, ...]]:
    """The map of every code point: ``unmarked``, and then a map of single characters."""
    table = str.maketrans({NEGATION: "", **after})
    images: dict[int, tuple[int, ...]] = {}
    for point in sorted({*unmarked.images, *map(ord, after), ord(NEGATION)}):
        image = unmarked.image(point).translate(table)
        if image != chr(point):
            images[point] = tuple(map(ord, image))
    return images


def tables_of(confusables: Mapping[int, str]) -> dict[str, NDArray[np.generic]]:
    """The arrays of the file; their form is that of the other views."""
    unmarked = view("unmarked")
    classes = classes_of(confusables, unmarked)
    skeleton = {char: image for char in classes.members if (image := classes.image(char)) != char}
    read = str.maketrans(LEET)
    leet = {**LEET, **{char: image.translate(read) for char, image in skeleton.items()}}
    return {
        **image_arrays("skeleton", images_over(unmarked, skeleton)),
        **image_arrays("leet", images_over(unmarked, leet)),
    }


def main(arguments: Iterable[str] | None = None) -> None:
    """Read Unicode's file and write the tables."""
    parser = argparse.ArgumentParser(prog="build_look_alikes", description="build the maps of `skeleton` and `leet`")
    parser.add_argument("source", type=Path, help="Unicode's confusables.txt, whole or shortened")
    parser.add_argument("out", type=Path, help="the .npz to write")
    options = parser.parse_args(None if arguments is None else list(arguments))
    write_tables(tables_of(read_confusables(options.source)), options.out)
    print(f"Unicode {UNICODE_VERSION}: {options.out}, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
