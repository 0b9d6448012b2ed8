"""What the laws are tried on: generated policies, grammars and vocabularies, and the ways to walk a state."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import reject, strategies as st

import policykit as pk
from policykit.ir.document import PolicySet
from tests.laws import oracle
from tests.laws.languages import (
    FORMULAS,
    LANGUAGES,
    LEAVES,
    TEXT_CHARACTERS,
    Language,
    Rules,
    mutated,
    ruleset,
    text_of,
)

FILE = "laws.policy.yaml"


def document(rules: Rules, name: str = "laws/generated") -> str:
    metadata = {"name": name, "version": "1.0.0", "owner": "laws@example.org", "why": "to be tried"}
    return json.dumps({"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules})


def policies(rules: Rules) -> PolicySet:
    return PolicySet((pk.parse_document(document(rules), FILE),))


# ---- vocabularies

NAMES = (b"<tool>", b"<think>")


def vocabulary(rng: random.Random, texts: Sequence[str], n_pieces: int = 24) -> pk.Vocabulary:
    """All bytes, random pieces of the texts (also cut inside characters), two special tokens, an unused id and two
    ends of text, in random order."""
    tokens = [bytes([i]) for i in range(256)]
    sources = [t.encode() for t in texts if t] or [b"ab"]
    for _ in range(n_pieces):
        data = rng.choice(sources)
        a = rng.randrange(len(data))
        tokens.append(data[a : a + rng.randint(1, 6)])
    tokens += [b'"a', b'":"', b'",', b'{"', b"", *NAMES, b"<end>", b"<stop>"]
    order = list(range(len(tokens)))
    rng.shuffle(order)
    special = {i for i, o in enumerate(order) if o >= len(tokens) - 4}
    ends = [i for i, o in enumerate(order) if o >= len(tokens) - 2]
    return pk.Vocabulary.from_tokens([tokens[o] for o in order], ends, special)


def tokenised(rng: random.Random, vocabulary: pk.Vocabulary, data: bytes) -> list[int]:
    """A random way to write the bytes."""
    fitting: dict[int, list[int]] = {}
    for i, token in enumerate(vocabulary.tokens):
        if token:
            fitting.setdefault(token[0], []).append(i)
    ids: list[int] = []
    at = 0
    while at < len(data):
        here = [i for i in fitting[data[at]] if data.startswith(vocabulary.tokens[i], at)]
        ids.append(rng.choice(here))
        at += len(vocabulary.tokens[ids[-1]])
    return ids


def bytewise(vocabulary: pk.Vocabulary, data: bytes) -> list[int]:
    single = {t[0]: i for i, t in enumerate(vocabulary.tokens) if len(t) == 1}
    return [single[b] for b in data]


# ---- states


def new_row(vocabulary: pk.Vocabulary) -> "np.ndarray[Any, np.dtype[np.int32]]":
    return np.full(-(-vocabulary.size // 32), -1, np.int32)


def allowed(state: pk.State, vocabulary: pk.Vocabulary) -> list[int]:
    """The ids of the filled row; bits past the vocabulary must be 0."""
    row = new_row(vocabulary)
    state.fill(row)
    bits = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
    assert not len(bits) or bits[-1] < vocabulary.size
    return bits.tolist()


def seen(state: pk.State, vocabulary: pk.Vocabulary) -> tuple[object, ...]:
    """Everything that a state shows."""
    ids = tuple(allowed(state, vocabulary))
    return ids, state.accepting, state.finished, state.outcome, state.n_tokens, state.forced_bytes()


@dataclass
class Walk:
    """A random text: its tokens, how it stands, and the bytes."""

    ids: list[int]
    outcome: pk.Outcome
    data: bytes


class Walker:
    """Draws tokens from masks: mostly pieces of the alphabet, and after ``long`` steps whatever closes the text."""

    def __init__(self, vocabulary: pk.Vocabulary, rng: random.Random, alphabet: str, long: int = 12) -> None:
        self.vocabulary = vocabulary
        self.rng = rng
        self.long = long
        liked = alphabet.encode() + b'"{}[],:'
        self._liked = {i for i, t in enumerate(vocabulary.tokens) if t and set(t) <= set(liked)}
        closing = [b'"', b"}", b"]", b")", b".", b" ", "Ж".encode(), b"c"]
        self._rank = {i: closing.index(t) for i, t in enumerate(vocabulary.tokens) if t in closing}

    def pick(self, ids: Sequence[int], step: int) -> int:
        ends = [i for i in ids if i in self.vocabulary.eos_ids]
        if step >= self.long:
            if ends:
                return ends[0]
            ranked = sorted((i for i in ids if i in self._rank), key=self._rank.__getitem__)
            if ranked and self.rng.random() < 0.8:
                return ranked[0]
        liked = [i for i in ids if i in self._liked]
        if ends and self.rng.random() < 0.15:
            return self.rng.choice(ends)
        return self.rng.choice(liked if liked and self.rng.random() < 0.85 else list(ids))

    def walk(self, state: pk.State, most: int = 150) -> Walk:
        """From the state to the end of text, to a dead end, or to ``most`` tokens."""
        ids: list[int] = []
        for step in range(most):
            if state.outcome is not pk.Outcome.RUNNING:
                break
            token = self.pick(allowed(state, self.vocabulary), step)
            assert state.accept(token), (self.vocabulary.tokens[token], ids)
            ids.append(token)
        return Walk(ids, state.outcome, self.vocabulary.decode(ids))


@dataclass(frozen=True, repr=False)
class World:
    """A plan on a vocabulary, with what it was made of."""

    rules: Rules
    language: Language
    plan: pk.Plan
    vocabulary: pk.Vocabulary
    constraint: pk.Constraint
    rng: random.Random

    def __repr__(self) -> str:
        return f"World({self.rules!r}, {self.language.name!r}, {self.plan.liveness.kind})"

    @property
    def walker(self) -> Walker:
        return Walker(self.vocabulary, self.rng, TEXT_CHARACTERS)

    def is_legal(self, text: str) -> bool:
        """The oracle's judgement."""
        return self.language.has(text) and not oracle.breaks_a_rule(self.rules, text, self.language.is_json)


def phrases_of(rules: Rules) -> list[str]:
    """Every phrase and expression source in the rules, as raw material for tokens and texts."""
    found: list[str] = []

    def visit(match: Any) -> None:
        if isinstance(match, dict):
            found.extend(match.get("phrases", []))
            for item in match.values():
                visit(item)
        elif isinstance(match, list):
            for item in match:
                visit(item)

    visit([r["match"] for r in rules])
    return found


def make_world(rules: Rules, language: Language, seed: int) -> World:
    """Raises PolicyError where rules and grammar conflict."""
    rng = random.Random(seed)
    plan = pk.compile(policies(rules), language.spec)
    texts = [*phrases_of(rules), *(language.sample(rng) for _ in range(6)), *(text_of(rng) for _ in range(3))]
    words = vocabulary(rng, texts)
    return World(rules, language, plan, words, plan.constraint(words), rng)


def likely_texts(world: World, n: int) -> list[str]:
    """Texts of the grammar, and near misses of what the rules forbid."""
    rng = world.rng
    texts = [world.language.sample(rng) for _ in range(n)]
    if world.language.spec is None:
        texts += [mutated(rng, p) for p in phrases_of(world.rules)]
        texts += [text_of(rng) + mutated(rng, p) + text_of(rng) for p in phrases_of(world.rules)]
    return texts


@st.composite
def worlds(
    draw: st.DrawFn,
    matchers: st.SearchStrategy[dict[str, Any]] = LEAVES | FORMULAS,
    languages: st.SearchStrategy[Language] = LANGUAGES,
) -> World:
    """Plans that compile; a conflict is another draw."""
    rules = draw(ruleset(matchers))
    language = draw(languages)
    seed = draw(st.integers(0, 2**32))
    try:
        return make_world(rules, language, seed)
    except pk.PolicyError as error:
        if {d.code for d in error.diagnostics} <= {"PK305", "PK306", "PK307"}:
            reject()
        raise
