"""All shipped policies as one plan, as the demo compiles them: which rules its mask holds, and which its verifier."""

from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import policykit as pk
from policykit import embedded
from policykit.cli.commands.demo import shipped_policies

ROOT = Path(__file__).resolve().parents[2]
LEVELS = Path(__file__).with_name("levels.txt")


@cache
def _plan() -> pk.Plan:
    return pk.compile(pk.load_policies(shipped_policies()), at=date(2026, 11, 25))


def test_the_demo_uses_the_shipped_policies() -> None:
    assert shipped_policies() == ROOT / "policies"


def test_every_rule_is_enforced_where_it_was() -> None:
    """A rule that moves from the mask to the verifier, or back, has to be written down in `levels.txt`."""
    found = sorted(f"{row.level.value} {row.name}" for row in _plan().enforcements)
    assert "\n".join(found) == LEVELS.read_text(encoding="utf-8").rstrip("\n")


def test_all_rules_are_in_the_plan() -> None:
    documents = pk.load_policies(ROOT / "policies").documents
    named = {f"{document.name}#{rule.id}" for document in documents for rule in document.rules}
    assert {row.name for row in _plan().enforcements} == named


def test_no_text_runs_into_a_dead_end() -> None:
    assert _plan().liveness.kind.value.startswith("proved")


@pytest.mark.slow
def test_the_mask_of_all_of_them_closes_what_each_forbids() -> None:
    vocabulary = pk.Vocabulary.from_file(embedded.tokenizer_path())
    constraint = _plan().constraint(vocabulary)

    def may_follow(text: str, token: bytes = b".") -> bool:
        number = vocabulary.tokens.index(token)
        row = np.zeros(-(-vocabulary.size // 32), np.int32)
        constraint.start(prefix=text.encode()).fill(row)
        return bool(int(row[number // 32]) >> (number % 32) & 1)

    closed = [
        "We offer guaranteed returns",
        "Wir bieten garantierte Renditen",
        "There is no need to call an ambulance",
        "Sorry, no refunds",
        "That is not my problem",
        "Destroy the evidence",
    ]
    assert [text for text in closed if may_follow(text)] == []
    assert not may_follow("Our tea cures cance", b"r")  # found with its last letter, whatever follows
    assert may_follow("Returns are not guaranteed")
