"""Which rules apply in a request context, and at which level each is enforced.

A part of the context that is not given does not narrow: a rule for one profile applies where no profile is named,
because a rule that silently does not apply is the worse mistake. An empty text is not given either.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import assert_never

from policykit.compile.entities import unmaskable, uses
from policykit.compile.facts import decide, schema_of
from policykit.compile.predicates import identified, told_by
from policykit.conditions import FactsSchema
from policykit.entities import fits_numbers
from policykit.ir.document import (
    AllOf,
    Allow,
    AnyOf,
    Block,
    Chains,
    Document,
    Entities,
    Leaf,
    Matcher,
    Mode,
    Not,
    OnMatch,
    Phrases,
    PolicySet,
    Regexes,
    Rego,
    Rule,
    Scope,
    Sources,
    Tally,
    Target,
    WholeTransform,
    Within,
)
from policykit.ir.opaque import Classifier, Language, Opaque, Predicate
from policykit.ir.plan import CompileContext, Level, ResolvedRule

DEFAULT_SEVERITY = "high"
DEFAULT_COST = 1.0


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
    """The rules that apply, in document order; `auto` readings become the JSON strings if the output is JSON.

    A condition that the context decides is gone: the rule applies, or it does not. An exception that has ended, or
    whose condition the context refutes, is gone too. Raises PolicyError for a condition that cannot be read.
    """
    return tuple(
        resolved
        for document in policies.documents
        if is_effective(document, context.at) and in_scope(document.scope, context)
        for resolved in _document(document, context, json_output)
    )


def _document(document: Document, context: CompileContext, json_output: bool) -> list[ResolvedRule]:
    """A document's rules. Its allow rules are part of the one that stands for `default: block`, one per target."""
    schema = schema_of(document.facts_schema, document.place)
    rules = [
        _resolved(document, rule, json_output, schema, context)
        for rule in document.rules
        if rule.mode != Mode.OFF and in_scope(rule.scope, context) and decide(rule.when, schema, context) is not False
    ]
    out = [rule for rule in rules if not isinstance(rule.action, Allow)]
    if document.blocks_by_default:
        named: dict[Target, list[Mode]] = {}
        for rule in document.rules:
            if isinstance(rule.action, Allow) and rule.mode != Mode.OFF:
                named.setdefault(rule.target, []).append(rule.mode)
        allows = [rule for rule in rules if isinstance(rule.action, Allow)]
        out += [_default(document, target, modes, allows, json_output) for target, modes in named.items()]
    return out


def _default(
    document: Document, target: Target, modes: Sequence[Mode], allows: Sequence[ResolvedRule], json_output: bool
) -> ResolvedRule:
    """Enforced where one of the target's allow rules is, wherever that one applies; rules in shadow admit nothing
    then. Where all of them are in shadow, so is this."""
    mode = Mode.ENFORCE if Mode.ENFORCE in modes else Mode.SHADOW
    admits = [allow for allow in allows if allow.target is target and allow.mode is mode]
    return ResolvedRule(
        name=f"{document.name}#default",
        rule_id="default",
        document=document.name,
        severity=DEFAULT_SEVERITY,
        cost=DEFAULT_COST,
        mode=mode,
        level=Level.OBSERVE if mode is Mode.SHADOW else level_of_default(target, admits, json_output),
        matcher=None,
        action=Block(None, None, OnMatch.AVOID),
        place=document.place,
        target=target,
        facts_schema=document.facts_schema,
        document_place=document.place,
        admits=tuple(admits),
    )


def _resolved(
    document: Document, rule: Rule, json_output: bool, schema: FactsSchema | None, context: CompileContext
) -> ResolvedRule:
    reads_json = json_output if rule.target is Target.OUTPUT else rule.target in (Target.JSON, Target.TOOL_CALL)
    exceptions = tuple(
        replace(e, when=None) if holds else e
        for e in rule.exceptions
        if (e.expires is None or context.at < e.expires) and (holds := decide(e.when, schema, context)) is not False
    )
    when = rule.when if decide(rule.when, schema, context) is None else None
    found = ResolvedRule(
        name=f"{document.name}#{rule.id}",
        rule_id=rule.id,
        document=document.name,
        severity=rule.severity,
        cost=rule.cost,
        mode=rule.mode,
        level=Level.OUTPUT,
        matcher=None if rule.matcher is None else _read(rule.matcher, _within(reads_json)),
        action=rule.action,
        place=rule.place,
        target=rule.target,
        tools=rule.tools,
        when=when,
        approvals=rule.approvals,
        exceptions=exceptions,
        facts_schema=document.facts_schema,
        document_place=document.place,
    )
    return replace(found, level=level_of(found, json_output))


def _within(reads_json: bool) -> Within:
    return Within.JSON_STRINGS if reads_json else Within.TEXT


def reads_facts(rule: ResolvedRule) -> bool:
    """Whether the rule depends on more than the text: facts of the request, or people."""
    return bool(rule.when or rule.exceptions or rule.approvals or sources(rule.matcher))


def asked_of_opa(rule: ResolvedRule) -> tuple[str, ...]:
    """The references that an Open Policy Agent is asked for, each once: by the rule, its exceptions, and the allow
    rules that it stands for."""
    conditions = [rule.when, *(exception.when for exception in rule.exceptions)]
    own = [condition.reference for condition in conditions if isinstance(condition, Rego)]
    return tuple(dict.fromkeys(own + [name for allow in rule.admits or () for name in asked_of_opa(allow)]))


def level_of(rule: ResolvedRule, json_output: bool) -> Level:
    """Where a rule is enforced: a block that is to be avoided in the mask, what must be shown or replaced while text
    is released, what depends on text that comes later (an absence, a second find) when the output is complete. A mask
    knows no facts and no validators, so a rule that reads them is enforced by the verifier; what another service, a
    predicate or a classifier decides, and what is counted after it was validated or held against facts, waits until
    there is all to decide about."""
    if rule.mode == Mode.SHADOW:
        return Level.OBSERVE
    matcher = rule.matcher
    if rule.target is not Target.OUTPUT or matcher is None or isinstance(rule.action, WholeTransform):
        return Level.OUTPUT
    if asked_of_opa(rule) or opaque(matcher) or tallies(matcher) or sources(matcher):
        return Level.OUTPUT
    if not isinstance(rule.action, Block):
        return Level.OUTPUT if combines(matcher) else Level.STREAM
    if rule.action.on_match == OnMatch.STOP or reads_facts(rule) or unmaskable(matcher):
        return Level.OUTPUT if has_absence(matcher) else Level.STREAM
    reads_json = any(leaf.reading.within.is_json for leaf in leaves(matcher))
    return Level.OUTPUT if reads_json and not json_output else Level.DECODE


def level_of_default(target: Target, admits: Sequence[ResolvedRule], json_output: bool) -> Level:
    """The mask, where it admits whole texts that are described on one view and by nothing but text."""
    read = [leaf.reading for allow in admits for leaf in leaves(allow.matcher)]
    by_text = all(
        allow.matcher and not reads_facts(allow) and not opaque(allow.matcher) and not uses(allow.matcher)
        for allow in admits
    )
    on_one_view = len({reading.views for reading in read}) == 1 and len(read[0].views) == 1
    is_whole = target is Target.OUTPUT and not json_output and all(r.within == Within.TEXT for r in read)
    return Level.DECODE if read and by_text and on_one_view and is_whole else Level.OUTPUT


def _read(matcher: Matcher, within: Within) -> Matcher:
    match matcher:
        case Phrases() | Regexes() | Chains():
            if matcher.reading.within != Within.AUTO:
                return matcher
            return replace(matcher, reading=replace(matcher.reading, within=within))
        case Predicate():
            return identified(matcher)
        case Classifier():
            return matcher
        case Language():
            return told_by(matcher)
        case Entities(entities):
            if matcher.reading.within != Within.AUTO:
                return matcher
            if within is Within.JSON_STRINGS and any(map(fits_numbers, entities)):
                within = Within.JSON_SCALARS
            return replace(matcher, reading=replace(matcher.reading, within=within))
        case Tally(item):
            read = _read(item, within)
            assert isinstance(read, Entities), "entities stay what they are"
            return replace(matcher, item=read)
        case Sources():
            return matcher
        case AnyOf(items):
            return AnyOf(tuple(_read(item, within) for item in items))
        case AllOf(items):
            return AllOf(tuple(_read(item, within) for item in items))
        case Not(item):
            return Not(_read(item, within))
        case _:
            assert_never(matcher)


def opaque(matcher: Matcher | None) -> tuple[Opaque, ...]:
    """All predicates, classifiers and languages, in order."""
    match matcher:
        case None | Phrases() | Regexes() | Chains() | Entities() | Tally() | Sources():
            return ()
        case Predicate() | Classifier() | Language():
            return (matcher,)
        case AnyOf(items) | AllOf(items):
            return tuple(leaf for item in items for leaf in opaque(item))
        case Not(item):
            return opaque(item)
        case _:
            assert_never(matcher)


def leaves(matcher: Matcher | None) -> tuple[Leaf, ...]:
    """All leaves that read text, in order; none of a rule that reads no text."""
    match matcher:
        case None:
            return ()
        case Phrases() | Regexes() | Chains() | Entities():
            return (matcher,)
        case Tally(item):
            return (item,)
        case Sources(_, marks):
            return (marks,)
        case Predicate() | Classifier() | Language():
            return ()
        case AnyOf(items) | AllOf(items):
            return tuple(leaf for item in items for leaf in leaves(item))
        case Not(item):
            return leaves(item)
        case _:
            assert_never(matcher)


def combines(matcher: Matcher) -> bool:
    """Whether a find counts only together with what the rest of the text holds or does not hold."""
    match matcher:
        case Phrases() | Regexes() | Chains() | Entities() | Predicate() | Classifier() | Language():
            return False
        case AnyOf(items):
            return any(combines(item) for item in items)
        case AllOf(items):
            return len(items) > 1 or any(combines(item) for item in items)
        case Not(_) | Tally() | Sources():
            return True
        case _:
            assert_never(matcher)


def has_place(matcher: Matcher) -> bool:
    """Whether, wherever the matcher finds something, a part of it stands in the text."""
    match matcher:
        case Phrases() | Regexes() | Entities() | Tally() | Sources() | Predicate():
            return True
        case Chains():
            return not matcher.counts
        case Classifier() | Language():
            return False
        case AnyOf(items):
            return all(has_place(item) for item in items)
        case AllOf(items):
            return any(has_place(item) for item in items)
        case Not(_):
            return False
        case _:
            assert_never(matcher)


def tallies(matcher: Matcher | None) -> tuple[Tally, ...]:
    """All counts of entities, in order."""
    match matcher:
        case Tally():
            return (matcher,)
        case AnyOf(items) | AllOf(items):
            return tuple(tally for item in items for tally in tallies(item))
        case Not(item):
            return tallies(item)
        case _:
            return ()


def sources(matcher: Matcher | None) -> tuple[Sources, ...]:
    """Everything that holds the ids of citations against facts, in order."""
    match matcher:
        case Sources():
            return (matcher,)
        case AnyOf(items) | AllOf(items):
            return tuple(found for item in items for found in sources(item))
        case Not(item):
            return sources(item)
        case _:
            return ()


def has_absence(matcher: Matcher) -> bool:
    """Whether the matcher depends on something not being found."""
    match matcher:
        case Phrases() | Regexes() | Chains() | Entities() | Predicate() | Classifier() | Language():
            return False
        case Tally() | Sources():
            return False
        case AnyOf(items) | AllOf(items):
            return any(has_absence(item) for item in items)
        case Not(_):
            return True
        case _:
            assert_never(matcher)
