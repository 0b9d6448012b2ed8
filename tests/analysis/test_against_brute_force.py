"""Exact analysis against brute force: every text of a small world, matched by `re`."""

import json
import random
from collections import Counter
from functools import cache, partial

import pytest

from policykit.analysis import Example, Nothing, NotProven, Relation, compare_rules
from policykit.compile import resolve
from policykit.diagnostics import PolicyError
from policykit.ir.document import PolicySet
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.policy import parse_document
from tests.analysis.brute import Match, World, matcher, related
from tests.length import at_length

FOLDING = ("unmarked", "skeleton", "leet")
"""Views that want longer phrases: most random matchers on them are refused, so fewer pairs are held against them."""


@cache
def world(name: str, is_slow: bool) -> World:
    return {
        "raw": lambda: World(("raw",), 4),
        "compat": lambda: World(("compat",), 3 if is_slow else 2),
        "raw and compat": lambda: World(("raw", "compat"), 2),
        **{view: partial(World, (view,), 2) for view in FOLDING},
        "strings": lambda: World(("raw",), 5 if is_slow else 4, in_strings=True),
    }[name]()


WORLDS = ("raw", "compat", "raw and compat", "strings")


def rule(match: Match, in_strings: bool) -> ResolvedRule | None:
    """The rule as loaded from a document; None where the document is refused."""
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x", "version": "1.0.0", "owner": "o", "why": "w"},
        "rules": [{"id": "r", "match": match, "action": {"block": {}}}],
    }
    try:
        policies = PolicySet((parse_document(json.dumps(document), "x"),))
    except PolicyError:
        return None
    return resolve(policies, CompileContext(), json_output=in_strings)[0]


def check_pair(place: World, a: Match, b: Match) -> Relation | None:
    """The relation, after it has been held against every text of the world; None where a matcher is refused."""
    rules = rule(a, place.in_strings), rule(b, place.in_strings)
    if rules[0] is None or rules[1] is None:
        return None
    (comparison,) = compare_rules(*rules).comparisons
    for found, by, against in ((comparison.first_only, a, b), (comparison.second_only, b, a)):
        separating = place.lengths[place.truth(by) & ~place.truth(against)]
        shortest = int(separating.min()) if len(separating) else None
        assert not isinstance(found, NotProven)
        if isinstance(found, Nothing):
            assert shortest is None, (by, against)
            continue
        assert isinstance(found, Example)
        assert found.is_shortest
        for sample in filter(None, (found.shortest, found.readable)):
            assert place.holds(by, sample.parts), (by, against, sample)
            assert not place.holds(against, sample.parts), (by, against, sample)
        length = place.length(found.shortest.parts)
        assert length == shortest if shortest is not None else length > place.most, (by, against, found)
        check_readable(place, found)
    return comparison.relation


def check_readable(place: World, found: Example) -> None:
    if found.readable is not None:
        assert found.readable.text.isascii()
        assert found.readable.length >= found.shortest.length
        assert found.shortest.text.isascii() <= (found.readable == found.shortest)


def agree(name: str, n_pairs: int, seed: int, is_slow: bool = False) -> Counter[Relation]:
    rng = random.Random(seed)
    place = world(name, is_slow)
    relations: Counter[Relation] = Counter()
    while relations.total() < n_pairs:
        a = matcher(rng, place.views)
        relation = check_pair(place, a, related(rng, a, place.views))
        if relation is not None:
            relations[relation] += 1
    return relations


@pytest.mark.parametrize("name", WORLDS)
def test_pairs_compare_as_brute_force_says(name: str) -> None:
    relations = agree(name, 60, seed=1)
    assert all(relations[relation] for relation in Relation if relation is not Relation.NOT_PROVEN), relations


@pytest.mark.parametrize("name", FOLDING)
def test_pairs_on_folding_views_compare_as_brute_force_says(name: str) -> None:
    relations = agree(name, 25, seed=5)
    assert all(relations[relation] for relation in Relation if relation is not Relation.NOT_PROVEN), relations


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDING)
def test_many_pairs_on_folding_views_compare_as_brute_force_says(name: str) -> None:
    assert agree(name, 300, seed=6).total() == 300


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_ten_thousand_pairs_compare_as_brute_force_says(name: str) -> None:
    """Ten thousand in the four worlds together, where the tests run in full."""
    relations = agree(name, at_length(2_500, 400), seed=2, is_slow=True)
    seen = min(relations[relation] for relation in Relation if relation is not Relation.NOT_PROVEN)
    assert seen > at_length(100, 15), relations
