"""Tokens that end inside a character, where grammar and rules have different characters that begin alike: against all
texts of small languages."""

import json
import random
from itertools import product

import pytest

import policykit as pk
from policykit.diagnostics import Place
from policykit.grammar import structural_tag
from policykit.ir.grammar import GrammarSpec
from tests.laws.languages import rule
from tests.laws.worlds import allowed, policies

CHARACTERS = "aäöü€₤₣😀😁😈"
"""Some of them begin with the same one, two or three bytes."""
END = b"<end>"


def some(rng: random.Random) -> str:
    return "".join(rng.sample(CHARACTERS, rng.randint(3, len(CHARACTERS) - 2)))


def vocabulary(rng: random.Random) -> pk.Vocabulary:
    """Every byte, and pieces that end inside a character."""
    pieces = {f"{a}{b}".encode() for a, b in product(rng.sample(CHARACTERS, 4), repeat=2)}
    cut = {piece[:at] for piece in pieces for at in range(2, len(piece) + 1)}
    tokens = [*(bytes([i]) for i in range(256)), *sorted(cut), END]
    return pk.Vocabulary.from_tokens(tokens, [len(tokens) - 1])


def language(form: str, pattern: str) -> tuple[GrammarSpec, str, str]:
    """A grammar of these texts, and what stands before and behind each."""
    if form == "schema":
        return pk.Grammar.from_json_schema(json.dumps({"type": "string", "pattern": f"^{pattern}$"})), '"', '"'
    if form == "tag":  # over which plans trim nothing
        tag = {"type": "tag", "begin": "<<", "content": {"type": "regex", "pattern": pattern}, "end": ">>"}
        return structural_tag(json.dumps({"type": "structural_tag", "format": tag}), Place("tag")), "<<", ">>"
    return pk.Grammar.from_regex(pattern), "", ""


@pytest.mark.parametrize("form", ["regex", "schema", "tag"])
@pytest.mark.parametrize("seed", range(6))
def test_a_token_is_allowed_where_a_legal_text_goes_on(seed: int, form: str) -> None:
    rng = random.Random(seed)
    places, forbidden = [some(rng) for _ in range(2)], set(rng.sample(CHARACTERS[1:], rng.randint(1, 4)))
    pattern = "".join(f"[{place}]{{0,2}}" for place in places)
    parts = [[text for n in range(3) for text in map("".join, product(place, repeat=n))] for place in places]
    texts = [text for text in map("".join, product(*parts)) if not set(text) & forbidden]
    rules = [rule({"regex": f"[{''.join(sorted(forbidden))}]", "views": ["raw"]})]
    grammar, before, behind = language(form, pattern)
    plan = pk.compile(policies(rules), grammar)
    made = vocabulary(rng)
    constraint = plan.constraint(made)
    legal = [f"{before}{text}{behind}".encode() for text in texts]
    begun = {text[:at] for text in legal for at in range(len(text) + 1)}
    for data in rng.sample(sorted(begun), min(len(begun), 40)):
        state = constraint.start()
        for byte in data:
            assert state.accept(byte), (data, texts)
        found = {made.tokens[i] for i in allowed(state, made) if i not in made.eos_ids}
        assert found == {token for token in made.tokens[:-1] if data + token in begun}, (data, texts)
