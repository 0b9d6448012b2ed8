"""Checked content as the values of the IR: defaults filled in, alternatives spelled out."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import TypedDict, TypeVar

from policykit.diagnostics import Place
from policykit.ir.document import (
    Action,
    AllOf,
    Allow,
    AnyOf,
    Approvals,
    Block,
    Condition,
    Context,
    Document,
    Effective,
    Entities,
    Escalate,
    Expect,
    Expression,
    Given,
    GivenApproval,
    Join,
    Matcher,
    Mode,
    Not,
    OnMatch,
    Phrase,
    Phrases,
    Reading,
    Regexes,
    RegexSource,
    Rego,
    Rule,
    RuleException,
    Scope,
    StatedScore,
    Target,
    TestCase,
    Variants,
    Within,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.policy.canonical import canonical, canonical_json
from policykit.policy.chains import lower_composed
from policykit.policy.checked import Entries, Leaf
from policykit.policy.checks import DEFAULT_VIEWS
from policykit.policy.citations import SOURCES, citations_of, sources, uncited
from policykit.policy.classifiers import stated_scores
from policykit.policy.entities import entities_of
from policykit.policy.lists import phrases_of
from policykit.policy.stream_safe import stream_safe
from policykit.policy.transforms import lower_transform

_T = TypeVar("_T")
DEFAULT_SEVERITY = "medium"
DEFAULT_COST = 1.0
DEFAULT_LETTERS = 20
DEFAULT_CONFIDENCE = 0.8
DEFAULT_TTL = "15m"
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def lower(document: Entries) -> Document:
    """The document's value. The content has passed every check."""
    metadata = need(document.entries("metadata"))
    defaults = document.entries("defaults")
    effective = document.entries("effective")
    rules = tuple(one for rule in document.records("rules") for one in _rules(rule, defaults))
    return Document(
        name=need(metadata.text("name")),
        version=need(metadata.text("version")),
        owner=need(metadata.text("owner")),
        why=need(metadata.text("why")),
        scope=_scope(document),
        effective=Effective(effective.day("from"), effective.day("until")) if effective else Effective(),
        rules=(*rules, *stream_safe(document, rules)),
        tests=tuple(map(lower_test, document.records("tests"))),
        canonical=canonical(document),
        place=_place(metadata, "name"),
        blocks_by_default=document.text("default") == "block",
        facts_schema=facts_schema(document),
    )


def facts_schema(document: Entries) -> str | None:
    """The facts' JSON Schema as JSON text; a file's content was put in its place when it was read."""
    facts = document.entries("facts")
    return canonical_json(facts.data("inline")) if facts else None


def need(value: _T | None) -> _T:
    """A value that the field table has seen to."""
    if value is None:
        raise AssertionError("the field table let a document pass without a required field")
    return value


def _place(entries: Entries, name: str) -> Place:
    return entries.fields[name].place


def _texts(leaves: tuple[Leaf, ...]) -> tuple[str, ...]:
    return tuple(str(leaf.value) for leaf in leaves)


def _scope(holder: Entries) -> Scope:
    scope = holder.entries("scope")
    if scope is None:
        return Scope()
    profiles, tenants, locales, jurisdictions = (
        _texts(scope.leaves(name)) for name in ("profiles", "tenants", "locales", "jurisdictions")
    )
    return Scope(profiles, tenants, locales, jurisdictions)


def _rules(rule: Entries, defaults: Entries | None) -> Iterator[Rule]:
    """The rule, and the one on the sources of its citations if it names any."""
    own = _rule(rule, defaults)
    cited = citations_of(rule)
    yield own
    found = sources(cited) if cited else None
    if found:
        match = rule.entries("match")
        matcher = AllOf((_matcher(match, rule.keys["match"]), found)) if match else found
        yield replace(own, id=f"{own.id}{SOURCES}", matcher=matcher)


def _rule(rule: Entries, defaults: Entries | None) -> Rule:
    def said(name: str) -> str | None:
        return rule.text(name) or (defaults.text(name) if defaults else None)

    cost = rule.number("cost")
    if cost is None and defaults:
        cost = defaults.number("cost")
    return Rule(
        id=need(rule.text("id")),
        severity=said("severity") or DEFAULT_SEVERITY,
        cost=DEFAULT_COST if cost is None else cost,
        mode=Mode(said("mode") or Mode.ENFORCE),
        scope=_scope(rule),
        matcher=_fires_on(rule),
        action=_action(rule),
        why=rule.text("why"),
        place=_place(rule, "id"),
        target=target_of(rule),
        tools=_texts(rule.leaves("tool")),
        when=_when(rule),
        approvals=_approvals(rule),
        exceptions=tuple(_exception(item) for item in rule.records("except")),
    )


def target_of(rule: Entries) -> Target:
    return Target(rule.text("target") or Target.OUTPUT)


def _fires_on(rule: Entries) -> Matcher | None:
    """What is found and what is required and missing, as one matcher."""
    match, require = rule.entries("match"), rule.entries("require")
    found = _matcher(match, rule.keys["match"]) if match else None
    if require is None:
        return found
    demanded, cited = require.entries("match"), require.entries("citations")
    missing: list[Matcher] = [Not(_matcher(demanded, require.keys["match"]))] if demanded else []
    missing += [uncited(cited, require.keys["citations"])] if cited else []
    if not missing:
        return found
    lacks = missing[0] if len(missing) == 1 else AnyOf(tuple(missing))
    return AllOf((found, lacks)) if found else lacks


def _when(holder: Entries) -> Condition | None:
    decided = holder.entries("when")
    if decided:
        return Rego(need(decided.text("rego")), decided.flag("text"), _place(decided, "rego"))
    condition = holder.leaf("when")
    return Expression(str(condition.value), condition.place) if condition else None


def _approvals(rule: Entries) -> Approvals | None:
    require = rule.entries("require")
    wanted = require.entries("approvals") if require else None
    if require is None or wanted is None:
        return None
    return Approvals(
        role=need(wanted.text("role")),
        count=int(wanted.number("count") or 1),
        distinct_by=wanted.text("distinctBy") or "user",
        not_requester=wanted.flag("notRequester"),
        place=require.keys["approvals"],
    )


def _exception(item: Entries) -> RuleException:
    return RuleException(
        id=need(item.text("id")),
        when=_when(item),
        approved_by=need(item.text("approvedBy")),
        reason=need(item.text("reason")),
        expires=item.day("expires"),
        place=_place(item, "id"),
    )


def _matcher(match: Entries, key: Place) -> Matcher:
    if "all" in match.fields:
        return AllOf(tuple(_matcher(item, match.keys["all"]) for item in match.records("all")))
    if "any" in match.fields:
        return AnyOf(tuple(_matcher(item, match.keys["any"]) for item in match.records("any")))
    inner = match.entries("not")
    if inner:
        return Not(_matcher(inner, match.keys["not"]))
    scored = match.entries("classifier")
    if scored:
        model, digest, label = (need(scored.text(name)) for name in ("model", "digest", "label"))
        threshold, views = need(scored.number("threshold")), _texts(scored.leaves("views")) or ("raw",)
        return Classifier(model, digest, label, threshold, match.keys["classifier"], views)
    language = match.entries("language")
    if language:
        return _language(language, match.keys["language"])
    if "predicate" in match.fields:
        return _predicate(match)
    reading = Reading(
        views=_texts(match.leaves("views")) or DEFAULT_VIEWS,
        within=Within(match.text("within") or Within.AUTO),
        join=Join(match.text("join") or Join.NONE),
        unescape=_texts(match.leaves("unescape")),
    )
    before, after = _context(match, "before"), _context(match, "after")
    found: list[Matcher] = []
    if "phrases" in match.fields:
        phrases = tuple(Phrase(str(leaf.value), leaf.place, data) for leaf, data in phrases_of(match))
        place = match.keys["phrases"]
        exact, squeezed = match.flag("exact"), match.flag("squeeze")
        found.append(Phrases(phrases, exact, before, after, reading, place, squeezed))
    if "regex" in match.fields:
        regexes = tuple(RegexSource(leaf.source, leaf.parsed.regex, leaf.place) for leaf in match.regexes("regex"))
        found.append(Regexes(regexes, before, after, reading, match.keys["regex"]))
    if "entities" in match.fields:
        entities = entities_of(match)
        found.append(Entities(entities, reading, match.keys["entities"]))
    found += lower_composed(match, reading)
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _language(language: Entries, place: Place) -> Language:
    inside, outside = (_texts(language.leaves(name)) for name in ("in", "notIn"))
    letters, confidence = language.number("letters"), language.number("confidence")
    return Language(
        languages=inside or outside,
        others=bool(outside),
        letters=DEFAULT_LETTERS if letters is None else int(letters),
        confidence=DEFAULT_CONFIDENCE if confidence is None else confidence,
        place=place,
    )


def _predicate(match: Entries) -> Predicate:
    place, record = match.keys["predicate"], match.entries("predicate")
    if record is None:
        return Predicate(need(match.text("predicate")), "{}", None, place)
    return Predicate(
        name=need(record.text("name")),
        args=canonical_json(record.data("args") or {}),
        version=record.text("version"),
        place=place,
        views=_texts(record.leaves("views")) or ("raw",),
    )


def _context(match: Entries, name: str) -> Context | None:
    side = match.entries(name)
    if side is None:
        return None
    regex = side.regexes("regex")[0]
    return Context(regex.parsed.regex, regex.source, int(need(side.number("within"))), regex.place)


def _action(rule: Entries) -> Action:
    action = need(rule.entries("action"))
    block = action.entries("block")
    if block:
        return Block(block.text("message"), block.text("code"), OnMatch(block.text("onMatch") or OnMatch.AVOID))
    escalate = action.entries("escalate")
    if escalate:
        about = "args" if target_of(rule) is Target.TOOL_CALL else "text"
        return Escalate(
            queue=need(escalate.text("queue")),
            bind_to=escalate.text("bindTo") or about,
            ttl=seconds(escalate.text("ttl") or DEFAULT_TTL),
            message=escalate.text("message"),
        )
    if "allow" in action.fields:
        return Allow()
    capitals = "".join(char if char.isalnum() else "_" for char in need(rule.text("id")).upper())
    return lower_transform(need(action.entries("transform")), capitals)


class _Subject(TypedDict):
    text: str
    target: Target
    tool: str | None


def _subject(given: Entries) -> _Subject:
    call, result = given.entries("tool_call"), given.entries("tool_result")
    if call:
        return {"text": canonical_json(call.data("args") or {}), "target": Target.TOOL_CALL, "tool": call.text("name")}
    if result:
        return {"text": need(result.text("text")), "target": Target.TOOL_RESULT, "tool": result.text("name")}
    if "json" in given.fields:
        return {"text": canonical_json(given.data("json")), "target": Target.OUTPUT, "tool": None}
    target = next(t for t in (Target.OUTPUT, Target.INPUT, Target.RETRIEVED) if t.value in given.fields)
    return {"text": need(given.text(target.value)), "target": target, "tool": None}


def _attributes(item: Entries) -> tuple[tuple[str, str], ...]:
    said = item.data("attributes")
    return tuple((name, str(value)) for name, value in said.items()) if isinstance(said, dict) else ()


def _decisions(given: Entries) -> tuple[tuple[str, bool], ...]:
    said = given.data("decisions")
    return tuple((name, value is True) for name, value in said.items()) if isinstance(said, dict) else ()


def seconds(duration: str) -> int:
    """A duration such as 15m in seconds."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def lower_test(test: Entries) -> TestCase:
    """The test's value."""
    given, expect = need(test.entries("given")), need(test.entries("expect"))
    return TestCase(
        name=need(test.text("name")),
        given=Given(**_subject(given), **circumstances(given)),
        expect=Expect(
            decision=need(expect.text("decision")),
            rules=expected_rules(expect),
            output=expect.text("output"),
            exceptions=_texts(expect.leaves("exceptions")) if "exceptions" in expect.fields else None,
            golden=expect.text("golden"),
            errors=_texts(expect.leaves("errors")) if "errors" in expect.fields else None,
        ),
        place=_place(test, "name"),
        variants=variants(test),
    )


class _Circumstances(TypedDict):
    facts: str
    approvals: tuple[GivenApproval, ...]
    decisions: tuple[tuple[str, bool], ...]
    scores: tuple[StatedScore, ...]
    profile: str | None
    tenant: str | None
    locale: str | None
    jurisdiction: str | None
    at: date | None


def circumstances(given: Entries) -> _Circumstances:
    """What a test says beside its text."""
    return {
        "facts": canonical_json(given.data("facts") or {}),
        "approvals": tuple(
            GivenApproval(need(item.text("user")), need(item.text("role")), _attributes(item))
            for item in given.records("approvals")
        ),
        "decisions": _decisions(given),
        "scores": stated_scores(given.data("scores")),
        "profile": given.text("profile"),
        "tenant": given.text("tenant"),
        "locale": given.text("locale"),
        "jurisdiction": given.text("jurisdiction"),
        "at": given.day("at"),
    }


def expected_rules(expect: Entries) -> tuple[str, ...] | None:
    """The ids of the rules that are to fire; None where nothing is said about them."""
    return _texts(expect.leaves("rules")) if "rules" in expect.fields else None


def variants(holder: Entries) -> Variants:
    """The variants that a test or a table asks for."""
    said = holder.entries("variants")
    if said is None:
        return Variants()
    return Variants(evasion=said.text("evasion") == "claimed", chunking=said.text("chunking") == "all")
