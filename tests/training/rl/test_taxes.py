"""Whose the mask tax is: parts by rule add up to all of it, and each goes to a rule that closed tokens there."""

import json
from typing import Any

import pytest
import torch

import policykit as pk
from policykit import rewards as rw
from policykit.ir.document import PolicySet
from policykit.training.rl.price import Pricer
from policykit.training.rl.rloo import TAX, Rloo, RlooSettings
from policykit.training.rl.rollouts import Prompt, Sampler
from policykit.training.rl.taxes import tax_by_rule, taxed_names

from . import tiny


def constraint(grammar: pk.Grammar | None = None, **phrases: str) -> tuple[Any, pk.Constraint]:
    metadata = {"name": "taxed", "version": "1.0.0", "owner": "a@example.org", "why": "to be paid for"}
    rules = [{"id": name, "match": {"phrases": [text]}, "action": {"block": {}}} for name, text in phrases.items()]
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    policies = PolicySet((pk.parse_document(json.dumps(document), "taxed.policy.yaml"),)) if phrases else None
    plan = pk.compile(policies, grammar)
    return plan, plan.constraint(tiny.vocabulary())


def test_each_rule_pays_for_what_it_closed() -> None:
    """After `aa` the first rule closes the end of the text, after `bc` the second; before, nothing is closed."""
    _, bound = constraint(first="aa", second="bc")
    assert taxed_names(bound) == ("first", "second", "other")
    log_z = torch.tensor([[0.0, -1e-9, -0.5, -0.125], [0.0, 0.0, -0.25, 0.0]])
    found = tax_by_rule(bound, [(0, 0, 3, tiny.END), (1, 3, 0, tiny.END)], [b"", b""], log_z)
    assert found == {"first": 0.5, "second": 0.25, "other": 0.125}


def test_where_no_rule_closed_anything_the_grammar_pays() -> None:
    bound = tiny.constraint()
    log_z = torch.tensor([[-0.5, -1.0, 0.0]])
    assert tax_by_rule(bound, [(0, 1, tiny.END)], [b""], log_z) == {"grammar": 1.5}


def test_parts_add_up_in_a_loop() -> None:
    plan, bound = constraint(pk.Grammar.from_choices([*tiny.TEXTS]), first="ca")
    net = tiny.model(1)
    reward = rw.PolicyReward(plan, rw.Fixed({"first": 1.0, "grammar": 1.0}), mode=rw.RolloutMode.MASKED)

    def lengths(prompts: Any, completions: Any, **_: Any) -> list[float | None]:
        return [float(len(text)) for text in completions]

    sampler = Sampler(tiny.vocabulary(), 4, rw.RolloutMode.MASKED, constraint=bound)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    trainer = Rloo(net, optimizer, sampler, Pricer(reward, lengths), RlooSettings(group_size=4))
    found = trainer.step([Prompt("", tiny.PROMPT, {})] * 4)
    parts = {name: value for name, value in found.items() if name.startswith(f"{TAX}/")}
    assert set(parts) == {f"{TAX}/first", f"{TAX}/grammar"}
    assert found[TAX] > 0
    assert sum(parts.values()) == pytest.approx(found[TAX], abs=1e-4)
