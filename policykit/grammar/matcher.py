"""A grammar bound to a vocabulary: which tokens may come next, and the state that follows each."""

import ctypes
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from policykit.diagnostics import InternalError, PolicyError
from policykit.grammar import engine
from policykit.grammar.named_tokens import check_named
from policykit.grammar.token_table import BYTES, TokenTable, ids_at, place_of
from policykit.ir.grammar import GrammarSpec

LOOKS_BACK: Final = 4
"""How many bytes before the end of forced text the engine looks for tokens that go on beyond it."""
_INT32: Final = np.dtype(np.int32)


class CompiledGrammar:
    """A grammar compiled once for a vocabulary; each text starts its own state. ``marked`` is its program for a
    vocabulary that has special tokens for some of its text; over single bytes that text is spelled out.

    Raises:
        PolicyError: PK219 for tokens that the grammar names and the vocabulary does not have; PK209 where the engine
            has no mask over it.
    """

    __slots__ = ("_forces", "_origin", "_spec", "_table")

    def __init__(self, spec: GrammarSpec, table: TokenTable, marked: str | None = None) -> None:
        self._table = table
        self._spec = spec
        self._forces = engine.forces(spec.lowered)
        check_named(spec, table)
        try:
            self._origin = table.compiler.matcher(marked or spec.lowered)
        except InternalError as error:
            message = f"no mask can be made of it for this vocabulary: {error}"
            raise PolicyError.of("PK209", message, spec.place, "make the grammar smaller") from error
        engine.use(table.compiler)

    @property
    def writes_json(self) -> bool:
        """Whether the texts are the JSON of a schema, and nothing else."""
        return self._forces

    def start(self) -> "GrammarState":
        """The state before the first token."""
        unused = self._table.unused_words if self._spec.tokens else ()
        return GrammarState(self._table, self._origin, self._forces, unused=unused)

    def byte_matcher(self) -> "GrammarState":
        """The same language over single bytes (ids 0–255, end of text 256), whatever the vocabulary.

        Raises:
            InternalError: it names tokens.
        """
        return GrammarState(BYTES, _over_bytes(self._spec), self._forces)


class GrammarState:
    """A place in a text. Filling changes nothing; a refused token changes nothing; copies are independent.

    End of text is ours, not the engine's, which forgets one that comes after it has stopped: it is a step of the
    history like any token. Once ``finished``, a row allows the ends of text only, and accepting one more is a step
    that leaves the text finished (so batches can pad).
    """

    __slots__ = ("_forced", "_forces", "_history", "_matcher", "_origin", "_table", "_unused")

    def __init__(
        self,
        table: TokenTable,
        origin: LLMatcher,
        forces: bool,
        at: LLMatcher | None = None,
        history: tuple[tuple[int, bool], ...] = (),
        *,
        unused: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self._table = table
        self._origin = origin
        self._forces = forces
        self._matcher = (origin if at is None else at).deep_copy()
        self._history = list(history)  # (token, whether it ended the text)
        self._unused = unused  # ids that write nothing, of a grammar that names tokens by id
        self._forced: bytes | None = None  # what is forced here, where that is known

    @property
    def accepting(self) -> bool:
        """Whether the text may end here."""
        found = self._matcher.is_accepting()
        engine.check(self._matcher)
        return found

    @property
    def finished(self) -> bool:
        """Whether an end of text was accepted."""
        return bool(self._history) and self._history[-1][1]

    def fill(self, row: NDArray[np.int32]) -> None:
        """Write the mask of the next token into ``row`` (int32 ``[ceil(V/32)]``, bit 1 = allowed).

        Raises:
            ValueError: the row has another shape, type or layout.
            InternalError: no token may follow and the text may not end (a dead end), or the engine failed. The state
                stays usable: it may be rolled back.
        """
        n_words = self._table.row_words
        if row.shape != (n_words,) or row.dtype != _INT32 or not row.flags.c_contiguous:
            raise ValueError(f"a mask row is a contiguous int32 array of {n_words} words")
        if self._history and self._history[-1][1]:
            row[:] = self._table.eos_bits
            return
        matcher, words = self._matcher, row.data.cast("B").cast("I")
        forced = matcher.compute_ff_bytes() if self._forces else b""
        if len(forced) > LOOKS_BACK and self._table.spells_bytes and not matcher.is_accepting():
            row.fill(0)  # the engine would add nothing to what the text begins with, and takes long to say so
            self._open_forced(words, forced)
            self._forced = forced
            return
        # of all ways to the address the quickest
        matcher.unsafe_compute_mask_ptr(ctypes.addressof(ctypes.c_char.from_buffer(words)), words.nbytes)
        if matcher.is_error():
            self._fail()
        if forced:
            self._open_forced(words, forced)
        is_end = self._set_special(words)
        if self._forces:
            self._forced = b"" if is_end else forced

    def _set_special(self, words: memoryview) -> bool:
        """Ends of text where the text may end, and special tokens where the grammar takes them. A complement (`~`) is
        one of all bytes for the engine, among which it has those that stand for special tokens. Returns whether the
        text may end."""
        matcher = self._matcher
        for word, bits in self._table.special_words:
            for token_id in ids_at(word, words[word] & bits) if words[word] & bits else ():
                if matcher.validate_tokens([token_id]) != 1:
                    _, bit = place_of(token_id)
                    words[word] &= ~bit
        is_end = matcher.is_accepting()
        if matcher.is_error():
            self._fail()
        for word, bits in self._unused:
            words[word] &= ~bits
        for word, bits in self._table.eos_words:
            words[word] = words[word] | bits if is_end else words[word] & ~bits
        return is_end

    def _open_forced(self, words: memoryview, forced: bytes) -> None:
        """Add every tokenisation of text that must come next: tokens that it begins with, and longer ones, which the
        engine looks for by itself where it does not fix the first token."""
        spelled = self._table.spelled(forced)
        for word, bit in spelled.beginnings:
            words[word] |= bit
        for token_id in spelled.longer if len(forced) > LOOKS_BACK else ():
            if self._matcher.validate_tokens([token_id]) == 1:
                word, bit = place_of(token_id)
                words[word] |= bit

    def accept(self, token_id: int) -> bool:
        """Take one token; False, and no change, where the mask forbids it.

        Raises:
            InternalError: the engine failed.
        """
        table = self._table
        if token_id in table.eos_ids:
            if not (self.finished or self.accepting):
                return False
            self._history.append((token_id, True))
            return True
        if self.finished or not 0 <= token_id < len(table.tokens):
            return False
        if not table.tokens[token_id] and token_id not in table.special_ids:
            return False
        matcher = self._matcher
        valid = matcher.validate_tokens([token_id])
        if matcher.is_error():
            self._fail()
        if valid != 1:
            return False
        self._forced = None
        matcher.consume_token(token_id)
        engine.check(matcher)
        self._history.append((token_id, False))
        return True

    def accept_all(self, token_ids: Sequence[int]) -> bool:
        """Take tokens one after the other, none of which ends the text; False, and no change, where one is forbidden.

        Raises:
            InternalError: the engine failed.
        """
        ids = list(token_ids)
        if not self.takes(ids):
            return False
        self._forced = None
        self._matcher.consume_tokens(ids)
        engine.check(self._matcher)
        self._history += [(i, False) for i in ids]
        return True

    def takes(self, token_ids: Sequence[int]) -> bool:
        """Whether tokens, none of which ends the text, may follow one after the other. Nothing changes.

        Raises:
            InternalError: the engine failed.
        """
        ids = list(token_ids)
        if self.finished or not all(map(self._is_text, ids)):
            return False
        valid = self._matcher.validate_tokens(ids)
        if self._matcher.is_error():
            self._fail()
        return valid == len(ids)

    def admits(self, text: bytes) -> bool:
        """:meth:`takes`, for a state over single bytes. Raises as that does."""
        valid = -1 if self.finished else self._matcher.validate_tokens(list(text))
        if self._matcher.is_error():
            self._fail()
        return valid == len(text)

    def _is_text(self, token_id: int) -> bool:
        """Whether the id is a token that does not end the text; unused ids are none."""
        tokens = self._table.tokens
        if not 0 <= token_id < len(tokens) or token_id in self._table.eos_ids:
            return False
        return bool(tokens[token_id]) or token_id in self._table.special_ids

    def ahead(self) -> Self:
        """A state at the same place, to look ahead with: it knows no history, and cannot be rolled back past here."""
        if self.finished:
            raise ValueError("nothing follows the end of the text")
        return type(self)(self._table, self._matcher.deep_copy(), self._forces, unused=self._unused)

    def rollback(self, n: int) -> None:
        """Take back the last ``n`` accepted tokens, ends of text included.

        Raises:
            ValueError: more than were accepted, or fewer than none.
        """
        if not 0 <= n <= len(self._history):
            raise ValueError(f"cannot take back {n} of {len(self._history)} tokens")
        kept = len(self._history) - n
        consumed = sum(not ended for _, ended in self._history[kept:])
        del self._history[kept:]
        if consumed:
            self._forced = None
            self._matcher.rollback(consumed)
            engine.check(self._matcher)

    def copy(self) -> Self:
        """An independent state at the same place."""
        history = tuple(self._history)
        return type(self)(self._table, self._origin, self._forces, self._matcher, history, unused=self._unused)

    def forced_bytes(self) -> bytes:
        """The bytes that every continuation begins with (empty where there is a choice, or the text may end)."""
        if self.finished:
            return b""
        if self._forced is not None:
            return self._forced
        if self.accepting:
            return b""
        probe = self._matcher.deep_copy()  # looking for forced bytes moves the engine's lexer
        found = probe.compute_ff_bytes()
        engine.check(probe)
        return found

    def _fail(self) -> None:
        """Raise what went wrong, after leaving the engine's error state by replay."""
        text = self._matcher.get_error().strip().splitlines()[0]
        self._matcher = self._origin.deep_copy()
        for token, ended in self._history:
            if not ended:
                self._matcher.consume_token(token)
        raise InternalError(f"the grammar engine failed: {text}")


class Beginning:
    """A text that arrives, as far as it can still become a text of a grammar as the mask knows it.

    Raises:
        InternalError: the engine cannot judge it (its limits, or a grammar that names tokens).
    """

    __slots__ = ("_matcher",)

    def __init__(self, spec: GrammarSpec) -> None:
        self._matcher = _over_bytes(spec).deep_copy()

    def read(self, text: str) -> int:
        """Read on: how many characters keep it a beginning. Those behind are not read.

        Raises:
            InternalError: as above.
        """
        data = text.encode()
        if not data:
            return 0
        valid = self._matcher.validate_tokens(list(data))
        engine.check(self._matcher)
        good = text if valid == len(data) else data[:valid].decode("utf-8", "ignore")
        read = data[: len(good.encode())]
        if read:
            self._matcher.consume_tokens(list(read))
            engine.check(self._matcher)
        return len(good)


def _over_bytes(spec: GrammarSpec) -> LLMatcher:
    """The grammar over single bytes. Raises InternalError where it names tokens: they write what a vocabulary says."""
    if spec.tokens:
        raise InternalError(f"no text says whether it belongs to a grammar that names tokens: `{spec.tokens[0].text}`")
    return engine.byte_compiler().matcher(spec.lowered)


def try_first_mask(spec: GrammarSpec) -> None:
    """Compute the mask of the first byte, which some grammars that compile are too much for. One that names tokens is
    not tried.

    Raises:
        InternalError: the engine fails on it.
    """
    if not spec.tokens and engine.refusal(spec.lowered) is None:
        row = np.zeros(BYTES.row_words, np.int32)
        GrammarState(BYTES, _over_bytes(spec), engine.forces(spec.lowered)).fill(row)


def matches(spec: GrammarSpec, text: str) -> bool:
    """Whether the whole text belongs to the grammar as the mask knows it, independent of any vocabulary.

    Raises:
        InternalError: the engine could not judge it (its limits, or a grammar that names tokens).
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return False  # no strict UTF-8 writes an unpaired surrogate
    probe = _over_bytes(spec).deep_copy()
    valid = probe.validate_tokens(list(data))
    engine.check(probe)
    if valid < len(data):
        return False
    if data:
        probe.consume_tokens(list(data))
        engine.check(probe)
    return probe.is_accepting()
