"""Asking the upstream, once or again: within attempts, cost and time, and with every answer accounted for."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from policykit.profiles import Limits, Profile
from policykit.serving import sse
from policykit.serving.apart import Apart, beside_others
from policykit.serving.attestation import Attested, Attestor, NoMask
from policykit.serving.errors import UpstreamFault
from policykit.serving.exchange import Exchange
from policykit.serving.hooks import AttemptDone
from policykit.serving.judging import Failed, Judge
from policykit.serving.messages import Ask
from policykit.serving.reasons import reason_of
from policykit.serving.reward import Reward
from policykit.serving.rewrite import Sent, Settings, payer_of
from policykit.serving.routes.shape import Envelope, Shape, dumps
from policykit.serving.upstream import Kind, Upstream, UpstreamRequest, UpstreamResponse
from policykit.serving.wire import Reader, Usage

_LOG = logging.getLogger("policykit.serving")
NO_USAGE = Usage(0, 0)
_KNOWN_REFUSALS = {400, 404, 413, 422}
_MAX_ERROR, _ERROR_SECONDS = 1 << 14, 1.0
"""What is read of an error, in bytes, and for how long."""


class Payer(TypedDict):
    """Who pays for masks, as :class:`policykit.serving.attestation.Attestor` takes it."""

    payer: str
    own_grammar: bool


@dataclass(slots=True)
class Budget:
    """What is left of attempts and cost for one request."""

    limits: Limits
    made: int = 0
    spent: float = 0.0
    of: int = 1
    """Texts that are drawn to choose from: each has the attempts of one."""
    held: float = 0.0
    """What the attempts under way may cost yet."""

    def next(self, n: int, max_tokens: int) -> int | None:
        """How many tokens each of ``n`` more choices may have; None if there is nothing left."""
        limits = self.limits
        if self.made >= limits.attempts * self.of:
            return None
        self.made += 1
        if limits.max_cost is None:
            return max_tokens
        left = limits.max_cost - self.spent - self.held
        if left <= 0:
            return None
        per_token = limits.cost(0, 1) * n
        affordable = int(left / per_token) if per_token else max_tokens
        return min(max_tokens, affordable) or None

    def has_room(self, max_tokens: int) -> bool:
        """Whether one more text may have so many tokens, all of them."""
        most = self.limits.max_cost
        return most is None or self.limits.cost(0, max_tokens) <= most - self.spent - self.held

    def charge(self, usage: Usage) -> float:
        cost = self.limits.cost(usage.input_tokens, usage.output_tokens)
        self.spent += cost
        return cost


@dataclass(slots=True)
class Attempt:
    """One request to the upstream, while it runs."""

    number: int
    n: int
    reader: Reader
    response: UpstreamResponse
    attested: Attested
    began: float
    usage: Usage = NO_USAGE
    failed: str | None = None

    def count(self, parts: int) -> None:
        """So many parts more have come: each is taken for a token, until the upstream says how many there were."""
        self.usage = Usage(self.usage.input_tokens, self.usage.output_tokens + parts)


@dataclass(slots=True)
class Asking:
    """Everything that one request is served with."""

    exchange: Exchange
    upstream: Upstream
    attestor: Attestor | None
    shape: Shape
    ask: Ask
    profile: Profile
    judge: Judge
    settings: Settings
    sent: Sent
    envelope: Envelope
    reading: sse.Limits
    budget: Budget
    last_failed: Failed | None = None
    """Why the last attempt was rejected."""
    reward: Reward | None = None
    """What chooses among several answers, where the profile wants that: nothing goes out before there is a choice."""
    apart: Apart = beside_others
    """What calls a function in a thread."""

    @property
    def payer(self) -> "Payer":
        """Whose time the masks of the request's own grammar take, or of the one that is made of its own tools."""
        return {"payer": payer_of(self.sent.tenant), "own_grammar": self.ask.brings_grammars}

    @asynccontextmanager
    async def attempt(self, slots: Sequence[int]) -> AsyncGenerator[Attempt | None]:
        """The next attempt, for these choices of the answer; None if the budget does not allow one. Raises
        UpstreamFault.

        Leaving it lets go of the upstream and accounts for the attempt, also where it is cancelled.
        """
        n = len(slots)
        max_tokens = self.budget.next(n, self.settings.max_tokens)
        if max_tokens is None:
            yield None
            return
        began, number = time.monotonic(), self.budget.made
        held = self.budget.limits.cost(0, max_tokens * n)
        self.budget.held += held
        attempt: Attempt | None = None
        failed: str | None = None
        try:
            async with self._attested(number, slots) as attested, self._sent(attested, n, max_tokens) as response:
                attempt = Attempt(number, n, Reader(self.shape.api, n), response, attested, began)
                yield attempt
        except UpstreamFault as fault:
            failed = fault.code
            raise
        except BaseException as error:
            failed = type(error).__name__
            raise
        finally:
            self.budget.held -= held
            self._account(number, began, attempt, failed)

    def _account(self, number: int, began: float, attempt: Attempt | None, failed: str | None) -> None:
        usage = attempt.usage if attempt else Usage(0, 0)
        account = self.exchange.account
        account.cost += self.budget.charge(usage)
        if attempt:
            account.dropped = tuple(sorted({*account.dropped, *attempt.reader.dropped}))
        why = (attempt.failed if attempt else None) or failed
        seconds = time.monotonic() - began
        self.exchange.attempted(AttemptDone(number, seconds, why, usage.input_tokens, usage.output_tokens))

    @asynccontextmanager
    async def _attested(self, number: int, slots: Sequence[int]) -> AsyncGenerator[Attested]:
        if self.upstream.kind is not Kind.VLLM:
            yield NoMask()
            return
        if self.attestor is None:
            raise UpstreamFault("policykit_mask_not_attested", "nobody listens for the mask's attestation", 503)
        request_id = f"{self.envelope.id}-{number}"
        told = (request_id, self.judge.plan, len(slots), self.ask.begun)
        async with self.attestor.expect(*told, continues=self.ask.continues, **self.payer) as attested:
            try:
                yield attested
            except UpstreamFault:
                await attested.explain()
                raise
            finally:  # the upstream is let go of already: what it still wrote ends now
                await attested.written()
                seen = (mask for mask in attested.seen if mask.choice < len(slots))
                self.exchange.account.masks += [
                    replace(mask, choice=slots[mask.choice], attempt=number) for mask in seen
                ]

    @asynccontextmanager
    async def _sent(self, attested: Attested, n: int, max_tokens: int) -> AsyncGenerator[UpstreamResponse]:
        ask = self.ask if self.reward is None else replace(self.ask, stream=False)
        body = self.sent.body(ask, self.profile, self.settings, n, max_tokens)
        if attested.xargs:
            body["vllm_xargs"] = dict(attested.xargs)
        accept = "text/event-stream" if ask.stream else "application/json"
        headers = {"content-type": "application/json", "accept": accept, **dict(self.exchange.about.headers)}
        request = UpstreamRequest("POST", self.sent.api.value, dumps(body), headers)
        async with self.upstream.send(request) as response:
            await check_status(response, ask.stream, body)
            yield response


async def check_status(response: UpstreamResponse, stream: bool, body: Mapping[str, object]) -> None:
    """Raises UpstreamFault unless it is an answer of the kind that was asked for by ``body``. What else the upstream
    says is its own and goes to no client, since it may quote what it was sent: only which field of ours it refused. The
    log says why, without what was sent."""
    status = response.status
    if status == 200:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UpstreamFault("policykit_upstream_malformed", "the upstream's answer is compressed")
        if kind != ("text/event-stream" if stream else "application/json"):
            raise UpstreamFault("policykit_upstream_malformed", "the upstream's answer is of another type than asked")
        return
    if status in _KNOWN_REFUSALS:
        answer = await _error_of(response)
        field = _refused_field(answer, body)
        what = f"`{field}` of the request" if field else "the request"
        _LOG.warning("the upstream refused %s (%d): %s", what, status, reason_of(answer, body, response.secrets))
        raise UpstreamFault("policykit_upstream_refused", f"the upstream refused {what} ({status})", 400, param=field)
    if status in (429, 503):
        raise UpstreamFault("policykit_upstream_busy", f"the upstream takes no more requests ({status})", 503)
    raise UpstreamFault("policykit_upstream_failed", f"the upstream failed ({status})")


async def _error_of(response: UpstreamResponse) -> bytes:
    """What a refusal says, or nothing: whatever goes wrong meanwhile, the request was refused all the same."""
    data = bytearray()
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            async for piece in response.body:
                data += piece
                if len(data) > _MAX_ERROR:
                    return b""
    except Exception:  # an upstream may be anybody's, and its body fail with anything
        return b""
    return bytes(data)


def _refused_field(answer: bytes, body: Mapping[str, object]) -> str | None:
    """The `param` of an error in OpenAI's form, where it names a field of ``body``."""
    try:
        found: Any = json.loads(answer)
        named: Any = found["error"]["param"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return named if isinstance(named, str) and named in body else None
