"""Restricted strings that are proved one automaton at a time, where the product of all of them is too large."""

import json
import random
import re
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.compile import plan as compiling, together, ways
from policykit.compile.program import lower
from policykit.compile.strings import PolicyProduct
from policykit.compile.together import text_automaton
from policykit.compile.ways import Ways
from policykit.ir.document import PolicySet
from policykit.ir.plan import LivenessKind
from tests.length import at_length

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


ALPHABET, LONGEST = "ab0- ", 4
PIECES = ("a", "b", "[ab]", "[b0]", "[ab]{1,2}", "[0b-]", "[ab-]", "[a ]", "b?")
FREED_BY_NOTHING = (r"a[^ ]", r"0[^-]", r"b[^b0]", r"-[^a]", r"[b0]$", r"-$", r" [a0]")
"""What one text frees, another does not: behind `a` only a space may come, behind `0` only a hyphen."""
N_STRINGS = at_length(400, 50)


def begun_under(constraint: pk.Constraint) -> set[str]:
    """Every beginning of a string that the mask lets through byte by byte."""
    first = constraint.start()
    assert first.accept(ord('"'))
    todo, found = [("", first)], {""}
    row = np.zeros(-(-BYTES.size // 32), np.int32)
    while todo:
        text, state = todo.pop()
        state.fill(row)
        allowed = np.unpackbits(row.view(np.uint8), bitorder="little").nonzero()[0].tolist()
        assert allowed, text
        for byte in set(allowed) - {ord('"')}:
            after = state.copy()
            assert after.accept(byte)
            todo.append((text + chr(byte), after))
            found.add(text + chr(byte))
    return found


def finished(pattern: str, expressions: list[str], phrases: list[str]) -> set[str]:
    """The same by trying all texts."""
    bans = [re.compile(expression.replace("$", r"\Z")) for expression in expressions]
    bans += [re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.ASCII) for phrase in phrases]
    texts = ("".join(chars) for n in range(LONGEST + 1) for chars in product(ALPHABET, repeat=n))
    passing = (text for text in texts if re.fullmatch(pattern, text) and not any(ban.search(text) for ban in bans))
    return {text[:n] for text in passing for n in range(len(text) + 1)}


@pytest.mark.usefixtures("without_product")
@pytest.mark.slow
def test_strings_are_proved_beside_expressions_that_no_one_text_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask closes what no text of a short list frees, but nothing in such a string: it lets begin what can be
    finished, and nothing else."""
    monkeypatch.setattr(together, "MAX_TRIED", 10)  # their product is not looked at
    choose, outcomes = random.Random(7), Counter[tuple[bool, bool]]()
    while sum(outcomes.values()) < N_STRINGS:
        pattern = "".join(choose.choices(PIECES, k=choose.randint(1, 3)))
        expressions, phrases = choose.sample(FREED_BY_NOTHING, k=choose.randint(2, 3)), [choose.choice(("0", "b", "a"))]
        expected = finished(pattern, expressions, phrases)
        if not expected:
            continue
        try:
            made = plan({"type": "string", "pattern": f"^{pattern}$"}, expressions, phrases)
        except pk.PolicyError:
            continue
        is_proved = made.liveness.kind is LivenessKind.RESETS
        if is_proved:
            assert begun_under(made.constraint(BYTES)) == expected, (pattern, expressions, phrases)
        outcomes[is_proved, bool(made.liveness.fragile)] += 1
    assert outcomes[True, True] > 5 < outcomes[False, False], outcomes
