"""How a response is written: whole, and as the events that tell its making."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from policykit.serving import sse
from policykit.serving.errors import Refused
from policykit.serving.hooks import Channel
from policykit.serving.routes.shape import Envelope, ToolCall, dumps
from policykit.serving.wire import FinishReason, Usage

ORDER = (Channel.REASONING, Channel.CONTENT, Channel.REFUSAL)
_INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}
_PREFIX = {Channel.REASONING: "rs", Channel.CONTENT: "msg", Channel.REFUSAL: "ref"}


def response(
    envelope: Envelope,
    items: Sequence[Mapping[str, object]],
    reason: FinishReason | None,
    usage: Usage | None,
    about: Mapping[str, object] | None,
) -> dict[str, object]:
    """The response object; without a ``reason`` it is still being made."""
    incomplete = _INCOMPLETE.get(reason) if reason else None
    status = "in_progress" if reason is None else "incomplete" if incomplete else "completed"
    return {
        "id": envelope.id,
        "object": "response",
        "created_at": envelope.created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": None,
        "metadata": {},
        "model": envelope.model,
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": False,
        "usage": _usage(usage) if usage is not None else None,
        **({"policykit": dict(about)} if about is not None else {}),
    }


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def items_of(envelope: Envelope, texts: Mapping[Channel, str], calls: Sequence[ToolCall]) -> list[dict[str, object]]:
    """The output items of a whole response."""
    shown = [_item(envelope, channel, texts[channel]) for channel in ORDER if texts.get(channel)]
    return [*shown, *(_call_item(call) for call in calls)]


def _item_id(envelope: Envelope, channel: Channel) -> str:
    return f"{_PREFIX[channel]}-{envelope.id.rpartition('-')[2]}"


def _item(envelope: Envelope, channel: Channel, text: str | None) -> dict[str, object]:
    """An item; one without text is still being made."""
    status = "in_progress" if text is None else "completed"
    parts = [] if text is None else [_part(channel, text)]
    head: dict[str, object] = {"id": _item_id(envelope, channel), "status": status, "content": parts}
    if channel is Channel.REASONING:
        return {**head, "type": "reasoning", "summary": []}
    return {**head, "type": "message", "role": "assistant"}


def _part(channel: Channel, text: str) -> dict[str, object]:
    match channel:
        case Channel.REASONING:
            return {"type": "reasoning_text", "text": text}
        case Channel.REFUSAL:
            return {"type": "refusal", "refusal": text}
        case _:
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call_item(call: ToolCall) -> dict[str, object]:
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": "completed",
    }


@dataclass(slots=True)
class _Item:
    """An item that is being written."""

    channel: Channel
    texts: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class ResponseStream:
    """The events of one response, numbered. Every channel has an item of its own, which is open until the end."""

    envelope: Envelope
    _number: int = 0
    _items: list[_Item | ToolCall] = field(default_factory=list[_Item | ToolCall])

    def begin(self) -> bytes:
        made = response(self.envelope, [], None, None, None)
        return self._event("response.created", response=made) + self._event("response.in_progress", response=made)

    def text(self, choice: int, channel: Channel, text: str) -> bytes:
        opened, at = self._opened(channel)
        item = self._items[at]
        assert isinstance(item, _Item), "an item of a channel"
        item.texts.append(text)
        about = self._about(channel, at)
        return opened + self._event(f"response.{_kind(channel)}.delta", delta=text, **about)

    def calls(self, choice: int, calls: Sequence[ToolCall]) -> bytes:
        out = b""
        for call in calls:
            at = len(self._items)
            self._items.append(call)
            item = _call_item(call)
            about = {"item_id": item["id"], "output_index": at}
            out += self._event(
                "response.output_item.added",
                output_index=at,
                item={**item, "arguments": "", "status": "in_progress"},
            )
            out += self._event("response.function_call_arguments.delta", delta=call.arguments, **about)
            out += self._event(
                "response.function_call_arguments.done", arguments=call.arguments, name=call.name, **about
            )
            out += self._event("response.output_item.done", output_index=at, item=item)
        return out

    def end(
        self, ends: Sequence[tuple[int, FinishReason, str | int | None]], usage: Usage, about: Mapping[str, object]
    ) -> bytes:
        out, done = b"", list[dict[str, object]]()
        for at, item in enumerate(self._items):
            if isinstance(item, ToolCall):
                done.append(_call_item(item))
                continue
            text = "".join(item.texts)
            made, part, where = self._made(item, text), _part(item.channel, text), self._about(item.channel, at)
            name = "refusal" if item.channel is Channel.REFUSAL else "text"
            out += self._event(f"response.{_kind(item.channel)}.done", **{name: text}, **where)
            where.pop("logprobs", None)
            out += self._event("response.content_part.done", part=part, **where)
            out += self._event("response.output_item.done", output_index=at, item=made)
            done.append(made)
        reason = ends[0][1]
        name = "response.incomplete" if reason in _INCOMPLETE else "response.completed"
        return out + self._event(name, response=response(self.envelope, done, reason, usage, about))

    def error(self, refused: Refused) -> bytes:
        error = refused.body()["error"]
        flat = {"code": refused.code, "message": refused.message, "param": refused.param}
        return self._event("error", error=error, **flat)

    def _made(self, item: _Item, text: str) -> dict[str, object]:
        return _item(self.envelope, item.channel, text)

    def _opened(self, channel: Channel) -> tuple[bytes, int]:
        """The item of a channel, and the events that open it, if it was not there."""
        for at, item in enumerate(self._items):
            if isinstance(item, _Item) and item.channel is channel:
                return b"", at
        at = len(self._items)
        self._items.append(_Item(channel))
        added = _item(self.envelope, channel, None)
        out = self._event("response.output_item.added", output_index=at, item=added)
        where = self._about(channel, at)
        where.pop("logprobs", None)
        return out + self._event("response.content_part.added", part=_part(channel, ""), **where), at

    def _about(self, channel: Channel, at: int) -> dict[str, object]:
        where: dict[str, object] = {
            "item_id": _item_id(self.envelope, channel),
            "output_index": at,
            "content_index": 0,
        }
        return {**where, "logprobs": []} if channel is Channel.CONTENT else where

    def _event(self, name: str, /, **data: object) -> bytes:
        event = {"type": name, "sequence_number": self._number, **data}
        self._number += 1
        return sse.event(dumps(event), name)


def _kind(channel: Channel) -> str:
    match channel:
        case Channel.REASONING:
            return "reasoning_text"
        case Channel.REFUSAL:
            return "refusal"
        case _:
            return "output_text"
