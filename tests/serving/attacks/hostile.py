"""An upstream that says what is forbidden wherever an answer has room for a text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policykit.serving.fields import load_table

Json = dict[str, Any]
SPELLINGS = (
    "We promise guaranteed returns.",
    "GUARANTEED\nRETURNS for all",
    "guaranteed\u00a0returns",
    "ｇｕａｒａｎｔｅｅｄ ｒｅｔｕｒｎｓ",
    "guar\u200banteed ret\u00adurns",
    "a certain  profit",
    "it is project aurora",
    "the code 1234",
)
PLACES = ("content", "reasoning", "reasoning_content", "refusal", "arguments", "name", "error")
FAULTS = ("policykit_upstream_failed", "policykit_upstream_refused", "policykit_upstream_malformed")
"""How the guard names what such an upstream does."""
READ = {"index", "finish_reason", "choices", "usage", "error"}


@dataclass
class Hostile:
    """Says ``text`` in one of PLACES, and in every field that the guard does not read."""

    text: str = SPELLINGS[0]
    place: str = "content"
    cut: int = 5

    def __call__(self, path: str, body: Json) -> tuple[int, str, list[bytes]]:
        """The status, the type and the pieces of the answer to a request."""
        if self.place == "error":
            error = {"error": {"message": self.text, "type": self.text, "param": self.text, "code": self.text}}
            return 400, "application/json", [json.dumps(error).encode()]
        is_chat = path.endswith("/chat/completions")
        n = body.get("n", 1)
        if body.get("stream"):
            events = [json.dumps(chunk).encode() for chunk in self._chunks(is_chat, n)]
            return 200, "text/event-stream", [b"data: " + event + b"\n\n" for event in (*events, b"[DONE]")]
        choices = [self._choice(at, is_chat, "message", self._parts(None)[0]) for at in range(n)]
        return 200, "application/json", [json.dumps(self._answer(choices, is_chat)).encode()]

    def _chunks(self, is_chat: bool, n: int) -> Iterator[Json]:
        for at in range(n):
            for delta in self._parts(self.cut):
                yield self._answer([self._choice(at, is_chat, "delta", delta, finish=None)], is_chat)
        for at in range(n):
            yield self._answer([self._choice(at, is_chat, "delta", {})], is_chat)

    def _parts(self, cut: int | None) -> list[Json]:
        """Messages, or deltas of ``cut`` characters."""
        pieces = [self.text] if cut is None else [self.text[at : at + cut] for at in range(0, len(self.text), cut)]
        if self.place in ("arguments", "name"):
            call = {"id": self.text, "type": "function", "index": 0}
            if self.place == "name":
                return [{"tool_calls": [{**call, "function": {"name": self.text, "arguments": "{}"}}]}]
            arguments = json.dumps({"what": self.text})
            return [{"tool_calls": [{**call, "function": {"name": "order", "arguments": arguments}}]}]
        return [{self.place: piece} for piece in pieces]

    def _choice(self, at: int, is_chat: bool, part: str, message: Json, finish: str | None = "stop") -> Json:
        choice: Json = {"index": at, "finish_reason": finish}
        if is_chat:
            choice[part] = message | self._unread("POST /v1/chat/completions", f"choices[].{part}.")
        else:
            said = next(iter(message.values()), "")
            choice["text"] = said if isinstance(said, str) else self.text
        route = "POST /v1/chat/completions" if is_chat else "POST /v1/completions"
        return choice | {"stop_reason": self.text} | self._unread(route, "choices[].")

    def _answer(self, choices: list[Json], is_chat: bool) -> Json:
        route = "POST /v1/chat/completions" if is_chat else "POST /v1/completions"
        fixed = dict.fromkeys(("id", "object", "model"), self.text)
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "note": self.text}
        return self._unread(route, "") | fixed | {"choices": choices, "usage": usage}

    def _unread(self, route: str, prefix: str) -> Json:
        """The fields right below ``prefix`` that any described API has and the guard lets go nowhere."""
        names: set[str] = set()
        for engine in ("vllm-0.32", "vllm-0.33", "openai"):
            for path, entry in load_table(engine).routes[route].response.items():
                name = path.removeprefix(prefix)
                if path.startswith(prefix) and entry.kind == "refused" and not set(".[{") & set(name):
                    names.add(name)
        return {name: {"text": self.text, "tokens": [self.text]} for name in names - READ}
