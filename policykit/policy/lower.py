"""Checked content as the values of the IR: defaults filled in, alternatives spelled out."""

from typing import TypeVar

from policykit.diagnostics import Place
from policykit.ir.document import (
    Action,
    AllOf,
    AnyOf,
    Block,
    Context,
    Document,
    Effective,
    Expect,
    Given,
    Join,
    Mask,
    Matcher,
    Mode,
    Not,
    OnMatch,
    Phrase,
    Phrases,
    Reading,
    Regexes,
    RegexSource,
    Replace,
    Rule,
    Scope,
    TestCase,
    Within,
)
from policykit.policy.canonical import canonical
from policykit.policy.checked import Entries, Leaf
from policykit.policy.checks import DEFAULT_VIEWS

_T = TypeVar("_T")
DEFAULT_SEVERITY = "medium"
DEFAULT_COST = 1.0


def lower(document: Entries) -> Document:
    """The document's value. The content has passed every check."""
    metadata = _need(document.entries("metadata"))
    defaults = document.entries("defaults")
    effective = document.entries("effective")
    return Document(
        name=_need(metadata.text("name")),
        version=_need(metadata.text("version")),
        owner=_need(metadata.text("owner")),
        why=_need(metadata.text("why")),
        scope=_scope(document),
        effective=Effective(effective.day("from"), effective.day("until")) if effective else Effective(),
        rules=tuple(_rule(rule, defaults) for rule in document.records("rules")),
        tests=tuple(map(_test, document.records("tests"))),
        canonical=canonical(document),
        place=_place(metadata, "name"),
    )


def _need(value: _T | None) -> _T:
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


def _rule(rule: Entries, defaults: Entries | None) -> Rule:
    def said(name: str) -> str | None:
        return rule.text(name) or (defaults.text(name) if defaults else None)

    cost = rule.number("cost")
    if cost is None and defaults:
        cost = defaults.number("cost")
    return Rule(
        id=_need(rule.text("id")),
        severity=said("severity") or DEFAULT_SEVERITY,
        cost=DEFAULT_COST if cost is None else cost,
        mode=Mode(said("mode") or Mode.ENFORCE),
        scope=_scope(rule),
        matcher=_matcher(_need(rule.entries("match")), rule.keys["match"]),
        action=_action(rule),
        why=rule.text("why"),
        place=_place(rule, "id"),
    )


def _matcher(match: Entries, key: Place) -> Matcher:
    if "all" in match.fields:
        return AllOf(tuple(_matcher(item, match.keys["all"]) for item in match.records("all")))
    if "any" in match.fields:
        return AnyOf(tuple(_matcher(item, match.keys["any"]) for item in match.records("any")))
    inner = match.entries("not")
    if inner:
        return Not(_matcher(inner, match.keys["not"]))
    reading = Reading(
        views=_texts(match.leaves("views")) or DEFAULT_VIEWS,
        within=Within(match.text("within") or Within.AUTO),
        join=Join(match.text("join") or Join.NONE),
    )
    before, after = _context(match, "before"), _context(match, "after")
    found: list[Matcher] = []
    if "phrases" in match.fields:
        phrases = tuple(Phrase(str(leaf.value), leaf.place) for leaf in match.leaves("phrases"))
        place = match.keys["phrases"]
        found.append(Phrases(phrases, match.flag("exact"), before, after, reading, place))
    if "regex" in match.fields:
        regexes = tuple(RegexSource(leaf.source, leaf.parsed.regex, leaf.place) for leaf in match.regexes("regex"))
        found.append(Regexes(regexes, before, after, reading, match.keys["regex"]))
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _context(match: Entries, name: str) -> Context | None:
    side = match.entries(name)
    if side is None:
        return None
    regex = side.regexes("regex")[0]
    return Context(regex.parsed.regex, regex.source, int(_need(side.number("within"))), regex.place)


def _action(rule: Entries) -> Action:
    action = _need(rule.entries("action"))
    block = action.entries("block")
    if block:
        return Block(block.text("message"), block.text("code"), OnMatch(block.text("onMatch") or OnMatch.AVOID))
    transform = _need(action.entries("transform"))
    mask = transform.entries("mask")
    if mask:
        capitals = "".join(char if char.isalnum() else "_" for char in _need(rule.text("id")).upper())
        return Mask(_need(mask.text("with")), mask.text("type") or capitals)
    return Replace(_need(_need(transform.entries("replace")).text("with")))


def _test(test: Entries) -> TestCase:
    given, expect = _need(test.entries("given")), _need(test.entries("expect"))
    return TestCase(
        name=_need(test.text("name")),
        given=Given(
            output=_need(given.text("output")),
            profile=given.text("profile"),
            tenant=given.text("tenant"),
            locale=given.text("locale"),
            jurisdiction=given.text("jurisdiction"),
            at=given.day("at"),
        ),
        expect=Expect(
            decision=_need(expect.text("decision")),
            rules=_texts(expect.leaves("rules")) if "rules" in expect.fields else None,
            output=expect.text("output"),
        ),
        place=_place(test, "name"),
    )
