"""Phrases with their letters set apart, in whole plans: the mask, the verifier and the oracle are of one mind."""

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from tests.laws import oracle
from tests.laws.languages import FREE, Rules, rule
from tests.laws.test_exhaustive_speller import Explorer, is_written, speller_tokens
from tests.laws.worlds import World, make_world, phrases_of, tokenised
from tests.length import at_length

PHRASES = ("abab abab ab", "a bbbb aaaaa", "ßab aéaaab1", "1ab1ab1 ab1a", "AAAAB bbbba")
GAPS = ("", "", " ", ".", "-", "_", " . ", "\u200b", "☃", ". ", "  ", "/", "\n", "\u00ad", ",", "Ж")


def spellings(rng: random.Random, phrase: str, n: int) -> list[str]:
    """The phrase with something between its letters: mostly one kind of gap, sometimes another."""
    found: list[str] = []
    for _ in range(n):
        usual, between = rng.choice(GAPS), rng.choice(GAPS)
        odd = rng.choice([0.0, 0.0, 0.05])
        gaps = [rng.choice(GAPS) if rng.random() < odd else between if c == " " else usual for c in phrase]
        text = "".join(gap if c == " " else c + gap for c, gap in zip(phrase, gaps, strict=True))
        found.append(
            rng.choice(["", "a ", "b", "."]) + text[: rng.choice([None, None, -1])] + rng.choice(["", " a", "1"])
        )
    return found


def judge(world: World, n: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    for text in dict.fromkeys(t for p in phrases_of(world.rules) for t in spellings(world.rng, p, n)):
        legal = world.is_legal(text)
        ids = tokenised(world.rng, world.vocabulary, text.encode())
        assert is_written(world, ids) == legal, (text, world.rules)
        assert (world.plan.verify(text).decision == "allow") == legal, (text, world.rules)
        counted["legal" if legal else "forbidden"] += 1
    return counted


LEAF = st.fixed_dictionaries(
    {"phrases": st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3, unique=True), "squeeze": st.just(True)},
    optional={
        "views": st.lists(st.sampled_from(["raw", "compat", "unmarked"]), min_size=1, max_size=2, unique=True),
        "after": st.just({"regex": "[^1]", "within": 1}),
    },
)
RULES = st.tuples(LEAF, st.booleans()).map(
    lambda t: [rule(t[0]), rule({"phrases": ["b a", "Ж"], "views": ["raw"]}, "plain")] if t[1] else [rule(t[0])]
)


def run(n_worlds: int, n_texts: int, n_states: int) -> Counter[str]:
    counted: Counter[str] = Counter()

    @settings(
        max_examples=n_worlds, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(RULES, st.integers(0, 2**32))
    def over_worlds(rules: Rules, seed: int) -> None:
        world = make_world(rules, FREE, seed)
        counted.update(judge(world, n_texts))
        counted.update(Explorer(world, speller_tokens(world)).explore(n_states))

    over_worlds()
    return counted


def test_every_spelling_is_judged_as_the_oracle_does() -> None:
    counted = run(8, 40, 5)
    assert min(counted["legal"], counted["forbidden"]) >= 100, counted


@pytest.mark.slow
def test_every_spelling_is_judged_as_the_oracle_does_at_length() -> None:
    counted = run(at_length(60, 24), 140, 20)
    assert counted["legal"] + counted["forbidden"] >= at_length(10_000, 4_000), counted
    assert min(counted["legal"], counted["forbidden"]) >= at_length(3_000, 1_200), counted
    assert counted["co-accessible"] >= at_length(800, 320), counted


def test_the_oracle_can_say_no() -> None:
    match = {"phrases": ["abab abab ab"], "squeeze": True}
    assert oracle.finds(match, "a.b.a.b a-b-a-b_a.b", False)
    assert not oracle.finds(match, "abab. abab ab", False)
