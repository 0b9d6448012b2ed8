"""Worlds small enough to list: a table model, a policy, and an oracle that knows neither plan nor strategy."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import exp

import numpy as np

import policykit as pk
from policykit.decoding import TableModel
from policykit.ir.document import PolicySet

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: toy, version: 1.0.0, owner: team@example.org, why: a rule that one can list the texts of}
rules:
  - id: banned
    match: {regex: ['%s']}
    action: {block: {message: no}}
tests:
  - {name: t, given: {output: zz}, expect: {decision: allow, rules: []}}
"""

Text = tuple[int, ...]


@dataclass(frozen=True)
class World:
    """A model and a forbidden expression. What is legal is decided by `re`, on text that is put together here."""

    banned: str
    model: TableModel
    prompt: str = "p"

    @cached_property
    def plan(self) -> pk.Plan:
        document = pk.parse_document(POLICY % self.banned, "toy.policy.yaml")
        return pk.compile(PolicySet((document,)))

    @cached_property
    def constraint(self) -> pk.Constraint:
        return self.plan.constraint(self.model.vocabulary)

    def is_legal(self, text: Text) -> bool:
        return re.search(self.banned, "".join(self.model.pieces[i] for i in text if i < len(self.model.pieces))) is None

    @cached_property
    def legal(self) -> dict[Text, float]:
        """Every legal text with the model's probability of it."""
        return {text: exp(logp) for text, logp in self.model.texts(self.prompt) if self.is_legal(text)}

    @cached_property
    def mass(self) -> float:
        return sum(self.legal.values())

    @cached_property
    def exact(self) -> dict[Text, float]:
        """The distribution of the model's texts, given that they are legal."""
        return {text: p / self.mass for text, p in self.legal.items()}

    @cached_property
    def masked(self) -> dict[Text, float]:
        """What drawing each token from the legal ones gives, by multiplying it out."""
        found: dict[Text, float] = {}
        pending: list[tuple[Text, float]] = [((), 1.0)]
        n = len(self.model.pieces)
        while pending:
            text, p = pending.pop()
            if len(text) == self.model.max_length or (text and text[-1] == n):
                found[text] = p
                continue
            probs = np.exp(self.model.logps(self.prompt, text))
            legal = [token for token in range(n + 1) if self.is_legal((*text, token))]
            total = sum(probs[token] for token in legal)
            pending.extend(((*text, token), p * probs[token] / total) for token in legal)
        return found


def distance(one: dict[Text, float], other: dict[Text, float]) -> float:
    """Total variation."""
    return sum(abs(one.get(text, 0.0) - other.get(text, 0.0)) for text in one.keys() | other.keys()) / 2


def frequencies(texts: Iterable[Text]) -> dict[Text, float]:
    counts = Counter(texts)
    n = counts.total()
    return {text: count / n for text, count in counts.items()}


def noise(exact: dict[Text, float], n: int, quantile: float = 0.999) -> float:
    """How far ``n`` draws from a distribution lie from it by chance: the given quantile of 300 trials."""
    rng = np.random.default_rng(12345)
    p = np.array(list(exact.values()))
    p /= p.sum()
    far = [np.abs(rng.multinomial(n, p) / n - p).sum() / 2 for _ in range(300)]
    return float(np.quantile(far, quantile))
