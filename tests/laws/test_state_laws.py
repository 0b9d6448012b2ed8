"""The contract of a state, over generated plans: what a batch, a speculative decoder and a padded batch rely on."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

import policykit as pk
from tests.laws.languages import text_of
from tests.laws.worlds import World, allowed, new_row, phrases_of, seen, worlds
from tests.length import at_length
from tests.policy.documents import as_yaml, documents

FAST = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(FAST, max_examples=50, database=None)


def rollback_is_replay(world: World) -> None:
    """Law 4, over ends of text and surplus ones too."""
    vocabulary = world.vocabulary
    state = world.constraint.start()
    ids = world.walker.walk(state, 20).ids
    if state.finished or state.accepting or state.outcome is pk.Outcome.DEAD_END:
        for _ in range(world.rng.randint(1, 3)):
            end = world.rng.choice(vocabulary.eos_ids)
            assert state.accept(end)
            ids.append(end)
    assert state.n_tokens == len(ids)
    n = world.rng.randint(0, len(ids))
    state.rollback(n)
    replayed = world.constraint.start()
    for i in ids[: len(ids) - n]:
        assert replayed.accept(i)
    assert seen(state, vocabulary) == seen(replayed, vocabulary), (ids, n, world.rules)
    for i in ids[len(ids) - n :]:
        assert state.accept(i)
        assert replayed.accept(i)
    assert seen(state, vocabulary) == seen(replayed, vocabulary)
    for wrong in (len(ids) + 1, -1):
        with pytest.raises(ValueError, match="roll back"):
            state.rollback(wrong)
    state.rollback(len(ids))
    assert seen(state, vocabulary) == seen(world.constraint.start(), vocabulary)


def looking_changes_nothing(world: World) -> None:
    """Law 5: filling, asking and copying are pure, and a copy that moves leaves its original."""
    state, plain = world.constraint.start(), world.constraint.start()
    for i in world.walker.walk(world.constraint.start(), 12).ids:
        before = seen(state, world.vocabulary)
        twin = state.copy()
        assert twin.accept(i)
        assert seen(state, world.vocabulary) == before
        world.walker.walk(twin, 4)
        assert seen(state, world.vocabulary) == before
        assert state.accept(i)
        assert plain.accept(i)  # never filled, never asked
    assert seen(state, world.vocabulary) == seen(plain, world.vocabulary)


def accept_agrees_with_the_row(world: World) -> None:
    """For every id: accepted exactly if its bit is set; a refusal changes nothing."""
    state = world.constraint.start()
    ids = world.walker.walk(state, 12).ids
    state.rollback(world.rng.randint(0, min(3, len(ids))))
    for _ in range(3):
        before = seen(state, world.vocabulary)
        row = set(allowed(state, world.vocabulary))
        for i in range(-1, world.vocabulary.size + 2):
            if i in row:
                assert state.copy().accept(i), (i, world.rules, world.language.name)
            else:
                assert not state.accept(i), tried(world, state, i)
        assert seen(state, world.vocabulary) == before
        assert state.accept(world.walker.pick(sorted(row), 1))


def tried(world: World, state: pk.State, i: int) -> str:
    token = world.vocabulary.tokens[i] if 0 <= i < world.vocabulary.size else b""
    return f"{token!r} after {state.n_tokens - 1} tokens under {world.rules} and {world.language.name}"


def a_batch_is_its_singles(world: World) -> None:
    """Law 6: texts that are written in turns on one constraint see the rows that each sees alone."""
    walks = [world.walker.walk(world.constraint.start(), 14).ids for _ in range(3)]
    alone = []
    for ids in walks:
        fresh = world.plan.constraint(world.vocabulary).start()
        alone.append([seen(fresh, world.vocabulary), *(after(fresh, i, world) for i in ids)])
    states = [world.constraint.start() for _ in walks]
    together = [[seen(state, world.vocabulary)] for state in states]
    turns = [k for k, ids in enumerate(walks) for _ in ids]
    world.rng.shuffle(turns)
    at = [0] * len(walks)
    for k in turns:
        together[k].append(after(states[k], walks[k][at[k]], world))
        at[k] += 1
    assert together == alone


def after(state: pk.State, token_id: int, world: World) -> tuple[object, ...]:
    assert state.accept(token_id)
    return seen(state, world.vocabulary)


STATE_LAWS = [rollback_is_replay, looking_changes_nothing, accept_agrees_with_the_row]


@FAST
@given(worlds())
def test_the_contract_of_a_state(world: World) -> None:
    for law in STATE_LAWS:
        law(world)


@settings(FAST, max_examples=6)
@given(worlds())
def test_a_batch_is_its_singles(world: World) -> None:
    a_batch_is_its_singles(world)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(at_length(5, 2)))
def test_state_laws_at_length(part: int) -> None:
    """The same worlds each time, so that the time they take is the same too."""

    @seed(part)
    @LONG
    @given(worlds())
    def laws(world: World) -> None:
        for law in (*STATE_LAWS, a_batch_is_its_singles):
            law(world)

    laws()


@settings(FAST, max_examples=8)
@given(world=worlds())
def test_a_saved_plan_is_the_plan(tmp_path: Path, world: World) -> None:
    """Law 8: the file loads to the same digests, masks and verdicts, and writing it again gives the same bytes."""
    path, again = tmp_path / "plan.json", tmp_path / "again.json"
    world.plan.save(path)
    loaded = pk.load_plan(path)
    assert (loaded.digest, loaded.bundle_digest) == (world.plan.digest, world.plan.bundle_digest)
    assert (loaded.liveness, loaded.residue) == (world.plan.liveness, world.plan.residue)
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    texts = [world.language.sample(world.rng), text_of(world.rng), *phrases_of(world.rules)]
    assert [loaded.verify(t) for t in texts] == [world.plan.verify(t) for t in texts]
    ours, theirs = world.constraint.start(), loaded.constraint(world.vocabulary).start()
    for i in world.walker.walk(world.constraint.start(), 10).ids:
        assert seen(ours, world.vocabulary) == seen(theirs, world.vocabulary)
        assert ours.accept(i)
        assert theirs.accept(i)


def test_a_changed_plan_is_refused(tmp_path: Path) -> None:
    """The planted violation: another phrase under the old digest."""
    path = tmp_path / "plan.json"
    pk.compile(None, pk.Grammar.from_choices(["yes", "no"])).save(path)
    path.write_text(path.read_text("utf-8").replace('\\"yes\\"', '\\"yet\\"'), "utf-8")
    with pytest.raises(pk.PolicyError, match="PK313"):
        pk.load_plan(path)


@settings(FAST, max_examples=100)
@given(documents(), st.integers(0, 2**32))
def test_a_document_is_its_canonical_form(values: dict[str, object], seed: int) -> None:
    """Law 8 for documents: rendering and reading again is the identity, whatever the formatting was."""
    read = pk.parse_document(as_yaml(values, seed), "a.policy.yaml")
    again = pk.parse_document(read.canonical, "a.policy.yaml")
    assert again.canonical == read.canonical
    assert pk.parse_document(as_yaml(values, seed + 1), "b.policy.yaml").canonical == read.canonical
    assert json.loads(read.canonical)["metadata"]["name"] == values["metadata"]["name"]  # type: ignore[index]


def test_rows_need_no_zeroing() -> None:
    """A row is overwritten whole: what stood there before does not matter."""
    plan = pk.compile(None, pk.Grammar.from_choices(["yes"]))
    vocabulary = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256])
    state = plan.constraint(vocabulary).start()
    dirty, clean = new_row(vocabulary), np.zeros(9, np.int32)
    state.fill(dirty)
    state.fill(clean)
    assert dirty.tolist() == clean.tolist()
