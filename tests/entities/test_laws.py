"""What a mask of forms lets pass, the verifier passes: as automata, and through a vocabulary, JSON numbers included."""

import random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit import embedded
from policykit.automata import RegexAutomaton, run
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.entities import ENTITY_TYPES, entity_patterns, is_exact
from policykit.ir.document import Entity
from tests.entities.find import COMPAT, found
from tests.entities.samples import SAMPLES

pieces = st.one_of(
    st.sampled_from([value for s in SAMPLES for value in (*s.valid, *s.invalid)]),
    st.sampled_from([s.words for s in SAMPLES if s.words]),
    st.text("0149 -.,abzASN@:/", max_size=6),
)
AUTOMATA = {
    (kind.name, in_json): [
        RegexAutomaton(build(COMPAT, pattern))
        for pattern in entity_patterns(Entity(kind.name, Place("x")), in_json=in_json)
    ]
    for kind in ENTITY_TYPES
    for in_json in (False, True)
}


def is_formed(name: str, text: str, in_json: bool) -> bool:
    """Whether a mask of the type's form forbids the text."""
    automata = AUTOMATA[name, in_json]
    ends = [run(a, a.start, a.alphabet.encode(text)) for a in automata]
    return any(not state or a.end_found(state) for a, state in zip(automata, ends, strict=True))


@settings(deadline=None, max_examples=60)
@given(st.lists(pieces, max_size=5).map("".join))
def test_what_has_no_form_is_not_valid_and_what_is_only_form_is_found_by_it(text: str) -> None:
    on_view = COMPAT.apply(text)
    for kind in ENTITY_TYPES:
        finds = bool(found(on_view, kind.name))
        formed = is_formed(kind.name, on_view, in_json=False)
        assert formed or not finds
        assert is_formed(kind.name, on_view, in_json=True) or not finds
        if is_exact(Entity(kind.name, Place("x"))):
            assert formed == finds


POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: ids, version: 1.0.0, owner: a@b.c, why: because}
rules:
  - id: ids
    match: {entities: [{type: us_ssn, strict: true, context: none}, aws_access_key]}
    action: {block: {message: no}}
"""
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "number"}, "s": {"type": "string", "maxLength": 16}},
    "required": ["n", "s"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> pk.Plan:
    path = tmp_path_factory.mktemp("ids") / "ids.policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return pk.compile(pk.load_policies(path), pk.Grammar.from_json_schema(SCHEMA))


@pytest.fixture(scope="module")
def constraint(plan: pk.Plan) -> pk.Constraint:
    return plan.constraint(pk.Vocabulary.from_file(embedded.tokenizer_path()))


def accepts(constraint: pk.Constraint, text: str) -> bool:
    """Whether the text can be written byte by byte and ended."""
    state = constraint.start()
    single = {token: i for i, token in enumerate(constraint.vocabulary.tokens) if len(token) == 1}
    return all(state.accept(single[bytes([byte])]) for byte in text.encode()) and state.accepting


@pytest.mark.parametrize(
    ("text", "admitted"),
    [
        ('{"n":12345678,"s":"a"}', True),
        ('{"n":1234567890,"s":"a"}', True),
        ('{"n":123456789,"s":"a"}', False),
        ('{"n":-123456789,"s":"a"}', False),
        ('{"n":123456789.5,"s":"a"}', False),
        ('{"n":1.23456789e8,"s":"a"}', False),
        ('{"n":0.123456789,"s":"a"}', True),
        ('{"n":1,"s":"123-45-6789"}', False),
        ('{"n":1,"s":"123-45-678"}', True),
    ],
)
def test_numbers_are_read_by_the_mask(plan: pk.Plan, constraint: pk.Constraint, text: str, admitted: bool) -> None:
    assert accepts(constraint, text) is admitted
    if admitted:
        assert plan.verify(text).decision == "allow"


@pytest.mark.parametrize("seed", range(12))
def test_what_is_written_at_random_under_the_mask_is_allowed(
    plan: pk.Plan, constraint: pk.Constraint, seed: int
) -> None:
    """A writer that likes digits. A number is cut off after a while, as a length limit would."""
    rng = random.Random(seed)
    vocabulary, state, written = constraint.vocabulary, constraint.start(), b""
    row = np.zeros(-(-vocabulary.size // 32), np.int32)
    for _ in range(60):
        state.fill(row)
        allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist()
        assert allowed, written
        like = [i for i in allowed if vocabulary.tokens[i] and vocabulary.tokens[i].strip(b"0123456789-") == b""]
        token = rng.choice(like if like and rng.random() < 0.8 else allowed)
        if token in vocabulary.eos_ids:
            break
        assert state.accept(token)
        written += vocabulary.tokens[token]
        if state.accepting:
            assert plan.verify(written.decode()).decision == "allow"
