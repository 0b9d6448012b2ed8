"""Requests to the server: the fields of OpenAI's routes that it knows. Whatever else is there is refused by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from policykit.engines.attest import WHOLE, XARG, Malformed, MaskRequest

MAX_CHOICES = 16
_COMMON = {
    "model", "stream", "stream_options", "n", "max_tokens", "temperature", "top_p", "seed", "stop", "cache_salt",
    "vllm_xargs", "user", "return_token_ids", "logprobs",
}  # fmt: skip
_CHAT = {
    "messages", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "documents",
    "continue_final_message", "add_generation_prompt",
}  # fmt: skip
Json = Mapping[str, object]


class BadRequest(Exception):
    """A request that is refused. ``param`` is the field."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.status = message, param, status

    @property
    def kind(self) -> str:
        """What OpenAI calls its type."""
        return "server_error" if self.status >= 500 else "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. Either ``messages`` (role and text) or ``prompt``. ``mask`` None: it names no plan."""

    model: str
    messages: tuple[tuple[str, str], ...]
    prompt: str | None
    mask: MaskRequest | None
    n: int = 1
    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    continues: bool = False
    """The text goes on with the last message."""
    prompt_ids: tuple[int, ...] | None = None
    """The prompt as token ids, where it is given so."""
    tells_tokens: bool = False
    """The answer says which tokens prompt and text have, and how likely those of the text were."""


def read(body: bytes, *, chat: bool) -> Ask:
    """The request. Raises BadRequest for what is no request, and for any field that the server does not know."""
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise BadRequest("the body is no JSON object")
    said = cast(dict[str, object], data)
    given = {name: value for name, value in said.items() if value is not None and WHOLE.get(name) != value}
    known = _COMMON | (_CHAT if chat else {"prompt"})
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise BadRequest(f"`{unknown}` is not supported by this server", unknown)
    _check_tools(given)
    prompt_ids = None if chat else _ids(given.get("prompt"))
    length = given.get("max_completion_tokens", given.get("max_tokens", 256))
    return Ask(
        model=_text(given.get("model"), "model"),
        messages=_messages(given.get("messages"), given.get("documents")) if chat else (),
        prompt=None if chat or prompt_ids is not None else _text(given.get("prompt"), "prompt"),
        mask=_mask(given.get("vllm_xargs", {})),
        n=_whole(given.get("n", 1), "n", 1, MAX_CHOICES),
        max_tokens=_whole(length, "max_tokens", 1, 1 << 20),
        temperature=_number(given.get("temperature", 1.0), "temperature", 0.0, 2.0),
        top_p=_number(given.get("top_p", 1.0), "top_p", 0.0, 1.0),
        seed=None if "seed" not in given else _whole(given["seed"], "seed", -(1 << 63), (1 << 63) - 1),
        stop=_stops(given.get("stop", [])),
        stream=given.get("stream") is True,
        include_usage=_usage(given.get("stream_options", {})),
        continues=_continues(given),
        prompt_ids=prompt_ids,
        tells_tokens=_tells_tokens(given),
    )


def _check_tools(given: Json) -> None:
    choice = given.get("tool_choice", "auto")
    if choice not in ("auto", "none"):
        raise BadRequest("this server calls no tools; use `auto` or `none`", "tool_choice")


def _ids(value: object) -> tuple[int, ...] | None:
    """A prompt of token ids; None for one that is none."""
    if not isinstance(value, list) or not value:
        return None
    return tuple(_whole(one, "prompt", 0, 1 << 24) for one in cast(list[object], value))


def _tells_tokens(given: Json) -> bool:
    """Log-probabilities are told of chosen tokens, and only beside their ids."""
    tells = given.get("return_token_ids") is True
    if given.get("logprobs", 0) not in (0, False) or isinstance(given.get("logprobs"), bool):
        raise BadRequest("this server tells those of chosen tokens; use 0", "logprobs")
    if "logprobs" in given and not tells:
        raise BadRequest("are told with `return_token_ids`", "logprobs")
    return tells


def _continues(given: Json) -> bool:
    continues = given.get("continue_final_message", False)
    if given.get("add_generation_prompt", not continues) is continues:
        raise BadRequest("is the opposite of `continue_final_message`", "add_generation_prompt")
    return continues is True


def _mask(xargs: object) -> MaskRequest | None:
    found = _object(xargs, "vllm_xargs")
    unknown = next((name for name in found if name != XARG), None)
    if unknown is not None:
        raise BadRequest(f"`vllm_xargs.{unknown}` is not supported by this server", "vllm_xargs")
    if XARG not in found:
        return None
    try:
        return MaskRequest.parse(found[XARG])
    except Malformed as error:
        raise BadRequest(f"`vllm_xargs.{XARG}`: {error}", "vllm_xargs") from error


def _messages(value: object, documents: object) -> tuple[tuple[str, str], ...]:
    """Roles and texts. Passages stand before the last message, since the template knows no documents."""
    if not isinstance(value, list) or not value:
        raise BadRequest("give a list of messages", "messages")
    found: list[tuple[str, str]] = []
    for at, item in enumerate(cast(list[object], value)):
        message = _object(item, f"messages[{at}]")
        content = message.get("content") or ""
        found.append((_text(message.get("role"), f"messages[{at}].role"), _text(content, f"messages[{at}].content")))
    passages = [_object(item, "documents") for item in cast(list[object], documents or [])]
    texts = [("user", _text(passage.get("text"), "documents")) for passage in passages]
    return (*found[:-1], *texts, found[-1])


def _object(value: object, param: str) -> Json:
    if not isinstance(value, dict):
        raise BadRequest(f"`{param}` is no object", param)
    return cast(Json, value)


def _text(value: object, param: str) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"`{param}` is no text", param)
    return value


def _whole(value: object, param: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"`{param}` is no whole number from {least} to {most}", param)
    return value


def _number(value: object, param: str, least: float, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"`{param}` is no number from {least:g} to {most:g}", param)
    return float(value)


def _stops(value: object) -> tuple[str, ...]:
    items = cast(list[object], value) if isinstance(value, list) else [value]
    found = tuple(_text(item, "stop") for item in items)
    if len(found) > 16 or not all(found):
        raise BadRequest("give at most 16 texts that are not empty", "stop")
    return found


def _usage(value: object) -> bool:
    return _object(value, "stream_options").get("include_usage") is True
