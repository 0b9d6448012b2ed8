"""The stream: pieces of a text in, what may be shown out, and one verdict at the end."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace

from policykit.ir.verdict import CheckError, Decision, Verdict
from policykit.streaming.decoding import Decoder
from policykit.verify import Subject, Verifier

MAX_HELD_BYTES = 1 << 20
"""Bytes of UTF-8 that a stream holds back at most; it blocks rather than hold more."""

STREAM = "stream"
"""Whom a verdict names where the stream itself, and no rule, is why a text is blocked."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Something that is decided by the whole text, so that nothing is released before the end. ``name`` is the rule,
    or `grammar`."""

    name: str
    why: str


class StreamClosed(Exception):
    """A stream that was closed takes no more text."""


class Stream:
    """Releases a text as it arrives. What is released after some bytes is a function of those bytes alone.

    After a block the text that follows is ignored. ``buffers`` says what makes the stream hold everything until it is
    closed; where it is empty, text is released as soon as no rule can want it changed. Not for concurrent use.
    """

    def __init__(
        self,
        verifier: Verifier,
        subject: Subject,
        digest: str,
        buffers: tuple[Waits, ...],
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self.buffers = buffers
        self._verifier = verifier
        self._subject = subject
        self._digest = digest
        self._max_held = max_held_bytes
        self._decoder = Decoder()
        self._held: list[str] = []
        self._n_held = 0
        self._verdict: Verdict | None = None
        self._closed = False

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, once there is one: after a block, or after the end."""
        return self._verdict

    def feed(self, chunk: bytes | str) -> str:
        """What may be shown now. A chunk may end anywhere, also inside a character.

        Raises StreamClosed after :meth:`close`.
        """
        if self._closed:
            raise StreamClosed("the stream is closed")
        if self._verdict is not None:
            return ""
        text, wrong = self._decoder.decode(chunk)
        self._held.append(text)
        self._n_held += len(text.encode("utf-8"))
        if self._n_held > self._max_held:
            return self._fail(self._too_much())
        return self._fail(wrong) if wrong else ""

    def close(self) -> tuple[str, Verdict]:
        """The rest of what may be shown, and the verdict. ``text`` of the verdict is the message of a block, and
        empty otherwise: the text has been released. Closing again changes nothing."""
        if self._verdict is None and self._decoder.n_pending:
            self._fail("no valid UTF-8: the text ends inside a character")
        self._closed = True
        if self._verdict is not None:
            return "", self._verdict
        verdict = self._verifier.verify(replace(self._subject, text="".join(self._held)))
        shown = verdict.text
        self._held.clear()
        is_final = verdict.decision in (Decision.BLOCK, Decision.ESCALATE)
        self._verdict = verdict if is_final else replace(verdict, text="")
        return shown, self._verdict

    def _too_much(self) -> str:
        waits = "; ".join(f"`{wait.name}` {wait.why}" for wait in self.buffers)
        return f"more than {self._max_held} bytes would be held back: {waits}"

    def _fail(self, why: str) -> str:
        self._held.clear()
        errors = (CheckError(STREAM, why),)
        self._verdict = Verdict(Decision.BLOCK, "", (), (), errors, (), (), 0.0, self._digest)
        return ""


def released(stream: Stream, chunks: Iterable[bytes | str]) -> Iterator[str]:
    """What a stream releases of some chunks, the end included; nothing empty. ``stream.verdict`` is there after it."""
    for chunk in chunks:
        if shown := stream.feed(chunk):
            yield shown
        if stream.verdict is not None:
            break
    if shown := stream.close()[0]:
        yield shown


async def areleased(stream: Stream, chunks: AsyncIterable[bytes | str]) -> AsyncIterator[str]:
    """The same over chunks that are waited for."""
    async for chunk in chunks:
        if shown := stream.feed(chunk):
            yield shown
        if stream.verdict is not None:
            break
    if shown := stream.close()[0]:
        yield shown
