"""A model's vocabulary as bytes: what every token writes, which tokens are special, which end the text.

Read from a ``tokenizer.json`` alone; no tokenizer library is needed. Two byte encodings are known: byte-level BPE
(GPT-2's byte-to-unicode table) and byte fallback (SentencePiece's ``<0xAB>``). Whatever else edits text when it
decodes is refused, since a mask over bytes would then speak about another text.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import TokenTable
from policykit.text import utf8

END_NAMES = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>", "<|eot_id|>", "<|end|>", "<|return|>")
_NEVER_IN_UTF8 = {0xC0, 0xC1, *range(0xF5, 0x100)}
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_level_table() -> dict[str, int]:
    """GPT-2's table: printable bytes stand for themselves, the others are moved above U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(b): b for b in printable}
    moved = (b for b in range(256) if b not in set(printable))
    return table | {chr(0x100 + i): b for i, b in enumerate(moved)}


_BYTE_LEVEL = _byte_level_table()


class FastTokenizer(Protocol):
    """The part of a transformers fast tokenizer that is read."""

    @property
    def backend_tokenizer(self) -> Any: ...
    @property
    def eos_token_id(self) -> int | None: ...


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """``tokens[id]`` are the token's bytes (empty for special tokens and for unused ids).

    ``strips_start``: the decoder drops one space at the start, so a rule anchored there would read another text.
    ``shows_special``: special tokens are decoded to their names, so that a structural tag's marks may be such tokens
    (:meth:`showing_special`).
    ``size`` is the number of ids. A vocabulary that cannot spell every byte of UTF-8 is refused unless it was made
    with ``allow_incomplete``: a plan then claims no liveness.
    """

    tokens: tuple[bytes, ...]
    special_ids: frozenset[int]
    eos_ids: tuple[int, ...]
    is_complete: bool
    special_names: Mapping[int, bytes]
    strips_start: bool = False
    shows_special: bool = False
    shared: dict[str, object] = field(init=False, default_factory=dict[str, object], repr=False)
    """What has been made for this vocabulary and is used again, by the name of the module that made it."""

    @property
    def size(self) -> int:
        return len(self.tokens)

    @cached_property
    def table(self) -> TokenTable:
        """What the grammar engine needs to know: special tokens stand there under their names, which grammars use."""
        named = tuple(self.special_names.get(i, token) for i, token in enumerate(self.tokens))
        return TokenTable(named, self.special_ids, self.eos_ids)

    @cached_property
    def byte_tokens(self) -> Mapping[int, int]:
        """The token of every single byte that has one, the first where there are several."""
        return {token[0]: i for i, token in reversed([*enumerate(self.tokens)]) if len(token) == 1}

    @cached_property
    def digest(self) -> str:
        """Of all that masks depend on: the bytes of every token, which are special and their names, the ends of text.
        It is the same for a ``tokenizer.json`` and for the tokenizer that was made of it."""
        found = hashlib.sha256(b"policykit/vocabulary/1\0")
        found.update(b"".join(len(token).to_bytes(4, "big") + token for token in self.tokens))
        named = sorted((i, self.special_names.get(i, b"").hex()) for i in self.special_ids)
        rest = [self.size, named, sorted(set(self.eos_ids)), self.strips_start, self.is_complete]
        rest += ["shows special tokens"] if self.shows_special else []
        found.update(json.dumps(rest).encode("ascii"))
        return f"sha256:{found.hexdigest()}"

    def decode(self, token_ids: Iterable[int]) -> bytes:
        """The bytes that the tokens write. Special tokens write none or, where they are shown, their names; an end of
        text never writes any."""
        if not self.shows_special:
            return b"".join(self.tokens[i] for i in token_ids)
        return b"".join(self.marks.get(i, self.tokens[i]) for i in token_ids)

    @cached_property
    def marks(self) -> Mapping[int, bytes]:
        """The names of special tokens that end no text."""
        return {i: name for i, name in self.special_names.items() if i not in self.eos_ids}

    def showing_special(self) -> "Vocabulary":
        """The same vocabulary of an engine that shows special tokens by their names (as vLLM does where it parses calls
        of tools that they mark). What was made for one of the two is used for the other."""
        if self.shows_special:
            return self
        other = self.shared.get(__name__)
        if not isinstance(other, Vocabulary):
            other = replace(self, shows_special=True)
            object.__setattr__(other, "shared", self.shared)
            object.__setattr__(other, "table", self.table)
            self.shared[__name__] = other
        return other

    def tail_of(self, token_id: int) -> bytes:
        """The unfinished character at a token's end, if it has one; the token begins with a whole character."""
        pieces = utf8.split(self.tokens[token_id])
        return pieces.tail if pieces else b""

    @staticmethod
    def from_tokens(
        tokens: Sequence[bytes],
        eos_ids: Sequence[int],
        special_ids: Iterable[int] = (),
        *,
        allow_incomplete: bool = False,
        place: Place | None = None,
    ) -> "Vocabulary":
        """A vocabulary from its tokens' bytes. ``eos_ids`` are special. Raises PolicyError (PK400, PK402)."""
        if not eos_ids:
            raise PolicyError.of(
                "PK400",
                "the tokenizer names no end of text",
                place,
                "pass `eos_token=...`, or put tokenizer_config.json or generation_config.json beside it",
            )
        special = frozenset(special_ids) | frozenset(eos_ids)
        table = tuple(b"" if i in special else bytes(t) for i, t in enumerate(tokens))
        single = {t[0] for t in table if len(t) == 1}
        missing = [b for b in range(256) if b not in single and b not in _NEVER_IN_UTF8]
        if missing and not allow_incomplete:
            raise PolicyError.of(
                "PK402",
                f"the vocabulary cannot spell every text: {len(missing)} bytes have no token, the first is "
                f"`0x{missing[0]:02X}`",
                place,
                "use a byte-level or byte-fallback tokenizer",
            )
        names = {i: bytes(tokens[i]) or b"<|special_%d|>" % i for i in special}
        return Vocabulary(table, special, tuple(dict.fromkeys(eos_ids)), not missing, names)

    @staticmethod
    def from_file(
        path: str | Path,
        *,
        eos_token: str | Sequence[str] | None = None,
        size: int | None = None,
        eos_ids: Sequence[int] = (),
    ) -> "Vocabulary":
        """The vocabulary of a ``tokenizer.json``. The end of text comes from ``eos_token``, else from the configuration
        files beside it, else from the one well-known name among its special tokens; or it is ``eos_ids`` alone, as an
        engine has them. ``size`` pads to a model's ``vocab_size``. Raises PolicyError (PK400–PK404)."""
        path = Path(path)
        place = Place(str(path))
        try:
            data: Any = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(place, "cannot read the tokenizer", error) from error
        config = _read_beside(path, "tokenizer_config.json")
        if config.get("clean_up_tokenization_spaces"):
            raise _edits_text(place, "tokenizer_config.json sets `clean_up_tokenization_spaces`")
        names = [eos_token] if isinstance(eos_token, str) else list(eos_token or ())
        try:
            return _from_data(data, place, names, list(eos_ids) or _configured_end(path, config), size)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise _unreadable(place, "the tokenizer is malformed", error) from error

    @staticmethod
    def from_tokenizer(
        tokenizer: FastTokenizer, *, size: int | None = None, eos_ids: Sequence[int] = ()
    ) -> "Vocabulary":
        """The vocabulary of a transformers fast tokenizer. ``eos_ids`` end the text besides the tokenizer's own end.
        Raises PolicyError (PK400–PK404)."""
        place = Place(str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__))
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise PolicyError.of("PK404", "the tokenizer has no tokenizer.json", place, "use a fast tokenizer")
        if getattr(tokenizer, "clean_up_tokenization_spaces", False):
            raise _edits_text(place, "`clean_up_tokenization_spaces` is set")
        end = tokenizer.eos_token_id
        ends = [*([end] if end is not None else []), *eos_ids]
        return _from_data(json.loads(backend.to_str()), place, [], ends, size)


def _edits_text(place: Place, why: str) -> PolicyError:
    return PolicyError.of(
        "PK401",
        f"decoding with this tokenizer edits the text: {why}",
        place,
        "switch the edit off: a mask over bytes cannot hold for a text that is changed afterwards",
    )


def _unreadable(place: Place, what: str, error: Exception) -> PolicyError:
    match error:
        case KeyError(args=(name,)):
            why = f"`{name}` is missing"
        case OSError(strerror=str(reason)):
            why = reason.lower()
        case _:
            why = str(error)
    return PolicyError.of("PK404", f"{what}: {why}", place, "name a `tokenizer.json` as `save_pretrained` writes it")


def _read_beside(path: Path, name: str) -> Mapping[str, Any]:
    other = path.with_name(name)
    if not other.is_file():
        return {}
    try:
        data: Any = json.loads(other.read_text("utf-8"))
    except ValueError as error:
        raise _unreadable(Place(str(other)), f"cannot read `{name}`", error) from error
    return cast(Mapping[str, Any], data) if isinstance(data, dict) else {}


def _configured_end(path: Path, config: Mapping[str, Any]) -> list[int | str]:
    """End-of-text ids and names from the files beside tokenizer.json."""
    found: list[int | str] = []
    for name in ("generation_config.json", "config.json"):
        ids: Any = _read_beside(path, name).get("eos_token_id")
        found += [i for i in (cast(list[Any], ids) if isinstance(ids, list) else [ids]) if isinstance(i, int)]
    token = config.get("eos_token") or _read_beside(path, "special_tokens_map.json").get("eos_token")
    name = cast(Mapping[str, Any], token).get("content") if isinstance(token, dict) else token
    return [*found, name] if isinstance(name, str) else found


def _from_data(
    data: Mapping[str, Any], place: Place, names: Sequence[str], configured: Sequence[int | str], size: int | None
) -> Vocabulary:
    bytes_of = _encoding(data, place)
    words = _words(data, place)
    added = cast(list[dict[str, Any]], data.get("added_tokens") or [])
    n = max([*words.values(), *(int(t["id"]) for t in added), (size or 0) - 1], default=-1) + 1
    tokens = [b""] * n
    for word, i in words.items():
        tokens[i] = bytes_of(word)
    special: set[int] = set()
    by_name: dict[str, int] = {}
    for token in added:
        i, content = int(token["id"]), str(token["content"])
        by_name[content] = i
        tokens[i] = bytes_of(content)  # the decoder does not know which tokens were added
        if token.get("special"):
            special.add(i)
    ends = _ends(by_name, special, names, configured, place, n)
    made = Vocabulary.from_tokens(tokens, ends, special, place=place)
    decoder = json.dumps(data.get("decoder"))
    return replace(made, strips_start='"Strip"' in decoder or '"Metaspace"' in decoder)


def _ends(
    by_name: Mapping[str, int],
    special: set[int],
    names: Sequence[str],
    configured: Sequence[int | str],
    place: Place,
    n: int,
) -> list[int]:
    for name in names:
        if name not in by_name:
            raise PolicyError.of("PK400", f"the tokenizer has no token `{name}`", place, "name one of its added tokens")
    if names:
        return [by_name[name] for name in names]
    ids = [by_name.get(end, -1) if isinstance(end, str) else -1 if isinstance(end, bool) else end for end in configured]
    found = [i for i in dict.fromkeys(ids) if 0 <= i < n]
    if configured and not found:
        wrong = ", ".join(f"`{end if isinstance(end, str) else json.dumps(end)}`" for end in configured)
        help = "pass `eos_token=...`, or correct the configuration files beside the tokenizer"
        raise PolicyError.of("PK400", f"the configured end of text is none of the {n} tokens: {wrong}", place, help)
    if found:
        return found
    known = [name for name in END_NAMES if by_name.get(name) in special]
    if len(known) > 1:
        raise PolicyError.of(
            "PK400", f"which token ends the text: {', '.join(f'`{k}`' for k in known)}?", place, "pass `eos_token=...`"
        )
    return [by_name[name] for name in known]


def _encoding(data: Mapping[str, Any], place: Place) -> Callable[[str], bytes]:
    """What a token's name says about its bytes; anything that edits text is refused."""
    decoder = cast(Mapping[str, Any], data.get("decoder") or {})
    steps = cast(list[Mapping[str, Any]], decoder.get("decoders") if decoder.get("type") == "Sequence" else [decoder])
    kinds = [str(step.get("type")) for step in steps]
    if "ByteLevel" in kinds and set(kinds) <= {"ByteLevel", "Fuse"}:
        return _byte_level
    if "ByteFallback" not in kinds:
        raise PolicyError.of(
            "PK403",
            f"the tokenizer's decoder `{decoder.get('type')}` is neither byte-level nor byte fallback",
            place,
            "use a byte-level BPE or a byte-fallback tokenizer",
        )
    for step in steps:
        _check_step(step, place)
    return _byte_fallback if {"Replace", "Metaspace"}.isdisjoint(kinds) else _spaced_byte_fallback


def _check_step(step: Mapping[str, Any], place: Place) -> None:
    """Byte-fallback decoders may replace the space mark, join, and drop the one space that they put in front."""
    match step.get("type"):
        case "ByteFallback" | "Fuse":
            return
        case "Replace" if step.get("pattern") == {"String": "▁"} and step.get("content") == " ":
            return
        case "Strip" if step.get("content") == " " and step.get("start") in (0, 1) and not step.get("stop"):
            return
        case "Metaspace" if step.get("replacement", "▁") == "▁":
            return
        case kind:
            raise _edits_text(place, f"its decoder has a step `{kind}` that is not known to keep bytes")


def _words(data: Mapping[str, Any], place: Place) -> dict[str, int]:
    model = cast(Mapping[str, Any], data.get("model") or {})
    vocab: Any = model.get("vocab")
    if model.get("type") == "BPE" or isinstance(vocab, dict):
        if model.get("end_of_word_suffix"):
            raise _edits_text(place, "tokens carry an end-of-word suffix")
        if isinstance(vocab, dict):
            return {str(w): int(i) for w, i in cast(dict[str, int], vocab).items()}
    if model.get("type") == "Unigram" and isinstance(vocab, list):
        return {str(entry[0]): i for i, entry in enumerate(cast(list[list[Any]], vocab))}
    raise PolicyError.of("PK403", f"unknown tokenizer model `{model.get('type')}`", place, "use BPE or Unigram")


def _byte_level(word: str) -> bytes:
    """GPT-2's decoder: a name outside the table stands for itself."""
    known = all(c in _BYTE_LEVEL for c in word)
    return bytes(_BYTE_LEVEL[c] for c in word) if known else word.encode("utf-8")


def _byte_fallback(word: str) -> bytes:
    fallback = _BYTE_TOKEN.fullmatch(word)
    return bytes([int(fallback[1], 16)]) if fallback else word.encode("utf-8")


def _spaced_byte_fallback(word: str) -> bytes:
    return _byte_fallback(word.replace("▁", " "))
