"""A text under a grammar while it arrives: what begins a text of the grammar may go out, what does not may not."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from policykit.diagnostics import InternalError
from policykit.grammar import Beginning, Unambiguous
from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.ir.verdict import CheckError, Violation
from policykit.streaming.session import Ending
from policykit.verify.judgement import GRAMMAR

_PARTLY_MASKED = (GrammarKind.JSON_SCHEMA, GrammarKind.STRUCTURAL_TAG)
NOT_AS_MASKED = "the text is not written as the mask of its grammar would have it, and waits to be judged"
PIECE, PIECE_S, OWED_S = 8, 0.001, 0.1
"""Characters of a request's grammar that are read at once; what that may take; and what the pieces of one text may take
beyond it, all together. What comes behind waits for the end, and is judged elsewhere."""


class _Gate:
    """How far one text begins a text of the grammar. ``is_over`` is set where the grammar is a request's, and reading
    by it takes too long: an ambiguous one takes longer with every character."""

    def __init__(self, spec: GrammarSpec, is_bounded: bool) -> None:
        self._is_bounded = is_bounded
        self._owed_s = 0.0
        self.is_over = False
        self._beginning = Beginning(spec)
        self._unambiguous = Unambiguous() if spec.is_json else None
        self._is_last_word = spec.kind not in _PARTLY_MASKED

    def read(self, text: str) -> int:
        """How many characters do, of those that are read. Raises InternalError."""
        if not self._is_bounded:
            return self._read(text)
        n = 0
        while n < len(text) and not self.is_over:
            piece, began = text[n : n + PIECE], time.thread_time()
            good = self._read(piece)
            self._owed_s += max(0.0, time.thread_time() - began - PIECE_S)
            self.is_over = self._owed_s > OWED_S
            n += good
            if good < len(piece):
                break
        return n

    def _read(self, text: str) -> int:
        if self._unambiguous is None:
            return self._begins(text)
        n, spaces = self._unambiguous.read(text)
        if not spaces:
            return self._begins(text[:n])
        is_space = set(spaces)
        tokens = [i for i in range(n) if i not in is_space]  # the mask knows JSON without white space between tokens
        good = self._begins("".join(text[i] for i in tokens))
        return n if good == len(tokens) else tokens[good]

    def _begins(self, text: str) -> int:
        try:
            return self._beginning.read(text)
        except InternalError:
            if self._is_last_word:
                raise
            return 0  # the engine gave up, which the judge of JSON does not


class Gates:
    """The grammar of one stream: reads what arrives, and where there are transforms, what goes out. Keeps both, for
    ``judge`` has the last word.

    The mask knows a part of what a JSON Schema admits (one order of the keys, for one): a text that leaves this part
    may still be right, so nothing behind it goes out before the end. A text that leaves another grammar is wrong.

    Where the judge is ``elsewhere``, and to be waited for, it is asked at the end only: whoever feeds a stream does not
    wait. What it takes to read along is bounded, too.
    """

    def __init__(
        self,
        spec: GrammarSpec,
        judge: Callable[[str], Sequence[Violation]],
        transforms: bool,
        elsewhere: bool = False,
    ) -> None:
        self._judge = judge
        self._is_last_word = spec.kind not in _PARTLY_MASKED
        self._is_elsewhere = elsewhere
        self._arrived = _Gate(spec, elsewhere)
        self._edited = _Gate(spec, elsewhere) if transforms else None
        self._text: list[str] = []
        self._output: list[str] = []
        self._withheld: list[str] = []
        self._closed = False
        self.n_withheld = 0
        """Bytes of UTF-8 that wait for the end."""
        self.is_wrong = False
        """Whether no continuation can be a text of the grammar."""

    def read(self, text: str) -> int:
        """Read on: how many characters begin a text of the grammar. Raises InternalError."""
        self._text.append(text)
        if self._closed:
            return len(text)  # whatever is shown of it is withheld
        n = self._arrived.read(text)
        self.is_wrong |= n < len(text) and self._is_last_word and not self._arrived.is_over
        return n

    @property
    def ends_here(self) -> bool:
        """Whether no continuation can be a text of the grammar, and the judge is asked about it now."""
        return self.is_wrong and not self._is_elsewhere

    def close(self) -> None:
        """Let nothing out before the end."""
        self._closed = True

    def admit(self, text: str) -> str:
        """What may go out of text that no rule holds back. Raises InternalError."""
        if self._edited is not None:
            self._output.append(text)
        n = 0 if self._closed else len(text)
        if n and self._edited is not None:
            n = self._edited.read(text)
            self.is_wrong |= n < len(text) and self._is_last_word and not self._edited.is_over
        if n < len(text):
            self.close()
            self._withheld.append(text[n:])
            self.n_withheld += len(text[n:].encode("utf-8"))
        return text[:n]

    def ending(self) -> Ending | None:
        """What is ungrammatical about what arrived, or else about what became of it; None for nothing."""
        try:
            wrong = tuple(self._judge("".join(self._text)))
            if not wrong and self._edited is not None:
                found = self._judge("".join(self._output))
                wrong = tuple(replace(v, matched=f"after transforms: {v.matched}") for v in found[:1])
        except Exception as error:
            return Ending(errors=(CheckError(GRAMMAR, f"{type(error).__name__}: {error}"),))
        if self.is_wrong and not wrong:
            return Ending(errors=(CheckError(GRAMMAR, "the engine and the judge of the grammar disagree"),))
        return Ending(violations=wrong) if wrong else None

    def finish(self, shown: str, ending: Ending | None) -> tuple[str, Ending | None]:
        """What goes out at the end, where ``shown`` is what no rule holds back, and how the text ends."""
        if ending is not None:
            return ("" if self._closed else shown), ending
        if self._edited is not None:
            self._output.append(shown)
        ending = self.ending()
        return ("" if ending else "".join([*self._withheld, shown])), ending
