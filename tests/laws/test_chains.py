"""Texts near each other, counts, lengths and scripts: verifier, mask and stream do what plain Python says."""

import json
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.ir.document import PolicySet
from tests.laws import chains

A, B = {"phrases": ["a"]}, {"phrases": ["b", "b a"]}
WORDY = "ab .漢"
STOPPED = 'a. \n"。'
CASES: list[tuple[dict[str, Any], str, int]] = [
    ({"near": {"of": [A, B], "words": 0}}, WORDY, 5),
    ({"near": {"of": [A, B], "words": 1}}, WORDY, 6),
    ({"near": {"of": [A, B], "words": 1, "ordered": True}}, WORDY, 5),
    ({"near": {"of": [A, B], "characters": 2}}, WORDY, 5),
    ({"near": {"of": [A, {"regex": ["b+"]}], "words": 1, "ordered": True}}, WORDY, 5),
    ({"near": {"of": [A, {"phrases": ["b"]}, {"regex": ["漢"]}], "words": 0}}, "ab 漢", 6),
    ({"count": {"phrases": ["a", "a b"], "atLeast": 2}}, "ab .", 6),
    ({"count": {"regex": ["ab|ba"], "atLeast": 2}}, "ab ", 7),
    ({"count": {"phrases": ["a"], "regex": ["b."], "atLeast": 3}}, "ab ", 7),
    ({"length": {"unit": "words", "atLeast": 3}}, WORDY, 5),
    ({"length": {"unit": "characters", "atLeast": 4}}, WORDY, 5),
    ({"length": {"unit": "sentences", "atLeast": 2}}, STOPPED, 5),
    ({"length": {"unit": "lines", "atLeast": 3}}, "a \n", 6),
    ({"script": {"notIn": ["Latin"]}}, "aж漢 1", 4),
    ({"script": {"in": ["Cyrillic", "Han"]}}, "aж漢 1", 4),
    ({"near": {"of": [A, B], "words": 1}, "length": {"unit": "words", "atLeast": 4}}, "ab ", 7),
]
ABSENT: list[tuple[dict[str, Any], str, int]] = [
    ({"length": {"unit": "words", "atMost": 1}}, WORDY, 5),
    ({"length": {"unit": "characters", "atLeast": 2, "atMost": 3}}, WORDY, 5),
    ({"count": {"phrases": ["a"], "atMost": 1}}, "ab ", 6),
]


def plan_of(*matches: dict[str, Any]) -> pk.Plan:
    block = {"block": {"message": "(no)"}}
    rules = [{"id": f"r{i}", "match": match, "action": block} for i, match in enumerate(matches)]
    metadata = {"name": "laws/chains", "version": "1.0.0", "owner": "a@example.org", "why": "to be tried"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(document), "chains.policy.yaml"),)))


def name_of(value: object) -> str | None:
    return json.dumps(value) if isinstance(value, dict) else ""


each_case = pytest.mark.parametrize(("match", "alphabet", "longest"), [*CASES, *ABSENT], ids=name_of)


def judge(match: dict[str, Any], alphabet: str, longest: int) -> None:
    plan, finds = plan_of(match), chains.naive(match)
    found = [0, 0]
    for text in chains.texts(alphabet, longest):
        fired = plan.verify(text).decision != "allow"
        assert fired == finds(text), text
        found[fired] += 1
    assert all(found), "the texts show both"


@each_case
def test_the_verifier_finds_what_the_definition_finds(match: dict[str, Any], alphabet: str, longest: int) -> None:
    judge(match, alphabet, longest - 1)


@pytest.mark.slow
@each_case
def test_the_verifier_finds_what_the_definition_finds_at_length(
    match: dict[str, Any], alphabet: str, longest: int
) -> None:
    judge(match, alphabet, longest)


def vocabulary(alphabet: str) -> tuple[pk.Vocabulary, dict[str, int]]:
    """All bytes, the characters as tokens, pairs of them, and the end of text."""
    pieces = [a + b for a in ("", *alphabet) for b in alphabet if len((a + b).encode()) > 1]
    tokens = [bytes([i]) for i in range(256)] + [piece.encode() for piece in pieces] + [b"<end>"]
    ids = {token.decode(): i for i, token in enumerate(tokens[:-1]) if i < 128 or i >= 256}
    return pk.Vocabulary.from_tokens(tokens, [len(tokens) - 1], {len(tokens) - 1}), ids


def write(match: dict[str, Any], alphabet: str, longest: int) -> None:
    """Every text that is not found can be written, one that is found cannot be ended, and nothing traps."""
    vocabulary_, ids = vocabulary(alphabet)
    end = vocabulary_.size - 1
    finds = chains.naive(match)
    start = plan_of(match).constraint(vocabulary_).start()
    row = np.zeros(-(-vocabulary_.size // 32), np.int32)
    is_mendable = any(match == absent for absent, *_ in ABSENT)  # enough of what is missing can always be added
    legal = {text for text in chains.texts(alphabet, longest + 2) if not finds(text)}
    wanted = {text[:n] for text in legal for n in range(len(text) + 1)}
    tokens = {piece: i for piece, i in ids.items() if set(piece) <= set(alphabet)}
    todo, n = [("", start)], 0
    while todo:
        text, state = todo.pop()
        state.fill(row)
        allowed = np.unpackbits(row.view(np.uint8), bitorder="little")
        assert bool(allowed[end]) == (text in legal), text
        n += 1
        for piece, token in tokens.items():
            after = text + piece
            if len(after) > longest:
                continue
            assert bool(allowed[token]) == (is_mendable or after in wanted), (text, piece)
            if allowed[token] and len(piece) == 1:
                ahead = state.copy()
                assert ahead.accept(token)
                todo.append((after, ahead))
    assert n > 20, "there were texts to write"


@each_case
def test_the_mask_admits_what_the_definition_admits(match: dict[str, Any], alphabet: str, longest: int) -> None:
    write(match, alphabet, 3)


@pytest.mark.slow
@each_case
def test_the_mask_admits_what_the_definition_admits_at_length(
    match: dict[str, Any], alphabet: str, longest: int
) -> None:
    write(match, alphabet, min(longest, 4))


@pytest.mark.parametrize(("match", "alphabet", "longest"), CASES, ids=name_of)
def test_a_stream_decides_as_the_whole_text_does(match: dict[str, Any], alphabet: str, longest: int) -> None:
    plan = plan_of(match)
    for text in chains.texts(alphabet, 3):
        whole = plan.verify(text)
        for size in (1, 3):
            stream = plan.stream()
            shown = "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size))
            rest, verdict = stream.close()
            assert verdict.decision == whole.decision, text
            assert whole.decision != "allow" or shown + rest == text
    assert stream.buffers == ()


def test_two_matchers_share_the_mask_at_the_limit_of_a_length() -> None:
    """At the last character a phrase must not be left where only one more would save it."""
    match = {"length": {"unit": "characters", "atLeast": 5}}, {"phrases": ["ab"]}
    constraint = plan_of(*match).constraint(vocabulary("ab ")[0])
    ids = vocabulary("ab ")[1]
    state = constraint.start()
    for char in "  a":
        assert state.accept(ids[char])
    assert not state.accept(ids["b"]), "`  ab` has four characters: it can neither end nor go on"
    assert state.accept(ids["a"])


def test_the_definition_can_say_no() -> None:
    finds = chains.naive({"near": {"of": [A, {"phrases": ["b"]}], "words": 1}})
    assert finds("a x, b")
    assert finds("b漢a")
    assert not finds("a x y b")
    assert not finds("ax b")
    assert chains.count({"phrases": ["a", "a b"], "atLeast": 2})("a b a")
    assert not chains.count({"phrases": ["a b", "b a"], "atLeast": 2})("a b a")
    assert [chains.n_sentences(t) for t in ("", "a. a", "a.a", 'a!" a?', "a。a。")] == [0, 2, 1, 2, 2]
