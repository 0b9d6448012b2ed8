"""Marks of calls that are special tokens of the model: which of them the mask has, and which are closed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from policykit.diagnostics import Diagnostic, Severity
from policykit.serving.deployment import Deployment, Serving

_LOG = logging.getLogger("policykit.serving")


class CallMarks(Protocol):
    """What a server's parser of calls says of marks (:class:`policykit.engines.vllm.tool_marks.CallMarks`)."""

    @property
    def parser(self) -> str: ...
    @property
    def special(self) -> tuple[str, ...]: ...
    @property
    def masked(self) -> tuple[str, ...]: ...
    @property
    def asks(self) -> bool: ...
    @property
    def ask(self) -> Callable[[bool], None]: ...


@dataclass(slots=True)
class ServedMarks:
    """Has the server ask for calls in their own form where their marks are special tokens and the model may call or not
    (`tool_choice: auto`): the mask then has these tokens where calls have them. What stays closed is logged when this
    is made and when something else is served, and is a note of readiness."""

    serving: Serving
    marks: CallMarks
    _found: tuple[Diagnostic, ...] = field(default=(), init=False)

    def begin(self) -> None:
        self._settle(self.serving.deployment)
        self.serving.on_swap(self._settle)

    def _settle(self, deployment: Deployment) -> None:
        wanted = asks_for_calls(deployment, self.marks)
        self.marks.ask(wanted)
        if wanted:
            named = ", ".join(f"`{name}`" for name in self.marks.masked)
            _LOG.info("calls of tools are masked in the form of the parser `%s`, with %s", self.marks.parser, named)
        self._found = closed(deployment, self.marks, wanted or self.marks.asks)
        for one in self._found:
            _LOG.warning("%s", one)

    async def note(self) -> str | None:
        return "; ".join(f"{one.code}: {one.message}" for one in self._found) or None


def with_grammar(deployment: Deployment) -> tuple[str, ...]:
    """The profiles with tools whose answers have a grammar, or may bring one: a text cannot follow a call's, too."""
    return tuple(p.name for p in deployment.profiles if p.calls_tools and (p.grammar is not None or p.client_grammar))


def asks_for_calls(deployment: Deployment, marks: CallMarks) -> bool:
    """Whether the server is to ask for calls in their own form although it was not started so."""
    has_tools = any(profile.calls_tools for profile in deployment.profiles)
    return has_tools and bool(marks.masked) and not marks.asks and not with_grammar(deployment)


def closed(deployment: Deployment, marks: CallMarks, is_asked: bool) -> tuple[Diagnostic, ...]:
    """A warning (PK723) where marks are closed. ``is_asked``: the server asks for calls in their own form."""
    names = [name for name in marks.special if not is_asked or name not in marks.masked]
    if not names or not any(profile.calls_tools for profile in deployment.profiles):
        return ()
    named = ", ".join(f"`{name}`" for name in names)
    message = f"{named}: special tokens that the parser `{marks.parser}` may read as marks of calls are closed"
    help = "with `tool_choice: auto` the model calls without them or not at all; `required` and named tools need none"
    if set(names) & set(marks.masked):
        others = ", ".join(f"`{name}`" for name in with_grammar(deployment))
        help = f"serve {others} elsewhere: where an answer has a grammar, no call can have its own"
    return (Diagnostic("PK723", message, None, help, Severity.WARNING),)
