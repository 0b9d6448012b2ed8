"""A compiled plan steers the embedded model: from YAML and a grammar to text, judged by other means."""

import json
import re
from datetime import date

import jsonschema
import pytest

from policykit.embedded import tokenizer_path
from policykit.engines.transformers import FinishReason, generate
from policykit.grammar import load_grammar
from policykit.plan import Plan, compile
from policykit.policy import load_policies

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["category", "priority", "summary"],
    "properties": {
        "category": {"enum": ["billing", "delivery", "technical", "complaint", "cancellation", "other"]},
        "priority": {"enum": ["low", "normal", "high", "urgent"]},
        "summary": {"type": "string"},
    },
}
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: test/rivals, version: 1.0.0, owner: a@example.org, why: To be kept by a model.}
rules:
  - id: no-thanks
    match: {phrases: [thank you, thanks for, that is, good question]}
    action: {block: {message: "No.", onMatch: avoid}}
  - id: no-working-days
    match: {regex: ['\\b\\w+ working days\\b', '\\d{2}']}
    action: {block: {message: "No.", onMatch: avoid}}
tests:
  - {name: thanks, given: {output: "Thank you!"}, expect: {decision: block, rules: [no-thanks]}}
"""
FORBIDDEN = re.compile(r"\b(thank\W+you|thanks\W+for|that\W+is|good\W+question)\b|\w working days\b|[0-9][0-9]", re.I)
PROMPTS = [
    "What can I expect from the Atlas Index fund?",
    "Hi, I am Grace. My transfer of £70 has not arrived.",
    "Why should I stay with you and not go to Acme Mobile?",
    "Open a ticket: The kettle that I ordered is broken.",
]


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    path = tmp_path_factory.mktemp("policies") / "rivals.policy.yaml"
    path.write_text(POLICY)
    return load_policies(path)


def held_texts(embedded_model, vocabulary, plan: Plan, **settings):
    model, tokenizer = embedded_model
    return generate(model, tokenizer, PROMPTS, plan.constraint(vocabulary), **settings)


def test_free_text_breaks_the_policy_and_masked_text_never(embedded_model, vocabulary, policies) -> None:
    plan = compile(policies, at=date(2026, 6, 1))
    free = generate(*embedded_model, PROMPTS, max_new_tokens=48, seed=1)
    held = held_texts(embedded_model, vocabulary, plan, max_new_tokens=48, seed=1)
    assert sum(FORBIDDEN.search(g.text) is not None for g in free) >= 2
    assert [g.text for g in held if FORBIDDEN.search(g.text)] == []
    assert {plan.verify(g.text).decision for g in held} == {"allow"}
    assert all(g.finish_reason in (FinishReason.END, FinishReason.LENGTH) for g in held)


def test_a_ticket_keeps_schema_and_policy_together(embedded_model, vocabulary, policies, tmp_path) -> None:
    path = tmp_path / "ticket.schema.json"
    path.write_text(json.dumps(SCHEMA))
    plan = compile(policies, load_grammar(path), at=date(2026, 6, 1))
    tickets = held_texts(embedded_model, vocabulary, plan, max_new_tokens=120, seed=2)
    ended = [g for g in tickets if g.finished]
    assert len(ended) >= 2
    for ticket in ended:
        document = json.loads(ticket.text)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert not FORBIDDEN.search(document["summary"])


def test_the_tokenizer_of_the_model_and_its_file_give_one_vocabulary(embedded_model, vocabulary) -> None:
    _, tokenizer = embedded_model
    other = type(vocabulary).from_tokenizer(tokenizer)
    assert (other.tokens, other.eos_ids, other.special_ids) == (
        vocabulary.tokens,
        vocabulary.eos_ids,
        vocabulary.special_ids,
    )
    assert tokenizer_path().is_file()
