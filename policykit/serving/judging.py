"""What the plan says of each text of an answer, and what follows from it: served, tried again, stopped, failed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from policykit.grammar import GrammarViolation
from policykit.ir.document import Block, OnMatch, Target
from policykit.ir.verdict import CheckError, Decision, Verdict, Violation, Violations
from policykit.plan import Plan
from policykit.profiles import OutputRules, Profile
from policykit.serving.continued import Continued, verify
from policykit.serving.hooks import Channel
from policykit.streaming import Stream
from policykit.verify import Subject, Verifier
from policykit.verify.gates import is_about
from policykit.verify.judgement import ungrammatical

TARGETS = {
    Channel.INPUT: Target.INPUT,
    Channel.TOOL_RESULT: Target.TOOL_RESULT,
    Channel.RETRIEVED: Target.RETRIEVED,
    Channel.TOOL_CALL: Target.TOOL_CALL,
    Channel.CONTENT: Target.OUTPUT,
    Channel.REASONING: Target.OUTPUT,
    Channel.REFUSAL: Target.OUTPUT,
}
TOOLS = "tools"
"""Whom a verdict names for a call of a tool that is not offered."""


class Ruling(StrEnum):
    """What follows from a verdict."""

    PASSED = "passed"
    STOPPED = "stopped"  # the rule's message is the answer
    AVOIDED = "avoided"  # another answer may do better
    FAILED = "failed"  # a check could not be made: nothing goes out


class Schema(Protocol):
    """What arguments of calls are judged by."""

    def check(self, text: str) -> list[GrammarViolation]:
        """What is wrong with a text; whatever it raises: that could not be judged."""
        ...


@dataclass(frozen=True)
class Judge:
    """Judges the texts of one request. ``plan`` judges contents, with the output's grammar; ``side``, the same policies
    without it, every other text. ``tools`` are those that the request offers."""

    plan: Plan
    side: Plan
    profile: Profile
    facts: Mapping[str, object]
    tools: tuple[str, ...] = ()
    validators: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    prefix: str = ""
    """What stands before every text: the end of a prompt, or of a message that is continued."""
    waits: bool = False
    """Whether its verdicts are waited for: texts or arguments are judged by their grammar in another process."""

    def plan_of(self, channel: Channel) -> Plan:
        return self.plan if channel is Channel.CONTENT else self.side

    def stream(self, channel: Channel) -> Stream | Continued:
        """A text of an answer that is judged while it arrives."""
        if self.prefix:
            return Continued(self.plan_of(channel), self.side, self.prefix, self.facts)
        return self.plan_of(channel).stream(self.facts)

    def whole(self, channel: Channel, text: str) -> Verdict:
        return verify(self.plan_of(channel), self.side, self.prefix, text, self.facts)

    def passage(self, target: Target, tool: str | None, text: str) -> Verdict:
        """A text of the request."""
        return self.side.verify(Subject(text, target, tool, self.facts))

    def call(self, name: str, arguments: str) -> Verdict:
        """A call of a tool. One that the request does not offer, or with arguments that its schema does not admit, is
        blocked like an ungrammatical output."""
        tool = self.profile.tool(name) if name in self.tools else None
        if tool is None:
            missing = Violation(TOOLS, None, None, None, "the request does not offer the tool", "high", 1.0)
            return self._blocked((missing,))
        try:
            wrong = self.validators[name].check(arguments)
        except Exception as error:
            return self._errored(name, f"{type(error).__name__}: {error}")
        if wrong:
            return self._blocked(ungrammatical(wrong))
        judge = self._judge_of(tool.output_rules)
        if judge is None:
            return self._called(name, arguments)
        said = self._said(judge, name, arguments)  # first: a call that does not go out uses no approval up
        if self.ruling(said) is not Ruling.PASSED:
            return said
        called = self._called(name, said.text)
        is_changed = called.decision is Decision.TRANSFORM
        if is_changed and self._said(judge, name, called.text).decision is not Decision.ALLOW:
            return self._errored(name, "what rules about calls make of the arguments is what no output may say")
        return _both(called, said)

    def _called(self, name: str, arguments: str) -> Verdict:
        """The rules about calls."""
        return self._fitting(name, self.side.verify(Subject(arguments, Target.TOOL_CALL, name, self.facts)))

    def _judge_of(self, rules: OutputRules) -> Verifier | None:
        match rules:
            case OutputRules.APPLY:
                return self.side.argument_verifier
            case OutputRules.BLOCK:
                return self.side.argument_guard
            case OutputRules.IGNORE:
                return None

    def _said(self, judge: Verifier, name: str, arguments: str) -> Verdict:
        """The rules about outputs: what no output may say stands in no argument, and is no tool's name. What they
        replace in outputs is replaced in strings; a name cannot be."""
        named = judge.verify(Subject(json.dumps(name), facts=self.facts))
        if named.decision is Decision.TRANSFORM:
            return self._blocked(named.violations)
        if named.decision is not Decision.ALLOW:
            return named
        return self._fitting(name, judge.verify(Subject(arguments, facts=self.facts)))

    def _fitting(self, name: str, verdict: Verdict) -> Verdict:
        """The verdict, if what transforms have made of the arguments is what the tool takes."""
        if verdict.decision is not Decision.TRANSFORM:
            return verdict
        try:
            wrong = self.validators[name].check(verdict.text)
        except Exception as error:
            return self._errored(name, f"{type(error).__name__}: {error}")
        return (
            self._errored(name, "the transformed arguments are not what the tool's schema admits") if wrong else verdict
        )

    def _blocked(self, found: tuple[Violation, ...] | Violations, errors: tuple[CheckError, ...] = ()) -> Verdict:
        cost = sum(violation.cost for violation in found)
        return Verdict(Decision.BLOCK, "", found, (), errors, (), (), cost, self.side.digest)

    def _errored(self, name: str, why: str) -> Verdict:
        return self._blocked((), (CheckError(f"{TOOLS}.{name}", why),))

    @cached_property
    def _stops(self) -> frozenset[str]:
        """The rules at which an answer ends with their message."""
        checks = self.plan.verifier.checks
        return frozenset(
            check.name
            for check in checks
            if isinstance(check.rule.action, Block) and check.rule.action.on_match is OnMatch.STOP
        )

    def asked(self, channel: Channel) -> tuple[str, ...]:
        """The rules that judge texts of a channel."""
        return self._asked[channel]

    @cached_property
    def _asked(self) -> Mapping[Channel, tuple[str, ...]]:
        found = {
            channel: tuple(c.name for c in self.plan_of(channel).verifier.checks if is_about(c.rule, target))
            for channel, target in TARGETS.items()
        }
        judges = [self._judge_of(tool.output_rules) for tool in self.profile.tools if tool.name in self.tools]
        said = (check.name for judge in judges if judge for check in judge.checks)
        found[Channel.TOOL_CALL] = tuple(dict.fromkeys((*found[Channel.TOOL_CALL], *said)))
        return found

    def ruling(self, verdict: Verdict) -> Ruling:
        """What follows from a verdict on a text of an answer."""
        match verdict.decision:
            case Decision.ALLOW | Decision.TRANSFORM:
                return Ruling.PASSED
            case Decision.ESCALATE:
                return Ruling.STOPPED
            case Decision.BLOCK:
                if any(rule in self._stops for rule in verdict.rules):
                    return Ruling.STOPPED
                return Ruling.FAILED if verdict.errors else Ruling.AVOIDED


@dataclass(frozen=True, slots=True)
class Failed:
    """A choice that does not go out as it is, by a ``verdict`` or without one. One that is ``final`` is not tried
    again."""

    why: str
    verdict: Verdict | None
    final: bool


def _both(called: Verdict, said: Verdict) -> Verdict:
    """Two verdicts on the arguments of one call, of which ``said`` lets it pass, as it is or changed."""
    is_changed = said.decision is Decision.TRANSFORM and called.decision is Decision.ALLOW
    return replace(
        called,
        decision=Decision.TRANSFORM if is_changed else called.decision,
        violations=(*said.violations, *called.violations),
        transforms=(*said.transforms, *called.transforms),
        errors=(*said.errors, *called.errors),
        shadow=(*said.shadow, *called.shadow),
        not_applicable=(*said.not_applicable, *called.not_applicable),
        exceptions=(*said.exceptions, *called.exceptions),
        decisions=(*said.decisions, *called.decisions),
        cost=said.cost + called.cost,
    )


def why(verdict: Verdict) -> str:
    """Why a text was not let through, in names only."""
    if verdict.errors and not verdict.violations:
        return "errored: " + ", ".join(dict.fromkeys(error.rule for error in verdict.errors))
    return f"{verdict.decision}: " + ", ".join(verdict.rules)
