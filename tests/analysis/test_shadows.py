"""Rules and phrases that can never matter: claims held against every text of a small world, and against `compare`."""

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policykit.analysis import Idle, Nothing, Why, analyse, compare_rules
from policykit.compile import resolve
from policykit.diagnostics import PolicyError
from policykit.ir.document import AnyOf, PolicySet
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.policy import parse_document
from tests.analysis.brute import Match, World, matcher, related

STRENGTH = {"block": 2, "escalate": 1, "transform": 0}
ACTIONS: dict[str, Any] = {
    "block": {"block": {}},
    "escalate": {"escalate": {"queue": "q"}},
    "transform": {"transform": {"replace": {"with": "x"}}},
}


def rules(*given: tuple[str, Match], **more: Any) -> tuple[ResolvedRule, ...]:
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x", "version": "1.0.0", "owner": "o", "why": "w"},
        "rules": [
            {"id": f"r{i}", "match": match, "action": ACTIONS[action], **more.get(f"r{i}", {})}
            for i, (action, match) in enumerate(given)
        ],
    }
    facts = {"facts": {"inline": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
    return resolve(PolicySet((parse_document(json.dumps({**document, **facts}), "x"),)), CompileContext())


def seen(found: tuple[Idle, ...]) -> list[tuple[str, str, str, list[str]]]:
    return [(idle.why.value, idle.rule, idle.part, [name for name, _ in idle.by]) for idle in found]


# -- against every text


def check(place: World, given: list[tuple[str, Match]]) -> Counter[Why]:
    try:
        made = rules(*given)
    except PolicyError:
        return Counter()
    found = analyse(made)
    assert not found.outside
    truths = {rule.name: place.truth(match) for rule, (_, match) in zip(made, given, strict=True)}
    actions = {rule.name: action for rule, (action, _) in zip(made, given, strict=True)}
    whole = {idle.rule: idle for idle in found.idle if not idle.part}
    for idle in whole.values():
        others = [truths[name] for name, _ in idle.by]
        assert not (truths[idle.rule] & ~np.logical_or.reduce([np.zeros_like(truths[idle.rule]), *others])).any(), given
        assert bool(others) == (idle.why is Why.SHADOWED)
        assert all(STRENGTH[actions[name]] >= STRENGTH[actions[idle.rule]] for name, _ in idle.by)
        assert (idle.why is Why.EMPTY) <= (not truths[idle.rule].any())
    for idle in found.idle:
        if idle.part:
            check_part(place, given[int(idle.rule.removeprefix("x#r"))][1], idle)
    left = [rule for rule in made if rule.name not in whole]
    for rule in left:
        check_matters(rule, [other for other in left if other is not rule], actions)
    return Counter(idle.why for idle in found.idle)


def check_part(place: World, match: Match, idle: Idle) -> None:
    """The part alone finds nothing but where one of the others alone does; only leaves at the top are looked at."""
    key = next((key for key in ("phrases", "regex") if key in match), None)
    if key is not None:
        by = [{**match, key: [name]} for name, _ in idle.by]
        others = [np.zeros(len(place.samples), dtype=bool), *map(place.truth, by)]
        assert not (place.truth({**match, key: [idle.part]}) & ~np.logical_or.reduce(others)).any(), (match, idle)


def check_matters(rule: ResolvedRule, others: list[ResolvedRule], actions: dict[str, str]) -> None:
    """A rule that is not idle finds a text that no other one of at least its strength finds."""
    mine = actions[rule.name]
    stronger = [other for other in others if STRENGTH[actions[other.name]] > STRENGTH[mine]]
    alike = [other for other in others if actions[other.name] == mine != "transform"]
    covering = tuple(other.matcher for other in (*stronger, *alike) if other.matcher is not None)
    if covering:
        (comparison,) = compare_rules(rule, replace(rule, matcher=AnyOf(covering))).comparisons
        assert not isinstance(comparison.first_only, Nothing), (rule.name, covering)


def claims(n_sets: int, seed: int) -> Counter[Why]:
    rng = random.Random(seed)
    place = World(("raw",), 4)
    found: Counter[Why] = Counter()
    for _ in range(n_sets):
        first = matcher(rng, place.views)
        matches = [first, *(related(rng, first, place.views) for _ in range(rng.randint(0, 2)))]
        rng.shuffle(matches)
        found += check(place, [(rng.choice(["block", "block", "escalate", "transform"]), match) for match in matches])
    return found


def test_claims_hold_in_every_text_of_a_small_world() -> None:
    found = claims(70, seed=3)
    assert all(found[why] for why in Why), found


@pytest.mark.slow
def test_many_claims_hold_in_every_text_of_a_small_world() -> None:
    assert min(claims(800, seed=4).values()) > 30


# -- cases


def test_a_rule_that_others_cover_together_is_shadowed() -> None:
    given = (
        ("escalate", {"phrases": ["risk-free loan", "no fee"]}),
        ("block", {"phrases": ["risk-free"]}),
        ("block", {"phrases": ["fee"]}),
        ("transform", {"phrases": ["fee"]}),
    )
    assert seen(analyse(rules(*given)).idle) == [
        ("shadowed", "x#r0", "", ["x#r1", "x#r2"]),
        ("shadowed", "x#r3", "", ["x#r2"]),
    ]


def test_of_two_equal_rules_the_second_is_named() -> None:
    twice = ("block", {"phrases": ["fee"]})
    assert seen(analyse(rules(twice, twice)).idle) == [("shadowed", "x#r1", "", ["x#r0"])]


def test_what_depends_on_more_than_the_text_covers_nothing() -> None:
    same = ("block", {"phrases": ["fee"]})
    narrow = ("block", {"phrases": ["no fee"]})
    for more in ({"when": "a > 1"}, {"mode": "shadow"}, {"target": "input"}, {"target": "tool_result", "tool": "t"}):
        assert seen(analyse(rules(same, narrow, r0=more)).idle) == []
    assert seen(analyse(rules(same, narrow, r1={"when": "a > 1"})).idle) == [("shadowed", "x#r1", "", ["x#r0"])]


def test_parts_that_add_nothing() -> None:
    given = ("block", {"phrases": ["no risk", "no risk at all", "no fee"], "views": ["skeleton"]})
    assert seen(analyse(rules(given)).idle) == [("subsumed", "x#r0", "no risk at all", ["no risk"])]
    assert seen(analyse(rules(("transform", given[1]))).idle) == []
    regexes = ("block", {"regex": ["fee", "fees?", "x+"]})
    assert seen(analyse(rules(regexes)).idle) == [("subsumed", "x#r0", "fees?", ["fee"])]


def test_rules_without_a_text_are_listed() -> None:
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x", "version": "1.0.0", "owner": "o", "why": "w"},
        "facts": {"inline": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        "rules": [{"id": "r", "when": "a > 1", "action": {"block": {}}}],
    }
    found = analyse(resolve(PolicySet((parse_document(json.dumps(document), "x"),)), CompileContext()))
    assert [(outside.rule, outside.why) for outside in found.outside] == [("x#r", "depends on facts or people")]


def test_what_is_not_known_is_listed() -> None:
    found = analyse(
        rules(("block", {"entities": ["iban"]}), ("block", {"regex": ["a.{9}b"]}), ("block", {"phrases": ["a"]})), 5
    )
    assert [outside.rule for outside in found.outside][:1] == ["x#r0"]
    assert any("not proven within 5 states" in outside.why for outside in found.outside)
    assert all(idle.rule != "x#r1" for idle in found.idle)
