"""The ASGI application: `/v1/models`, `/v1/chat/completions` and `/v1/completions`, streamed or whole."""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from policykit.constraint import Constraint
from policykit.diagnostics import PolicyError
from policykit.engines.attest import Failed, Finished, Malformed, MaskRequest, Reply, Started
from policykit.engines.prompts import check_continued
from policykit.engines.server.asks import Ask, BadRequest, read
from policykit.engines.server.batch import End, Row
from policykit.engines.server.engine import Busy, Engine
from policykit.engines.server.shapes import Shape, Tokens, error_body, models_body
from policykit.engines.server.texts import Texts
from policykit.engines.vllm import refusals
from policykit.engines.written import Written

MAX_BODY = 16 << 20
UNKNOWN = "policykit_engine"
"""The code of what has failed in the engine itself."""
_LOG = logging.getLogger("policykit.engines.server")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of one choice, or its end (or what went wrong instead)."""

    choice: int
    text: str = ""
    end: End | None = None
    stop: str | None = None
    n_tokens: int = 0
    error: Exception | None = None
    tokens: Tokens | None = None


class EngineApp:
    """Serves an engine. A request without a plan is refused; a mask that cannot be made is told to the guard."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"this server answers HTTP only, not `{scope['type']}`")
        try:
            await self._answer(scope, receive, send)
        except BadRequest as bad:
            await _json(send, bad.status, error_body(bad.message, bad.param, bad.kind))
        except Busy:
            await _json(send, 503, error_body("too many requests wait", None, "server_error"))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"], scope["path"]:
            case "GET", "/v1/models":
                await _json(send, 200, models_body(self.engine.name))
            case "GET", "/health":
                await _json(send, 200 if self.engine.alive else 503, {})
            case "POST", "/v1/chat/completions" | "/v1/completions":
                is_chat = scope["path"] == "/v1/chat/completions"
                ask = read(await _body(receive), chat=is_chat)
                await self._complete(ask, Shape(is_chat, self.engine.name, f"cmpl-{uuid.uuid4().hex}"), receive, send)
            case _:
                raise BadRequest("there is no such route", status=404)

    async def _complete(self, ask: Ask, shape: Shape, receive: Receive, send: Send) -> None:
        if ask.model != self.engine.name:
            raise BadRequest(f"there is no model `{ask.model}`", "model", 404)
        if ask.mask is None:
            raise BadRequest("the request names no plan, and nothing is written without one", "vllm_xargs")
        ids = await self._prompt_ids(ask, ask.mask)
        if len(ids) >= self.engine.max_length:
            raise BadRequest(f"the prompt has {len(ids)} tokens, the model takes fewer than {self.engine.max_length}")
        constraint = await self._constraint(ask.mask)
        writing = _Writing(self.engine, ask, ask.mask, constraint, ids)
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.to_thread(writing.begin)
            if ask.stream:
                await _stream(send, writing, shape, ask, len(ids), gone)
            else:
                await _whole(send, writing, shape, ask, len(ids), gone)
        finally:
            writing.cancel()
            gone.cancel()

    async def _prompt_ids(self, ask: Ask, mask: MaskRequest) -> list[int]:
        """The prompt, which ends with what the mask begins with, where it says so."""
        if ask.prompt_ids is not None:
            if max(ask.prompt_ids) >= self.engine.vocabulary.size or mask.begun > len(ask.prompt_ids):
                raise BadRequest("the vocabulary has no such tokens", "prompt")
            return list(ask.prompt_ids)
        try:
            ids = await asyncio.to_thread(self.engine.prompt_ids, ask.messages, ask.prompt, continues=ask.continues)
            if mask.continues:
                check_continued((mask.prefix or "").encode(), ids, self.engine.vocabulary)
        except (PolicyError, ValueError) as error:
            if not ask.continues:
                raise
            Reply.to(self.engine.run, mask.reply).send(Failed(mask.request, "", "PK748", str(error)))
            raise BadRequest(str(error), "continue_final_message") from error
        return ids

    async def _constraint(self, mask: MaskRequest) -> Constraint:
        """Raises BadRequest: a 400 where the plan has a grammar that there is no mask for."""
        try:
            return await asyncio.to_thread(self.engine.constraint, mask.plan)
        except (PolicyError, Malformed) as error:
            code = error.diagnostics[0].code if isinstance(error, PolicyError) else ""
            is_grammar = code.startswith("PK2")
            reply = Reply.to(self.engine.run, mask.reply)
            reply.send(Failed(mask.request, "", code if is_grammar else "policykit_plan", str(error)))
            status = 400 if is_grammar else 500
            raise BadRequest(f"there is no mask for the request: {error}", "vllm_xargs", status) from error


class _Writing:
    """The rows of one request, and the pieces that come from them."""

    def __init__(self, engine: Engine, ask: Ask, mask: MaskRequest, constraint: Constraint, ids: list[int]) -> None:
        self._engine, self._ask, self._mask, self._constraint, self._ids = engine, ask, mask, constraint, ids
        self._reply = Reply.to(engine.run, mask.reply)
        self._loop = asyncio.get_running_loop()
        self._is_cancelled = False
        self.pieces: asyncio.Queue[Piece] = asyncio.Queue()

    def begin(self) -> None:
        """Put all masks in their places, in this thread, and submit the rows that have one. Raises Busy, with rows that
        were submitted before to be cancelled; and BadRequest where none has a mask."""
        rows = [self._row(choice) for choice in range(self._ask.n)]
        ready: list[Row] = []
        for row in rows:
            try:
                self._engine.start(row, self._mask.payer, self._mask.own_grammar)
                ready.append(row)
            except Exception as error:
                row.on_error(error)
                if not ready and row is rows[-1]:
                    raise _failure(error) from error
        for row in ready:
            self._engine.submit(row)

    def cancel(self) -> None:
        self._is_cancelled = True

    def _row(self, choice: int) -> Row:
        ask, mask, texts = self._ask, self._mask, Texts(self._ask.stop)
        child = f"{choice}_{mask.request}"
        prefix = mask.prefix if mask.prefix is not None else ask.prompt or ""
        told = 0
        prefix = prefix.encode("utf-8", "replace").decode("utf-8")
        vocabulary = self._constraint.vocabulary

        def tokens() -> Tokens | None:
            """Those that were not told before."""
            nonlocal told
            if not ask.tells_tokens:
                return None
            at, told = told, row.n_tokens
            prompt = None if at else tuple(self._ids)
            return Tokens(tuple(row.token_ids[at:]), tuple(row.logps[at:]), prompt)

        def on_token(token: int) -> bool:
            shown = texts.feed(vocabulary.decode([token]))
            if shown or ask.tells_tokens:
                self._put(Piece(choice, shown, tokens=tokens()))
            return texts.stopped is None and not self._is_cancelled

        def on_end(row: Row, end: End) -> None:
            is_dead = end is End.DEAD_END
            digest = self._constraint.digest
            if mask.replay:
                written = Written.of(digest, vocabulary, prefix, row.in_grammar, row.token_ids)
                for part in written.parts(mask.request, child):
                    self._reply.send(part)
            self._reply.send(Finished(mask.request, child, digest, row.steps, row.n_tokens, is_dead, row.closed))
            self._put(Piece(choice, texts.close(), end, texts.stopped, row.n_tokens, tokens=tokens()))

        def on_start() -> None:
            self._reply.send(Started(mask.request, child, mask.plan, self._constraint.digest))

        def on_error(error: Exception) -> None:
            _LOG.error("a text could not be written: %s", error)
            is_ours = isinstance(error, PolicyError)
            code, why = (error.diagnostics[0].code, str(error)) if is_ours else (UNKNOWN, type(error).__name__)
            self._reply.send(Failed(mask.request, child, code, why))
            self._put(Piece(choice, error=error, n_tokens=row.n_tokens))

        row = Row(
            prompt_ids=self._ids,
            constraint=self._constraint,
            prefix=prefix.encode(),
            in_grammar=mask.in_grammar,
            max_tokens=min(ask.max_tokens, self._engine.max_length - len(self._ids)),
            temperature=ask.temperature,
            top_p=ask.top_p or 1.0,
            seed=None if ask.seed is None else ask.seed + choice,
            on_token=on_token,
            on_end=on_end,
            on_error=on_error,
            on_start=on_start,
            begun=tuple(self._ids[len(self._ids) - mask.begun :]) if mask.begun else (),
            is_attempt=mask.attempt,
            not_first=frozenset(mask.not_first),
        )
        return row

    def _put(self, piece: Piece) -> None:
        if not self._is_cancelled:
            self._loop.call_soon_threadsafe(self.pieces.put_nowait, piece)


def _failure(error: Exception) -> BadRequest:
    """Why no choice has an answer: a 400 where what was asked for is to blame."""
    said = refusals.render(error)
    if said.startswith(refusals.REFUSED):
        return BadRequest(said.removeprefix(refusals.REFUSED))
    return BadRequest("the text could not be written", status=500)


@dataclass(slots=True)
class _Failures:
    """Choices that fail alone: their ends have names, unless all fail, and of a stream before one has any text."""

    n: int
    is_streamed: bool
    errors: list[Exception] = field(default_factory=list[Exception])
    is_begun: bool = False
    held: list[Piece] = field(default_factory=list[Piece])

    def read(self, piece: Piece) -> list[Piece]:
        """What is to be told now. Raises BadRequest where there is no answer."""
        if piece.error is not None:
            self.errors.append(piece.error)
            if len(self.errors) == self.n and not (self.n > 1 and self.is_streamed and self.is_begun):
                raise _failure(self.errors[0]) from piece.error
            piece = replace(piece, end=End.FAILED, stop=refusals.render(piece.error), error=None)
        else:
            self.is_begun = True
        self.held.append(piece)
        if not self.is_begun:
            return []
        told, self.held = self.held, []
        return told


async def _next(writing: _Writing, gone: "asyncio.Task[None]") -> Piece | None:
    """The next piece; None where the client has gone."""
    coming = asyncio.create_task(writing.pieces.get())
    await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
    if coming.done():
        return coming.result()
    coming.cancel()
    return None


async def _whole(
    send: Send, writing: _Writing, shape: Shape, ask: Ask, n_prompt: int, gone: "asyncio.Task[None]"
) -> None:
    texts, ends = [""] * ask.n, dict[int, Piece]()
    tokens: dict[int, list[Tokens]] = {}
    failures = _Failures(ask.n, is_streamed=False)
    while len(ends) < ask.n:
        coming = await _next(writing, gone)
        if coming is None:
            return
        for piece in failures.read(coming):
            texts[piece.choice] += piece.text
            if piece.tokens is not None:
                tokens.setdefault(piece.choice, []).append(piece.tokens)
            if piece.end is not None:
                ends[piece.choice] = piece
    done = [(ends[i].end or End.STOP, ends[i].stop) for i in range(ask.n)]
    n_written = sum(piece.n_tokens for piece in ends.values())
    together = [_together(tokens[i]) if i in tokens else Tokens((), ()) for i in range(ask.n)] if tokens else []
    await _json(send, 200, shape.whole(texts, done, n_prompt, n_written, together))


def _together(pieces: list[Tokens]) -> Tokens:
    token_ids = tuple(token for piece in pieces for token in piece.token_ids)
    return Tokens(token_ids, tuple(logp for piece in pieces for logp in piece.logps), pieces[0].prompt_ids)


async def _stream(
    send: Send, writing: _Writing, shape: Shape, ask: Ask, n_prompt: int, gone: "asyncio.Task[None]"
) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    n_ended = n_written = 0
    failures, is_begun = _Failures(ask.n, is_streamed=True), False
    while n_ended < ask.n:
        coming = await _next(writing, gone)
        if coming is None:
            return
        try:
            told = failures.read(coming)
        except BadRequest as bad:
            if not is_begun:
                raise
            await _event(send, error_body(bad.message, bad.param, bad.kind))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if told and not is_begun:
            is_begun = True
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in told:
            tokens = piece.tokens
            if piece.text or (tokens and piece.end is None):
                await _event(send, shape.delta(piece.choice, piece.text, None if piece.end else tokens))
            if piece.end is not None:
                n_ended, n_written = n_ended + 1, n_written + piece.n_tokens
                await _event(send, shape.end(piece.choice, piece.end, piece.stop, tokens))
    if ask.include_usage:
        await _event(send, shape.usage_chunk(n_prompt, n_written))
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


async def _event(send: Send, data: object) -> None:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    await send({"type": "http.response.body", "body": f"data: {text}\n\n".encode(), "more_body": True})


async def _json(send: Send, status: int, data: object) -> None:
    body = json.dumps(data, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("the request ended early")
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise BadRequest("the body is too large", status=413)
        if not message.get("more_body", False):
            return bytes(body)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
