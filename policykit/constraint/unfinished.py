"""Tokens that end inside a character which grammar and rules would each complete, but not alike.

A completion that one of them had is often one of others too (most characters may stand in free text), so for each
beginning the one that served last is tried first, and all of them only where it does not serve. Which is known decides
how long a step takes, never what it finds.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from policykit.constraint.both import Matcher
from policykit.constraint.joint import Joint
from policykit.constraint.reader import Reader
from policykit.constraint.rows import Row, close, has_bit, set_bits
from policykit.constraint.vocabulary import Vocabulary

MAX_UNFINISHED = 300
"""Tokens that are tried against grammar and rules together."""


class Unfinished:
    """Shared by all texts of a machine. ``tail_row`` holds the tokens that end inside a character, ``byte_tokens`` the
    token of every single byte that has one."""

    def __init__(self, reader: Reader, vocabulary: Vocabulary, tail_row: Row, byte_tokens: Mapping[int, int]) -> None:
        self._reader = reader
        self._vocabulary = vocabulary
        self._tail_row = tail_row
        self._byte_tokens = byte_tokens
        self._last: dict[bytes, bytes] = {}  # for the beginning of a character the rest that served last

    def prune(self, row: Row, grammar: Matcher, joint: Joint) -> None:
        """Close them in a row. Where the grammar leaves very many of them open it leaves the character open too: they
        are not tried."""
        open_tails = row & self._tail_row
        n_words = np.count_nonzero(open_tails)  # which have a bit or more each
        if not 0 < n_words <= MAX_UNFINISHED:
            return
        ids: list[int] = set_bits(open_tails).tolist()
        if len(ids) > MAX_UNFINISHED:
            return
        for token_id in ids:
            after = self._reader.advance(joint, token_id)
            if after is None or not self._goes_on(grammar, token_id, after):
                close(row, token_id)

    def _goes_on(self, grammar: Matcher, token_id: int, after: Joint) -> bool:
        """Whether some bytes finish the character for both, after a token that the rules let through."""
        last = self._last.get(after.pending)
        if last is not None and self._serves(grammar, token_id, after, last):
            return True
        ahead = grammar.copy()
        if not ahead.accept(token_id):
            return False
        found = next(self._rests(ahead, after), None)
        if found is None:
            return False
        self._last[after.pending] = found
        return True

    def _serves(self, grammar: Matcher, token_id: int, after: Joint, rest: bytes) -> bool:
        if not grammar.takes((token_id, *(self._byte_tokens[byte] for byte in rest))):
            return False
        after = self._reader.current(after)
        if rest not in after.next:
            after.next[rest] = self._reader.advance_bytes(after, rest)
        return after.next[rest] is not None

    def _rests(self, ahead: Matcher, joint: Joint) -> Iterator[bytes]:
        """The bytes that finish the pending character for both."""
        if not joint.pending:
            yield b""
            return
        row = np.zeros(-(-self._vocabulary.size // 32), np.int32)
        ahead.fill(row)
        for byte in range(0x80, 0xC0):
            token = self._byte_tokens.get(byte, -1)
            if token < 0 or not has_bit(row, token):
                continue
            after = self._reader.advance_bytes(joint, bytes([byte]))
            further = ahead.copy()
            if after is not None and further.accept(token):
                yield from (bytes([byte]) + rest for rest in self._rests(further, after))
