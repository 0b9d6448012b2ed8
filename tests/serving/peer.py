"""A server that speaks OpenAI's API and says what a test tells it to: the peer on the other side of the guard."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Say:
    """What is answered to one request. ``choices`` are the contents; ``cuts`` says at how many characters a piece ends.

    ``finishes`` are those of choices that end otherwise. ``reasoning``, ``refusal`` and ``calls`` (name, arguments) go
    with every choice. ``raw`` is sent as it is, in place of everything else. ``status`` other than 200 is an
    error. ``stall_s`` waits before every piece.
    """

    choices: tuple[str | None, ...] = ("",)
    finish: str = "stop"
    finishes: dict[int, str] = field(default_factory=dict)
    reasoning: str | None = None
    refusal: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    cut: int = 3
    status: int = 200
    raw: bytes | None = None
    raw_type: str | None = None
    stall_s: float = 0.0
    usage: tuple[int, int] | None = (7, 11)
    extra: Json = field(default_factory=dict)
    break_after: int | None = None
    byte_cuts: tuple[int, ...] | None = None


@dataclass
class Peer:
    """An ASGI application. ``answer`` is asked for every request; requests are kept as they came."""

    answer: Callable[[Json], Say] = lambda body: Say(("Hello.",) * body.get("n", 1))
    requests: list[tuple[str, Json, dict[str, str]]] = field(default_factory=list)
    running: int = 0
    cancelled: int = 0

    @property
    def bodies(self) -> list[Json]:
        return [body for _, body, _ in self.requests]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        data = b""
        while True:
            message = await receive()
            data += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(data)
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        self.requests.append((scope["path"], body, headers))
        self.running += 1
        work = asyncio.create_task(self._answer(scope["path"], body, send))
        gone = asyncio.create_task(receive())
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        self.running -= 1
        gone.cancel()
        if not work.done():
            self.cancelled += 1
            work.cancel()
        else:
            work.result()

    async def _answer(self, path: str, body: Json, send: Any) -> None:
        say = self.answer(body)
        if say.status != 200:
            await _send(send, say.status, "application/json", [say.raw or b'{"error": {"message": "no"}}'])
            return
        stream = body.get("stream", False)
        kind = say.raw_type or ("text/event-stream" if stream else "application/json")
        if say.raw is not None:
            pieces = [say.raw]
        elif stream:
            pieces = list(_events(path, say))
        else:
            pieces = [json.dumps(whole(path, say)).encode()]
        if say.byte_cuts is not None:
            joined, at = b"".join(pieces), 0
            ends = [*sorted(c % (len(joined) + 1) for c in say.byte_cuts), len(joined)]
            pieces = [joined[a:b] for a, b in zip([at, *ends], ends, strict=False)]
        await _send(send, 200, kind, pieces, say.stall_s, say.break_after)


async def _send(
    send: Any, status: int, kind: str, pieces: list[bytes], stall_s: float = 0.0, break_after: int | None = None
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
    for at, piece in enumerate(pieces):
        if stall_s:
            await asyncio.sleep(stall_s)
        if break_after is not None and at >= break_after:
            raise ConnectionAbortedError("the test breaks the connection here")
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _message(say: Say, content: str | None) -> Json:
    message: Json = {"role": "assistant", "content": content}
    if say.reasoning is not None:
        message["reasoning_content"] = say.reasoning
    if say.refusal is not None:
        message["refusal"] = say.refusal
    if say.calls:
        message["tool_calls"] = [
            {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for at, (name, arguments) in enumerate(say.calls)
        ]
    return message


def whole(path: str, say: Say) -> Json:
    chat = path.endswith("/chat/completions")
    choices = [
        {
            "index": at,
            "finish_reason": say.finishes.get(at, say.finish),
            **({"message": _message(say, text)} if chat else {"text": text}),
        }
        for at, text in enumerate(say.choices)
    ]
    answer: Json = {"id": "up", "object": "x", "created": 1, "model": "m", "choices": choices, **say.extra}
    if say.usage:
        answer["usage"] = {"prompt_tokens": say.usage[0], "completion_tokens": say.usage[1]}
    return answer


def _chunk(choices: list[Json], **more: Any) -> bytes:
    body = {"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def _events(path: str, say: Say) -> Any:
    chat = path.endswith("/chat/completions")
    for at, text in enumerate(say.choices):
        for delta in _deltas(say, text) if chat else [{"content": piece} for piece in _pieces(text or "", say.cut)]:
            entry: Json = {"index": at, "finish_reason": None}
            yield _chunk([{**entry, **({"delta": delta} if chat else {"text": delta["content"]})}], **say.extra)
        end: Json = {"index": at, "finish_reason": say.finishes.get(at, say.finish)}
        yield _chunk([{**end, **({"delta": {}} if chat else {"text": ""})}])
    if say.usage:
        yield _chunk([], usage={"prompt_tokens": say.usage[0], "completion_tokens": say.usage[1]})
    yield b"data: [DONE]\n\n"


def _deltas(say: Say, content: str | None) -> Any:
    yield {"role": "assistant", "content": ""}
    for name, text in (("reasoning_content", say.reasoning), ("content", content), ("refusal", say.refusal)):
        for piece in _pieces(text or "", say.cut):
            yield {name: piece}
    for at, (name, arguments) in enumerate(say.calls):
        yield {
            "tool_calls": [
                {"index": at, "id": f"c{at}", "type": "function", "function": {"name": name, "arguments": ""}}
            ]
        }
        for piece in _pieces(arguments, say.cut):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}


def _pieces(text: str, cut: int) -> list[str]:
    return [text[at : at + cut] for at in range(0, len(text), cut)]
