"""What one process has met the next one begins with: the same masks, made before the first text."""

import json
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings, strategies as st

import policykit as pk
from policykit.constraint import NoWarmSet, meet_states, written_states
from policykit.engines.vllm.plans import Constraints
from policykit.ir.document import PolicySet
from policykit.plan import WarmSets
from policykit.plan.warm_sets import key_of

PIECES = ("free", " bets", "gua", "ranteed", " returns", "é", '"', '":', "4539", "&#x", "ab")
METADATA = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
MATCHES: dict[str, dict[str, Any]] = {
    "phrases": {"phrases": ["guaranteed returns", "free bets"]},
    "set apart": {"phrases": ["guaranteed returns"], "squeeze": True, "views": ["compat", "skeleton", "leet"]},
    "many states": {"regex": [r"\b\d{4}[- ]?\d{4}\b", "(a|b){3,40}c"], "views": ["raw"]},
    "a requirement": {"all": [{"phrases": ["free"]}, {"not": {"phrases": ["bets"]}}]},
    "escapes": {"phrases": ["free bets"], "unescape": ["html"]},
    "json": {"phrases": ["free bets"], "within": "json.strings"},
}


def vocabulary(*more: bytes) -> pk.Vocabulary:
    tokens = [bytes([i]) for i in range(256)] + [piece.encode() for piece in PIECES] + [*more, b"<end>"]
    return pk.Vocabulary.from_tokens(tokens, eos_ids=[len(tokens) - 1])


def plan_of(match: dict[str, Any], grammar: Any = None) -> pk.Plan:
    rules = [{"id": "r", "match": match, "action": {"block": {}}}]
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": METADATA, "rules": rules}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),)), grammar)


def walk(constraint: pk.Constraint, ids: list[int]) -> list[bytes]:
    """The rows along a text, as far as it is legal."""
    state, row, rows = constraint.start(), np.zeros(-(-constraint.vocabulary.size // 32), np.int32), []
    for token_id in ids:
        state.fill(row)
        rows.append(row.tobytes())
        if not state.accept(token_id):
            break
    return rows


def kept(constraint: pk.Constraint) -> list[object]:
    """The states between characters whose masks are kept."""
    return [joint for joint in constraint.machine.reader.kept() if joint.is_masked and not joint.pending]


MANY = [*b"ab" * 20, *b" 1234 123"]
"""A text that meets many states of `many states`."""


@pytest.mark.parametrize("name", MATCHES)
@seed(7)
@settings(max_examples=6, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from([*range(97, 103), 32, 34, 52, *range(256, 267)]), max_size=12)))
def test_the_masks_are_the_same_and_are_there(name: str, texts: list[list[int]]) -> None:
    plan = plan_of(MATCHES[name])
    before, after = plan.constraint(vocabulary()), plan.constraint(vocabulary())
    rows = [walk(before, ids) for ids in texts]
    met = meet_states(after.machine, written_states(before.machine, "k"), "k", 60)
    assert met == len(kept(before))
    misses = after.machine.rows.misses
    assert [walk(after, ids) for ids in texts] == rows
    whole = not any(joint.pending for joint in before.machine.reader.kept())
    assert after.machine.rows.misses == misses or not whole, "only what ends inside a character is worked out"


def test_a_folder_brings_them_from_one_process_to_the_next(tmp_path: Path) -> None:
    plan, free = plan_of(MATCHES["many states"]), pk.Grammar.from_regex("(?s:.*)")
    first, sets = plan.constraint(vocabulary()), WarmSets(tmp_path)
    assert sets.meet(plan, first) == 0
    walk(first, MANY)
    assert (sets.keep(), sets.keep()) == (1, 0)
    other = plan_of(MATCHES["many states"], free)  # the same rules over a grammar
    second, again = other.constraint(vocabulary()), WarmSets(tmp_path)
    assert again.meet(other, second) == len(kept(first)) > 16
    assert again.meet(other, second) == 0, "once is enough"
    assert (
        WarmSets(tmp_path).meet(plan_of(MATCHES["phrases"]), plan_of(MATCHES["phrases"]).constraint(vocabulary())) == 0
    )
    assert WarmSets(tmp_path).meet(plan, plan.constraint(vocabulary(b"another"))) == 0


def test_engines_begin_with_what_was_met_before(tmp_path: Path) -> None:
    plan, sets = plan_of(MATCHES["many states"]), WarmSets(tmp_path)
    walk(Constraints(vocabulary(), sets).of(plan), MANY)
    assert sets.keep() == 1
    constraint = Constraints(vocabulary(), WarmSets(tmp_path)).of(plan)
    misses = constraint.machine.rows.misses
    walk(constraint, MANY)
    assert constraint.machine.rows.misses == misses > 16


@pytest.mark.parametrize("data", [
    b"", b"[]", b"{", b"\xff", b'{"format": 2}', b'{"format": 1, "key": "another", "states": []}',
    b'{"format": 1, "key": "KEY", "states": 3}', b'{"format": 1, "key": "KEY", "states": [3]}',
    b'{"format": 1, "key": "KEY", "states": [[["text"], false, []]]}',
    b'{"format": 1, "key": "KEY", "states": [[["text"], false, [{"eval": "1"}]]]}',
    b'{"format": 1, "key": "KEY", "states": [[["text"], false, [[1e400, 0]]]]}',
    b"[" * 100_000,
])  # fmt: skip
def test_a_file_that_is_none_is_named_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    plan, sets = plan_of(MATCHES["phrases"]), WarmSets(tmp_path)
    constraint = plan.constraint(vocabulary())
    key = key_of(plan, constraint)
    data = data.replace(b"KEY", key.encode())
    with pytest.raises(NoWarmSet):
        meet_states(constraint.machine, data, key, 1)
    sets.path(key).write_bytes(data)
    with caplog.at_level(logging.WARNING, "policykit"):
        assert sets.meet(plan, constraint) == 0
    assert "is not used" in caplog.text
    ids = [256, 257]
    assert walk(constraint, ids) == walk(plan.constraint(vocabulary()), ids)


def test_a_state_that_no_text_leads_to_changes_no_mask(tmp_path: Path) -> None:
    """An altered file may name states that the automata never reach."""
    plan = plan_of(MATCHES["phrases"])
    honest, misled = plan.constraint(vocabulary()), plan.constraint(vocabulary())
    ids = [258, 259, 260]
    walk(honest, ids)
    body = json.loads(written_states(honest.machine, "k"))
    for state in body["states"]:
        state[2] = [[{"set": [*key[0]["set"], 1, 2, 3]}, not key[1]] for key in state[2]]
    meet_states(misled.machine, json.dumps(body).encode(), "k", 60)
    assert walk(misled, ids) == walk(honest, ids)


def test_a_folder_that_takes_nothing_is_told_and_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan, sets = plan_of(MATCHES["many states"]), WarmSets(tmp_path / "nowhere")
    constraint = plan.constraint(vocabulary())
    sets.meet(plan, constraint)
    walk(constraint, MANY)
    with caplog.at_level(logging.WARNING, "policykit"):
        assert sets.keep() == 0
    assert "is not written" in caplog.text


def test_the_environment_names_the_folder(tmp_path: Path) -> None:
    assert WarmSets.of_environment({}) is None
    found = WarmSets.of_environment({"POLICYKIT_WARM": str(tmp_path / "a" / "b")})
    assert found is not None
    assert found.folder.is_dir()


def test_writing_goes_on_behind_a_failure_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets, again, calls = WarmSets(tmp_path), threading.Event(), iter([False, True])

    def keep() -> int:
        if not next(calls, True):
            raise RuntimeError("no such automaton")
        again.set()
        return 0

    monkeypatch.setattr(sets, "keep", keep)
    with caplog.at_level(logging.ERROR, "policykit"):
        sets.keep_on(0.01)
        assert again.wait(10)
    assert "no such automaton" in caplog.text
