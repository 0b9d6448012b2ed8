"""Plans with the same rules share one machine over a vocabulary; their masks are those of machines of their own."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import policykit as pk
from policykit.compile import together
from policykit.constraint.sharing import MAX_MACHINES
from policykit.ir.document import PolicySet

PIECES = ("ab", "a b", '"a', '":', '{"', "[]", "é", " a", "bb", '"}')


def vocabulary() -> pk.Vocabulary:
    tokens = [bytes([i]) for i in range(256)] + [piece.encode() for piece in PIECES] + [b"<end>"]
    return pk.Vocabulary.from_tokens(tokens, eos_ids=[len(tokens) - 1])


def policies(*phrases: str, regexes: Sequence[str] = ()) -> PolicySet:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    matches = [("phrases", phrases), *([("regex", regexes)] if regexes else [])]
    rules = [
        {"id": f"r{i}", "match": {kind: list(of)}, "action": {"block": {}}} for i, (kind, of) in enumerate(matches)
    ]
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    return PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))


SCHEMAS = (
    {"type": "string"},
    {"type": "object", "properties": {"k": {"type": "string", "maxLength": 3}}},
    {"type": "array", "items": {"type": "string"}},
)
TEXTS = ('"aab', '{"k":"a', '["a","b')


def test_plans_with_the_same_rules_share_a_machine() -> None:
    words, rules = vocabulary(), policies("a b", "éa")
    bound = [pk.compile(rules, pk.Grammar.from_json_schema(schema)).constraint(words) for schema in SCHEMAS]
    assert len({id(one.machine) for one in bound}) == 1
    text = pk.compile(rules).constraint(words)
    other = pk.compile(policies("a b"), pk.Grammar.from_json_schema(SCHEMAS[0])).constraint(words)
    assert len({id(one.machine) for one in (bound[0], text, other)}) == 3
    assert pk.compile(rules).constraint(vocabulary()).machine is not text.machine
    assert replace(words, strips_start=True).shared == {}


def test_a_shared_machine_masks_as_one_of_its_own_whatever_was_asked_before() -> None:
    words, rules = vocabulary(), policies("a b", "éa", "b")
    plans = [pk.compile(rules, pk.Grammar.from_json_schema(schema)) for schema in SCHEMAS]
    closed = 0
    for plan, text in [*zip(plans, TEXTS, strict=True)] * 2:
        shared, own = plan.constraint(words).start(), plan.constraint(vocabulary()).start()
        for byte in text.encode():
            rows = [np.zeros(-(-words.size // 32), np.int32) for _ in range(2)]
            assert shared.fill(rows[0]) == own.fill(rows[1])
            assert (rows[0] == rows[1]).all()
            closed += bool(shared.closers())
            assert shared.accept(byte) == own.accept(byte)
    assert closed, "some rule must have closed some token, or nothing is compared"


def test_machines_that_close_other_traps_share_what_they_have_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each masks as one of its own: one closes what no text of a short list frees, one leaves it to a search."""
    monkeypatch.setattr(together, "MAX_TRIED", 10)  # the product of these expressions is not looked at
    words, rules = vocabulary(), policies("a b", "b", regexes=[r"a[^ ]", r"é[^-]", r"-$"])
    plans = [pk.compile(rules, pk.Grammar.from_json_schema(schema)) for schema in SCHEMAS]
    assert [bool(plan.liveness.fragile) for plan in plans] == [True, False, True]
    shared = [plan.constraint(words) for plan in plans]
    assert shared[0].machine is shared[2].machine is not shared[1].machine
    assert len({id(one.machine.reader) for one in shared}) == 1
    for plan, constraint, text in [*zip(plans, shared, ('"é-é', '{"k":"é-a', '["a ","é-'), strict=True)] * 2:
        here, own = constraint.start(), plan.constraint(vocabulary()).start()
        for byte in text.encode():
            rows = [np.zeros(-(-words.size // 32), np.int32) for _ in range(2)]
            assert here.fill(rows[0]) == own.fill(rows[1])
            assert (rows[0] == rows[1]).all()
            assert here.accept(byte) == own.accept(byte)


def test_threads_that_ask_together_have_one_machine() -> None:
    words, plan = vocabulary(), pk.compile(policies("a b"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: plan.constraint(words).machine, range(32)))
    assert len(set(map(id, found))) == 1


def test_the_machines_of_a_vocabulary_are_bounded() -> None:
    words = vocabulary()
    first = pk.compile(policies("a b")).constraint(words)
    for i in range(MAX_MACHINES):
        pk.compile(policies(f"a{i}")).constraint(words)
    assert pk.compile(policies("a b")).constraint(words).machine is not first.machine
    assert first.start().accept(97)


def test_states_that_long_tokens_lead_to_have_rows() -> None:
    """One token may number more states than a table has rows, before any of their rows is asked for."""
    matches = {"regex": ["x(?:abcdefghij){200}é"]}
    rules = [{"id": "r", "match": matches, "action": {"block": {}}}]
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    tokens = [*(bytes([i]) for i in range(256)), b"abcdefghij" * 10, b"<end>"]
    vocabulary = pk.Vocabulary.from_tokens(tokens, eos_ids=[257])
    plan = pk.compile(PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),)))
    row = np.zeros(-(-len(tokens) // 32), np.int32)
    for fills_each in (False, True):
        state = plan.constraint(vocabulary).start()
        assert state.accept(ord("x"))
        for _ in range(20):
            assert state.accept(256)
            if fills_each:
                state.fill(row)
        assert state.accept(0xC3)
        state.fill(row)
        assert not state.accept(0xA9), "it would be the whole match"
        assert state.accept(0xA8)
