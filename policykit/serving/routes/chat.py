"""`/v1/chat/completions`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policykit.serving import sse
from policykit.serving.errors import Refused
from policykit.serving.hooks import Channel
from policykit.serving.messages import Ask, Message, invalid, list_at, object_at, read_messages, text_at
from policykit.serving.routes import settings
from policykit.serving.routes.shape import Choice, Envelope, ToolCall, dumps, usage_of
from policykit.serving.wire import Api, FinishReason, Usage

MAX_TOKENS = 1 << 24
KNOWN = (
    {
        "model",
        "messages",
        "documents",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "seed",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "structured_outputs",
        "continue_final_message",
        "add_generation_prompt",
    }
    | settings.PASSED
    | settings.UNUSED
)
FIELDS = {
    Channel.CONTENT: "content",
    Channel.REASONING: "reasoning_content",
    Channel.REFUSAL: "refusal",
}


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat completions."""

    path: str = "/v1/chat/completions"
    api: Api = Api.CHAT
    id_prefix: str = "chatcmpl"

    def read(self, body: Mapping[str, object]) -> Ask:
        found = object_at(dict(body), "", KNOWN)
        lengths = [settings.whole_at(found, name, 1, MAX_TOKENS) for name in ("max_tokens", "max_completion_tokens")]
        if None not in lengths and lengths[0] != lengths[1]:
            raise invalid("max_tokens", "differs from `max_completion_tokens`; give one of the two")
        messages = read_messages(found.get("messages"))
        formatted = settings.grammar_at(found.get("response_format"), "response_format")
        defined = settings.tools_at(found.get("tools", []), "tools", flat=False)
        return Ask(
            messages=messages,
            continues=_continues(found, messages),
            documents=_documents(found.get("documents")),
            model=settings.model_at(found),
            stream=bool(settings.flag_at(found, "stream")),
            include_usage=settings.include_usage_at(found),
            n=settings.whole_at(found, "n", 1, 128) or 1,
            max_tokens=lengths[0] or lengths[1],
            temperature=settings.number_at(found, "temperature", 0.0, 2.0),
            top_p=settings.number_at(found, "top_p", 0.0, 1.0),
            seed=settings.whole_at(found, "seed", -(1 << 63), (1 << 63) - 1),
            passed=settings.passed_at(found),
            tools=tuple(tool.name for tool in defined),
            defined=defined,
            tool_choice=settings.tool_choice_at(found.get("tool_choice"), "tool_choice", flat=False),
            parallel_tool_calls=settings.flag_at(found, "parallel_tool_calls"),
            grammar=settings.structured_at(found.get("structured_outputs"), formatted),
            unused=settings.unused_at(found),
        )

    def whole(
        self, envelope: Envelope, choices: Sequence[Choice], usage: Usage, about: Mapping[str, object]
    ) -> dict[str, object]:
        return {
            **_envelope(envelope, "chat.completion"),
            "choices": [_choice(choice) for choice in choices],
            "usage": usage_of(usage),
            "policykit": dict(about),
        }

    def stream(self, envelope: Envelope) -> "ChatStream":
        return ChatStream(envelope)


def _documents(value: object) -> tuple[tuple[str | None, str], ...]:
    found: list[tuple[str | None, str]] = []
    for at, item in enumerate(list_at(value or [], "documents", 1024)):
        where = f"documents[{at}]"
        document = object_at(item, where, {"title", "text"})
        title = document.get("title")
        text = text_at(document.get("text"), f"{where}.text")
        found.append((None if title is None else text_at(title, f"{where}.title"), text))
    return tuple(found)


def _continues(body: Mapping[str, object], messages: Sequence[Message]) -> bool:
    """Whether the answer goes on with the last message. Raises Refused where it cannot."""
    continues = bool(settings.flag_at(body, "continue_final_message"))
    begins = settings.flag_at(body, "add_generation_prompt")
    if begins is not None and begins is continues:
        raise invalid("add_generation_prompt", "give the opposite of `continue_final_message`, or leave it out")
    if continues and (messages[-1].role != "assistant" or messages[-1].calls or not messages[-1].text):
        raise invalid("continue_final_message", "the last message has to be an assistant's, with a text and no calls")
    return continues


def _envelope(envelope: Envelope, kind: str) -> dict[str, object]:
    return {"id": envelope.id, "object": kind, "created": envelope.created, "model": envelope.model}


def _choice(choice: Choice) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": choice.texts.get(Channel.CONTENT)}
    message["refusal"] = choice.texts.get(Channel.REFUSAL)
    if Channel.REASONING in choice.texts:
        message[FIELDS[Channel.REASONING]] = choice.texts[Channel.REASONING]
    if choice.calls:
        message["tool_calls"] = [_call(call) for call in choice.calls]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None,
        "finish_reason": choice.reason.value,
        "stop_reason": choice.stop,
    }


def _call(call: ToolCall) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


@dataclass(slots=True)
class ChatStream:
    """Chunks of a chat completion. The first of each choice says its role."""

    envelope: Envelope
    _begun: int = 0

    def begin(self) -> bytes:
        return b""

    def text(self, choice: int, channel: Channel, text: str) -> bytes:
        return self._delta(choice, {FIELDS[channel]: text})

    def calls(self, choice: int, calls: Sequence[ToolCall]) -> bytes:
        return self._delta(choice, {"tool_calls": [{"index": at, **_call(call)} for at, call in enumerate(calls)]})

    def end(
        self, ends: Sequence[tuple[int, FinishReason, str | int | None]], usage: Usage, about: Mapping[str, object]
    ) -> bytes:
        out = [self._delta(choice, {}, reason, stop, about) for choice, reason, stop in ends]
        if self.envelope.include_usage:
            out.append(self._chunk([], {"usage": usage_of(usage), "policykit": dict(about)}))
        return b"".join((*out, sse.DONE))

    def error(self, refused: Refused) -> bytes:
        return sse.event(dumps(refused.body()))

    def _delta(
        self,
        choice: int,
        delta: dict[str, object],
        reason: FinishReason | None = None,
        stop: str | int | None = None,
        about: Mapping[str, object] | None = None,
    ) -> bytes:
        if not self._begun >> choice & 1:
            self._begun |= 1 << choice
            delta = {"role": "assistant", **delta}
        entry: dict[str, object] = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": None}
        if reason is not None:
            entry |= {"finish_reason": reason.value, "stop_reason": stop}
        return self._chunk([entry], {"policykit": dict(about)} if about is not None else {})

    def _chunk(self, choices: list[dict[str, object]], more: Mapping[str, object]) -> bytes:
        return sse.event(dumps({**_envelope(self.envelope, "chat.completion.chunk"), "choices": choices, **more}))
