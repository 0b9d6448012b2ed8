"""Comparisons of phrases that are set apart, against every text of a small world, matched by `re`.

A policy may say `squeeze` of long phrases only, whose shortest texts are too long to try all; so the phrases here are
short ones, put into the matcher behind the loader's back. The automata know no least length.
"""

import itertools
import random
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from policykit.analysis import Example, Nothing, Relation, compare_rules
from policykit.ir.document import AllOf, AnyOf, Matcher, Not, Phrases
from policykit.ir.plan import ResolvedRule
from tests.analysis.brute import Match
from tests.analysis.test_against_brute_force import rule as loaded
from tests.laws.oracle import phrase_as_re, regex_as_re

ALPHABET = "ab -_.!x\u0301\n"
"""Letters of the phrases, white space, a dash, what only expressions take for a letter, a dot, another sign, another
letter, a mark, and a line feed."""
MOST = 4
PHRASES = ("a b", "ab", "a a", "b a", "ab a", "a b a", "aab", "b-b", "a a\u0301")
REGEXES = ("a b", r"\ba", "a.b", "^a", "b$", "[^a]b")


@cache
def texts() -> list[str]:
    return ["".join(cs) for n in range(MOST + 1) for cs in itertools.product(ALPHABET, repeat=n)]


@cache
def lengths() -> NDArray[np.int64]:
    return np.array([len(text) for text in texts()])


@cache
def found(source: str) -> NDArray[np.bool_]:
    search = re.compile(source).search
    return np.array([search(text) is not None for text in texts()])


def sources(leaf: Match) -> list[str]:
    bodies = [phrase_as_re(p, "raw", False, leaf.get("squeeze", False)) for p in leaf.get("phrases", ())]
    return bodies + [regex_as_re(r, "raw") for r in leaf.get("regex", ())]


def truth(match: Match) -> NDArray[np.bool_]:
    if "all" in match:
        return np.logical_and.reduce([truth(item) for item in match["all"]])
    if "any" in match:
        return np.logical_or.reduce([truth(item) for item in match["any"]])
    if "not" in match:
        return ~truth(match["not"])
    return np.logical_or.reduce([found(source) for source in sources(match)])


def holds(match: Match, text: str) -> bool:
    """The same of a text that need not be of this world."""
    if "all" in match:
        return all(holds(item, text) for item in match["all"])
    if "any" in match:
        return any(holds(item, text) for item in match["any"])
    if "not" in match:
        return not holds(match["not"], text)
    return any(re.search(source, text) for source in sources(match))


def matcher(rng: random.Random, depth: int = 2) -> Match:
    kind = rng.choice(["leaf", "leaf", "leaf", "all", "any", "not"] if depth else ["leaf"])
    if kind in ("all", "any"):
        return {kind: [matcher(rng, depth - 1) for _ in range(2)]}
    if kind == "not":
        return {"not": matcher(rng, depth - 1)}
    if rng.random() < 0.2:
        return {"regex": rng.sample(REGEXES, 1), "views": ["raw"]}
    leaf: Match = {"phrases": rng.sample(PHRASES, rng.randint(1, 3)), "views": ["raw"]}
    return leaf if rng.random() < 0.3 else {**leaf, "squeeze": True}


def related(rng: random.Random, match: Match) -> Match:
    other = matcher(rng, 1)
    turn = rng.randrange(5)
    if turn == 0 and "phrases" in match:
        return {**match, "squeeze": not match.get("squeeze", False)}
    return [{"any": [match, other]}, {"all": [match, other]}, {"not": {"not": match}}, other, other][turn]


def plain(match: Match) -> Match:
    """The matcher without `squeeze`, which the loader refuses for short phrases."""
    if "not" in match:
        return {"not": plain(match["not"])}
    for kind in ("all", "any"):
        if kind in match:
            return {kind: [plain(item) for item in match[kind]]}
    return {key: value for key, value in match.items() if key != "squeeze"}


def squeezed(made: Matcher, said: Match) -> Matcher:
    """The loaded matcher with the `squeeze` of its leaves."""
    match made:
        case AnyOf(items) | AllOf(items):
            parts = said["any" if isinstance(made, AnyOf) else "all"]
            return type(made)(tuple(squeezed(item, part) for item, part in zip(items, parts, strict=True)))
        case Not(item):
            return Not(squeezed(item, said["not"]))
        case Phrases():
            return replace(made, squeeze=said.get("squeeze", False))
        case _:
            return made


def rule(match: Match) -> ResolvedRule:
    made = loaded(plain(match), False)
    assert made is not None
    assert made.matcher is not None
    return replace(made, matcher=squeezed(made.matcher, match))


def check_pair(a: Match, b: Match) -> Relation:
    """The relation, after it has been held against every text of the world."""
    (comparison,) = compare_rules(rule(a), rule(b)).comparisons
    for difference, by, against in ((comparison.first_only, a, b), (comparison.second_only, b, a)):
        separating = lengths()[truth(by) & ~truth(against)]
        if isinstance(difference, Nothing):
            assert not len(separating), (by, against)
            continue
        assert isinstance(difference, Example)
        assert difference.is_shortest
        for sample in filter(None, (difference.shortest, difference.readable)):
            assert holds(by, sample.text), (by, against, sample)
            assert not holds(against, sample.text), (by, against, sample)
        length = difference.shortest.length
        assert length == separating.min() if len(separating) else length > MOST, (by, against, difference)
    return comparison.relation


def agree(n_pairs: int, seed: int) -> Counter[Relation]:
    rng = random.Random(seed)
    relations: Counter[Relation] = Counter()
    while relations.total() < n_pairs:
        a = matcher(rng)
        relations[check_pair(a, related(rng, a))] += 1
    return relations


def test_pairs_compare_as_brute_force_says() -> None:
    relations = agree(60, seed=1)
    assert all(relations[relation] for relation in Relation if relation is not Relation.NOT_PROVEN), relations


@pytest.mark.slow
def test_many_pairs_compare_as_brute_force_says() -> None:
    assert agree(400, seed=2).total() == 400


def test_letters_set_apart_are_more_than_the_phrase() -> None:
    both = ({"phrases": ["ab a"], "views": ["raw"]}, {"phrases": ["ab a"], "views": ["raw"], "squeeze": True})
    assert check_pair(*both) is Relation.IMPLIES
    assert holds(both[1], "a.b a")
    assert not holds(both[1], "ab. a")
