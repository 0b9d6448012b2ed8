"""What an engine says that it wrote: everything that the masks of one choice can be computed from again.

It comes from the state that made the masks, not from the answer: the answer's tokens are cut at stop texts, read by
parsers of tools and reasoning, and split over a stream; the masks were over these. A long text is more than a datagram
holds, so it is sent in parts, before the word that the choice has finished.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from policykit.constraint import Vocabulary
from policykit.engines.attest import Malformed, Part

PART_BYTES = 40_000
"""Base64 in one part."""
MAX_BYTES = 64 << 20
"""JSON that is unpacked; some four million tokens."""


@dataclass(frozen=True, slots=True)
class Written:
    """``digest`` is the plan's with the request's grammar; ``vocabulary`` is :attr:`Vocabulary.digest`, and size and
    ends are those that it has in the engine. ``prefix`` is the text before the output that the masks began after."""

    digest: str
    vocabulary: str
    vocabulary_size: int
    eos_ids: tuple[int, ...]
    prefix: str
    in_grammar: bool
    token_ids: tuple[int, ...]

    @staticmethod
    def of(digest: str, vocabulary: Vocabulary, prefix: str, in_grammar: bool, token_ids: Sequence[int]) -> "Written":
        return Written(
            digest, vocabulary.digest, vocabulary.size, vocabulary.eos_ids, prefix, in_grammar, tuple(token_ids)
        )

    def parts(self, request: str, child: str) -> list[Part]:
        """The messages that say it, in order."""
        packed = zlib.compress(json.dumps(asdict(self), separators=(",", ":")).encode(), 1)
        data = base64.b64encode(packed).decode("ascii")
        cut = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        return [Part(request, child, number, len(cut), piece) for number, piece in enumerate(cut)]


@dataclass(slots=True)
class Parts:
    """What has come of one choice."""

    _of: int | None = None
    _pieces: list[str] = field(default_factory=list[str])

    def add(self, part: Part) -> Written | None:
        """The whole, with its last part. Raises Malformed: parts do not follow one another, or say nothing."""
        if part.number != len(self._pieces) or self._of not in (None, part.of) or part.number >= part.of:
            raise Malformed(f"part {part.number} of {part.of} does not follow")
        self._of = part.of
        self._pieces.append(part.data)
        return _read("".join(self._pieces)) if len(self._pieces) == part.of else None


def _read(data: str) -> Written:
    try:
        unpack = zlib.decompressobj()
        plain = unpack.decompress(base64.b64decode(data, validate=True), MAX_BYTES)
        found: object = json.loads(plain) if unpack.eof else None
        if not isinstance(found, dict):
            raise ValueError("no whole object")
        return _written(cast(dict[str, Any], found))
    except (ValueError, KeyError, TypeError, zlib.error, RecursionError) as error:
        raise Malformed(f"malformed text of an engine: {error}") from error


def _written(found: dict[str, Any]) -> Written:
    kinds = {"digest": str, "vocabulary": str, "vocabulary_size": int, "prefix": str, "in_grammar": bool}
    if any(type(found[name]) is not kind for name, kind in kinds.items()):
        raise ValueError("a field is of another type")
    ids = {name: tuple(cast(list[object], found.pop(name))) for name in ("eos_ids", "token_ids")}
    if not all(type(one) is int and one >= 0 for of in ids.values() for one in of):
        raise ValueError("a token is no number")
    return Written(**found, **cast(dict[str, Any], ids))
