"""What the upstream is asked: built anew from what a profile lets a client ask, never by passing a body on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.policy.checked import Json
from policykit.profiles import Profile
from policykit.serving.errors import Refused
from policykit.serving.messages import Ask, Defined, Message
from policykit.serving.routes.settings import VLLM_ONLY
from policykit.serving.upstream import Kind
from policykit.serving.wire import Api


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that a request is sent with. ``clamped`` names those that the client asked more of, with what it
    got."""

    n: int
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    clamped: Mapping[str, float]


def clamp(ask: Ask, profile: Profile) -> Settings:
    """What the client asked for, within what the profile lets it ask."""
    decoding, limits = profile.decoding, profile.limits
    clamped: dict[str, float] = {}

    def within(name: str, asked: float | None, default: float, most: float) -> float:
        if asked is not None and asked > most:
            clamped[name] = most
        return min(default if asked is None else asked, most)

    return Settings(
        n=int(within("n", ask.n, 1, decoding.n_max)),
        max_tokens=int(within("max_tokens", ask.max_tokens, decoding.max_tokens, limits.max_output_tokens)),
        temperature=within("temperature", ask.temperature, decoding.temperature, decoding.max_temperature),
        top_p=within("top_p", ask.top_p, decoding.top_p, decoding.max_top_p),
        seed=decoding.seed if ask.seed is None else ask.seed,
        clamped=clamped,
    )


def check_allowed(ask: Ask, profile: Profile, kind: Kind, api: Api) -> None:
    """Raises Refused for what the profile does not let a client ask."""
    limits = profile.limits
    n_chars = sum(len(passage.text) for passage in ask.passages())
    if n_chars > limits.max_input_chars:
        message = f"the request has {n_chars} characters of text, the profile takes {limits.max_input_chars}"
        raise Refused(413, "policykit_input_too_long", message)
    if profile.system_prompt is not None:
        for at, message in enumerate(ask.messages):
            if message.role in ("system", "developer"):
                raise not_allowed(f"messages[{at}].role", "the profile has a system prompt of its own")
        if api is Api.COMPLETIONS:
            raise not_allowed("prompt", "the profile has a system prompt, which needs `/v1/chat/completions`")
    if ask.grammar is not None and not profile.client_grammar:
        raise not_allowed(ask.grammar.param, "the profile takes no grammar from a request")
    if ask.documents and (profile.retrieval is None or kind is not Kind.VLLM):
        raise not_allowed("documents", "the profile, or the upstream, takes no passages")
    if profile.retrieval is not None and len(ask.documents) > profile.retrieval.depth:
        raise not_allowed("documents", f"the profile takes {profile.retrieval.depth} passages")
    if kind is not Kind.VLLM:
        for name in VLLM_ONLY:
            if name in ask.passed:
                raise not_allowed(name, "the upstream does not know it")
    if ask.continues and kind is not Kind.VLLM:
        raise not_allowed("continue_final_message", "the upstream is not known to do it")
    if ask.continues and ask.tools and ask.tool_choice != "none":
        raise not_allowed("continue_final_message", "a message that is continued calls no tools; leave `tools` out")
    _check_choice(ask, profile)


def _check_choice(ask: Ask, profile: Profile) -> None:
    choice = ask.tool_choice
    if choice is not None and choice != "none" and not ask.tools:
        raise not_allowed("tool_choice", "there are no `tools` to choose from")
    if choice is not None and choice.startswith("name:") and choice.removeprefix("name:") not in ask.tools:
        raise not_allowed("tool_choice", "is not among `tools`")
    if choice is not None and choice not in ("auto", "none") and (profile.grammar or ask.grammar is not None):
        raise not_allowed("tool_choice", "the output has a grammar, and a tool call is not of it; use `auto`")


def not_allowed(param: str, why: str) -> Refused:
    """The profile does not let a client ask it."""
    return Refused(400, "policykit_field_refused", f"`{param}`: {why}", param=param)


def salt_of(tenant: str) -> str:
    """What keeps the caches of tenants apart."""
    return hashlib.sha256(b"policykit:tenant:" + tenant.encode("utf-8")).hexdigest()


def payer_of(tenant: str) -> str:
    """What tells tenants apart where an engine counts its time, and does not tell whose salt it is."""
    return hashlib.sha256(b"policykit:payer:" + tenant.encode("utf-8")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sent:
    """How requests are sent for one profile and tenant. ``model`` is the upstream's name for model or adapter."""

    api: Api
    kind: Kind
    model: str
    tenant: str
    grammar: GrammarSpec | None
    neutral: Mapping[str, float] = field(default_factory=dict[str, float])
    """Settings that nobody asked for, with the values at which they change nothing: a server would take its model's
    own (:mod:`policykit.serving.neutral`)."""
    mask: Mapping[str, object] | None = None
    """What the engine's backend is told (`vllm_xargs`)."""

    def body(self, ask: Ask, profile: Profile, settings: Settings, n: int, max_tokens: int) -> dict[str, Any]:
        """The request for ``n`` choices of at most ``max_tokens``."""
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "n": n,
            "stream": ask.stream,
            **self.neutral,
            **ask.passed,
        }
        if settings.seed is not None:
            body["seed"] = settings.seed
        if ask.stream:
            body["stream_options"] = {"include_usage": True}
        if self.api is Api.COMPLETIONS:
            body["prompt"] = ask.prompt
        else:
            body |= _chat(ask, profile)
        if ask.continues:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if self.kind is Kind.VLLM:
            body["cache_salt"] = salt_of(self.tenant)
            if self.mask is not None:
                body["vllm_xargs"] = dict(self.mask)
        elif self.grammar is not None and self.api is Api.CHAT and not ask.tools:
            body |= _response_format(self.grammar)
        return body


def _response_format(grammar: GrammarSpec) -> dict[str, Any]:
    """What a plain server may enforce of a grammar; it is not relied on."""
    if grammar.kind is not GrammarKind.JSON_SCHEMA:
        return {}
    schema = json.loads(grammar.source)
    if not isinstance(schema, dict):
        return {}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}}


def _chat(ask: Ask, profile: Profile) -> dict[str, Any]:
    prompt = profile.system_prompt
    first = [{"role": "system", "content": prompt.text}] if prompt else []
    chat: dict[str, Any] = {"messages": [*first, *(_message(message) for message in ask.messages)]}
    if ask.documents:
        chat["documents"] = [
            {"text": text} if title is None else {"title": title, "text": text} for title, text in ask.documents
        ]
    if ask.tools:
        own = {tool.name: tool for tool in ask.defined}
        chat["tools"] = [_tool(profile, name, own.get(name)) for name in ask.tools]
        chat["tool_choice"] = _choice(ask.tool_choice)
        if ask.parallel_tool_calls is not None:
            chat["parallel_tool_calls"] = ask.parallel_tool_calls
    return chat


def asked(ask: Ask, profile: Profile) -> Json:
    """What an answer is one to, as a reward model reads it: a prompt, or the messages that the model is asked with, but
    for one that the answer goes on with. A question alone is its text."""
    if ask.prompt is not None:
        return ask.prompt
    messages: list[Json] = _chat(ask, profile)["messages"]
    if ask.continues:
        messages = messages[:-1]
    if len(messages) == 1 and ask.messages[0].role == "user":
        return ask.messages[0].text or ""
    return messages


def _message(message: Message) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.calls:
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    if message.call_id is not None:
        sent["tool_call_id"] = message.call_id
    return sent


def _tool(profile: Profile, name: str, own: Defined | None) -> dict[str, Any]:
    """As the profile defines it, or the request where the profile has no such tool."""
    tool = profile.tool(name)
    if tool is not None:
        parameters, description = tool.parameters, tool.description
    else:
        assert own is not None, "checked before"
        parameters, description = json.loads(own.schema), own.description
    function = {"name": name, "parameters": parameters}
    return {"type": "function", "function": function | ({"description": description} if description else {})}


def _choice(choice: str | None) -> object:
    if choice is not None and choice.startswith("name:"):
        return {"type": "function", "function": {"name": choice.removeprefix("name:")}}
    return choice or "auto"
