"""What goes out of the guard: the one place that sends."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from policykit.serving.errors import Refused
from policykit.serving.hooks import Channel
from policykit.serving.incoming import ClientGone
from policykit.serving.routes.shape import ToolCall, Written, dumps
from policykit.serving.wire import FinishReason, Usage

_LOG = logging.getLogger("policykit.serving")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
End = tuple[int, FinishReason, str | int | None]


class Responder:
    """Sends one answer: whole, or in pieces. ``headers`` go with every answer."""

    def __init__(self, send: Send) -> None:
        self._sends = send
        self._written: Written | None = None
        self.headers: dict[str, str] = {}
        self.is_started = False
        self.is_ended = False

    async def whole(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        """A JSON answer. Nothing has gone out before it."""
        content = dumps(body)
        about = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        await self._start(status, about)
        self.is_ended = True
        await self._send({"type": "http.response.body", "body": content})

    async def refuse(self, refused: Refused) -> None:
        """An error: as the answer, or as the end of a stream that has begun. Behind an end nothing is sent."""
        if self.is_ended:
            return
        if not self.is_started:
            await self.whole(refused.status, refused.body(), refused.headers)
            return
        assert self._written is not None, "what has begun and not ended is a stream"
        await self._last(self._written.error(refused))

    async def text(self, written: Written, choice: int, channel: Channel, text: str) -> None:
        await self.begin(written)
        await self._piece(written.text(choice, channel, text))

    async def calls(self, written: Written, choice: int, calls: Sequence[ToolCall]) -> None:
        await self.begin(written)
        await self._piece(written.calls(choice, calls))

    async def begin(self, written: Written) -> None:
        """Start the stream, if it has not begun."""
        if not self.is_started:
            self._written = written
            about = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
            await self._start(200, about)
            await self._piece(written.begin())

    async def end(self, written: Written, ends: Sequence[End], usage: Usage, about: Mapping[str, object]) -> None:
        await self.begin(written)
        await self._last(written.end(ends, usage, about))

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self.is_started = True
        every = {**headers, **self.headers, "x-content-type-options": "nosniff"}
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        """Raises ClientGone where the connection is closed: a server may find that out when it writes."""
        try:
            await self._sends(message)
        except (OSError, RuntimeError) as error:
            _LOG.info("an answer could not be sent: %s: %s", type(error).__name__, error)
            self.is_ended = True
            raise ClientGone from error

    async def _piece(self, data: bytes) -> None:
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _last(self, data: bytes) -> None:
        self.is_ended = True
        await self._send({"type": "http.response.body", "body": data})
