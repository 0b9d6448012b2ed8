"""Formats as languages: what is said of them is what the engine writes, and plans are proved by it."""

import json

import numpy as np
import pytest

import policykit as pk
from policykit.automata import Pattern, parse_regex
from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.grammar import engine
from policykit.grammar.formats import is_written, language_of
from policykit.ir.document import PolicySet
from policykit.ir.plan import LivenessKind
from policykit.text import view

BYTES = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256], {256})


def plan(name: str, expression: str) -> pk.Plan:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    rules = [{"id": "r", "match": {"regex": [expression]}, "action": {"block": {}}}]
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    return pk.compile(policies, pk.Grammar.from_json_schema({"type": "string", "format": name}))


@pytest.mark.parametrize("name", ["date", "time", "date-time", "uuid", "ipv4"])
def test_the_engine_writes_what_is_said(name: str) -> None:
    assert language_of(name) is not None


def test_every_day_of_a_year_is_as_the_engine_has_it() -> None:
    origin = engine.byte_compiler().matcher(engine.json_program({"type": "string", "format": "date"}, False))
    days = [f"2023-{month:02}-{day:02}" for month in range(14) for day in range(33)]
    written = {d for d in days if origin.deep_copy().validate_tokens(list(f'"{d}"'.encode())) == 12}
    regex = language_of("date")
    assert regex is not None
    automaton = AnchoredAutomaton(build(view("raw"), Pattern(regex)))
    said = {d for d in days if automaton.ends(automaton.alphabet.encode(d), 0) == [10]}
    assert said == written
    assert len(said) == 366


def test_other_formats_are_not_known() -> None:
    assert language_of("uri") is None
    assert language_of("no format") is None


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("date", "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
        ("date", "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"),  # 31 April
        ("uuid", "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),
        ("uuid", "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"),
        ("time", "[0-9:.zZ+-]*"),
        ("uri", "[a-z]+:"),
    ],
)
def test_what_the_engine_does_not_write_is_noticed(name: str, expression: str) -> None:
    assert not is_written(name, parse_regex(expression, Place("t")))


def test_a_date_that_no_rule_can_trap_is_proved() -> None:
    assert plan("date", r"\b\d{3}-\d{2}-\d{4}\b").liveness.kind is LivenessKind.RESETS


def test_a_date_that_a_rule_can_trap_is_searched() -> None:
    made = plan("date", r"\b\d{4}-02-3|-1[12]-3\d|\b2022-02-2\d\b|2022-02-[01]")
    assert made.liveness.kind is LivenessKind.BOUNDED
    state, row = made.constraint(BYTES).start(), np.zeros(-(-BYTES.size // 32), np.int32)
    for byte in b'"2022-0':
        assert state.accept(byte)
    state.fill(row)
    open_bytes = np.unpackbits(row.view(np.uint8), bitorder="little").nonzero()[0].tolist()
    assert bytes(open_bytes) == b"13456789", "no day of that February is left"


def test_no_uuid_is_refused_and_a_date_that_cannot_be_is() -> None:
    assert plan("uuid", r"\d{8}").liveness.kind in (LivenessKind.RESETS, LivenessKind.BOUNDED)
    with pytest.raises(pk.PolicyError, match="PK307"):
        plan("date", r"-\d")


def test_masks_of_a_proved_date_are_those_that_a_search_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = r"\b\d{3}-\d{2}-\d{4}\b"
    proved = plan("date", expression)
    with monkeypatch.context() as patched:
        patched.setattr("policykit.grammar.sites.language_of", lambda name: None)
        searched = plan("date", expression)
    assert searched.liveness.kind is LivenessKind.BOUNDED
    one, other = (made.constraint(BYTES).start() for made in (proved, searched))
    rows = [np.zeros(-(-BYTES.size // 32), np.int32) for _ in range(2)]
    for byte in b'"2022-12-31"':
        one.fill(rows[0])
        other.fill(rows[1])
        assert rows[0].tolist() == rows[1].tolist()
        assert one.accept(byte)
        assert other.accept(byte)
