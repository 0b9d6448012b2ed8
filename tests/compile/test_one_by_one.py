"""Restricted strings that are proved one automaton at a time, where the product of all of them is too large."""

import json
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.compile import plan as compiling, ways
from policykit.compile.program import lower
from policykit.compile.strings import PolicyProduct
from policykit.compile.together import text_automaton
from policykit.compile.ways import Ways
from policykit.ir.document import PolicySet
from policykit.ir.plan import LivenessKind

BYTES = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256], {256})
EXPRESSIONS = [
    r"\b[A-Z]{2}\d{2}[A-Z0-9]{3,5}\b",
    r"\b\d{3}-\d{2}\b",
    r"\b[\w.+-]+@[\w-]+\.[\w.]{2,}\b",
    r"\bpassword\s*[:=]\s*\S+",
    r"\bMRN[: ]?\d{2,3}\b",
]
PHRASES = ["bad word", "10 free", "za"]


def plan(schema: dict[str, Any], expressions: list[str] = EXPRESSIONS, phrases: list[str] = PHRASES) -> pk.Plan:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    rules = [
        {"id": "e", "match": {"regex": expressions}, "action": {"block": {}}},
        {"id": "p", "match": {"phrases": phrases}, "action": {"block": {}}},
    ]
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    return pk.compile(policies, pk.Grammar.from_json_schema(schema))


@pytest.fixture
def without_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "SITE_BUDGET", 1)


def rows(constraint: pk.Constraint, text: bytes) -> list[list[int]]:
    state, found = constraint.start(), np.zeros(-(-BYTES.size // 32), np.int32)
    out: list[list[int]] = []
    for byte in text:
        state.fill(found)
        out.append(found.tolist())
        if not state.accept(byte):
            return out
    state.fill(found)
    return [*out, found.tolist()]


@pytest.mark.usefixtures("without_product")
def test_masks_are_those_that_a_search_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "string", "pattern": r"^[A-Za-z0-9_\-]+$"}
    proved = plan(schema)
    with monkeypatch.context() as patched:
        patched.setattr(Ways, "always", lambda self, site: False)
        searched = plan(schema)
    assert (proved.liveness.kind, searched.liveness.kind) == (LivenessKind.RESETS, LivenessKind.BOUNDED)
    one, other = proved.constraint(BYTES), searched.constraint(BYTES)
    for text in (b'"GB12ABC-bad-word', b'"123-45', b'"123-456"', b'"MRN12-10_free', b'"z-za', b'"gb12z999zz"'):
        assert rows(one, text) == rows(other, text), text


@pytest.mark.usefixtures("without_product")
@pytest.mark.parametrize(
    ("schema", "expressions", "phrases"),
    [
        ({"pattern": "^[0-9]{3}-[0-9]{2}$"}, [r"\b\d{3}-1\d$"], ["x"]),  # behind `123-1` nothing ends it
        ({"pattern": "^[ab]{1,3}$"}, [r"\bab\b"], ["x"]),  # behind `aab` nothing does, behind `ab` something
        ({"pattern": "^[ab]{1,2}$"}, ["c"], ["ab"]),
        ({"pattern": r"^[a\n]*$"}, [r"\n"], ["x"]),  # written with an escape
        ({"pattern": "^[a-z@.]+$"}, [r"\b[\w.+-]+@[\w-]+\.[\w.]{2,}"], ["x"]),  # the escape does not free it
        ({"maxLength": 3}, ["a$"], ["x"]),
    ],
    ids=["end", "boundary", "phrase", "newline", "address", "length"],
)
def test_what_may_trap_is_not_proved(schema: dict[str, Any], expressions: list[str], phrases: list[str]) -> None:
    found = plan({"type": "string", **schema}, expressions, phrases)
    assert found.liveness.kind is LivenessKind.BOUNDED


def test_places_and_transitions_are_bounded(without_product: None, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9]+$"}
    assert plan(schema).liveness.kind is LivenessKind.RESETS
    monkeypatch.setattr(ways, "PER_AUTOMATON", 10)
    assert plan(schema).liveness.kind is LivenessKind.BOUNDED


def test_all_steps_of_a_product_are_its_single_ones() -> None:
    program = lower(plan({"type": "string"}).spec.rules)
    product = PolicyProduct([text_automaton(spec.make()) for spec in program.units])
    todo, seen = [product.start], {product.start}
    while len(seen) < 60:
        at = todo.pop(0)
        single = ((symbol, product.step(at, symbol)) for symbol in product.spelled())
        assert product.ahead(at) == [(symbol, to) for symbol, to in single if to]
        todo += [to for _, to in product.ahead(at) if to not in seen]
        seen.update(todo)
