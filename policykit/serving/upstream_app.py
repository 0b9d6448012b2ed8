"""An upstream in the same process: an ASGI application, such as the server that the guard is a middleware of."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from policykit.serving.errors import UpstreamFault
from policykit.serving.upstream import Kind, UpstreamRequest, UpstreamResponse

Message = MutableMapping[str, Any]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]

N_WAITING = 64
"""Messages of the application that wait to be read before it has to wait itself."""

GRACE_S = 5.0
"""How long an application may take to notice that nobody listens any more, before it is cancelled."""


class AppUpstream:
    """Calls ``app`` as a server would. ``headers`` are sent with every request (such as the application's own key);
    ``extra`` is put into the scope, where an application expects more there."""

    def __init__(
        self,
        app: App,
        *,
        kind: Kind = Kind.PLAIN,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self._app = app
        self._kind = kind
        self._headers = headers or {}
        self._extra = extra or {}

    @property
    def kind(self) -> Kind:
        return self._kind

    @asynccontextmanager
    async def send(self, request: UpstreamRequest) -> AsyncGenerator[UpstreamResponse]:
        call = _Call(request.body)
        scope = self._scope(request)
        task = asyncio.create_task(call.run(self._app, scope))
        try:
            start = await call.next()
            if start is None or start["type"] != "http.response.start":
                raise broken(call.error)
            headers = {
                bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
                for name, value in start.get("headers", ())
            }
            yield UpstreamResponse(start["status"], headers, call.pieces())
        finally:
            await call.let_go(task)

    def _scope(self, request: UpstreamRequest) -> dict[str, Any]:
        headers = {"host": "upstream", **self._headers, **request.headers, "content-length": str(len(request.body))}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode("ascii"),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": None,
            "server": None,
            "state": {},
            **self._extra,
        }

    async def aclose(self) -> None:
        """The application is its server's to close."""


class _Call:
    """One request to the application."""

    def __init__(self, body: bytes) -> None:
        self.error: BaseException | None = None
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._sent: asyncio.Queue[Message | None] = asyncio.Queue(N_WAITING)

    async def run(self, app: App, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:
            self.error = error
        finally:
            if not self._gone.is_set():
                await self._sent.put(None)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._gone.is_set():
            await self._sent.put(message)

    async def next(self) -> Message | None:
        """The application's next message; None after its last."""
        return await self._sent.get()

    async def pieces(self) -> AsyncIterator[bytes]:
        while (message := await self.next()) is not None:
            if body := message.get("body"):
                yield bytes(body)
            if not message.get("more_body", False):
                return
        raise broken(self.error)

    async def let_go(self, task: "asyncio.Task[None]") -> None:
        self._gone.set()
        while not self._sent.empty():  # so that an application that waits to send goes on, and sees that nobody listens
            self._sent.get_nowait()
        _, running = await asyncio.wait({task}, timeout=0 if task.done() else GRACE_S)
        if running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def broken(error: BaseException | None) -> UpstreamFault:
    why = f": {type(error).__name__}" if error else ""
    return UpstreamFault("policykit_upstream_unreachable", f"the upstream's answer ended early{why}")
