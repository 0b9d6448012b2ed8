"""What an upstream answers, as pieces of text with the channel that each belongs to.

Only the fields that are named here are read. Everything else that an upstream sends goes nowhere; its names are noted.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, cast

from policykit.serving import sse, strict
from policykit.serving.errors import UpstreamFault
from policykit.serving.hooks import Channel
from policykit.serving.upstream import UpstreamResponse

MAX_TOOL_CALLS = 128
MAX_TOKENS = 1 << 40
"""What a count of tokens may be: it is priced, and stands in records."""


class FinishReason(StrEnum):
    """Why a choice ended, as OpenAI's clients know it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Text:
    """More text of a channel of one choice. ``parts`` of it came, each taken for a token until usage is known."""

    choice: int
    channel: Channel
    text: str
    parts: int = 1


@dataclass(frozen=True, slots=True)
class ToolPart:
    """More of a tool call, the ``index``-th of its choice."""

    choice: int
    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of one choice. ``stop`` is what a server that names its stop says it stopped at."""

    choice: int
    reason: FinishReason
    stop: str | int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the whole answer."""

    input_tokens: int
    output_tokens: int


Delta: TypeAlias = Text | ToolPart | Finish | Usage


class Api(StrEnum):
    """The upstream routes that are used."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"


_ENVELOPE = {"id", "object", "created", "model", "choices", "usage"}
_CHOICE = {"index", "finish_reason", "stop_reason", "message", "delta", "text"}
_MESSAGE = {"role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls"}


@dataclass(slots=True)
class Reader:
    """Reads the answers of one attempt for ``n`` choices. ``dropped`` are names of fields that were not read and were
    not null."""

    api: Api
    n: int
    dropped: set[str] = field(default_factory=set[str])
    _ended: set[int] = field(default_factory=set[int])

    async def whole(self, response: UpstreamResponse, limits: sse.Limits) -> list[Delta]:
        """An answer that is not streamed. Raises UpstreamFault."""
        data = bytearray()
        async for piece in response.body:
            data += piece
            if len(data) > limits.total_bytes:
                raise sse.too_large(limits.total_bytes)
        answer = _object(_json(bytes(data)), "the answer")
        _check_error(answer)
        deltas = list(self._deltas(answer, "message"))
        self.check_end()
        return deltas

    async def stream(self, response: UpstreamResponse, limits: sse.Limits) -> AsyncGenerator[Delta]:
        """An answer that is streamed, to its end. Raises UpstreamFault, also where the end does not come.

        Texts that arrive together are one: where a reader falls behind, it catches up.
        """
        is_done = False
        async with aclosing(sse.events_of(response.body, limits)) as arriving:
            async for events in arriving:
                deltas: list[Delta] = []
                fault: UpstreamFault | None = None
                for data in events:
                    try:
                        if is_done:
                            raise malformed("there is something behind the end of the stream")
                        if data == b"[DONE]":
                            is_done = True
                        else:
                            deltas += self._chunk(data)
                    except UpstreamFault as error:  # what stands before it has arrived
                        fault = error
                        break
                for delta in joined(deltas):
                    yield delta
                if fault is not None:
                    raise fault
        if not is_done:
            raise UpstreamFault("policykit_upstream_truncated", "the upstream's stream ended early")
        self.check_end()

    def _chunk(self, data: bytes) -> list[Delta]:
        chunk = _object(_json(data), "a chunk")
        _check_error(chunk)
        return list(self._deltas(chunk, "delta"))

    def check_end(self) -> None:
        if len(self._ended) < self.n:
            message = f"the upstream finished {len(self._ended)} of {self.n} choices"
            raise UpstreamFault("policykit_upstream_truncated", message)

    def _deltas(self, answer: Mapping[str, object], part: str) -> Iterator[Delta]:
        self._note(answer, _ENVELOPE)
        for entry in _list(answer.get("choices"), "choices"):
            yield from self._choice(_object(entry, "a choice"), part)
        if answer.get("usage") is not None:
            yield _usage(_object(answer["usage"], "usage"))

    def _choice(self, choice: Mapping[str, object], part: str) -> Iterator[Delta]:
        self._note(choice, _CHOICE)
        index = choice.get("index", 0)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < self.n:
            raise malformed("a choice has an index that was not asked for")
        deltas = list(self._texts(index, choice, part))
        reason = choice.get("finish_reason")
        if index in self._ended and (deltas or reason is not None):
            raise malformed(f"choice {index} goes on behind its end")
        yield from deltas
        if reason is not None:
            self._ended.add(index)
            stop = choice.get("stop_reason")
            yield Finish(index, _reason(reason), stop if isinstance(stop, str | int) else None)
        elif part == "message":
            raise malformed("a choice has no finish_reason")

    def _texts(self, index: int, choice: Mapping[str, object], part: str) -> Iterator[Delta]:
        if self.api is Api.COMPLETIONS:
            yield from _text(index, Channel.CONTENT, choice.get("text"))
            return
        message = _object(choice.get(part) or {}, part)
        self._note(message, _MESSAGE)
        reasoning = message.get("reasoning_content")
        yield from _text(index, Channel.REASONING, message.get("reasoning") if reasoning is None else reasoning)
        yield from _text(index, Channel.CONTENT, message.get("content"))
        yield from _text(index, Channel.REFUSAL, message.get("refusal"))
        for position, call in enumerate(_list(message.get("tool_calls") or [], "tool_calls")):
            yield _tool_part(index, position if part == "message" else None, _object(call, "a tool call"))

    def _note(self, found: Mapping[str, object], known: set[str]) -> None:
        self.dropped |= {name for name in found.keys() - known if found[name] is not None}


def joined(deltas: Sequence[Delta]) -> list[Delta]:
    """The same, with neighbouring texts of one channel of one choice in one."""
    found: list[Delta] = []
    for delta in deltas:
        last = found[-1] if found else None
        if isinstance(delta, Text) and isinstance(last, Text) and _place(delta) == _place(last):
            found[-1] = Text(last.choice, last.channel, last.text + delta.text, last.parts + delta.parts)
        else:
            found.append(delta)
    return found


def _place(text: Text) -> tuple[int, Channel]:
    return text.choice, text.channel


def _text(index: int, channel: Channel, value: object) -> Iterator[Text]:
    if value is None or value == "":
        return
    if not isinstance(value, str):
        raise malformed(f"the {channel} of a choice is no text")
    yield Text(index, channel, value)


def _tool_part(choice: int, position: int | None, call: Mapping[str, object]) -> ToolPart:
    index = call.get("index") if position is None else position
    if not isinstance(index, int) or not 0 <= index < MAX_TOOL_CALLS:
        raise malformed("a tool call has no index, or one that is too large")
    if call.get("type") not in (None, "function"):
        raise malformed("a tool call is of no type that is known")
    function = _object(call.get("function") or {}, "a function")
    name, arguments = function.get("name") or "", function.get("arguments") or ""
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise malformed("a tool call has a name or arguments that are no text")
    return ToolPart(choice, index, name, arguments)


def _reason(value: object) -> FinishReason:
    if value == "function_call":
        return FinishReason.TOOL_CALLS
    try:
        return FinishReason(cast(str, value))
    except ValueError:
        raise UpstreamFault("policykit_upstream_failed", "the upstream gave up on a choice") from None


def _usage(usage: Mapping[str, object]) -> Usage:
    def count(name: str) -> int:
        value = usage.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return 0
        if value > MAX_TOKENS:
            raise malformed("more tokens are counted than there can be")
        return value

    return Usage(count("prompt_tokens"), count("completion_tokens"))


def _check_error(answer: Mapping[str, object]) -> None:
    """An error inside an answer with status 200. Its text is the upstream's and goes nowhere."""
    if answer.get("error") is not None or answer.get("object") == "error":
        raise UpstreamFault("policykit_upstream_failed", "the upstream reported an error")


def _json(data: bytes) -> object:
    try:
        return strict.parse(data)
    except strict.NotStrict:  # what it says may quote the answer, which goes nowhere
        raise malformed("it is no JSON with one reading") from None


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise malformed(f"{what} is no object")
    return cast(dict[str, object], value)


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise malformed(f"`{what}` is no list")
    return cast(list[object], value)


def malformed(why: str) -> UpstreamFault:
    return UpstreamFault("policykit_upstream_malformed", f"the upstream's answer cannot be read: {why}")
