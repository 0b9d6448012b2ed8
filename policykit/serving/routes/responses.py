"""`/v1/responses`: its requests are asked as chats, so that every upstream that has chats answers them.

Nothing is stored: `previous_response_id` and `store: true` are refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from policykit.serving.messages import (
    ROLES,
    Ask,
    Call,
    Message,
    Wanted,
    invalid,
    list_at,
    name_at,
    object_at,
    text_at,
    text_of,
)
from policykit.serving.routes import settings
from policykit.serving.routes.chat import MAX_TOKENS
from policykit.serving.routes.response_stream import ResponseStream, items_of, response
from policykit.serving.routes.shape import Choice, Envelope
from policykit.serving.wire import Api, Usage

KNOWN = {
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "stream",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
} | settings.UNUSED
PARTS = ("input_text", "output_text", "text")


@dataclass(frozen=True, slots=True)
class Responses:
    """Responses."""

    path: str = "/v1/responses"
    api: Api = Api.CHAT
    id_prefix: str = "resp"

    def read(self, body: Mapping[str, object]) -> Ask:
        found = object_at(dict(body), "", KNOWN)
        messages = list(_messages(found.get("input")))
        if "instructions" in found:
            messages.insert(0, Message("system", text_at(found["instructions"], "instructions")))
        defined = settings.tools_at(found.get("tools", []), "tools", flat=True)
        return Ask(
            messages=tuple(messages),
            model=settings.model_at(found),
            stream=bool(settings.flag_at(found, "stream")),
            max_tokens=settings.whole_at(found, "max_output_tokens", 1, MAX_TOKENS),
            temperature=settings.number_at(found, "temperature", 0.0, 2.0),
            top_p=settings.number_at(found, "top_p", 0.0, 1.0),
            tools=tuple(tool.name for tool in defined),
            defined=defined,
            tool_choice=settings.tool_choice_at(found.get("tool_choice"), "tool_choice", flat=True),
            parallel_tool_calls=settings.flag_at(found, "parallel_tool_calls"),
            grammar=_grammar(found.get("text")),
            unused=settings.unused_at(found),
        )

    def whole(
        self, envelope: Envelope, choices: Sequence[Choice], usage: Usage, about: Mapping[str, object]
    ) -> dict[str, object]:
        choice = choices[0]
        items = items_of(envelope, choice.texts, choice.calls)
        return response(envelope, items, choice.reason, usage, about)

    def stream(self, envelope: Envelope) -> ResponseStream:
        return ResponseStream(envelope)


def _grammar(value: object) -> Wanted | None:
    """The grammar that `text.format` wants; None for text."""
    if value is None:
        return None
    form: Any = object_at(value, "text", {"format"}).get("format")
    if not isinstance(form, dict) or cast(dict[str, object], form).get("type") != "json_schema":
        return settings.grammar_at(form, "text.format")
    names = {"type", "name", "schema", "strict", "description"}
    return settings.schema_in(object_at(form, "text.format", names), "text.format")


def _messages(value: object) -> Iterator[Message]:
    """The input as messages. Calls that stand together are of one answer."""
    if isinstance(value, str):
        yield Message("user", value)
        return
    tools: dict[str, str] = {}
    calls: list[Call] = []
    items = list_at(value, "input", 4096)
    if not items:
        raise invalid("input", "give a text, or at least one item")
    for at, item in enumerate(items):
        where = f"input[{at}]"
        kind = cast(dict[str, object], item).get("type", "message") if isinstance(item, dict) else None
        if kind == "function_call":
            call = _call(item, where)
            tools[call.id] = call.name
            calls.append(call)
            continue
        if calls:
            yield Message("assistant", None, tuple(calls))
            calls = []
        match kind:
            case "message":
                yield _message(item, where)
            case "function_call_output":
                yield _result(item, where, tools)
            case _:
                raise invalid(f"{where}.type", "only messages, function calls and their outputs can be judged")
    if calls:
        yield Message("assistant", None, tuple(calls))


def _message(item: Any, where: str) -> Message:
    message = object_at(item, where, {"type", "role", "content", "id", "status", "phase"})
    role = message.get("role")
    if role not in ROLES or role == "tool":
        raise invalid(f"{where}.role", "give `system`, `developer`, `user` or `assistant`")
    return Message(str(role), text_of(message.get("content"), f"{where}.content", PARTS))


def _call(item: Any, where: str) -> Call:
    call = object_at(item, where, {"type", "call_id", "name", "arguments", "id", "status"})
    arguments = text_at(call.get("arguments"), f"{where}.arguments")
    return Call(name_at(call.get("call_id"), f"{where}.call_id"), name_at(call.get("name"), f"{where}.name"), arguments)


def _result(item: Any, where: str, tools: Mapping[str, str]) -> Message:
    result = object_at(item, where, {"type", "call_id", "output", "id", "status"})
    call_id = name_at(result.get("call_id"), f"{where}.call_id")
    if call_id not in tools:
        raise invalid(f"{where}.call_id", "no item before it makes this call")
    return Message("tool", text_of(result.get("output"), f"{where}.output", PARTS), (), call_id, tools[call_id])
