"""Why the engine ended a request, told to whoever asked, before an answer has begun. No vLLM is imported.

A grammar is settled in the engine, which vLLM's front end leaves only with `finish_reason: error`: its clients then
read of an internal error, in a stream behind status 200. Here the reason goes with the engine's last output, in
`stop_reason`; the front end raises it, and no stream begins before it is known whether its request has a mask.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, cast

from policykit.diagnostics import PolicyError

REFUSED, FAILED = "policykit refuses: ", "policykit failed: "
"""What a reason begins with, where vLLM has the text that a generation stopped at."""
ASKED = ("PK1", "PK2", "PK30", "PK315", "PK743", "PK746", "PK748", "PK749")
"""How the codes begin of what whoever asks can do something about."""
FAULT = "the engine has no mask for this request any more, and its log says why"
FILTERED = "content_filter"
"""How a choice ends whose mask has failed, where others are answered: its `stop_reason` says why."""
NOT_ALLOWED = f"{FAILED}the engine drew a token that the mask does not have, and ended the text before it"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the engine has ended a request. ``is_fault``: not because of what was asked for."""

    message: str
    is_fault: bool


def render(error: BaseException) -> str:
    """An error, as it goes with the engine's last output."""
    if not isinstance(error, PolicyError):
        return f"{FAILED}{FAULT}"
    is_asked = all(diagnostic.code.startswith(ASKED) for diagnostic in error.diagnostics)
    return f"{REFUSED if is_asked else FAILED}{error}"


class Choice(Protocol):
    """What is read of vLLM's `CompletionOutput`."""

    @property
    def finish_reason(self) -> str | None: ...
    @property
    def stop_reason(self) -> int | str | None: ...


def reason_in(choices: Sequence[Choice]) -> Reason | None:
    """What :func:`render` has said of the first choice that the engine has ended as failed."""
    for choice in choices:
        said = choice.stop_reason
        if choice.finish_reason == "error" and isinstance(said, str) and said.startswith((REFUSED, FAILED)):
            return Reason(said.removeprefix(REFUSED).removeprefix(FAILED), said.startswith(FAILED))
    return None


class Admission:
    """What an HTTP request has heard of the engine: nothing, that texts are written, or an error."""

    def __init__(self) -> None:
        self.waits = True
        """Whether the engine has to see its grammar. What has none is known when the engine has it."""
        self._is_known = asyncio.Event()
        self._error: Exception | None = None

    def admit(self) -> None:
        self._is_known.set()

    def fail(self, error: Exception) -> None:
        """Does nothing once texts are written: what comes then is told in the stream."""
        if not self._is_known.is_set():
            self._error = error
            self._is_known.set()

    async def settle(self, stream: AsyncGenerator[Any], seconds: float) -> AsyncGenerator[Any]:
        """The stream, from its beginning, as soon as something is known, and after ``seconds`` in any case.

        Raises what was heard; the stream is closed then.
        """
        known = asyncio.ensure_future(self._is_known.wait())
        pieces: list[Any] = []
        pending: asyncio.Future[Any] | None = None
        until = asyncio.get_running_loop().time() + seconds
        try:
            while not self._is_known.is_set() and (not pieces or pieces[-1] is not _END):
                pending = pending or asyncio.ensure_future(_next(stream))
                left = until - asyncio.get_running_loop().time()
                await asyncio.wait({pending, known}, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
                if pending.done():
                    pieces.append(pending.result())
                    pending = None
                elif left <= 0:
                    break
            if self._error is not None:
                raise self._error
        except BaseException:
            await _close(stream, pending)
            raise
        finally:
            known.cancel()
        whole = _from_the_beginning(pieces, pending, stream)
        await anext(whole)  # from here on the stream is closed with it, even where nobody reads a piece
        return whole


_END = object()


async def _next(stream: AsyncGenerator[Any]) -> Any:
    return await anext(stream, _END)


async def _close(stream: AsyncGenerator[Any], pending: "asyncio.Future[Any] | None") -> None:
    if pending is not None:
        pending.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pending
    await stream.aclose()


async def _from_the_beginning(
    pieces: list[Any], pending: "asyncio.Future[Any] | None", stream: AsyncGenerator[Any]
) -> AsyncGenerator[Any]:
    """Begins with None: what has not begun would close nothing when it is closed or dropped."""
    try:
        yield None
        for piece in pieces:
            if piece is _END:
                return
            yield piece
        if pending is not None:
            piece = await pending
            pending = None
            if piece is _END:
                return
            yield piece
        async for piece in stream:
            yield piece
    finally:
        await _close(stream, pending)


_asking: ContextVar[Admission | None] = ContextVar("policykit_admission", default=None)


def begun(waits: bool) -> Admission | None:
    """The admission of the HTTP request that is being answered."""
    admission = _asking.get()
    if admission is not None:
        admission.waits = waits
    return admission


def added() -> None:
    """The engine has the request that is being answered: its parameters are right."""
    admission = _asking.get()
    if admission is not None and not admission.waits:
        admission.admit()


async def settled(answer: Awaitable[Any], seconds: float) -> Any:
    """What a handler gives; of a stream only when it is known whether there is a mask. Raises what the handler raises,
    and what the engine said of the request."""
    admission = Admission()
    token = _asking.set(admission)
    try:
        found = await answer
        if not isinstance(found, AsyncGenerator):
            return found
        return await admission.settle(cast(AsyncGenerator[Any], found), seconds)
    finally:
        _asking.reset(token)


async def explained(
    outputs: AsyncGenerator[Any], admission: Admission | None, error_of: Callable[[Reason], Exception], n: int = 1
) -> AsyncGenerator[Any]:
    """An engine's outputs of one request of ``n`` choices, up to one that says why there are no more: that is raised,
    as ``error_of`` makes it. Of several choices each fails for itself: it ends as `content_filter`, with what the
    engine has said as its `stop_reason`, and only where all have failed before one had any text, that is raised."""
    choices = _Choices(n)
    try:
        async for output in outputs:
            reason = choices.read(output.outputs)
            if reason is not None:
                raise error_of(reason)
            choices.held.append(output)
            if not choices.is_begun:
                continue
            if admission is not None:
                admission.admit()
            for held in choices.release():
                yield held
    except Exception as error:
        if admission is not None:
            admission.fail(error)
        raise
    finally:
        await outputs.aclose()


class _Choices:
    """What is known of a request's choices. ``held`` are outputs that say of nothing but failures, before any text."""

    def __init__(self, n: int) -> None:
        self._n, self._n_failed = n, 0
        self._first: Reason | None = None
        self.is_begun = False
        self.held: list[Any] = []

    def read(self, said: Sequence[Any]) -> Reason | None:
        """Why there will be no answer, if that is so. Choices that have failed alone end with their reason."""
        failed = [choice for choice in said if reason_in((choice,)) is not None]
        self._n_failed += len(failed)
        self._first = self._first or reason_in(failed)
        if self._n_failed == self._n and (self._n == 1 or not self.is_begun):
            return self._first
        for choice in failed:
            choice.finish_reason = FILTERED
        self.is_begun = self.is_begun or len(failed) < len(said) or not said
        return None

    def release(self) -> list[Any]:
        held, self.held = self.held, []
        return held
