"""Restricted strings whose liveness is not proved, byte by byte: a mask lets a byte through where some string goes on
from there that the rules let pass, and nowhere else. The strings are few enough to list them all.

Where the plan says that only tokens are examined to which a rule holds on, a way that is none would leave a trap open.
Where a text began inside the grammar, or was taken back, nothing is different.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import policykit as pk
from policykit.ir.document import PolicySet
from tests.length import at_length

from .product_oracle import all_texts


@dataclass(frozen=True)
class World:
    """Characters, the length of the longest text of them, and what patterns and rules are made of."""

    alphabet: str
    longest: int
    pieces: tuple[str, ...]
    bans: tuple[tuple[str, str], ...]

    @property
    def any(self) -> str:
        return f"^[{re.escape(self.alphabet)}]*$"


PLAIN = World(
    "ab0 -",
    4,
    ("a", "b", "0", " ", "-", "[ab]", "[0-]", "[ab]*", "[ab0 -]+", "(ab)*", "(a b)?", "[b-]{0,2}", "[a0]{2,3}"),
    (
        ("phrases", "a"), ("phrases", "b"), ("phrases", "ab"), ("phrases", "a b"), ("phrases", "b 0"),
        ("phrases", "0 0"), ("regex", "ab"), ("regex", "a0"), ("regex", "b-"), ("regex", "0"), ("regex", "a$"),
        ("regex", "0$"),
    ),
)  # fmt: skip
ESCAPED = World(
    'ab \n"\\',
    3,
    ("a", "b", " ", "\n", '"', r"\\", "[ab]", r"[ \n]", r'["\\]', "[ab]*", r"[a \n]*", r'[ab"\n\\]+', r"(a\n)*",
     '(b"|a)*', r"[a\n]{2,3}"),
    (
        ("phrases", "a"), ("phrases", "b"), ("phrases", "a b"), ("regex", r"\s{2}"), ("regex", r"\n"), ("regex", '"'),
        ("regex", r"\\"), ("regex", r"a\s"), ("regex", r"\bb"), ("regex", r"\s$"), ("regex", r'[b"]$'),
        ("regex", r'\\"'), ("regex", r"a[^\n]"), ("regex", "a$"),
    ),
)  # fmt: skip
BYTES = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256], {256})
N_BATCHES, PER_BATCH = at_length(16, 1), at_length(40, 12)
SHORT = 'nrtbfu"\\'
"""What may stand behind a backslash."""


def restricted(choose: random.Random, world: World) -> dict[str, Any]:
    """Texts of at most so many characters, of an expression or of any."""
    pattern = "^" + "".join(choose.choices(world.pieces, k=choose.randint(1, 3))) + "$"
    most = choose.choice((world.longest, world.longest, world.longest - 1))
    bounds = {"maxLength": most} | ({"minLength": choose.randint(1, most)} if choose.random() < 0.4 else {})
    return bounds | ({"pattern": pattern} if choose.random() < 0.85 else {"pattern": world.any})


def schema(choose: random.Random, world: World) -> dict[str, Any]:
    """A string under one restriction, or under two of them."""
    one, two = restricted(choose, world), restricted(choose, world)
    kind = choose.random()
    if kind < 0.7:
        return {"type": "string", **one}
    return {"type": "string", "allOf": [one, two]} if kind < 0.85 else {"type": "string", **one, "allOf": [two]}


def is_valid(text: str, schema: dict[str, Any]) -> bool:
    fits = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    matches = "pattern" not in schema or re.fullmatch(schema["pattern"][1:-1], text) is not None
    return fits and matches and all(is_valid(text, part) for part in schema.get("allOf", ()))


def passes(text: str, bans: list[tuple[str, str]]) -> bool:
    for kind, source in bans:
        words = r"[\s-]+".join(map(re.escape, source.split()))
        found = rf"(?<!\w){words}(?!\w)" if kind == "phrases" else source.replace("$", r"\Z")
        if re.search(found, text, re.ASCII):
            return False
    return True


def plan(text: dict[str, Any], bans: list[tuple[str, str]]) -> pk.Plan:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    rules: list[dict[str, object]] = [
        {"id": f"r{number}", "match": {kind: [source]}, "action": {"block": {}}}
        for number, (kind, source) in enumerate(bans)
    ]
    document: dict[str, object] = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))
    return pk.compile(policies, pk.Grammar.from_json_schema(text))


def row(state: pk.State) -> NDArray[np.int32]:
    found = np.zeros(-(-BYTES.size // 32), np.int32)
    state.fill(found)
    return found


def is_open(found: NDArray[np.int32], byte: int) -> bool:
    return bool(int(found[byte >> 5]) >> (byte & 31) & 1)


def admitted(constraint: pk.Constraint, world: World) -> Iterator[tuple[str, pk.State]]:
    """All beginnings of strings that the mask lets through, in the alphabet, as JSON writes them."""
    first = constraint.start()
    assert first.accept(ord('"'))
    todo = [("", first)]
    while todo:
        text, state = todo.pop()
        yield text, state
        found = row(state)
        is_begun = len(text) - len(text.rstrip("\\")) & 1
        for char in SHORT if is_begun else sorted({*world.alphabet} - {"\n", '"'} | {"\\"}):
            if is_open(found, ord(char)):
                after = state.copy()
                assert after.accept(ord(char))
                todo.append((text + char, after))
        if not is_begun and is_open(found, ord('"')):
            after = state.copy()
            assert after.accept(ord('"'))
            yield text + '"', after


def check_other_ways_here(constraint: pk.Constraint, text: str, state: pk.State, choose: random.Random) -> None:
    """The same text, in part as a prefix in the grammar, and with a step that was taken back."""
    data = b'"' + text.encode()
    n = choose.randint(1, len(data))
    other = constraint.start(data[:n], prefix_in_grammar=True)
    assert all(map(other.accept, data[n:])), (data, n)
    here = row(state)
    assert row(other).tolist() == here.tolist(), (data, n)
    further = [byte for byte in range(256) if is_open(here, byte)]
    if further:
        assert other.accept(choose.choice(further))
        other.rollback(1)
        assert row(other).tolist() == here.tolist(), (data, n)


@pytest.mark.parametrize("world", [PLAIN, ESCAPED], ids=["plain", "escaped"])
@pytest.mark.parametrize("seed", range(N_BATCHES))
def test_a_mask_leaves_open_what_can_be_finished_and_nothing_else(seed: int, world: World) -> None:
    choose, moves = random.Random(seed), random.Random(seed)
    outcomes: Counter[str] = Counter()
    while sum(outcomes.values()) < PER_BATCH:
        text = schema(choose, world)
        bans = choose.sample(world.bans, k=choose.randint(1, 3))
        language = [t for t in all_texts(world.alphabet, world.longest) if is_valid(t, text) and passes(t, bans)]
        written = [json.dumps(t)[1:] for t in language]
        finished = {t[:n] for t in written for n in range(len(t) + 1)}
        if not finished:
            continue  # refused, where it is noticed
        made = plan(text, bans)
        constraint, begun = made.constraint(BYTES), set[str]()
        for beginning, state in admitted(constraint, world):
            begun.add(beginning)
            if moves.random() < 0.05:
                check_other_ways_here(constraint, beginning, state, moves)
        assert begun == finished, (text, bans, begun ^ finished, made.liveness)
        is_proved = made.liveness.kind is pk.LivenessKind.RESETS
        outcomes["proved" if is_proved else "covered" if made.liveness.covered_chars >= 0 else "searched"] += 1
    assert min(outcomes[kind] for kind in ("proved", "covered", "searched")) > 0, outcomes


@pytest.mark.parametrize(
    ("limits", "bans"),
    [
        ({"pattern": r"^[a-z\s]{1,50}$"}, [("regex", r"\s{2}")]),
        ({"pattern": r"^[a\n]*$"}, [("regex", r"\n")]),
        ({"pattern": r"^(a|\n)$"}, [("regex", r"\n")]),
        (
            {"pattern": r"^[aé]*[b-]{0,2}[a\n]*$"},
            [("regex", r"\n"), ("regex", r"a\s"), ("regex", r"\bb"), ("regex", "a0")],
        ),
        ({"pattern": r"^[a-c\s]{1,50}$", "maxLength": 3}, [("regex", r"\s{2}"), ("phrases", "a b")]),
        ({"pattern": r"^[a-z\s]{1,50}$", "maxLength": 20}, [("regex", r"\s{2}"), ("phrases", "a b")]),
        ({"pattern": r"^[a-z\s]{1,50}$"}, [("regex", r"\s{2}"), ("phrases", "a")]),
        ({"pattern": r"^(a|b\x01)*$"}, [("regex", r"b[\n\x01]")]),
        ({"pattern": r"^(a|b\x01)*$"}, [("regex", r'b[\n\t\r\f\x08\\"]')]),
    ],
)
def test_an_escape_that_is_begun_can_be_ended(limits: dict[str, Any], bans: list[tuple[str, str]]) -> None:
    """Rules and grammar each know an end of some escape, but not the same."""
    made = plan({"type": "string", **limits}, bans)
    assert made.liveness.kind is pk.LivenessKind.BOUNDED
    constraint = made.constraint(BYTES)
    todo = [(b"", constraint.start())]
    for data, state in todo:
        assert state.outcome is pk.Outcome.RUNNING, data
        here = row(state)
        for byte in b'ab "\\ntu01' if len(data) < 4 else b"":
            if is_open(here, byte):
                after = state.copy()
                assert after.accept(byte)
                todo.append((data + bytes([byte]), after))
    assert len(todo) > 3
