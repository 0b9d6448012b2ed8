"""Restricted strings whose liveness is not proved, byte by byte: a mask lets a byte through where some string goes on
from there that the rules let pass, and nowhere else. The strings are few enough to list them all.

Where the plan says that only tokens are examined to which a rule holds on, a way that is none would leave a trap open.
"""

import json
import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.ir.document import PolicySet
from tests.length import at_length

from .product_oracle import Ban, all_texts, passes

ALPHABET, LONGEST = "ab0 -", 4
PIECES = ("a", "b", "0", " ", "-", "[ab]", "[0-]", "[ab]*", "[ab0 -]+", "(ab)*", "(a b)?", "[b-]{0,2}", "[a0]{2,3}")
BANS = (
    ("phrase", "a"), ("phrase", "b"), ("phrase", "ab"), ("phrase", "a b"), ("phrase", "b 0"), ("phrase", "0 0"),
    ("substring", "ab"), ("substring", "a0"), ("substring", "b-"), ("substring", "0"), ("ending", "a"), ("ending", "0"),
)  # fmt: skip
BYTES = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256], {256})
N_BATCHES, PER_BATCH = at_length(16, 2), 15
ANY = "^[ab0 -]*$"


def restricted(choose: random.Random) -> dict[str, Any]:
    """Texts of at most LONGEST characters, of an expression or of any."""
    pattern = "^" + "".join(choose.choices(PIECES, k=choose.randint(1, 3))) + "$"
    most = choose.choice((LONGEST, LONGEST, LONGEST - 1))
    bounds = {"maxLength": most} | ({"minLength": choose.randint(1, most)} if choose.random() < 0.4 else {})
    return bounds | ({"pattern": pattern} if choose.random() < 0.85 else {"pattern": ANY})


def schema(choose: random.Random) -> dict[str, Any]:
    """A string under one restriction, or under two of them."""
    one, two = restricted(choose), restricted(choose)
    kind = choose.random()
    if kind < 0.7:
        return {"type": "string", **one}
    return {"type": "string", "allOf": [one, two]} if kind < 0.85 else {"type": "string", **one, "allOf": [two]}


def is_valid(text: str, schema: dict[str, Any]) -> bool:
    fits = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", LONGEST)
    matches = re.fullmatch(schema.get("pattern", ANY)[1:-1], text) is not None
    return fits and matches and all(is_valid(text, part) for part in schema.get("allOf", ()))


def plan(text: dict[str, Any], bans: list[Ban]) -> pk.Plan:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    rules: list[dict[str, object]] = []
    for number, ban in enumerate(bans):
        end = "$" if ban.kind == "ending" else ""
        match = {"phrases": [ban.text]} if ban.kind == "phrase" else {"regex": [re.escape(ban.text) + end]}
        rules.append({"id": f"r{number}", "match": match, "action": {"block": {}}})
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    return pk.compile(policies, pk.Grammar.from_json_schema(text))


def admitted(constraint: pk.Constraint) -> set[str]:
    """All beginnings of texts that the mask lets through, in the alphabet."""
    found: set[str] = set()
    row = np.zeros(-(-constraint.vocabulary.size // 32), np.int32)
    first = constraint.start()
    assert first.accept(ord('"'))
    todo = [("", first)]
    while todo:
        text, state = todo.pop()
        found.add(text)
        state.fill(row)
        for char in ALPHABET:
            if int(row[ord(char) >> 5]) >> (ord(char) & 31) & 1:
                after = state.copy()
                assert after.accept(ord(char))
                todo.append((text + char, after))
    return found


@pytest.mark.parametrize("seed", range(N_BATCHES))
def test_a_mask_leaves_open_what_can_be_finished_and_nothing_else(seed: int) -> None:
    choose = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(PER_BATCH):
        text = schema(choose)
        bans = [Ban(*kind) for kind in choose.sample(BANS, k=choose.randint(1, 3))]
        language = [t for t in all_texts(ALPHABET, LONGEST) if is_valid(t, text)]
        finished = {t[:n] for t in language if passes(t, bans) for n in range(len(t) + 1)}
        if not finished:
            outcomes["nothing"] += 1  # refused, where it is noticed
            continue
        made = plan(text, bans)
        begun = admitted(made.constraint(BYTES))
        assert begun == finished, (text, bans, begun ^ finished, made.liveness)
        is_proved = made.liveness.kind is pk.LivenessKind.RESETS
        outcomes["proved" if is_proved else "covered" if made.liveness.covered_chars >= 0 else "searched"] += 1
    assert min(outcomes[kind] for kind in ("proved", "covered", "searched")) > 0, outcomes
