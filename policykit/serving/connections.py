"""HTTP connections that do not wait for ever: uvicorn's protocol with deadlines for what a client has to do.

uvicorn closes connections on which nothing comes between two requests. A client that sends a header or a body byte by
byte, or does not read, keeps its connection there; and no application sees it before the header is whole. Fields behind
a chunked body (trailers) are not merged into the header (RFC 9110, section 6.5.1), where uvicorn's parser puts them.
"""

import asyncio
import json
from enum import Enum
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from policykit.serving.errors import Refused
from policykit.serving.waits import MAX_HEAD_BYTES, Waits

BODY_GRACE_S = 5.0
"""So much later than the guard, which answers that a body is late, the connection is cut."""


NO_HTTP = Refused(
    400,
    "policykit_http_refused",
    "these bytes are no HTTP/1.1 request that everybody reads in the same way: send one in plain HTTP/1.1, with one "
    "length of its body and no control characters in its header",
)
LATE_HEAD = Refused(408, "policykit_head_refused", "the header did not arrive in time")
LARGE_HEAD = Refused(431, "policykit_head_refused", f"the header has more than {MAX_HEAD_BYTES} bytes")


class Phase(Enum):
    """What a client has to do."""

    CONNECT = "connect"  # begin its first request
    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"  # it waits for an answer, or may begin a request: for that uvicorn has a deadline


class Connection(HttpToolsProtocol):
    """Made for :func:`connections`, which says how long it waits."""

    waits: ClassVar[Waits] = Waits()
    _phase = Phase.NOTHING
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _n_head_bytes = 0
    _is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._begin(Phase.CONNECT, self.waits.head_s)

    def data_received(self, data: bytes) -> None:
        if self._is_last:
            return
        super().data_received(data)
        if self._phase is Phase.HEAD:
            self._n_head_bytes += len(data)
            if self._n_head_bytes > MAX_HEAD_BYTES:
                self._end(LARGE_HEAD)

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read is explained; where an answer is on its way, it would be read as that one."""
        cycle: Any = self.cycle
        is_its_body = self._phase is Phase.BODY and not self.pipeline
        is_free = cycle is None or cycle.response_complete or (is_its_body and not cycle.response_started)
        self._end(NO_HTTP if is_free else None)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._n_head_bytes = 0
        self._begin(Phase.HEAD, self.waits.head_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        parser: Any = self.parser
        if parser.should_upgrade():
            self._end_with_this()
        seconds = None if self.pipeline else self.waits.body_s + BODY_GRACE_S  # of one in a queue nothing is read
        self._begin(Phase.BODY, seconds)

    def _end_with_this(self) -> None:
        """The parser reads no body behind an `Upgrade`: it would be read as the next request, whatever a proxy before
        this server has taken it for."""
        cycle: Any = self.cycle
        if cycle is not None and cycle.scope is self.scope:  # else it has become a websocket
            self._is_last = True
            cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begin(Phase.NOTHING, None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is Phase.BODY and self._deadline is None and not self.pipeline:
            self._begin(Phase.BODY, self.waits.body_s + BODY_GRACE_S)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_later()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.waits.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _begin(self, phase: Phase, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._phase = phase
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        """A header that is late is told so, where no other answer is on its way."""
        cycle: Any = self.cycle
        is_free = cycle is None or cycle.response_complete
        self._end(LATE_HEAD if self._phase is Phase.HEAD and is_free else None)

    def _end(self, refused: Refused | None) -> None:
        if self.transport.is_closing():
            return
        if refused is None:
            self.transport.abort()
            return
        body, status = json.dumps(refused.body()).encode(), HTTPStatus(refused.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
        self._cut_later()

    def _cut_later(self) -> None:
        """Closing waits until everything is read: not for ever."""
        if self._unread is None:
            self._unread = self.loop.call_later(self.waits.read_s, self.transport.abort)


def connections(waits: Waits) -> type[Connection]:
    """The protocol for `uvicorn.Config(http=…)`."""
    return type("Connection", (Connection,), {"waits": waits})
