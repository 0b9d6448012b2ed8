"""The embedded model behind OpenAI's API, without policykit: token ids in and out, bans, raw log-probabilities."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policykit.decoding.steps import pick
from policykit.engines.prompts import prompt_ids
from policykit.engines.sampling import TransformersEngine, _CachedScorer
from policykit.engines.transformers import load_model

N_CHUNK = 3
"""Tokens of one event: what lies behind a refused token comes with it."""

TOP_K = 1
"""A setting of the model's folder, for what a request leaves unsaid, as servers have them."""


@dataclass
class PlainModel:
    """``wrong`` names one thing that it does otherwise than it should. ``drawn`` counts the tokens of each request."""

    engine: TransformersEngine = field(default_factory=lambda: TransformersEngine.of(*load_model("embedded")))
    wrong: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["method"] == "GET":
            models = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]}
            await self._send(send, 200, json.dumps(models).encode(), "application/json")
            return
        data = b""
        while (message := await receive())["type"] == "http.request":
            data += message.get("body", b"")
            if not message.get("more_body"):
                break
        body: dict[str, Any] = json.loads(data) if data else {}
        self.bodies.append(body)
        if self.wrong == "status":
            await self._send(send, 400, b'{"error": {"message": "prompts are texts"}}', "application/json")
            return
        events = self._events(body)
        if not body.get("stream"):
            *_, whole = events
            await self._send(send, 200, json.dumps(whole).encode(), "application/json")
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        left = asyncio.create_task(_left(receive))
        for event in events:
            await send({"type": "http.response.body", "body": b"data: " + json.dumps(event).encode() + b"\n\n",
                        "more_body": True})  # fmt: skip
            await asyncio.sleep(0)
            if left.done():
                return
        left.cancel()
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _send(self, send: Callable[[Any], Any], status: int, data: bytes, kind: str) -> None:
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def _prompt(self, body: Mapping[str, Any]) -> tuple[int, ...]:
        if "messages" in body:
            return prompt_ids(self.engine.tokenizer, body["messages"][-1]["content"], None)
        given = body["prompt"]
        return tuple(given) if isinstance(given, list) else prompt_ids(self.engine.tokenizer, given, chat=False)

    def _events(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Pieces of an answer while it is streamed; its whole is the last where it is not."""
        prompt, rng = self._prompt(body), np.random.default_rng(abs(body.get("seed", 0)))
        scorer, ends = _CachedScorer(self.engine, prompt, 1.0), self.engine.vocabulary.eos_ids
        banned = [int(token) for token in body.get("logit_bias", {})] if self.wrong != "bans" else []
        text: list[int] = []
        logps: list[float] = []
        top: dict[str, float] = {}
        self.drawn.append(0)
        told = 0
        while len(text) < body["max_tokens"] and not (text and text[-1] in ends):
            (raw,) = scorer.logps([tuple(text)])
            p = np.exp(raw / (body["temperature"] or 1.0))
            p[banned] = 0.0
            if k := body.get("top_k", TOP_K):
                p[np.argsort(p)[:-k]] = 0.0
            token = int(p.argmax()) if body["temperature"] == 0 else pick(p, rng)
            shown = float(raw[token]) - (float(np.log(p.sum())) if self.wrong == "processed" else 0.0)
            top = {str(i): float(raw[i]) for i in np.argsort(raw)[-2:]}
            text.append(token)
            logps.append(shown if self.wrong != "nan" else float("nan"))
            self.drawn[-1] += 1
            if body.get("stream") and len(text) - told == N_CHUNK:
                yield self._piece(body, prompt, text[told:], logps[told:], top, None)
                told = len(text)
        finish = "stop" if text[-1] in ends else "length"
        if finish == "stop" and self.wrong == "ends":
            text, logps = text[:-1], logps[:-1]
        told = told if body.get("stream") else 0
        yield self._piece(body, prompt, text[told:], logps[told:], top, finish)

    def _piece(
        self, body: Mapping[str, Any], prompt: tuple[int, ...], ids: list[int], logps: list[float],
        top: dict[str, float], finish: str | None,
    ) -> dict[str, Any]:  # fmt: skip
        said = self.engine.vocabulary.decode(ids).decode("utf-8", "replace")
        shifted = [token + 1 for token in ids] if self.wrong == "ids" else ids
        logprobs = {"tokens": [], "token_logprobs": logps, "top_logprobs": [top] * len(ids), "text_offset": []}
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "text": said, "token_ids": shifted}
        if "messages" in body:
            choice |= {"message": {"role": "assistant", "content": said}}
        if self.wrong == "silent":
            del choice["token_ids"]
        choice |= {"logprobs": logprobs}
        begun = [1, *prompt] if self.wrong == "prompt" else list(prompt)
        return {"id": "x", "object": "o", "created": 1, "model": "m", "choices": [choice], "prompt_token_ids": begun,
                "usage": {"prompt_tokens": len(prompt), "completion_tokens": len(ids)}}  # fmt: skip


async def _left(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
