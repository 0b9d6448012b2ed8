"""What a client asks, in one form for every route: messages with one text each, and settings."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from policykit.ir.document import Target
from policykit.serving.errors import Refused

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
ROLES = ("system", "developer", "user", "assistant", "tool")
Path = tuple[int, str, int]
"""Which text of a request: the message or document, the field, and the number of the tool call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that an earlier answer made. ``arguments`` are JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """``text`` joins the parts of a message, so that what is judged is what the model reads. ``tool`` is the tool whose
    result a message is."""

    role: str
    text: str | None
    calls: tuple[Call, ...] = ()
    call_id: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of a request that is judged before the model reads it."""

    path: Path
    target: Target
    tool: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grammar that a client wants its answer to have: its form as vLLM names it (`JSON`, `REGEX`, `CHOICE`,
    `GRAMMAR`, `STRUCTURAL_TAG`), its source, and the field that it came in."""

    form: str
    source: str
    param: str


@dataclass(frozen=True, slots=True)
class Defined:
    """A tool as a request defines it: ``schema`` is that of its arguments, as JSON, ``param`` the field."""

    name: str
    description: str | None
    schema: str
    param: str

    @property
    def n_chars(self) -> int:
        return len(self.name) + len(self.description or "") + len(self.schema)

    def passages(self, at: int) -> Iterator[Passage]:
        """What the model reads of it: the words of the schema each on a line, as they are when they are decoded."""
        texts = {"tool": self.description, "tool name": self.name, "tool schema": "\n".join(_words(self.schema))}
        for kind, text in texts.items():
            if text is not None:
                yield Passage((at, kind, 0), Target.INPUT, None, text)


FIXED = ("tool name", "tool schema", "called")
"""Texts of a request that no rule can replace anything in: they would say another tool, or stand nowhere as they are
judged."""


def called(call: Call, arguments: str, *, is_known: bool) -> str | None:
    """What the model reads of an earlier call and its ``arguments`` do not show as they are written: the name of a tool
    that the profile has not, and strings with escapes as they are when they are decoded. None where that is nothing."""
    words: list[str] = [] if is_known else [call.name]
    if "\\" in arguments:
        with suppress(ValueError, RecursionError):  # the model reads what is no JSON as it is written
            words += _words(arguments)
    return "\n".join(words) or None


def _words(source: str) -> Iterator[str]:
    waiting: list[object] = [json.loads(source)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for name, item in reversed(cast(dict[str, object], value).items()):
                waiting += (item, name)
        elif isinstance(value, list):
            waiting += reversed(cast(list[object], value))
        else:
            yield value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. Either ``messages`` or ``prompt``; what is None or empty was not asked for.

    ``passed`` are settings that go to the upstream as they are. ``grammar`` is that of the wanted output.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    documents: tuple[tuple[str | None, str], ...] = ()
    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    passed: Mapping[str, object] = field(default_factory=dict[str, object])
    tools: tuple[str, ...] = ()
    defined: tuple[Defined, ...] = ()
    """What the request says of tools; once its profile is known, only of those that the profile has not."""
    tool_choice: str | None = None
    """`auto`, `none`, `required`, or `name:` and the name of a tool."""
    parallel_tool_calls: bool | None = None
    grammar: Wanted | None = None
    continues: bool = False
    """The answer goes on with the last message, an assistant's."""
    unused: tuple[str, ...] = ()
    """Fields that change nothing here: the answer names them."""

    @property
    def named_tool(self) -> str | None:
        """The one tool that is to be called."""
        choice = self.tool_choice or ""
        return choice.removeprefix("name:") if choice.startswith("name:") else None

    @property
    def must_call(self) -> bool:
        """Whether an answer without a call is none."""
        return self.named_tool is not None or self.tool_choice == "required"

    @property
    def brings_grammars(self) -> bool:
        """Whether the request says itself what its answer, or arguments of calls in it, have to be like."""
        return self.grammar is not None or bool(self.defined)

    @property
    def begun(self) -> str:
        """The text that the answer goes on with: the prompt, or the message that it continues."""
        if self.continues:
            return self.messages[-1].text or ""
        return self.prompt or ""

    def passages(self) -> Iterator[Passage]:
        """Every text, in order."""
        if self.prompt is not None:
            yield Passage((0, "prompt", 0), Target.INPUT, None, self.prompt)
        for at, tool in enumerate(self.defined):
            yield from tool.passages(at)
        for at, (title, text) in enumerate(self.documents):
            if title is not None:
                yield Passage((at, "title", 0), Target.RETRIEVED, None, title)
            yield Passage((at, "document", 0), Target.RETRIEVED, None, text)
        for at, message in enumerate(self.messages):
            if message.text is not None:
                target = Target.TOOL_RESULT if message.role == "tool" else Target.INPUT
                yield Passage((at, "text", 0), target, message.tool, message.text)
            for number, call in enumerate(message.calls):
                yield Passage((at, "call", number), Target.INPUT, None, call.arguments)

    def with_texts(self, changed: Mapping[Path, str]) -> "Ask":
        """The same request with some of its texts changed."""
        if not changed:
            return self
        messages = tuple(_changed(at, message, changed) for at, message in enumerate(self.messages))
        documents = tuple(
            (title if title is None else changed.get((at, "title", 0), title), changed.get((at, "document", 0), text))
            for at, (title, text) in enumerate(self.documents)
        )
        prompt = self.prompt if self.prompt is None else changed.get((0, "prompt", 0), self.prompt)
        defined = tuple(
            replace(tool, description=changed.get((at, "tool", 0), tool.description))
            for at, tool in enumerate(self.defined)
        )
        return replace(self, messages=messages, documents=documents, prompt=prompt, defined=defined)


def _changed(at: int, message: Message, changed: Mapping[Path, str]) -> Message:
    calls = tuple(
        replace(call, arguments=changed.get((at, "call", number), call.arguments))
        for number, call in enumerate(message.calls)
    )
    text = message.text if message.text is None else changed.get((at, "text", 0), message.text)
    return replace(message, text=text, calls=calls)


def invalid(param: str, why: str) -> Refused:
    """The request is wrong at ``param``."""
    return Refused(400, "policykit_request_invalid", f"`{param}`: {why}", param=param)


def object_at(value: Any, param: str, known: set[str]) -> dict[str, object]:
    """A JSON object without its nulls, and without empty lists and objects that nobody reads. Raises Refused for any
    other name than those ``known``."""
    if not isinstance(value, dict):
        raise invalid(param, "give an object")
    items = cast(dict[str, object], value).items()
    found = {name: item for name, item in items if item is not None and (name in known or item not in ([], {}))}
    for name in found:
        if name not in known:
            where = f"{param}.{name}" if param else name
            raise Refused(400, "policykit_field_refused", f"`{where}`: is not supported; leave it out", param=where)
    return found


def list_at(value: object, param: str, most: int) -> list[object]:
    if not isinstance(value, list):
        raise invalid(param, "give a list")
    items = cast(list[object], value)
    if len(items) > most:
        raise invalid(param, f"has {len(items)} entries, at most {most}")
    return items


def text_at(value: object, param: str) -> str:
    if not isinstance(value, str):
        raise invalid(param, "give a text")
    return value


def name_at(value: object, param: str) -> str:
    name = text_at(value, param)
    if not _NAME.fullmatch(name):
        raise invalid(param, "give a name of at most 128 letters, digits and `_.:-`")
    return name


def text_of(content: object, param: str, kinds: tuple[str, ...] = ("text",)) -> str:
    """The text of a message: a text, or parts that are texts, each on lines of its own."""
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for at, value in enumerate(list_at(content, param, 1024)):
        where = f"{param}[{at}]"
        kind = cast(dict[str, object], value).get("type") if isinstance(value, dict) else None
        if kind not in kinds:
            raise Refused(
                400, "policykit_field_refused", f"`{where}.type`: only text can be judged; send texts", param=where
            )
        part = object_at(value, where, {"type", "text", "annotations", "logprobs"})
        parts.append(text_at(part.get("text"), f"{where}.text"))
    return "\n".join(parts)


def read_messages(value: object, param: str = "messages") -> tuple[Message, ...]:
    """The messages of a chat. Raises Refused for what cannot be judged."""
    found: list[Message] = []
    tools: dict[str, str] = {}
    for at, item in enumerate(list_at(value, param, 4096)):
        message = _message(item, f"{param}[{at}]", tools)
        tools |= {call.id: call.name for call in message.calls}
        found.append(message)
    if not found:
        raise invalid(param, "give at least one message")
    return tuple(found)


def _message(value: object, param: str, tools: Mapping[str, str]) -> Message:
    role = cast(dict[str, object], value).get("role") if isinstance(value, dict) else None
    match role:
        case "system" | "developer" | "user":
            message = object_at(value, param, {"role", "content"})
            return Message(str(role), text_of(message.get("content"), f"{param}.content"))
        case "assistant":
            message = object_at(value, param, {"role", "content", "tool_calls", "policykit", "annotations"})
            content = message.get("content")
            text = None if content is None else text_of(content, f"{param}.content")
            calls = _calls(message.get("tool_calls", []), f"{param}.tool_calls")
            return Message("assistant", "" if text is None and not calls else text, calls)
        case "tool":
            message = object_at(value, param, {"role", "content", "tool_call_id", "name"})
            call_id = name_at(message.get("tool_call_id"), f"{param}.tool_call_id")
            tool = tools.get(call_id)
            if tool is None:
                raise invalid(f"{param}.tool_call_id", "no message before it makes this call")
            if message.get("name", tool) != tool:
                raise invalid(f"{param}.name", "is not the tool that was called")
            return Message("tool", text_of(message.get("content"), f"{param}.content"), (), call_id, tool)
        case _:
            raise invalid(f"{param}.role", "give one of " + ", ".join(f"`{role}`" for role in ROLES))


def _calls(value: object, param: str) -> tuple[Call, ...]:
    found: list[Call] = []
    for at, item in enumerate(list_at(value, param, 128)):
        where = f"{param}[{at}]"
        call = object_at(item, where, {"id", "type", "function", "index"})
        if call.get("type", "function") != "function":
            raise invalid(f"{where}.type", "give `function`")
        function = object_at(call.get("function"), f"{where}.function", {"name", "arguments"})
        name = name_at(function.get("name"), f"{where}.function.name")
        arguments = text_at(function.get("arguments", ""), f"{where}.function.arguments")
        found.append(Call(name_at(call.get("id"), f"{where}.id"), name, arguments))
    return tuple(found)
