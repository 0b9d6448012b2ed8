"""`/v1/completions`: a prompt without roles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policykit.serving import sse
from policykit.serving.errors import Refused
from policykit.serving.hooks import Channel
from policykit.serving.messages import Ask, invalid, object_at
from policykit.serving.routes import settings
from policykit.serving.routes.chat import MAX_TOKENS
from policykit.serving.routes.shape import Choice, Envelope, ToolCall, dumps, usage_of
from policykit.serving.wire import Api, FinishReason, Usage

KNOWN = (
    {
        "model",
        "prompt",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "structured_outputs",
    }
    | settings.PASSED
    | settings.UNUSED
)


@dataclass(frozen=True, slots=True)
class Completions:
    """Text completions."""

    path: str = "/v1/completions"
    api: Api = Api.COMPLETIONS
    id_prefix: str = "cmpl"

    def read(self, body: Mapping[str, object]) -> Ask:
        found = object_at(dict(body), "", KNOWN)
        prompt = found.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):  # pyright: ignore[reportUnknownArgumentType]
            prompt = prompt[0]
        if not isinstance(prompt, str):
            raise invalid("prompt", "give one text; lists and token ids are not judged")
        return Ask(
            prompt=prompt,
            model=settings.model_at(found),
            stream=bool(settings.flag_at(found, "stream")),
            include_usage=settings.include_usage_at(found),
            n=settings.whole_at(found, "n", 1, 128) or 1,
            max_tokens=settings.whole_at(found, "max_tokens", 1, MAX_TOKENS),
            temperature=settings.number_at(found, "temperature", 0.0, 2.0),
            top_p=settings.number_at(found, "top_p", 0.0, 1.0),
            seed=settings.whole_at(found, "seed", -(1 << 63), (1 << 63) - 1),
            passed=settings.passed_at(found),
            grammar=settings.structured_at(found.get("structured_outputs"), None),
            unused=settings.unused_at(found),
        )

    def whole(
        self, envelope: Envelope, choices: Sequence[Choice], usage: Usage, about: Mapping[str, object]
    ) -> dict[str, object]:
        entries = [_entry(c.index, c.texts.get(Channel.CONTENT, ""), c.reason, c.stop) for c in choices]
        return {**_envelope(envelope), "choices": entries, "usage": usage_of(usage), "policykit": dict(about)}

    def stream(self, envelope: Envelope) -> "CompletionStream":
        return CompletionStream(envelope)


def _envelope(envelope: Envelope) -> dict[str, object]:
    return {"id": envelope.id, "object": "text_completion", "created": envelope.created, "model": envelope.model}


def _entry(index: int, text: str, reason: FinishReason | None, stop: str | int | None) -> dict[str, object]:
    return {
        "index": index,
        "text": text,
        "logprobs": None,
        "finish_reason": reason and reason.value,
        "stop_reason": stop,
    }


@dataclass(slots=True)
class CompletionStream:
    """Chunks of a text completion."""

    envelope: Envelope

    def begin(self) -> bytes:
        return b""

    def text(self, choice: int, channel: Channel, text: str) -> bytes:
        return self._chunk([_entry(choice, text, None, None)], {})

    def calls(self, choice: int, calls: Sequence[ToolCall]) -> bytes:
        raise AssertionError("a text completion calls no tools")

    def end(
        self, ends: Sequence[tuple[int, FinishReason, str | int | None]], usage: Usage, about: Mapping[str, object]
    ) -> bytes:
        more = {"policykit": dict(about)}
        out = [self._chunk([_entry(choice, "", reason, stop)], more) for choice, reason, stop in ends]
        if self.envelope.include_usage:
            out.append(self._chunk([], {"usage": usage_of(usage), **more}))
        return b"".join((*out, sse.DONE))

    def error(self, refused: Refused) -> bytes:
        return sse.event(dumps(refused.body()))

    def _chunk(self, choices: list[dict[str, object]], more: Mapping[str, object]) -> bytes:
        return sse.event(dumps({**_envelope(self.envelope), "choices": choices, **more}))
