"""Views of a text: maps per code point under which evasive spellings of a phrase fall together.

A view maps every code point to a string and a text character by character, so it is a homomorphism:
``apply(a + b) == apply(a) + apply(b)``. It is idempotent. The mask can therefore work token by token on the very
text that the verifier reads.

Not claimed by any view here, since it is not a map per code point: conjoining Hangul jamo against syllables, escapes
that a consumer decodes, and the order of marks (``unmarked`` drops what would have to be ordered; only mixtures of
nukta, virama and kana voicing on one letter keep their order, and a U+0338 on a letter stays, but for ``skeleton``
and ``leet``). Nor does ``skeleton`` claim two cases of a letter that look like different ones (the capital nu is a `v`
as the small one is, not an `N`), or pairs that look like one letter, other than `rn` and `m`.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from policykit.text.tables import N_POINTS, tables

LOOK_ALIKE_VIEWS = ("skeleton", "leet")
VIEW_NAMES = ("raw", "compat", "unmarked", *LOOK_ALIKE_VIEWS)
"""``raw``: the text itself. ``compat``: default-ignorables dropped, compatibility decomposition (Hangul syllables
stay whole), full case folding; marks stay; an accent that stands alone (`´`, `¨`, `˛`), a Hangul filler or a Braille
blank is a space. ``unmarked``: ``compat`` without marks, spacing accents and such gaps among them, but with kana
voicing marks, nuktas, viramas and the stroke of negated symbols. ``skeleton``: ``unmarked`` without that stroke, and
characters that look alike fall together (UTS 39, closed under case): i, I, l, 1 and |; 0 and o; m becomes rn. ``leet``:
``skeleton`` with the remaining digits and `@` and `$` read as letters."""

_SHORT = 400
"""Characters up to which a dictionary is faster than arrays."""
_OFTEN = 4
"""One character in so many that becomes longer or nothing, for a dictionary to be faster than arrays too."""
_NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class View:
    """One map. Surrogates, which no valid text holds, are their own images. ``images`` lists what changes."""

    name: str
    images: Mapping[int, str]

    def image(self, code_point: int) -> str:
        """The image of one code point, possibly empty. Raises ``ValueError`` beyond U+10FFFF."""
        found = self.images.get(code_point)
        return chr(code_point) if found is None else found

    def apply(self, text: str) -> str:
        """The text on this view. Linear."""
        if not self.images:
            return text
        if text.isascii() and self._ascii:
            return self._ascii.apply(text)
        if len(text) <= _SHORT or text.isascii():
            return text.translate(self._dictionary)
        single = self._arrays.single[_points(text)]
        longer = np.flatnonzero(single < 0)
        if len(longer) * _OFTEN > len(text):
            return text.translate(self._dictionary)
        return _text(self._splice(single, longer).points if len(longer) else single)

    def apply_with_offsets(self, text: str) -> tuple[str, NDArray[np.int64]]:
        """The text on this view, and for each of its characters the index in ``text`` of the one it comes from.

        Offsets never fall, and repeat where one character has a longer image.
        """
        if not self.images:
            return text, np.arange(len(text), dtype=np.int64)
        single = self._arrays.single[_points(text)]
        longer = np.flatnonzero(single < 0)
        if not len(longer):
            return _text(single), np.arange(len(text), dtype=np.int64)
        spliced = self._splice(single, longer)
        offsets = np.empty(len(spliced.points), np.int64)
        offsets[spliced.is_single] = np.flatnonzero(single >= 0)
        offsets[spliced.at] = np.repeat(longer, spliced.lengths)
        return _text(spliced.points), offsets

    def origins(self, text: str) -> "Origins":
        """Where in ``text`` places on this view come from: as :meth:`apply_with_offsets` says, for a few of them."""
        if not self.images:
            return Origins(_NOWHERE, _NOWHERE, _NOWHERE)
        if text.isascii():
            codes = text.encode()
            longer = np.flatnonzero(np.frombuffer(codes.translate(self._ascii_lengths), np.uint8) != 1)
            lengths = np.frombuffer(self._ascii_lengths, np.uint8)[np.frombuffer(codes, np.uint8)[longer]]
        else:
            single = self._arrays.single[_points(text)]
            longer = np.flatnonzero(single < 0)
            lengths = self._arrays.lengths[-1 - single[longer]]
        ends = longer + np.cumsum(lengths, dtype=np.int64) - np.arange(len(longer))
        return Origins(longer, ends - lengths, ends)

    def __reduce__(self) -> "tuple[Callable[[str], View], tuple[str]]":
        return view, (self.name,)

    @cached_property
    def _dictionary(self) -> dict[int, str]:
        """For ``str.translate``, which is fastest on a true dict."""
        return dict(self.images)

    @cached_property
    def _arrays(self) -> "_Arrays":
        return _arrays_of(self.name)

    @cached_property
    def _ascii_lengths(self) -> bytes:
        """How long the image of each byte of ASCII is."""
        return bytes(len(self.images.get(c, "-")) if c < 0x80 else 1 for c in range(0x100))

    @cached_property
    def _ascii(self) -> "_Ascii | None":
        """For ASCII whose images are longer, where ``str.translate`` is a hundred times slower than elsewhere."""
        images = {c: image for c, image in self.images.items() if c < 0x80}
        longer = tuple((bytes([c]), image.encode()) for c, image in images.items() if len(image) != 1)
        table = bytes(ord(images[c]) if len(images.get(c, "")) == 1 else c for c in range(0x100))
        return _Ascii(table, longer) if longer else None

    def _splice(self, single: NDArray[np.int32], longer: NDArray[np.int64]) -> "_Spliced":
        """Put the images that are not one character where ``single`` names their entries."""
        arrays = self._arrays
        entry = -1 - single[longer]
        lengths = arrays.lengths[entry]
        ends = np.cumsum(lengths)
        within = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)
        growth = np.cumsum(lengths - 1)
        at = np.repeat(longer + growth - (lengths - 1), lengths) + within
        points = np.empty(len(single) + int(growth[-1]), np.int32)
        is_single = np.ones(len(points), np.bool_)
        is_single[at] = False
        points[is_single] = single[single >= 0]
        points[at] = arrays.pool[np.repeat(arrays.starts[entry], lengths) + within]
        return _Spliced(points, is_single, at, lengths)


@dataclass(frozen=True, eq=False)
class Origins:
    """Where places on a view come from. ``longer`` are the characters whose image is none or several, ``starts`` and
    ``ends`` where these images stand on the view."""

    longer: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The characters that some places come from; of the end of the text, its end."""
        if not len(self.longer):
            return places
        at = np.searchsorted(self.starts, places, "right") - 1
        nearest = np.maximum(at, 0)
        behind = places - self.ends[nearest]
        found = self.longer[nearest] + np.maximum(behind + 1, 0)
        return np.where(at < 0, places, found)

    def one(self, place: int) -> int:
        """The same of one place."""
        longer, starts, ends = self._columns
        at = bisect_right(starts, place) - 1
        return place if at < 0 else longer[at] + max(place - ends[at] + 1, 0)

    @cached_property
    def _columns(self) -> tuple[list[int], list[int], list[int]]:
        return self.longer.tolist(), self.starts.tolist(), self.ends.tolist()


@dataclass(frozen=True, slots=True)
class _Ascii:
    """A view on ASCII: single bytes first, then what becomes longer (the images are fixed points: no order matters)."""

    single: bytes
    longer: tuple[tuple[bytes, bytes], ...]

    def apply(self, text: str) -> str:
        image = text.encode().translate(self.single)
        for byte, longer in self.longer:
            image = image.replace(byte, longer)
        return image.decode()


@dataclass(frozen=True, eq=False)
class _Arrays:
    """``single[c]`` is the image of c if it is one character, else -1 - i: then it is
    ``pool[starts[i]:starts[i] + lengths[i]]``."""

    single: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    pool: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class _Spliced:
    """A text on a view: its code points, which of them are images of one character, where the others stand, and
    how many of those each source character has."""

    points: NDArray[np.int32]
    is_single: NDArray[np.bool_]
    at: NDArray[np.int64]
    lengths: NDArray[np.int64]


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _text(points: NDArray[np.int32]) -> str:
    return points.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def _map(name: str) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint32]]:
    """The code points that a view changes, the lengths of their images, and those end to end."""
    read = tables("look_alikes") if name in LOOK_ALIKE_VIEWS else tables()
    return read[f"{name}_points"], read[f"{name}_lengths"], read[f"{name}_pool"]


def _arrays_of(name: str) -> _Arrays:
    points, lengths, pool = (part.astype(np.int64) for part in _map(name))
    starts = np.cumsum(lengths) - lengths
    single = np.arange(N_POINTS, dtype=np.int32)
    is_one = lengths == 1
    single[points[is_one]] = pool[starts[is_one]]
    single[points[~is_one]] = -1 - np.flatnonzero(~is_one)
    return _Arrays(single, starts, lengths, pool.astype(np.int32))


@cache
def view(name: str) -> View:
    """The view of that name, always the same object. Raises ``ValueError`` for a name not in ``VIEW_NAMES``."""
    if name not in VIEW_NAMES:
        raise ValueError(f"no view is called {name!r}")
    if name == "raw":
        return View(name, MappingProxyType({}))
    points, lengths, pool = _map(name)
    characters = _text(pool.astype(np.int32))
    ends = np.cumsum(lengths, dtype=np.int64)
    cuts = zip(points.tolist(), (ends - lengths).tolist(), ends.tolist(), strict=True)
    return View(name, MappingProxyType({point: characters[start:end] for point, start, end in cuts}))
