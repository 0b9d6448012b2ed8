"""How many entities a text holds: held against texts whose entities are known because they were put there."""

import json
from random import Random
from typing import Any

import pytest

import policykit as pk
from policykit.ir.document import Block, PolicySet
from policykit.ir.plan import Level
from policykit.streaming import Streaming
from policykit.verify import Subject, Verifier
from tests.streaming.test_chunking import HELD, check_text

KNOWN: tuple[tuple[str, str], ...] = (
    ("GB29 NWBK 6016 1331 9268 19", "iban 1"),
    ("GB29NWBK60161331926819", "iban 1"),
    ("gb29-nwbk-6016-1331-9268-19", "iban 1"),
    ("ＧＢ29NWBK60161331926819", "iban 1"),
    ("DE89 3704 0044 0532 0130 00", "iban 2"),
    ("4111 1111 1111 1111", "card 1"),
    ("4111-1111-1111-1111", "card 1"),
    ("5500 0000 0000 0004", "card 2"),
    ("a.b@example.org", "mail 1"),
    ("A.B@Example.org", "mail 1"),
    ("ab@example.org", "mail 2"),
    ("+49 170 1234567", "phone 1"),
    ("+49 (170) 1234567", "phone 1"),
    ("+49 170 1234568", "phone 2"),
)
NO_ENTITY = ("GB29 NWBK 6016 1331 9268 18", "4111 1111 1111 1112", "a.b@c", "hello", "+49", "12", "")
TYPES = ["iban", "payment_card", "email", "phone"]


def plan(count: dict[str, Any], *rules: dict[str, Any], action: dict[str, Any] | None = None, **match: Any) -> pk.Plan:
    metadata = {"name": "t", "version": "1.0.0", "owner": "o@example.org", "why": "to count"}
    rule = {"id": "r", "match": {"count": count, **match}, "action": action or {"block": {}}}
    content = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule, *rules]}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(content), "tally.policy.yaml"),)))


PLANS = {
    (bound, n, distinct): plan({"entities": TYPES, bound: n, "distinct": distinct})
    for bound in ("atLeast", "atMost")
    for n in (1, 2, 3, 5)
    for distinct in (False, True)
}


def world(random: Random) -> tuple[list[str], int, int]:
    """Pieces of a text, how many of them are entities, and how many values these have."""
    pieces = [
        random.choice(KNOWN) if random.random() < 0.6 else (random.choice(NO_ENTITY), "")
        for _ in range(random.randint(0, 8))
    ]
    found = [value for _, value in pieces if value]
    return [text for text, _ in pieces], len(found), len(set(found))


def test_as_many_are_counted_as_there_are() -> None:
    random = Random(5)
    for _ in range(150):
        pieces, n, n_distinct = world(random)
        for text in (
            "; ".join(pieces),
            json.dumps(pieces, ensure_ascii=False),
            json.dumps(dict(enumerate(pieces)), ensure_ascii=False),
        ):
            for (bound, limit, distinct), made in PLANS.items():
                have = n_distinct if distinct else n
                fires = have >= limit if bound == "atLeast" else have <= limit
                verdict = made.verify(text)
                assert (verdict.decision.value == "block") == fires, (text, bound, limit, distinct)
                if fires and bound == "atLeast":
                    assert len(verdict.violations) == n


def test_strings_and_numbers_of_json_are_counted_together() -> None:
    two = plan({"entities": ["payment_card"], "atLeast": 2, "distinct": True}, within="json.scalars")
    assert two.verify('{"a": 4111111111111111, "b": ["5500 0000 0000 0004"]}').decision.value == "block"
    assert two.verify('{"a": 4111111111111111, "b": ["4111 1111 1111 1111"]}').decision.value == "allow"
    assert [entry.rule for entry in two.verify("4111111111111111, 5500 0000 0000 0004").not_applicable] == ["r"]


def test_what_is_counted_is_masked_and_judged_anew() -> None:
    made = plan({"entities": ["email"], "atLeast": 2}, action={"transform": {"mask": {"with": "[{type}_{n}]"}}})
    assert made.verify("a@x.org").text == "a@x.org"
    verdict = made.verify("a@x.org, b@x.org")
    assert (verdict.decision.value, verdict.text) == ("transform", "[EMAIL_1], [EMAIL_2]")


def test_the_plan_says_that_the_verifier_counts_at_the_end() -> None:
    made = plan({"entities": ["email"], "atLeast": 2, "distinct": True})
    (row,) = made.enforcements
    assert row.level is Level.OUTPUT
    assert row.why == "verifier, when the output is complete: counts different email in the whole text"
    (buffered,) = made.stream().buffers
    assert "counts entities in the whole text" in str(buffered)
    shadow = plan({"entities": ["email"], "atLeast": 2}, {**RULE, "mode": "shadow"})
    assert shadow.verify("a@x.org b@x.org c@x.org").shadow[0].rule == "s"


RULE: dict[str, Any] = {
    "id": "s",
    "match": {"count": {"entities": ["email"], "atLeast": 3}},
    "action": {"block": {}},
}


@pytest.mark.parametrize("part", range(2))
def test_all_chunkings_agree(part: int) -> None:
    random = Random(part)
    for _ in range(12):
        count = {
            "entities": random.sample(TYPES, 2),
            "atLeast": random.randint(1, 3),
            "distinct": random.random() < 0.5,
        }
        action = random.choice([{"block": {"message": "no"}}, {"transform": {"mask": {"with": "[x]"}}}])
        beside = {"id": "p", "match": {"phrases": ["hello"]}, "action": {"block": {}}}
        rules = plan(count, *([beside] if random.random() < 0.5 else []), action=action).spec.rules
        verifier = Verifier(rules, None, "digest")
        streaming = Streaming(verifier, None, "digest")
        assert streaming.open(Subject("")).buffers
        pieces, _, _ = world(random)
        only_blocks = all(isinstance(rule.action, Block) for rule in rules)
        check_text(verifier, streaming, ", ".join(pieces), random, random.choice(HELD), only_blocks)
