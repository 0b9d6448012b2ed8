"""Plans as values: what they keep when saved, what their digests see, which rules a context selects, what rows say."""

import copy
import json
import pickle
import random
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit import embedded
from policykit.policy import parse_document
from policykit.verify import Resources

from .documents import blocks, document, of, policies, rule

AT = date(2026, 6, 1)
TICKET: dict[str, Any] = {
    "type": "object",
    "properties": {
        "queue": {"enum": ["billing", "guaranteed returns", "card number"]},
        "note": {"type": "string", "maxLength": 12},
        "hint": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["queue", "note"],
    "additionalProperties": False,
}
MASKED = rule("hide-numbers", {"regex": [r"\b\d{4}\b"]}, {"transform": {"mask": {"with": "[{type}_{n}]"}}})
SHADOWED = rule("log-only", {"phrases": ["cheap"]}, mode="shadow")
RULES = (blocks("guaranteed returns", "risk free"), MASKED, SHADOWED)

GRAMMARS = {
    "no grammar": None,
    "schema": pk.Grammar.from_json_schema(TICKET),
    "regex": pk.Grammar.from_regex("[a-z ]{1,30}!"),
    "lark": pk.Grammar.from_lark('start: WORD (":" " guaranteed returns" | ";" " fine")\nWORD: /[a-z]{1,8}/'),
    "choices": pk.Grammar.from_choices(["we are risk averse", "cheap and cheerful", "risk free"]),
}


@pytest.fixture(scope="module")
def vocabulary() -> pk.Vocabulary:
    return pk.Vocabulary.from_file(embedded.tokenizer_path())


# ---- saving and loading


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_saved_plan_loads_as_the_same_plan(name: str, tmp_path: Path) -> None:
    context = {"profile": "answer", "tenant": "acme", "locale": "en-GB", "jurisdiction": "GB"}
    plan = pk.compile(of(*RULES, effective={"until": "2099-01-01"}), GRAMMARS[name], at=AT, **context)
    path = tmp_path / "plan.json"
    plan.save(path)
    loaded = pk.load_plan(path)
    assert (loaded.digest, loaded.bundle_digest) == (plan.digest, plan.bundle_digest)
    assert loaded.valid_until == plan.valid_until == date(2099, 1, 1)
    assert loaded.liveness == plan.liveness
    assert loaded.residue == plan.residue
    assert rows(loaded) == rows(plan)
    again = tmp_path / "again.json"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_loaded_plan_gives_the_same_masks(name: str, vocabulary: pk.Vocabulary, tmp_path: Path) -> None:
    plan = pk.compile(of(*RULES), GRAMMARS[name], at=AT)
    plan.save(tmp_path / "plan.json")
    constraints = [p.constraint(vocabulary) for p in (plan, pk.load_plan(tmp_path / "plan.json"))]
    n_words = -(-vocabulary.size // 32)
    rng = random.Random(7)
    n_compared = n_closed = 0
    for _ in range(4):
        states = [constraint.start() for constraint in constraints]
        masks = np.zeros((2, n_words), np.int32)
        for _ in range(25):
            for state, mask in zip(states, masks, strict=True):
                state.fill(mask)
            assert np.array_equal(masks[0], masks[1])
            bits = np.unpackbits(masks[0].view(np.uint8), bitorder="little")[: vocabulary.size]
            n_compared += 1
            n_closed += not bits.all()
            token = rng.choice(np.flatnonzero(bits).tolist())
            assert [state.accept(token) for state in states] == [True, True]
            if states[0].finished:
                break
    assert n_compared > 8
    assert n_closed > 0


def test_a_loaded_plan_gives_the_same_verdicts(tmp_path: Path) -> None:
    plan = pk.compile(of(*RULES), at=AT)
    plan.save(tmp_path / "plan.json")
    loaded = pk.load_plan(tmp_path / "plan.json")
    for text in ("fine", "Risk-free!", "pin 1234 or 9876, again 1234", "cheap"):
        assert loaded.verify(text) == plan.verify(text)
    assert loaded.verify("pin 1234").text == "pin [HIDE_NUMBERS_1]"


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_plan_is_sent_to_other_processes_as_its_file_and_never_with_keys(name: str) -> None:
    plan = pk.compile(policies(document(RULES)), GRAMMARS[name], at=AT)
    text = "risk free: guaranteed returns 1234"
    plan.verify(text)  # whatever it has worked out stays behind
    for sent in (pickle.loads(pickle.dumps(plan)), copy.deepcopy(plan)):
        assert (sent.digest, sent.bundle_digest) == (plan.digest, plan.bundle_digest)
        assert sent.verify(text) == plan.verify(text)
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(plan.with_resources(Resources(keys={"k": b"0123456789abcdef"})))


# ---- digests

WRITTEN = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: a, version: 1.0.0, owner: a@b.c, why: because}
rules:
  - id: no-guarantees
    match: {phrases: [guaranteed returns]}
    action: {block: {message: no}}
"""
WRITTEN_OTHERWISE = """\
# the same policy, in another hand
kind: Policy
apiVersion: "policykit/v1"

rules:
- action:
    block:
      message: 'no'   # a comment
  match:
    phrases:
      - "guaranteed returns"
  id: no-guarantees
metadata:
  why: because
  version: "1.0.0"
  owner: a@b.c
  name: a
"""


def digests(text: str, grammar: str | None = None, **context: Any) -> tuple[str, str]:
    made = pk.Grammar.from_json_schema(grammar) if grammar is not None else None
    plan = pk.compile(policies(text), made, at=AT, **context)
    return plan.bundle_digest, plan.digest


def test_digests_ignore_comments_key_order_and_formatting() -> None:
    assert parse_document(WRITTEN, "x").canonical == parse_document(WRITTEN_OTHERWISE, "y").canonical
    assert digests(WRITTEN) == digests(WRITTEN_OTHERWISE)
    assert digests(WRITTEN, '{"type":"string","maxLength":9}') == digests(
        WRITTEN, '{"type": "string",\n"maxLength": 9}'
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("guaranteed returns", "guaranteed profit"), ("message: no", "message: never"), ("1.0.0", "1.0.1"),
     ("    match", "    severity: high\n    match"), ("because", "that is why")],
)  # fmt: skip
def test_digests_see_every_change_of_content(old: str, new: str) -> None:
    bundle, plan = digests(WRITTEN)
    changed_bundle, changed_plan = digests(WRITTEN.replace(old, new))
    assert changed_bundle != bundle
    assert changed_plan != plan


def test_digests_see_the_grammar() -> None:
    made = [digests(WRITTEN), digests(WRITTEN, '{"type": "string"}'), digests(WRITTEN, '{"type": "null"}')]
    assert len({bundle for bundle, _ in made}) == len({plan for _, plan in made}) == 3


def test_the_context_is_in_the_plan_and_not_in_the_bundle() -> None:
    made = [digests(WRITTEN), digests(WRITTEN, profile="answer"), digests(WRITTEN, profile="extract")]
    assert len({bundle for bundle, _ in made}) == 1
    assert len({plan for _, plan in made}) == 3


def test_the_order_of_files_is_not_in_the_bundle() -> None:
    one, two = document([blocks("a b")], name="one"), document([blocks("c d")], name="two")
    assert pk.compile(policies(one, two)).bundle_digest == pk.compile(policies(two, one)).bundle_digest


# ---- contexts

SCOPES: tuple[tuple[str, list[str], str, bool], ...] = (
    ("profile", ["answer"], "answer", True),
    ("profile", ["answer"], "extract", False),
    ("profile", ["answer", "extract"], "extract", True),
    ("tenant", ["acme-*"], "acme-uk", True),
    ("tenant", ["acme-*"], "acme", False),
    ("tenant", ["*-uk"], "acme-uk", True),
    ("tenant", ["a*e-*k"], "acme-uk", True),
    ("tenant", ["acme*"], "big-acme", False),
    ("locale", ["en-*"], "en-GB", True),
    ("locale", ["en-*"], "de-DE", False),
    ("locale", ["en-*"], "EN_gb", True),
    ("locale", ["EN_gb"], "en-GB", True),
    ("locale", ["zh_Hant-*"], "zh-hant-TW", True),
    ("jurisdiction", ["GB", "IE"], "IE", True),
    ("jurisdiction", ["GB", "IE"], "FR", False),
    ("jurisdiction", ["GB", "us-*"], "gb", True),
    ("jurisdiction", ["GB", "us-*"], "US-ca", True),
    ("profile", ["answer"], "Answer", False),
    ("profile", ["answer"], "", True),
    ("tenant", ["acme-*"], "", True),
    ("locale", ["en-*"], "", True),
    ("jurisdiction", ["GB"], "", True),
)


@pytest.mark.parametrize(("part", "globs", "value", "applies"), SCOPES)
@pytest.mark.parametrize("on_document", [True, False])
def test_a_context_narrows_a_plan(part: str, globs: list[str], value: str, applies: bool, on_document: bool) -> None:
    scope: Mapping[str, Any] = {"scope": {f"{part}s": globs}}
    one = blocks("guaranteed returns")
    made = of(one, **scope) if on_document else of({**one, **scope})
    narrowed = pk.compile(made, **{part: value})
    assert [row.name for row in narrowed.enforcements] == (["finance/x#no-guarantees"] if applies else [])
    assert narrowed.verify("guaranteed returns").decision == (pk.Decision.BLOCK if applies else pk.Decision.ALLOW)
    assert pk.compile(made).enforcements, "what is not specified does not narrow"


def test_every_part_of_a_scope_must_admit_the_context() -> None:
    made = of(blocks("a b"), scope={"profiles": ["answer"], "tenants": ["acme-*"]})
    assert pk.compile(made, profile="answer", tenant="acme-uk").enforcements
    assert not pk.compile(made, profile="answer", tenant="other").enforcements
    assert not pk.compile(made, profile="extract", tenant="acme-uk").enforcements


def test_a_rule_that_is_off_is_not_in_the_plan() -> None:
    assert pk.compile(of(rule("later", {"phrases": ["a b"]}, mode="off"))).enforcements == ()


def test_a_plan_is_valid_until_the_next_date() -> None:
    documents = [
        document([blocks("a b")], name="now", effective={"from": "2026-01-01", "until": "2027-05-01"}),
        document([blocks("c d")], name="soon", effective={"from": "2026-09-01", "until": "2028-01-01"}),
        document([blocks("e f")], name="always"),
    ]
    days = {AT: date(2026, 9, 1), date(2026, 9, 1): date(2027, 5, 1)}
    for at, until in days.items():
        assert pk.compile(policies(*documents), at=at).valid_until == until
    assert pk.compile(policies(documents[2])).valid_until is None
    names = [row.name for row in pk.compile(policies(*documents), at=AT).enforcements]
    assert names == ["now#no-guarantees", "always#no-guarantees"]


# ---- rows


def rows(plan: pk.Plan) -> list[tuple[str, str, str, str]]:
    return [(row.subject, row.name, row.level.value, row.why) for row in plan.enforcements]


STOP = {"block": {"message": "stop", "onMatch": "stop"}}
REPLACE = {"transform": {"replace": {"with": "x"}}}
ANY_TEXT, ABSENT = {"phrases": ["a b"]}, {"not": {"phrases": ["a b"]}}
TOGETHER = {"all": [{"phrases": ["a b"]}, {"phrases": ["c d"]}]}
IN_STRINGS = {"phrases": ["a b"], "within": "json.strings"}
LEVELS: tuple[tuple[str, dict[str, Any], dict[str, str], str], ...] = (
    ("a block", rule("r", ANY_TEXT), {"plain": "decode", "json": "decode"}, "mask"),
    ("a combination", rule("r", TOGETHER), {"plain": "decode", "json": "decode"}, "mask"),
    ("a requirement", rule("r", ABSENT), {"plain": "decode", "json": "decode"}, "end of text waits"),
    ("a block in strings", rule("r", IN_STRINGS), {"plain": "output", "json": "decode"}, ""),
    ("a block that is shown", rule("r", ANY_TEXT, STOP), {"plain": "stream", "json": "stream"}, "message"),
    ("a requirement that is shown", rule("r", ABSENT, STOP), {"plain": "output", "json": "output"}, "absence"),
    ("a transform", rule("r", ANY_TEXT, REPLACE), {"plain": "stream", "json": "stream"}, "transform"),
    ("a transform of two finds", rule("r", TOGETHER, REPLACE), {"plain": "output", "json": "output"}, "together"),
    ("a shadow", rule("r", ANY_TEXT, mode="shadow"), {"plain": "observe", "json": "observe"}, "never changes output"),
)


@pytest.mark.parametrize("kind", ["plain", "json"])
@pytest.mark.parametrize(("name", "one", "levels", "why"), LEVELS, ids=[name for name, *_ in LEVELS])
def test_every_rule_has_one_row_at_its_level(
    name: str, one: dict[str, Any], levels: dict[str, str], why: str, kind: str
) -> None:
    grammar = pk.Grammar.from_json_schema({"type": "array", "items": {"type": "string"}}) if kind == "json" else None
    plan = pk.compile(of(one, blocks("e f", id="other")), grammar)
    found = [row for row in plan.enforcements if row.subject == "rule"]
    assert [row.name for row in found] == ["finance/x#r", "finance/x#other"]
    assert found[0].level.value == levels[kind]
    assert why in found[0].why
    assert found[0].place is not None


def test_a_member_that_a_rule_forbids_is_taken_out_and_named(vocabulary: pk.Vocabulary) -> None:
    plan = pk.compile(of(blocks("guaranteed returns")), pk.Grammar.from_json_schema(TICKET))
    named = [row for row in plan.enforcements if row.name == "/properties/queue/enum/1"]
    assert [(row.subject, row.level.value) for row in named] == [("grammar", "decode")]
    assert "`guaranteed returns`" in named[0].why
    assert "`finance/x#no-guarantees`" in named[0].why
    ids_of = {token: i for i, token in enumerate(vocabulary.tokens) if len(token) == 1}
    state = plan.constraint(vocabulary).start()
    for byte in b'{"queue":"':
        assert state.accept(ids_of[bytes([byte])])
    options = [chr(byte) for byte in range(97, 123) if state.copy().accept(ids_of[bytes([byte])])]
    assert options == ["b", "c"]


def test_the_residue_of_a_schema_has_a_row_and_is_verified() -> None:
    plan = pk.compile(None, pk.Grammar.from_json_schema(TICKET))
    place = "/properties/hint/uniqueItems"
    assert [(residue.pointer, residue.keyword) for residue in plan.residue] == [(place, "uniqueItems")]
    assert (place, "output") in {(row.name, row.level.value) for row in plan.enforcements}
    value = {"queue": "billing", "note": "ok", "hint": ["x", "y"]}
    assert plan.verify(json.dumps(value)).decision == pk.Decision.ALLOW
    assert plan.verify(json.dumps({**value, "hint": ["x", "x"]})).decision == pk.Decision.BLOCK
