"""Which rules apply in a request context, and at which level each is enforced.

A part of the context that is not given does not narrow: a rule for one profile applies where no profile is named,
because a rule that silently does not apply is the worse mistake. An empty text is not given either.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import assert_never

from policykit.ir.document import (
    AllOf,
    AnyOf,
    Block,
    Document,
    Matcher,
    Mode,
    Not,
    OnMatch,
    Phrases,
    PolicySet,
    Regexes,
    Rule,
    Scope,
    Within,
)
from policykit.ir.plan import CompileContext, Level, ResolvedRule


def glob_matches(pattern: str, value: str) -> bool:
    """Whether a glob whose only wildcard is ``*`` matches the whole value. Linear in pattern times value."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == value
    if not value.startswith(head):
        return False
    at = len(head)
    for part in rest[:-1]:
        found = value.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(value) - at >= len(rest[-1]) and value.endswith(rest[-1])


def _admits(patterns: Sequence[str], value: str | None) -> bool:
    return not patterns or not value or any(glob_matches(p, value) for p in patterns)


def _locale(written: str) -> str:
    """One spelling per language tag: `en-GB` is `en_gb` (BCP 47, section 2.1.1; UTS #35, section 3)."""
    return written.casefold().replace("_", "-")


def in_scope(scope: Scope, context: CompileContext) -> bool:
    """Whether a scope admits the context; a part that the context leaves open is admitted."""
    return (
        _admits(scope.profiles, context.profile)
        and _admits(scope.tenants, context.tenant)
        and _admits([*map(_locale, scope.locales)], _locale(context.locale or ""))
        and _admits([*map(str.casefold, scope.jurisdictions)], (context.jurisdiction or "").casefold())
    )


def is_effective(document: Document, at: date) -> bool:
    effective = document.effective
    return (effective.since is None or effective.since <= at) and (effective.until is None or at < effective.until)


def resolve(policies: PolicySet, context: CompileContext, *, json_output: bool = False) -> tuple[ResolvedRule, ...]:
    """The rules that apply, in document order; `auto` readings become the JSON strings if the output is JSON."""
    return tuple(
        _resolved(document, rule, json_output)
        for document in policies.documents
        if is_effective(document, context.at) and in_scope(document.scope, context)
        for rule in document.rules
        if rule.mode != Mode.OFF and in_scope(rule.scope, context)
    )


def _resolved(document: Document, rule: Rule, json_output: bool) -> ResolvedRule:
    within = Within.JSON_STRINGS if json_output else Within.TEXT
    return ResolvedRule(
        name=f"{document.name}#{rule.id}",
        rule_id=rule.id,
        document=document.name,
        severity=rule.severity,
        cost=rule.cost,
        mode=rule.mode,
        level=level_of(rule, json_output),
        matcher=_read(rule.matcher, within),
        action=rule.action,
        place=rule.place,
    )


def level_of(rule: Rule, json_output: bool) -> Level:
    """Where a rule is enforced: a block that is to be avoided in the mask, what must be shown or replaced while text
    is released, what depends on text that comes later (an absence, a second find) when the output is complete."""
    if rule.mode == Mode.SHADOW:
        return Level.OBSERVE
    if not isinstance(rule.action, Block):
        return Level.OUTPUT if combines(rule.matcher) else Level.STREAM
    if rule.action.on_match == OnMatch.STOP:
        return Level.OUTPUT if has_absence(rule.matcher) else Level.STREAM
    reads_json = any(leaf.reading.within == Within.JSON_STRINGS for leaf in leaves(rule.matcher))
    return Level.OUTPUT if reads_json and not json_output else Level.DECODE


def _read(matcher: Matcher, within: Within) -> Matcher:
    match matcher:
        case Phrases() | Regexes():
            if matcher.reading.within != Within.AUTO:
                return matcher
            return replace(matcher, reading=replace(matcher.reading, within=within))
        case AnyOf(items):
            return AnyOf(tuple(_read(item, within) for item in items))
        case AllOf(items):
            return AllOf(tuple(_read(item, within) for item in items))
        case Not(item):
            return Not(_read(item, within))
        case _:
            assert_never(matcher)


def leaves(matcher: Matcher) -> tuple[Phrases | Regexes, ...]:
    """All leaves, in order."""
    match matcher:
        case Phrases() | Regexes():
            return (matcher,)
        case AnyOf(items) | AllOf(items):
            return tuple(leaf for item in items for leaf in leaves(item))
        case Not(item):
            return leaves(item)
        case _:
            assert_never(matcher)


def combines(matcher: Matcher) -> bool:
    """Whether a find counts only together with what the rest of the text holds or does not hold."""
    match matcher:
        case Phrases() | Regexes():
            return False
        case AnyOf(items):
            return any(combines(item) for item in items)
        case AllOf(items):
            return len(items) > 1 or any(combines(item) for item in items)
        case Not(_):
            return True
        case _:
            assert_never(matcher)


def has_place(matcher: Matcher) -> bool:
    """Whether, wherever the matcher finds something, a part of it stands in the text."""
    match matcher:
        case Phrases() | Regexes():
            return True
        case AnyOf(items):
            return all(has_place(item) for item in items)
        case AllOf(items):
            return any(has_place(item) for item in items)
        case Not(_):
            return False
        case _:
            assert_never(matcher)


def has_absence(matcher: Matcher) -> bool:
    """Whether the matcher depends on something not being found."""
    match matcher:
        case Phrases() | Regexes():
            return False
        case AnyOf(items) | AllOf(items):
            return any(has_absence(item) for item in items)
        case Not(_):
            return True
        case _:
            assert_never(matcher)
