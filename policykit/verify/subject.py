"""What is judged: a text, what it is, and what is known about the request."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import cast

from policykit.approvals import Approval, SignedApproval
from policykit.ir.document import Target

CONTEXT = ("profile", "tenant", "locale", "jurisdiction")
_OWN = ("target", "tool", "args", "json")


class Ambiguous(Exception):
    """JSON that one reader reads so and another otherwise: judging one of the readings would miss the other."""


BROKEN_JSON = "the text begins like JSON and is none, so that what it says as JSON is not known"


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise Ambiguous(f"the JSON has `{twice}` twice in one object")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


@dataclass(frozen=True)
class Subject:
    """A text to judge.

    ``target`` says what it is: the model's `output`, a user's `input`, the arguments of a `tool_call` as JSON, a
    `tool_result`, a `retrieved` passage. ``facts`` are JSON values that conditions read by name. ``approvals`` are
    judged at the moment ``at``; signed ones count where the deployment knows their keys. ``approved`` is the text
    that they are for, where a transform has changed it since.
    """

    text: str
    target: Target = Target.OUTPUT
    tool: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    approvals: tuple[Approval | SignedApproval, ...] = ()
    at: datetime | None = None
    approved: str | None = None

    def __post_init__(self) -> None:
        # A target that is only text would be about no rule at all. Raises ValueError for one that there is not.
        object.__setattr__(self, "target", Target(self.target))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        object.__setattr__(self, "approvals", tuple(self.approvals))

    @property
    def moment(self) -> datetime:
        """When it is judged: now, if nothing else is said."""
        return self.at or datetime.now(UTC)

    @cached_property
    def parsed(self) -> tuple[bool, object]:
        """Whether the text is one JSON value, and the value.

        Raises Ambiguous for JSON that its readers may read differently.
        """
        try:
            return True, json.loads(self.text, object_pairs_hook=_unambiguous, parse_constant=_no_constant)
        except RecursionError:
            raise Ambiguous("the JSON is nested too deep to be judged") from None
        except ValueError:
            return False, None

    def known(self, context: Mapping[str, object]) -> dict[str, object]:
        """All that conditions can read: the facts, the plan's context, and what is judged."""
        names: dict[str, object] = {**self.facts, **context, "target": self.target.value}
        if self.tool is not None:
            names["tool"] = self.tool
        try:
            is_json, value = self.parsed
        except Ambiguous:
            return names  # a condition that reads it has an unknown fact
        if is_json and self.target is Target.TOOL_CALL:
            names["args"] = value
        if is_json and self.target is not Target.TOOL_CALL:
            names["json"] = value
        return names

    def problems(self, context: Mapping[str, object]) -> list[str]:
        """What makes the subject unusable: facts that contradict the plan, names that are not facts, arguments that
        are no JSON object."""
        found = [
            f"the plan is for {name} `{context[name]}`, the facts say `{self.facts[name]}`"
            for name in CONTEXT
            if name in context and name in self.facts and self.facts[name] != context[name]
        ]
        found += [f"`{name}` is not for callers to set" for name in _OWN if name in self.facts]
        if self.target in (Target.TOOL_CALL, Target.TOOL_RESULT) and not self.tool:
            found.append("a tool call or result names its tool")
        if self.target is Target.TOOL_CALL:
            try:
                is_object = isinstance(self.parsed[1], dict)
            except Ambiguous as error:
                return [*found, str(error)]
            if not is_object:
                found.append("the arguments of a tool call are a JSON object")
        return found

    @property
    def requester(self) -> str | None:
        """Who asks: the fact `user.id`, or `user` where it is text."""
        user = self.facts.get("user")
        if isinstance(user, Mapping):
            named = cast(Mapping[str, object], user).get("id")
            return named if isinstance(named, str) else None
        return user if isinstance(user, str) else None


def tool_call(
    name: str,
    args: Mapping[str, object],
    facts: Mapping[str, object] | None = None,
    approvals: Iterable[Approval | SignedApproval] = (),
) -> Subject:
    """A tool call to judge, its arguments as JSON."""
    text = json.dumps(dict(args), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Subject(text, Target.TOOL_CALL, name, facts or {}, tuple(approvals))
