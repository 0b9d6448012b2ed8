"""The search for a way on: it closes what a plain search closes, whatever it has found before."""

import json
import random
from functools import cache
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.constraint.lookahead import MAX_NODES
from policykit.grammar import GrammarState
from policykit.ir.document import PolicySet

BANNED = ["bad word", "ab", "no way"]
STRINGS: dict[str, dict[str, Any]] = {
    "at most": {"maxLength": 3},
    "at least": {"minLength": 5, "maxLength": 7},
    "a date": {"format": "date", "minLength": 1},
    "letters": {"pattern": "^[abw ]{1,8}$", "maxLength": 6},
}
TEXTS = ["a", "bad wor", "bad", "no wa", "2026-01-02", "ab w", "w ab", "www ab", "wwww ab", " ab"]


TOKENS = [bytes([i]) for i in range(256)] + [b"bad", b" word", b"ab", b'",', b'":"', b"no", b" w", b"-0", b"<end>"]
WORDS = pk.Vocabulary.from_tokens(TOKENS, [len(TOKENS) - 1], {len(TOKENS) - 1})


@cache
def plan(name: str) -> pk.Plan:
    rules = [{"id": "r", "match": {"phrases": BANNED, "regex": ["b +b"]}, "action": {"block": {}}}]
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    text = {"type": "string", **STRINGS[name]}
    schema = {"type": "object", "properties": {"t": text, "u": text}, "required": ["t", "u"]}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    found = pk.compile(policies, pk.Grammar.from_json_schema({**schema, "additionalProperties": False}))
    assert found.liveness.kind is pk.LivenessKind.BOUNDED
    return found


def bound(name: str) -> pk.Constraint:
    """A constraint that knows no way yet."""
    return plan(name).constraint(WORDS)


def row(state: pk.State, constraint: pk.Constraint) -> "np.ndarray[Any, np.dtype[np.int32]]":
    found = np.zeros(-(-constraint.vocabulary.size // 32), np.int32)
    state.fill(found)
    return found


def bits(found: "np.ndarray[Any, np.dtype[np.int32]]") -> set[int]:
    return set(np.flatnonzero(np.unpackbits(found.view(np.uint8), bitorder="little")).tolist())


def begun(constraint: pk.Constraint, data: bytes) -> pk.State | None:
    state = constraint.start()
    return state if all(map(state.accept, data)) else None


BEGINNINGS = [f'{{"t":"{text}'.encode()[: 6 + n] for text in TEXTS for n in range(11)]


@pytest.mark.parametrize("name", STRINGS)
def test_what_was_found_before_changes_nothing(name: str) -> None:
    used = bound(name)
    order = list(dict.fromkeys(BEGINNINGS))
    random.Random(name).shuffle(order)
    n = 0
    for data in order:
        state, fresh = begun(used, data), begun(bound(name), data) if n < 12 else None
        if state is not None and fresh is not None:
            n += 1
            assert row(state, used).tolist() == row(fresh, used).tolist(), data
    assert n > 4


@pytest.mark.parametrize("name", STRINGS)
def test_what_was_proven_on_the_way_changes_nothing(name: str) -> None:
    """A state that takes a step back knows nothing of where it came from."""
    n = 0
    for data in dict.fromkeys(BEGINNINGS[10::11]):
        used = bound(name)
        state = used.start()
        for byte in data:
            here, fresh = row(state, used), state.copy()
            fresh.rollback(0)
            assert row(fresh, bound(name) if n < 3 else used).tolist() == here.tolist(), data
            n += 1
            if not state.accept(byte):
                break
    assert n > 50


def leads_on(shadow: GrammarState, constraint: pk.Constraint, joint: Any, depth: int, left: list[int]) -> bool:
    """Depth first over copies, byte by byte; True also where it has tried enough."""
    machine = constraint.machine
    if depth == 0 or machine.reader.closes_strings(joint) or (shadow.accepting and machine.may_end(joint)):
        return True
    for byte in sorted(range(256), key=lambda b: b != 0x22):
        ahead = shadow.copy()
        after = machine.advance_bytes(joint, bytes([byte]))
        if not ahead.accept(byte):
            continue
        if left[0] == 0:
            return True
        left[0] -= 1
        if after is not None and leads_on(ahead, constraint, after, depth - 1, left):
            return True
    return False


@pytest.mark.parametrize("name", STRINGS)
def test_it_closes_what_a_plain_search_closes(name: str) -> None:
    """All of it, whichever tokens it examines."""
    constraint = bound(name)
    closed = n = 0
    for data in list(dict.fromkeys(BEGINNINGS))[1 :: 2 if name in ("a date", "letters") else 3]:
        state = begun(constraint, data)
        if state is None:
            continue
        open_ids = bits(row(state, constraint))
        assert constraint.grammar is not None
        shadow = constraint.grammar.byte_matcher()
        assert shadow.accept_all(data)
        for token_id, token in enumerate(constraint.vocabulary.tokens[:-1]):
            after, ahead = constraint.machine.advance(state.joint, token_id), shadow.ahead()
            if after is None or not ahead.accept_all(token):
                assert token_id not in open_ids
                continue
            horizon = constraint.liveness.horizon_bytes or 0
            assert leads_on(ahead, constraint, after, horizon, [MAX_NODES]) == (token_id in open_ids), (data, token)
            closed += token_id not in open_ids
            n += 1
    assert n > 20
    assert closed or name == "a date"


@pytest.mark.parametrize("n", [36, 37, 38, 39])
def test_what_stands_before_the_tokens_is_part_of_the_string(n: int) -> None:
    """Only in the first 37 characters of a string is there surely a way on from where no rule holds on to the text."""
    rules: list[dict[str, object]] = [{"id": "r", "match": {"regex": ["cb", "b$"]}, "action": {"block": {}}}]
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    document: dict[str, object] = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    schema = {"type": "string", "pattern": "^(a|c(b|0a0))*$", "maxLength": 40}
    found = pk.compile(policies, pk.Grammar.from_json_schema(schema))
    assert found.liveness.covered_chars == 37
    constraint, text = found.constraint(WORDS), b'"' + b"a" * n
    walked = begun(constraint, text)
    assert walked is not None
    open_here = {chr(i) for i in bits(row(walked, constraint))}
    assert open_here == ({'"', "a", "c"} if n == 36 else {'"', "a"})  # `c` needs four: `c0a0`
    for cut in (1, 2, n, n + 1):
        state = constraint.start(text[:cut], prefix_in_grammar=True)
        assert all(map(state.accept, text[cut:]))
        assert row(state, constraint).tolist() == row(walked, constraint).tolist()
        after = state.copy()
        assert after.accept(ord("a"))
        after.rollback(1)
        assert row(after, constraint).tolist() == row(walked, constraint).tolist()
        assert row(after.copy(), constraint).tolist() == row(walked, constraint).tolist()
