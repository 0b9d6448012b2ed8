"""Answers in the form of OpenAI's API."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from policykit.engines.server.batch import End

_REASONS = {
    End.STOP: "stop",
    End.CANCELLED: "stop",
    End.LENGTH: "length",
    End.DEAD_END: "stop",
    End.REFUSED: "stop",
    End.FAILED: "content_filter",
}
DEAD_END = "policy_dead_end"
"""The ``stop_reason`` of a text that nothing legal could follow."""


def error_body(message: str, param: str | None, kind: str) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def models_body(name: str) -> dict[str, object]:
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "policykit"}]}


def _usage(n_prompt: int, n_written: int) -> dict[str, object]:
    return {"prompt_tokens": n_prompt, "completion_tokens": n_written, "total_tokens": n_prompt + n_written}


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text, or of a piece of it, with their log-probabilities, and those of its prompt (None: they were
    told before)."""

    token_ids: tuple[int, ...]
    logps: tuple[float, ...]
    prompt_ids: tuple[int, ...] | None = None

    def told(self) -> dict[str, object]:
        """As vLLM tells them."""
        prompt = {} if self.prompt_ids is None else {"prompt_token_ids": list(self.prompt_ids)}
        return {"token_ids": list(self.token_ids), "logprobs": {"token_logprobs": list(self.logps)}, **prompt}


@dataclass(slots=True)
class Shape:
    """The answer to one request, as a chat or as a completion."""

    is_chat: bool
    model: str
    id: str
    created: int = field(default_factory=lambda: int(time.time()))
    _begun: set[int] = field(default_factory=set[int])

    def whole(
        self,
        texts: Sequence[str],
        ends: Sequence[tuple[End, str | None]],
        n_prompt: int,
        n_written: int,
        tokens: Sequence[Tokens] = (),
    ) -> dict[str, object]:
        kind = "chat.completion" if self.is_chat else "text_completion"
        choices = [
            {"index": i, **self._content(text), "logprobs": None, **_end(*ends[i])} for i, text in enumerate(texts)
        ]
        for choice, told in zip(choices, tokens, strict=False):
            choice.update(told.told())
        prompt = {"prompt_token_ids": list(tokens[0].prompt_ids or ())} if tokens and self.is_chat else {}
        return {**self._envelope(kind), **prompt, "choices": choices, "usage": _usage(n_prompt, n_written)}

    def delta(self, choice: int, text: str, tokens: Tokens | None = None) -> dict[str, object]:
        return self._chunk(choice, text, {"finish_reason": None, **(tokens.told() if tokens else {})})

    def end(self, choice: int, end: End, stop: str | None, tokens: Tokens | None = None) -> dict[str, object]:
        return self._chunk(choice, "", {**_end(end, stop), **(tokens.told() if tokens else {})})

    def usage_chunk(self, n_prompt: int, n_written: int) -> dict[str, object]:
        return {**self._envelope(self._chunk_kind), "choices": [], "usage": _usage(n_prompt, n_written)}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.is_chat else "text_completion"

    def _content(self, text: str) -> dict[str, object]:
        return {"message": {"role": "assistant", "content": text}} if self.is_chat else {"text": text}

    def _chunk(self, choice: int, text: str, end: dict[str, object]) -> dict[str, object]:
        content: dict[str, object] = {"text": text}
        if self.is_chat:
            role = {} if choice in self._begun else {"role": "assistant"}
            self._begun.add(choice)
            content = {"delta": {**role, **({"content": text} if text else {})}}
        entry = {"index": choice, **content, "logprobs": None, **end}
        return {**self._envelope(self._chunk_kind), "choices": [entry]}

    def _envelope(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _end(end: End, stop: str | None) -> dict[str, object]:
    return {"finish_reason": _REASONS[end], "stop_reason": DEAD_END if end is End.DEAD_END else stop}
