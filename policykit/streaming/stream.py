"""The stream: pieces of a text in, what may be shown out, and one verdict at the end."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace

from policykit.grammar import ClosedValues, ClosingRules
from policykit.ir.grammar import GrammarSpec
from policykit.ir.verdict import CheckError, Decision, Verdict
from policykit.streaming.decoding import Decoder
from policykit.streaming.gates import NOT_AS_MASKED, Gates
from policykit.streaming.glide import MANY, Glide
from policykit.streaming.program import Program
from policykit.streaming.readings import UnreadableString
from policykit.streaming.session import Ending, Session
from policykit.streaming.settle import CannotConfirm
from policykit.streaming.verdicts import blocked, broken_off, verdict_of
from policykit.text.json_prefix import JsonPrefix
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


_FEW = 64
"""Characters that are read at once where something may happen."""


class StreamClosed(Exception):
    """A stream that was closed takes no more text."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What a stream judges by. Where ``waits`` are named, the verifier judges the whole text; else ``program`` is
    run, and what goes out begins a text of the grammar."""

    verifier: Verifier
    digest: str
    waits: tuple[Waits, ...]
    program: Program
    is_json: bool
    max_held: int
    grammar: GrammarSpec | None = None
    closing: ClosingRules | None = None
    """What of the grammar is judged before the end of a text that is held until then."""


class Stream:
    """Releases a text as it arrives. What is released after some bytes is a function of those bytes alone.

    After a block the text that follows is ignored. ``buffers`` says what makes the stream hold everything until it is
    closed; where it is empty, text is released as soon as no rule can want it changed. Not for concurrent use.
    """

    def __init__(self, judge: Judge, subject: Subject) -> None:
        self.buffers = judge.waits
        self._judge = judge
        self._subject = subject
        self._decoder = Decoder()
        self._session = Session(judge.program, judge.verifier.transforms, judge.max_held)
        self._prefix = JsonPrefix() if judge.program.json_waits or judge.waits else None
        self._values = ClosedValues(judge.closing) if judge.closing else None
        self._held: list[str] = []
        self._n_held = 0
        self._n_bytes = 0
        self._verdict: Verdict | None = None
        self._closed = False
        self._greeting = self._begin()
        self._max_bytes = judge.verifier.max_bytes
        self._gates = _gates(judge)
        self._is_whole = self._gates is None  # no character is cut in two, and no grammar reads along
        self._n_careful = _FEW
        self._glide: Glide | None = None
        if self._prefix is None:
            self._take_off()

    def _begin(self) -> str:
        """What is decided before any text: facts that contradict the plan, rules that read facts alone."""
        judge, program = self._judge, self._judge.program
        problems = judge.verifier.problems(self._subject) if not judge.waits else []
        if problems:
            self._verdict = blocked(judge.digest, [CheckError("facts", problem) for problem in problems])
        elif program.blocked or program.errors:
            self._verdict = judge.verifier.verify(self._subject)
            return self._verdict.text
        return ""

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, once there is one: after a block, or after the end."""
        return self._verdict

    def feed(self, chunk: bytes | str) -> str:
        """What may be shown now. A chunk may end anywhere, also inside a character.

        Raises StreamClosed after :meth:`close`.
        """
        glide = self._glide
        if glide is not None and self._is_whole and chunk.isascii():
            n = self._n_bytes + len(chunk)
            if n <= self._max_bytes:
                data, text = (chunk.encode("ascii"), chunk) if isinstance(chunk, str) else (chunk, str(chunk, "ascii"))
                shown = glide.read(text, data.translate(glide.table))
                if shown is not None:
                    self._n_bytes = n
                    return shown
        return self._feed(chunk)

    def _feed(self, chunk: bytes | str) -> str:
        if self._closed:
            raise StreamClosed("the stream is closed")
        if self._verdict is not None:
            greeting, self._greeting = self._greeting, ""
            return greeting
        text, wrong = self._decoder.decode(chunk)
        self._is_whole = self._gates is None and not self._decoder.n_pending
        shown = self._take(text)
        if wrong and self._verdict is None:
            self._fail(wrong)
        return shown

    def close(self) -> tuple[str, Verdict]:
        """The rest of what may be shown, and the verdict. ``text`` of the verdict is the message of a block, and
        empty otherwise: the text has been released. Closing again changes nothing."""
        if self._verdict is None and self._decoder.n_pending:
            self._fail("no valid UTF-8: the text ends inside a character")
        self._closed = True
        self._land()
        if self._verdict is not None:
            greeting, self._greeting = self._greeting, ""
            return greeting, self._verdict
        if self._prefix is not None:
            return self._judge_whole()
        try:
            shown, ending = self._session.finish()
        except Exception as error:
            shown, ending = "", _broken(error)
        if self._gates is not None:
            shown, ending = self._gates.finish(shown, ending)
        return shown + self._end(ending), self._decided

    @property
    def _decided(self) -> Verdict:
        assert self._verdict is not None
        return self._verdict

    # -- taking text ---------------------------------------------------------------------------------------------

    def _take(self, text: str) -> str:
        """Read text on; what may be shown of it."""
        n = len(text) if text.isascii() else len(text.encode("utf-8"))
        self._n_bytes += n
        if self._n_bytes > self._judge.verifier.max_bytes:
            return self._take_up_to_limit(text, n)
        return self._admit(text)

    def _admit(self, text: str) -> str:
        """Read on what may be judged: the grammar's judge misses nothing of it."""
        if not text:
            return ""
        if self._prefix is not None:
            return self._wait(text)
        return self._read(text) if self._gates is None else self._read_gated(self._gates, text)

    def _read_gated(self, gates: Gates, text: str) -> str:
        """Read on under a grammar."""
        try:
            n = gates.read(text)
        except Exception as error:
            self._fail(_reason(error))
            return ""
        shown = self._admitted(gates, self._read(text[:n]))
        if n == len(text) or self._verdict is not None:
            return shown
        if gates.ends_here:
            return shown + self._end(gates.ending())
        gates.close()
        return shown + self._admitted(gates, self._read(text[n:]))

    def _admitted(self, gates: Gates, shown: str) -> str:
        """What the grammar lets out of a text that is edited for good; the message of a block goes out behind it."""
        message = "" if self._verdict is None else self._verdict.text
        try:
            good = gates.admit(shown.removesuffix(message))
        except Exception as error:
            self._fail(_reason(error))
            return ""
        if self._verdict is None and gates.ends_here:
            return good + self._end(gates.ending())
        if self._verdict is None and gates.n_withheld > self._judge.max_held:
            self._fail(f"more than {self._judge.max_held} bytes would be held back: {NOT_AS_MASKED}")
        return good + message

    def _take_up_to_limit(self, text: str, n_bytes: int) -> str:
        limit = self._judge.verifier.max_bytes
        room = limit - (self._n_bytes - n_bytes)
        good = text.encode("utf-8")[:room].decode("utf-8", "ignore")
        self._n_bytes -= n_bytes
        shown = self._take(good)
        if self._verdict is None:
            self._fail(f"too long to judge: more than {limit} bytes of UTF-8")
        return shown

    def _wait(self, text: str) -> str:
        """Hold text back while all of it is needed: for good, or while it may be JSON."""
        assert self._prefix is not None
        n_read = len(text) if self._judge.waits else self._prefix.read(text)
        waiting, rest = text[:n_read], text[n_read:]
        self._held.append(waiting)
        self._n_held += len(waiting.encode("utf-8"))
        if self._n_held > self._judge.max_held:
            self._fail(self._too_much())
            return ""
        if self._values is not None and self._breaks_off(self._values, waiting):
            return self._decided.text
        if self._judge.waits or self._prefix.possible:
            return ""
        self._prefix = None
        self._take_off()
        before = "".join(self._held)
        self._held.clear()
        shown = self._admit(before)
        return shown + self._admit(rest) if self._verdict is None else shown

    def _breaks_off(self, values: ClosedValues, text: str) -> bool:
        """Whether a value that closes in this text ends the stream; what cannot be judged does, too."""
        try:
            fault = values.read(text)
        except Exception as error:
            self._fail(_reason(error))
            return True
        if fault is not None:
            held, self._held = "".join(self._held), []
            self._verdict = broken_off(self._judge.verifier, replace(self._subject, text=held), fault)
        return fault is not None

    def _read(self, text: str) -> str:
        """Read on, fast where nothing happens."""
        out: list[str] = []
        at = 0
        while at < len(text) and self._verdict is None:
            piece = text[at : at + MANY]
            if self._glide is None:
                piece = piece[: self._n_careful]
                out.append(self._read_carefully(piece))
                self._take_off()
            else:
                shown = None if self._glide.stops_in(piece) else self._glide.read_on(piece)
                if shown is None:
                    shown, piece = self._read_event(self._glide, piece)
                out.append(shown)
            at += len(piece)
        return "".join(out)

    def _read_event(self, glide: Glide, text: str) -> tuple[str, str]:
        """Read up to the first character at which something happens, it included: what may go out, and what was
        read."""
        n = glide.n_quiet(text)
        before = glide.read_on(text[:n]) if n < len(text) else None
        self._land()
        if before is None:  # something happens in the output
            n = min(n, len(text) - 1, _FEW)
            before = self._read_carefully(text[:n]) if n else ""
        shown = before + self._read_carefully(text[n]) if self._verdict is None else before
        self._take_off()
        return shown, text[: n + 1]

    def _take_off(self) -> None:
        if self._verdict is None:
            self._glide = self._session.glide()
            self._n_careful = _FEW if self._glide else min(2 * self._n_careful, MANY)

    def _land(self) -> None:
        if self._glide is not None:
            self._glide.land()
            self._glide = None

    def _read_carefully(self, text: str) -> str:
        """One piece, or where the stream ends inside it, its parts down to the character that ends it."""
        session = self._session
        if len(text) == 1:
            return self._read_one(text)
        mark = session.journal.mark()
        trial = session.copy()
        try:
            shown, ending = trial.step(text)
        except Exception as error:
            ending, shown = _broken(error), ""
        if ending is None:
            self._session = trial
            trial.let_go()
            return shown
        session.rewind()
        session.journal.undo(mark)
        half = len(text) // 2
        shown = self._read_carefully(text[:half])
        return shown + self._read_carefully(text[half:]) if self._verdict is None else shown

    def _read_one(self, char: str) -> str:
        try:
            shown, ending = self._session.step(char)
        except Exception as error:
            shown, ending = "", _broken(error)
        if ending is None:
            self._session.let_go()
            return shown
        return shown + self._end(ending)

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self, ending: Ending | None) -> str:
        self._glide = None
        self._verdict = verdict_of(self._session, ending, self._judge.digest, self._judge.is_json)
        return self._verdict.text

    def _judge_whole(self) -> tuple[str, Verdict]:
        verdict = self._judge.verifier.verify(replace(self._subject, text="".join(self._held)))
        shown = verdict.text
        self._held.clear()
        is_final = verdict.decision in (Decision.BLOCK, Decision.ESCALATE)
        self._verdict = verdict if is_final else replace(verdict, text="")
        return shown, self._verdict

    def _too_much(self) -> str:
        waits = "; ".join(f"`{wait.name}` {wait.why}" for wait in self.buffers)
        if not waits:
            names = ", ".join(f"`{check.name}`" for check in self._judge.program.json_waits)
            waits = f"{names} waits while the output may be JSON"
        return f"more than {self._judge.max_held} bytes would be held back: {waits}"

    def _fail(self, why: str) -> Verdict:
        self._held.clear()
        self._glide = None
        self._verdict = blocked(self._judge.digest, [CheckError(STREAM, why)])
        return self._verdict


def _gates(judge: Judge) -> Gates | None:
    if judge.grammar is None:
        return None
    verifier = judge.verifier
    return Gates(judge.grammar, verifier.check_grammar, judge.program.transforms, verifier.waits_for_grammar)


def _broken(error: Exception) -> Ending:
    if isinstance(error, CannotConfirm):
        return Ending(errors=(CheckError(error.rule, str(error)),))
    return Ending(errors=(CheckError(STREAM, _reason(error)),))


def _reason(error: Exception) -> str:
    if isinstance(error, UnreadableString):
        return "a JSON string has an unpaired surrogate escape, which has no agreed meaning"
    return f"{type(error).__name__}: {error}"


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
