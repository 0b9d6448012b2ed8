"""Random restricted strings of a schema against random rules: what the plan proves, by trying every string there is.

The languages are finite and small, so that "every string that was begun can be closed" is a matter of counting.
"""

import json
import random
import re
from collections import Counter

import pytest

import policykit as pk
from policykit.compile import plan as compiling
from policykit.ir.document import PolicySet
from policykit.ir.plan import LivenessKind

from .product_oracle import Ban, all_texts, is_alive, passes

ALPHABET, LONGEST = "abA -", 5
PIECES = {
    1: ("a", "b", "A", " ", "-", "[ab]", "[ -]", "[aA]?"),
    2: ("(ab)?", "( b|a)", "[b-]{0,2}", "(A|ab)"),
    3: ("(a b)?",),
}
"""By the length of their longest text. A hyphen stands last in its class."""
N_BATCHES, PER_BATCH = 4, 30


def pattern(choose: random.Random) -> str:
    """An expression whose texts have at most LONGEST characters."""
    found, room = choose.choice(PIECES[1]), LONGEST - 1
    for _ in range(choose.randint(0, 3)):
        length = choose.randint(1, 3)
        if length <= room:
            found, room = found + choose.choice(PIECES[length]), room - length
    return found


def ban(choose: random.Random) -> Ban:
    word = "".join(choose.choices("ab", k=choose.randint(1, 2)))
    kinds = (("phrase", word), ("phrase", f"{word} {choose.choice('ab')}"), ("substring", word), ("ending", word[0]))
    return Ban(*choose.choice(kinds))


def rule(number: int, ban: Ban) -> dict[str, object]:
    end = "$" if ban.kind == "ending" else ""
    match = {"phrases": [ban.text]} if ban.kind == "phrase" else {"regex": [re.escape(ban.text) + end]}
    return {"id": f"r{number}", "match": match, "action": {"block": {}}}


def claimed(expression: str, bans: list[Ban]) -> str:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    rules = [rule(i, ban) for i, ban in enumerate(bans)]
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    text = {"type": "string", "pattern": f"^{expression}$"}
    schema = {"type": "object", "properties": {"!": text}, "required": ["!"], "additionalProperties": False}
    try:
        found = pk.compile(policies, pk.Grammar.from_json_schema(schema)).liveness
    except pk.PolicyError as error:
        return "nothing" if {d.code for d in error.diagnostics} <= {"PK306", "PK307"} else f"refused: {error}"
    if found.kind is LivenessKind.RESETS:
        return "proved"
    assert found.kind is LivenessKind.BOUNDED
    return "searched"


def counted(expression: str, bans: list[Ban]) -> str:
    """The same by enumeration: a beginning traps if rules and grammar let it stand and no string that goes on from it
    passes."""
    texts = [text for text in all_texts(ALPHABET, LONGEST) if re.fullmatch(expression, text)]
    begun = {text[:n] for text in texts for n in range(len(text) + 1) if is_alive(text[:n], bans)}
    finished = {text[:n] for text in texts if passes(text, bans) for n in range(len(text) + 1)}
    if not finished:
        return "nothing"
    return "proved" if begun <= finished else "searched"


@pytest.mark.parametrize("seed", range(N_BATCHES))
def test_what_is_proved_is_what_enumeration_finds(seed: int) -> None:
    choose = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(PER_BATCH):
        expression, bans = pattern(choose), [ban(choose) for _ in range(choose.randint(1, 2))]
        outcome = counted(expression, bans)
        assert claimed(expression, bans) == outcome, (expression, bans)
        outcomes[outcome] += 1
    assert min(outcomes[kind] for kind in ("proved", "searched", "nothing")) > 0, outcomes


@pytest.mark.parametrize("seed", range(N_BATCHES))
def test_what_is_proved_one_automaton_at_a_time_is_so(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the product of all automata is not looked at, less is proved, and nothing that enumeration finds wrong."""
    monkeypatch.setattr(compiling, "SITE_BUDGET", 1)
    choose = random.Random(seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    for _ in range(PER_BATCH):
        expression, bans = pattern(choose), [ban(choose) for _ in range(choose.randint(1, 2))]
        if (outcome := counted(expression, bans)) != "nothing":
            found = claimed(expression, bans)
            assert found in ("searched", outcome), (expression, bans)
            outcomes[found, outcome] += 1
    assert min(outcomes["proved", "proved"], outcomes["searched", "searched"]) > 0, outcomes
