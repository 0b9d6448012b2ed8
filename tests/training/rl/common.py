"""The embedded model under a plan that it breaks in about a third of its replies, and prompts for it."""

import json
from functools import cache
from random import Random
from typing import Any

import policykit as pk
from policykit import rewards as rw
from policykit.embedded import tokenizer_path
from policykit.embedded.corpus import DOMAINS, chat
from policykit.engines.embedded_evaluation import PHRASES
from policykit.engines.transformers import load_model
from policykit.ir.document import PolicySet
from policykit.training.rl.rollouts import Prompt, Sampler

RULE = "tone"


@cache
def plan() -> Any:
    metadata = {"name": "tone", "version": "1.0.0", "owner": "a@example.org", "why": "to be learned"}
    rule = {"id": RULE, "match": {"phrases": list(PHRASES)}, "action": {"block": {}}}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule]}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(document), "tone.policy.yaml"),)))


@cache
def vocabulary() -> pk.Vocabulary:
    return pk.Vocabulary.from_file(tokenizer_path())


@cache
def constraint() -> pk.Constraint:
    return plan().constraint(vocabulary())


@cache
def tokenizer() -> Any:
    return load_model("embedded")[1]


def prompts(n: int, seed: int) -> list[Prompt]:
    rng = Random(seed)
    asked = [chat(rng, DOMAINS[i % len(DOMAINS)]).prompt for i in range(n)]
    return [
        Prompt(text, tuple(tokenizer().encode(f"<|user|>{text}<|assistant|>", add_special_tokens=False)), {})
        for text in asked
    ]


def sampler(mode: rw.RolloutMode = rw.RolloutMode.FREE, n: int = 48) -> Sampler:
    return Sampler(vocabulary(), n, mode, constraint=constraint(), plan=plan())


def task(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
    """A reply of some length that ends as a sentence does."""
    return [1.0 if len(text) > 20 and text.strip()[-1] in ".!?" else 0.0 for text in completions]
