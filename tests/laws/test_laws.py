"""What a mask promises of the texts that are written under it, over generated plans and vocabularies."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

import policykit as pk
from tests.laws.languages import FORMULAS, FREE, LEAVES, phrases, schemas
from tests.laws.worlds import World, allowed, bytewise, likely_texts, make_world, tokenised, worlds
from tests.length import at_length

ANY = LEAVES | FORMULAS
FAST = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=50, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def what_is_admitted_passes(world: World, n_walks: int = 5) -> None:
    """Law 1: a text that the mask lets end is allowed by the verifier, and by an independent judge."""
    for _ in range(n_walks):
        walk = world.walker.walk(world.constraint.start())
        if walk.outcome is not pk.Outcome.FINISHED:
            continue
        text = walk.data.decode("utf-8")
        verdict = world.plan.verify(text)
        named = {f"grammar{r.pointer}" for r in world.plan.residue}
        assert verdict.decision == "allow" or {v.rule for v in verdict.violations} <= named, (text, world.rules)
        assert world.plan.residue or world.language.has(text), (text, world.language.name)


def what_passes_is_reachable(world: World, n_texts: int = 12) -> None:
    """Law 2: a text that the verifier allows can be written, in bytes and in any tokens."""
    searches = world.constraint.liveness.kind is pk.LivenessKind.BOUNDED  # before every token, which takes its time
    for text in likely_texts(world, n_texts // 4 if searches else n_texts):
        is_allowed = world.plan.verify(text).decision == "allow"
        if not is_allowed or not world.language.has(text):
            continue
        data = text.encode()
        for ids in (bytewise(world.vocabulary, data), tokenised(world.rng, world.vocabulary, data)):
            state = world.constraint.start()
            for i in ids:
                assert i in allowed(state, world.vocabulary), (text, world.vocabulary.tokens[i], world.rules)
                assert state.accept(i), (text, world.rules)
            assert state.accepting, (text, world.rules, world.language.name)
            assert set(world.vocabulary.eos_ids) <= set(allowed(state, world.vocabulary))


def there_are_no_dead_ends(world: World, n_walks: int = 5) -> None:
    """Law 3: where liveness is proved, text never stops without having ended; elsewhere a dead end is reported."""
    is_proved = world.constraint.liveness.kind is not pk.LivenessKind.BOUNDED
    for _ in range(n_walks):
        state = world.constraint.start()
        walk = world.walker.walk(state)
        if is_proved:
            assert walk.outcome is not pk.Outcome.DEAD_END, (walk.data, world.rules, world.language.name)
        if walk.outcome is pk.Outcome.DEAD_END:
            assert set(allowed(state, world.vocabulary)) == set(world.vocabulary.eos_ids)
            assert not state.finished


LAWS = [what_is_admitted_passes, what_passes_is_reachable, there_are_no_dead_ends]


@FAST
@given(worlds(LEAVES))
def test_rules_that_forbid(world: World) -> None:
    for law in LAWS:
        law(world)


@FAST
@given(worlds(ANY))
def test_rules_that_combine(world: World) -> None:
    for law in LAWS:
        law(world)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(at_length(6, 3)))
def test_laws_at_length(part: int) -> None:
    """Parts with seeds of their own: the same worlds each time, so that the time they take is the same too."""

    @seed(part)
    @LONG
    @given(worlds(ANY))
    def laws(world: World) -> None:
        for law in LAWS:
            law(world, 12)

    laws()


FEW_PHRASES = st.lists(st.sampled_from(["ab", "a b", "é1", "b"]), min_size=1, max_size=2, unique=True)
JSON_MATCHERS = st.builds(
    lambda found, reading: {"phrases": found, **reading},
    FEW_PHRASES,
    st.sampled_from([{}, {"join": "array"}, {"within": "text"}, {"within": "json.strings"}]),
)


@settings(FAST, max_examples=12)
@given(worlds(JSON_MATCHERS, schemas()))
def test_rules_on_parts_of_json(world: World) -> None:
    for law in LAWS:
        law(world)


def test_the_laws_can_fail() -> None:
    """A planted violation for each: a constraint of another plan, and texts that no constraint admits."""
    strict = make_world([phrases("a")], FREE, 1)
    loose = make_world([phrases("Ж☃Ж☃Ж")], FREE, 1)
    swapped: dict[str, Any] = {"rng": random.Random(1), "rules": strict.rules, "language": FREE}
    too_loose = World(plan=strict.plan, vocabulary=loose.vocabulary, constraint=loose.constraint, **swapped)
    with pytest.raises(AssertionError):
        what_is_admitted_passes(too_loose, 60)
    too_strict = World(plan=loose.plan, vocabulary=strict.vocabulary, constraint=strict.constraint, **swapped)
    with pytest.raises(AssertionError):
        what_passes_is_reachable(too_strict, 60)
