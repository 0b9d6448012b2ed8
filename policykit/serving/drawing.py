"""Draws over an upstream, for strategies that go back: token ids out, token ids in, and nothing of it is shown here.

An attempt is one request for a text of its own: the prompt and the kept beginning as token ids, without the mask. The
engine attests that it follows the text by the plan and ends behind a refused token; an upstream without our backend is
followed here, and let go of there. Strategies run in a thread; their draws are awaited on the guard's event loop.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import Any, cast

import numpy as np

from policykit.constraint import Constraint, State, Vocabulary
from policykit.decoding import Ask, Draw, Ending, Stop
from policykit.decoding.engine import Session
from policykit.decoding.run import Exhausted
from policykit.decoding.steps import state_after, take
from policykit.engines.attest import WHOLE
from policykit.engines.vllm.plans import Constraints
from policykit.engines.vllm.sampling import drawn
from policykit.plan import Plan
from policykit.serving import sse
from policykit.serving.asking import Asking, check_status
from policykit.serving.attestation import FreeDraw
from policykit.serving.errors import UpstreamFault
from policykit.serving.hooks import AttemptDone
from policykit.serving.judging import Failed
from policykit.serving.plain_drawing import BAN
from policykit.serving.rewrite import salt_of
from policykit.serving.routes.shape import dumps
from policykit.serving.upstream import Kind, UpstreamRequest, UpstreamResponse
from policykit.serving.wire import Usage

COMPLETIONS = "/v1/completions"
OTHER_SEED = 0x2545F491
"""What the seed of a text's second request differs by: with the same one, two tokens would be drawn by one number."""
Progress = Callable[[tuple[int, ...]], Awaitable[None]]
"""Told of a text while it is drawn: its tokens so far, the kept ones included."""


@dataclass(frozen=True)
class Drawing:
    """An upstream that draws attempts; ``load`` gives the vocabulary that it draws from. ``is_plain``: it has not our
    backend, and shows the model's own log-probabilities (`policykit.serving.plain_drawing`)."""

    load: Callable[[], Vocabulary]
    is_plain: bool = False

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return self.load()

    @cached_property
    def _constraints(self) -> Constraints:
        return Constraints(self.vocabulary)

    def constraint(self, plan: Plan) -> Constraint:
        """Slow at first."""
        return self._constraints.of(plan)


@dataclass(frozen=True)
class Begun:
    """A constraint behind text that stands before the output."""

    constraint: Constraint
    prefix: bytes

    def start(self) -> State:
        return self.constraint.start(self.prefix)


class Over(Exception):
    """Nobody waits for the text any more."""


@dataclass(frozen=True, slots=True)
class Read:
    """What an upstream has drawn."""

    token_ids: tuple[int, ...]
    logps: tuple[float, ...]
    finish: str | None = None


@dataclass
class Followed:
    """A text that is followed while it arrives."""

    state: State
    n_taken: int = 0
    is_over: bool = False

    def read(self, token_ids: Sequence[int]) -> bool:
        """Whether nothing behind these tokens is of use: one of them was refused, or ended the text."""
        for token in token_ids[self.n_taken :]:
            self.is_over = self.is_over or not take(self.state, token) or self.state.finished
            self.n_taken += 1
        return self.is_over


@dataclass
class Draws:
    """The draws of one choice, and the engine that strategies see."""

    asking: Asking
    constraint: Constraint
    prompt: tuple[int, ...]
    choice: int
    loop: asyncio.AbstractEventLoop
    progress: Progress | None = None
    is_plain: bool = False
    sees_distributions: bool = False
    left: Callable[[], float | None] = lambda: None
    """Seconds after which a draw is let go of, and with it the sampling; None while there is no such limit. May raise
    Exhausted."""
    n_prefilled: int = 0
    n_requests: int = 0
    _running: "Future[Draw] | None" = None
    _is_over: bool = False
    _begun: Begun = field(init=False)

    def __post_init__(self) -> None:
        self._begun = Begun(self.constraint, (self.asking.ask.begun or "").encode("utf-8", "replace"))

    @property
    def vocabulary(self) -> Vocabulary:
        return self.constraint.vocabulary

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> Session:
        return self

    def check(self) -> None:
        """Raises Over where nobody waits any more."""
        if self._is_over:
            raise Over

    def over(self) -> None:
        """Let go of what is drawn now; the next draw is none. Called on the event loop."""
        self._is_over = True
        if self._running is not None:
            self._running.cancel()

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        """Called in the strategy's thread."""
        return tuple(self._one(ask, int(rng.integers(1 << 31))) for ask in asks)

    def _one(self, ask: Ask, seed: int) -> Draw:
        self.check()
        if len(ask.prefix) >= ask.max_length:
            return Draw((), (), None, Stop.LENGTH)
        self._running = asyncio.run_coroutine_threadsafe(self._in_time(ask, seed), self.loop)
        return self._running.result()

    async def _in_time(self, ask: Ask, seed: int) -> Draw:
        left = self.left()
        if left is not None and left <= 0:
            raise Exhausted(Ending.OUT_OF_TIME)
        limit = asyncio.timeout(left)
        try:
            async with limit:
                return await self._ask(ask, seed)
        except TimeoutError:
            if limit.expired():
                raise Exhausted(Ending.OUT_OF_TIME) from None
            raise

    async def _ask(self, ask: Ask, seed: int) -> Draw:
        """A ban holds for the first token only: a plain upstream, whose bans hold everywhere, is asked for it alone."""
        if not (self.is_plain and ask.not_first):
            return await self._drawn(ask, seed)
        first = await self._drawn(replace(ask, max_length=len(ask.prefix) + 1), seed)
        if first.stop is not Stop.LENGTH or len(ask.prefix) + 1 >= ask.max_length:
            return first
        behind = replace(ask, prefix=(*ask.prefix, *first.token_ids), not_first=frozenset())
        rest = await self._drawn(behind, seed ^ OTHER_SEED)
        logps = (*(first.logps or ()), *(rest.logps or ()))
        return replace(rest, token_ids=first.token_ids + rest.token_ids, logps=logps)

    async def _drawn(self, ask: Ask, seed: int) -> Draw:
        self.n_requests += 1
        asking, is_streamed = self.asking, self.is_plain or self.progress is not None
        body: dict[str, Any] = {
            "prompt": [*self.prompt, *ask.prefix],
            "max_tokens": ask.max_length - len(ask.prefix),
            "seed": seed,
            "stream": is_streamed,
            "logprobs": 0,
            **settings_of(asking),
        }
        if self.is_plain:
            ask = replace(ask, explored=0.0)  # what it shows is the model's own, before bans
            body["logit_bias"] = {str(token): BAN for token in sorted(ask.not_first)}
        free = FreeDraw(len(ask.prefix), tuple(sorted(ask.not_first)))
        followed = Followed(state_after(self._begun, ask.prefix)) if self.is_plain else None
        read = Read((), ())
        why: str | None = "cancelled"
        began = time.monotonic()
        number = asking.budget.made = asking.budget.made + 1
        try:
            async with sent(asking, f"{self.choice}-{number}", COMPLETIONS, body, free) as (response, started):
                if not is_streamed:
                    read = _whole(await _json(response, asking.reading))
                    await started()
                else:
                    async with aclosing(_pieces(response, asking.reading)) as pieces:
                        async for read in pieces:
                            await started()
                            if self.progress is not None:
                                await self.progress((*ask.prefix, *_legal(read.token_ids, followed)))
                            if followed is not None and followed.read(read.token_ids):
                                break
            if followed is not None:
                _check_end(read, self.vocabulary)
            draw = await asyncio.to_thread(drawn, ask, read.token_ids, read.logps, self._begun)
            why = ", ".join(draw.refused_by) or None
            if why:
                asking.last_failed = Failed(f"refused: {why}", None, final=False)
            return draw
        except UpstreamFault as fault:
            why = fault.code
            raise
        finally:
            usage = Usage(len(self.prompt) + len(ask.prefix), len(read.token_ids))
            asking.exchange.account.cost += asking.budget.charge(usage)
            done = AttemptDone(number, time.monotonic() - began, why, usage.input_tokens, usage.output_tokens)
            asking.exchange.attempted(done)


def _legal(token_ids: tuple[int, ...], followed: Followed | None) -> tuple[int, ...]:
    """What of a text may be shown: not a token that was refused, nor what came behind it."""
    if followed is None:
        return token_ids
    n = followed.n_taken
    return token_ids[:n] if followed.read(token_ids) else token_ids


def _check_end(read: Read, vocabulary: Vocabulary) -> None:
    """Raises UpstreamFault where a text has ended at what the tokenizer does not know as its end."""
    if read.finish == "stop" and (not read.token_ids or read.token_ids[-1] not in vocabulary.eos_ids):
        raise _malformed("a text ends without the tokenizer's end of text")


async def prompt_of(asking: Asking) -> tuple[int, ...]:
    """The prompt's token ids, as the upstream makes them of the request: it is asked for one token, which is not used.

    Raises UpstreamFault.
    """
    body = asking.sent.body(asking.ask, asking.profile, asking.settings, 1, 1)
    body |= {"stream": False, **settings_of(asking)}
    body.pop("stream_options", None)
    async with sent(asking, "prompt", asking.sent.api.value, body, FreeDraw()) as (response, started):
        data = await _json(response, asking.reading)
        await started()
    choice = _choice(data)
    found = data.get("prompt_token_ids", choice.get("prompt_token_ids") if choice else None)
    ids = _ints(found)
    if not ids:
        raise _malformed("it does not say the prompt's tokens")
    return ids


def settings_of(asking: Asking) -> dict[str, Any]:
    """What every draw is asked with."""
    return {
        "model": asking.sent.model,
        "temperature": asking.settings.temperature,
        "top_p": asking.settings.top_p,
        "n": 1,
        "return_token_ids": True,
        "cache_salt": salt_of(asking.sent.tenant),
        **WHOLE,
    }


Sending = tuple[UpstreamResponse, Callable[[], Awaitable[str]]]


@asynccontextmanager
async def sent(asking: Asking, name: str, path: str, body: dict[str, Any], free: FreeDraw) -> AsyncGenerator[Sending]:
    """One request to the upstream, with what waits for the engine's word that it follows the plan. Raises
    UpstreamFault."""
    if asking.upstream.kind is Kind.PLAIN:
        async with _asked(asking, path, body) as response:
            yield response, _nothing_stands
        return
    if asking.attestor is None:
        raise UpstreamFault("policykit_mask_not_attested", "nobody listens for the engine's attestation", 503)
    told = (f"{asking.envelope.id}-{name}", asking.judge.plan, 1, asking.ask.begun or "")
    continues = asking.ask.continues and not free.begun and path != COMPLETIONS
    async with asking.attestor.expect(*told, continues=continues, attempt=free, **asking.payer) as attested:
        body["vllm_xargs"] = dict(attested.xargs)
        try:
            async with _asked(asking, path, body) as response:
                yield response, attested.started
        except UpstreamFault:
            await attested.explain()
            raise


async def _nothing_stands() -> str:
    return ""


@asynccontextmanager
async def _asked(asking: Asking, path: str, body: dict[str, Any]) -> AsyncGenerator[UpstreamResponse]:
    is_streamed = bool(body["stream"])
    accept = "text/event-stream" if is_streamed else "application/json"
    headers = {"content-type": "application/json", "accept": accept, **dict(asking.exchange.about.headers)}
    async with asking.upstream.send(UpstreamRequest("POST", path, dumps(body), headers)) as response:
        await check_status(response, is_streamed, body)
        yield response


async def _json(response: UpstreamResponse, limits: sse.Limits) -> Mapping[str, object]:
    data = bytearray()
    async for piece in response.body:
        data += piece
        if len(data) > limits.total_bytes:
            raise sse.too_large(limits.total_bytes)
    return _object(bytes(data))


async def _pieces(response: UpstreamResponse, limits: sse.Limits) -> AsyncGenerator[Read]:
    """Everything that has come so far, with each piece."""
    token_ids: list[int] = []
    logps: list[float] = []
    finish: str | None = None
    async for events in sse.events_of(response.body, limits):
        for event in events:
            if event == b"[DONE]":
                yield Read(tuple(token_ids), tuple(logps), finish)  # what came in one packet with the end
                return
            piece = _whole(_object(event))
            token_ids += piece.token_ids
            logps += piece.logps
            finish = piece.finish or finish
        yield Read(tuple(token_ids), tuple(logps), finish)
    raise _malformed("it ended early")


def _object(data: bytes) -> Mapping[str, object]:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _malformed("it is no object")
    if "error" in found:
        raise UpstreamFault("policykit_upstream_failed", "the upstream failed while it answered")
    return cast(dict[str, object], found)


def _choice(data: Mapping[str, object]) -> Mapping[str, object] | None:
    choices = data.get("choices")
    first: object = cast(list[object], choices)[0] if isinstance(choices, list) and choices else None
    return cast(dict[str, object], first) if isinstance(first, dict) else None


def _whole(data: Mapping[str, object]) -> Read:
    """The tokens of an answer, or of a piece of one. Raises UpstreamFault where it does not say them."""
    choice = _choice(data)
    if choice is None:
        return Read((), ())  # a word about usage
    ids, told = _ints(choice.get("token_ids")), choice.get("logprobs")
    logps = cast(dict[str, object], told).get("token_logprobs") if isinstance(told, dict) else None
    numbers = cast(list[object], logps) if isinstance(logps, list) else []
    if len(numbers) != len(ids) or not all(isinstance(one, float | int) and isfinite(one) for one in numbers):
        raise _malformed("it does not say how likely its tokens were")
    finish = choice.get("finish_reason")
    return Read(ids, tuple(cast(list[float], numbers)), finish if isinstance(finish, str) else None)


def _ints(value: object) -> tuple[int, ...]:
    ids = cast(list[object], value) if isinstance(value, list) else []
    if not all(isinstance(one, int) and one >= 0 for one in ids):
        raise _malformed("its tokens are no numbers")
    return tuple(cast(list[int], ids))


def _malformed(why: str) -> UpstreamFault:
    return UpstreamFault("policykit_upstream_malformed", f"the upstream's answer is none: {why}")
