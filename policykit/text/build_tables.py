"""Builds ``unicode.npz``: the view maps and the character properties, from the Unicode Character Database.

    python -m policykit.text.build_tables /usr/share/unicode policykit/text/unicode.npz

Reads UnicodeData, CaseFolding, DerivedCoreProperties, PropList and Scripts (UAX 44). The same input gives the same
bytes: entries are stored, not compressed, with fixed dates. Python's own ``unicodedata`` is not asked, since its
version follows the interpreter. Where no table exists yet, run this file by its path instead.

Departures of ``compat`` from NFKC_Casefold (UAX 44): the result stays decomposed; Hangul syllables stay whole; a
spacing accent (NFKD: a space and marks) is the space alone, and the spacing kana voicing marks become the combining
ones; the dotless i is an i; a Hangul filler or a Braille blank, which fonts show as a gap, is a space.
``unmarked`` drops a spacing accent with the marks, and such gaps with what is ignorable: no words part there.
`´` stands for a mark in `cafe´` and parts two words in `one´two`, and no map per character can read it both ways.
"""

import argparse
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

N_POINTS = 0x110000
SPACE = 0x20
OVERRIDES: Mapping[int, tuple[int, ...]] = {0x131: (0x69,), 0x309B: (0x3099,), 0x309C: (0x309A,)}
"""Dotless i; the spacing kana voicing marks, which are typed for the combining ones."""

FILLERS = (0x115F, 0x1160, 0x3164, 0xFFA0)
"""Hangul fillers: ignorable by the database, and a gap of a letter's width where they are shown."""
GAPS = (*FILLERS, 0x2800)
"""What is shown as a gap and is no white space: fillers, and the Braille pattern without a dot."""

KEPT_CLASSES = (0, 7, 8, 9)
"""Canonical combining classes that ``unmarked`` keeps: starters, nuktas, kana voicing marks, viramas."""

NEGATION = 0x338
"""The stroke of negated symbols, which ``unmarked`` keeps."""

_HANGUL_L, _HANGUL_V, _HANGUL_T, _HANGUL_S = 0x1100, 0x1161, 0x11A7, 0xAC00
_N_L, _N_V, _N_T = 19, 21, 28
_VERSIONED = ("CaseFolding", "DerivedCoreProperties", "PropList", "Scripts")

Image = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Database:
    """What the files say. Arrays are indexed by code point; the rest are maps and sets of code points."""

    version: tuple[int, int, int]
    category: NDArray[np.str_]
    combining: NDArray[np.uint8]
    script: NDArray[np.str_]
    decomposition: Mapping[int, Image]
    full_folding: Mapping[int, Image]
    simple_folding: Mapping[int, int]
    ignorable: frozenset[int]
    white_space: frozenset[int]


def _rows(path: Path) -> Iterator[list[str]]:
    """The fields of every line, without comments."""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = [field.strip() for field in line.split("#", 1)[0].split(";")]
        if fields[0]:
            yield fields


def _points(field: str) -> range:
    first, _, last = field.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def _sequence(field: str) -> Image:
    """The code points of a field, without the tag of a decomposition."""
    return tuple(int(point, 16) for point in field.split() if not point.startswith("<"))


def _with_property(path: Path, name: str) -> frozenset[int]:
    return frozenset(c for fields in _rows(path) if fields[1] == name for c in _points(fields[0]))


def _version(folder: Path) -> tuple[int, int, int]:
    """The version that the headers of the files agree on."""
    found: set[tuple[int, int, int]] = set()
    for name in _VERSIONED:
        header = re.match(rf"# {name}-(\d+)\.(\d+)\.(\d+)\.txt", (folder / f"{name}.txt").read_text(encoding="utf-8"))
        if header is None:
            raise ValueError(f"{name}.txt does not name its Unicode version")
        found.add((int(header[1]), int(header[2]), int(header[3])))
    if len(found) != 1:
        raise ValueError(f"the files are of different Unicode versions: {sorted(found)}")
    return found.pop()


def read_database(folder: Path) -> Database:
    """The database in a folder. Raises ``OSError`` for a missing file, ``ValueError`` for mixed versions."""
    category = np.full(N_POINTS, "Cn", "<U2")
    combining = np.zeros(N_POINTS, np.uint8)
    decomposition: dict[int, Image] = {}
    range_start = 0
    for fields in _rows(folder / "UnicodeData.txt"):
        point = int(fields[0], 16)
        if fields[1].endswith(", First>"):
            range_start = point
            continue
        points = slice(range_start if fields[1].endswith(", Last>") else point, point + 1)
        category[points], combining[points] = fields[2], int(fields[3])
        if fields[5]:
            decomposition[point] = _sequence(fields[5])
    script = np.full(N_POINTS, "Unknown", "<U32")
    for fields in _rows(folder / "Scripts.txt"):
        points = _points(fields[0])
        script[points.start : points.stop] = fields[1]
    folding = [(int(f[0], 16), f[1], _sequence(f[2])) for f in _rows(folder / "CaseFolding.txt")]
    return Database(
        version=_version(folder),
        category=category,
        combining=combining,
        script=script,
        decomposition=decomposition,
        full_folding={c: to for c, status, to in folding if status in "CF"},
        simple_folding={c: to[0] for c, status, to in folding if status in "CS"},
        ignorable=_with_property(folder / "DerivedCoreProperties.txt", "Default_Ignorable_Code_Point"),
        white_space=_with_property(folder / "PropList.txt", "White_Space"),
    )


def decomposed(data: Database, point: int) -> Image:
    """The full compatibility decomposition (Unicode 3.7, D65), marks in the order of the database."""
    return tuple(d for c in data.decomposition.get(point, ()) for d in decomposed(data, c)) or (point,)


def spacing_accents(data: Database) -> frozenset[int]:
    """Code points whose decomposition is a space and marks: accents that stand alone, as `´`, `¨`, `˛`, `‾` do.

    The spacing kana voicing marks are none: they are typed behind the letter that they voice.
    """
    found = (point for point in data.decomposition if point not in OVERRIDES)
    return frozenset(c for c in found if (parts := decomposed(data, c))[0] == SPACE and len(parts) > 1)


def compat_images(data: Database) -> dict[int, Image]:
    """The images of ``compat`` that differ from the character. Each is a fixed point: mapping it changes nothing."""

    accents = spacing_accents(data)

    def step(point: int) -> Image:
        if point in GAPS:
            return (SPACE,)
        if point in data.ignorable:
            return ()
        if point in OVERRIDES:
            return OVERRIDES[point]
        if point in accents:
            return (SPACE,)
        return tuple(f for c in decomposed(data, point) for f in data.full_folding.get(c, (c,)))

    def to_fixed_point(point: int) -> Image:
        before: Image = ()
        image: Image = (point,)
        while image != before:
            before, image = image, tuple(d for c in image for d in step(c))
        return composed_hangul(ordered(image, data.combining))

    touched = {*data.decomposition, *data.full_folding, *data.ignorable, *OVERRIDES, *GAPS}
    images = {c: to_fixed_point(c) for c in sorted(touched)}
    return {c: image for c, image in images.items() if image != (c,)}


def ordered(image: Image, combining: NDArray[np.uint8]) -> Image:
    """Marks in canonical order (Unicode 3.11, D108)."""
    out: list[int] = []
    run: list[int] = []
    for point in image:
        if combining[point]:
            run.append(point)
            continue
        out += sorted(run, key=lambda c: int(combining[c]))
        out.append(point)
        run = []
    return tuple(out + sorted(run, key=lambda c: int(combining[c])))


def composed_hangul(image: Image) -> Image:
    """Conjoining jamo composed to syllables (Unicode 3.12, arithmetic composition)."""
    out: list[int] = []
    for point in image:
        last = out[-1] if out else -1
        lead, vowel = last - _HANGUL_L, point - _HANGUL_V
        syllable, trail = last - _HANGUL_S, point - _HANGUL_T
        if 0 <= lead < _N_L and 0 <= vowel < _N_V:
            out[-1] = _HANGUL_S + (lead * _N_V + vowel) * _N_T
        elif 0 <= syllable < _N_L * _N_V * _N_T and syllable % _N_T == 0 and 0 < trail < _N_T:
            out[-1] = last + trail
        else:
            out.append(point)
    return tuple(out)


def unmarked_images(data: Database, compat: Mapping[int, Image]) -> dict[int, Image]:
    """``compat`` without marks: dropped are enclosing marks, all classes but ``KEPT_CLASSES``, accents, gaps.

    Dropping by class is what makes composed and decomposed spellings equal. U+0338 stays, so that U+2260 is not `=`.
    """
    dropped = (~np.isin(data.combining, KEPT_CLASSES)) | (data.category == "Me")
    dropped[NEGATION] = False
    accents = spacing_accents(data)
    images: dict[int, Image] = {}
    for point in sorted({*compat, *np.flatnonzero(dropped).tolist()}):
        seen = () if point in accents or point in GAPS else compat.get(point, (point,))
        image = tuple(c for c in seen if not dropped[c])
        if image != (point,):
            images[point] = image
    return images


def check_fixed_points(images: Mapping[int, Image]) -> None:
    """Every image maps to itself. Raises ``ValueError`` otherwise."""
    for point, image in images.items():
        if tuple(d for c in image for d in images.get(c, (c,))) != image:
            raise ValueError(f"the image of U+{point:04X} is not a fixed point")


def _runs(name: str, values: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
    starts = np.flatnonzero(np.diff(values, prepend=values[:1] + 1))
    return {f"{name}_starts": starts.astype("<u4"), f"{name}_values": values[starts]}


def _named_runs(name: str, values: NDArray[np.str_]) -> dict[str, NDArray[np.generic]]:
    names, numbers = np.unique(values, return_inverse=True)
    return {f"{name}_names": names.astype("S"), **_runs(name, numbers.astype(np.uint8))}


def image_arrays(name: str, images: Mapping[int, Image]) -> dict[str, NDArray[np.generic]]:
    check_fixed_points(images)
    return {
        f"{name}_points": np.array(list(images), "<u4"),
        f"{name}_lengths": np.array([len(image) for image in images.values()], np.uint8),
        f"{name}_pool": np.array([c for image in images.values() for c in image], "<u4"),
    }


def tables_of(data: Database) -> dict[str, NDArray[np.generic]]:
    """The arrays of the file: a view is (points, lengths of the images, images end to end), a property is runs."""
    compat = compat_images(data)
    return {
        "version": np.array(data.version, np.uint8),
        **image_arrays("compat", compat),
        **image_arrays("unmarked", unmarked_images(data, compat)),
        **_named_runs("category", data.category),
        **_named_runs("script", data.script),
        **_runs("combining", data.combining),
        "white_space": np.array(sorted(data.white_space), "<u4"),
        "simple_folding": np.array(sorted(data.simple_folding.items()), "<u4"),
    }


def write_tables(tables: Mapping[str, NDArray[np.generic]], out: Path) -> None:
    """Write an ``.npz`` whose bytes depend on the arrays alone."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(tables):
            content = io.BytesIO()
            np.lib.format.write_array(content, tables[name], version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content.getvalue())


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the database and write the tables."""
    parser = argparse.ArgumentParser(prog="build_tables", description="build the Unicode tables of policykit.text")
    parser.add_argument("source", type=Path, help="folder with UnicodeData.txt and its companions")
    parser.add_argument("out", type=Path, help="the .npz to write")
    options = parser.parse_args(None if arguments is None else list(arguments))
    data = read_database(options.source)
    write_tables(tables_of(data), options.out)
    print(f"Unicode {'.'.join(map(str, data.version))}: {options.out}, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
