"""Citations: verifier, mask and stream say what plain Python says, text by text over small alphabets."""

import json
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.ir.document import PolicySet
from tests.laws import chains, citations
from tests.laws.test_chains import vocabulary
from tests.length import at_length

BRACKETS = {"format": "[{id}]", "id": "[0-9]+"}
LENTICULAR = {"format": "【{id}†】", "id": "K[0-9]"}
WORLDS: list[tuple[dict[str, Any], str, str]] = [
    (BRACKETS, r"\[[0-9]+\]", "a1. []\n"),
    (BRACKETS | {"per": "line"}, r"\[[0-9]+\]", "a1. []\n"),
    (BRACKETS | {"per": "text"}, r"\[[0-9]+\]", "a1. []\n"),
    (BRACKETS, r"\[[0-9]+\]", '1!"。[]\u2028'),
    (LENTICULAR, r"【K[0-9]†】", "K1. 【†】"),
    ({"format": "(c.{id})", "id": "1|2a"}, r"\(c\.(?:1|2a)\)", "c1. ()"),
]
each_world = pytest.mark.parametrize(
    ("cited", "mark", "alphabet"), WORLDS, ids=lambda value: json.dumps(value) if isinstance(value, dict) else ""
)


def policies(cited: dict[str, Any], *more: dict[str, Any], **rule: Any) -> PolicySet:
    cite = {"id": "cite", "require": {"citations": cited}, "action": {"block": {"message": "(no)"}}, **rule}
    metadata = {"name": "laws/citations", "version": "1.0.0", "owner": "a@example.org", "why": "to be tried"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [cite, *more]}
    return PolicySet((pk.parse_document(json.dumps(document), "citations.policy.yaml"),))


def plan_of(cited: dict[str, Any], *more: dict[str, Any], **rule: Any) -> pk.Plan:
    return pk.compile(policies(cited, *more, **rule))


def judge(cited: dict[str, Any], mark: str, alphabet: str, longest: int) -> None:
    plan, per = plan_of(cited), cited.get("per", "sentence")
    found = [0, 0]
    for text in chains.texts(alphabet, longest):
        fired = plan.verify(text).decision == "block"
        assert fired == citations.is_uncited(text, per, mark), text
        found[fired] += 1
    assert all(found), "the texts show both"


@each_world
def test_the_verifier_finds_what_the_definition_finds(cited: dict[str, Any], mark: str, alphabet: str) -> None:
    judge(cited, mark, alphabet, 4)


@pytest.mark.slow
@each_world
def test_the_verifier_finds_what_the_definition_finds_at_length(
    cited: dict[str, Any], mark: str, alphabet: str
) -> None:
    judge(cited, mark, alphabet, at_length(6, 5))


PIECES = st.sampled_from(
    [*"a1.!?…\"')*`。 \n\r\u2028\u200b\u00ad[]é", "[1]", "[22]", ". ", ".[1] ", "It is", "\u3000", "[1", "x]"]
)


@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(["sentence", "line", "text"]))
@settings(max_examples=at_length(5_000, 500), deadline=None)
def test_the_verifier_finds_what_the_definition_finds_in_longer_texts(text: str, per: str) -> None:
    verdict = PLANS[per].verify(text)
    assert (verdict.decision == "block") == citations.is_uncited(text, per)
    shown = [(v.start or 0, v.end or 0) for v in verdict.violations]
    assert all(citations.lacks(text[a:b], r"\[[0-9]+\]") for a, b in shown), "what is named lacks a citation"
    assert all(end <= start for (_, end), (start, _) in pairwise(shown))
    wrong = [piece for piece in citations.pieces(text, per, r"\[[0-9]+\]") if citations.lacks(piece, r"\[[0-9]+\]")]
    assert [text[a:b] for a, b in shown] == [piece.lstrip() for piece in wrong], "and is all that does, as a whole"


PLANS = {per: plan_of(BRACKETS | {"per": per}) for per in ("sentence", "line", "text")}


def write(cited: dict[str, Any], mark: str, alphabet: str, longest: int) -> None:
    """The mask admits a token exactly where what is finished has its citations, whatever the text is made of; and the
    end exactly where the whole text has them."""
    vocabulary_, ids = vocabulary(alphabet)
    per, end = cited.get("per", "sentence"), vocabulary_.size - 1
    plan = plan_of(cited)
    assert plan.liveness.kind is pk.LivenessKind.ESCAPE
    assert [row.level.value for row in plan.enforcements] == ["decode"]
    tokens = {piece: i for piece, i in ids.items() if set(piece) <= set(alphabet)}
    row = np.zeros(-(-vocabulary_.size // 32), np.int32)
    todo, closed = [("", plan.constraint(vocabulary_).start())], 0
    while todo:
        text, state = todo.pop()
        state.fill(row)
        allowed = np.unpackbits(row.view(np.uint8), bitorder="little")
        assert bool(allowed[end]) != citations.is_uncited(text, per, mark), text
        for piece, token in tokens.items():
            after = text + piece
            assert bool(allowed[token]) == citations.can_go_on(after, per, mark), (text, piece)
            closed += not allowed[token]
            if len(piece) == 1 and len(after) <= longest and allowed[token]:
                ahead = state.copy()
                assert ahead.accept(token)
                todo.append((after, ahead))
    assert closed or per == "text", "some tokens were closed"


@each_world
def test_an_uncited_sentence_cannot_be_finished(cited: dict[str, Any], mark: str, alphabet: str) -> None:
    write(cited, mark, alphabet, 3)


@pytest.mark.slow
@each_world
def test_an_uncited_sentence_cannot_be_finished_at_length(cited: dict[str, Any], mark: str, alphabet: str) -> None:
    write(cited, mark, alphabet, at_length(5, 4))


@pytest.mark.parametrize("per", PLANS)
def test_whatever_can_go_on_can_be_ended_with_a_citation(per: str) -> None:
    """The oracle's notion of going on is one: where nothing finished lacks a citation, one citation ends it well."""
    for text in chains.texts("a1. []\n", 4):
        can_end = not citations.is_uncited(text + "[1]", per)
        assert citations.can_go_on(text, per) == can_end, text


def test_a_word_that_is_several_tokens_is_held_to_the_same() -> None:
    """Tokens that hold a stop, white space and the next sentence at once."""
    words = ["So", " it", " is", ".", " ", ". ", ".\n", ". Next", " [1]", "[1].", "[1]. ", "[", "1", "]", "] .", "。"]
    tokens = [bytes([i]) for i in range(256)] + [word.encode() for word in words if len(word.encode()) > 1] + [b"<e>"]
    vocabulary_ = pk.Vocabulary.from_tokens(tokens, [len(tokens) - 1], {len(tokens) - 1})
    constraint, rng = PLANS["sentence"].constraint(vocabulary_), random.Random(7)
    ends = 0
    for _ in range(60):
        state, text = constraint.start(), ""
        for _ in range(40):
            row = np.zeros(-(-vocabulary_.size // 32), np.int32)
            state.fill(row)
            allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")[: vocabulary_.size])
            likely = [int(i) for i in allowed if i >= 256]
            token = rng.choice(likely or [int(i) for i in allowed])
            assert state.accept(token)
            if token == vocabulary_.size - 1:
                assert not citations.is_uncited(text), text
                ends += 1
                break
            text += tokens[token].decode()
            assert citations.can_go_on(text), text
    assert ends > 20


@pytest.mark.parametrize("per", PLANS)
def test_a_stream_decides_as_the_whole_text_does(per: str) -> None:
    plan, rng = PLANS[per], random.Random(3)
    drawn = [
        "".join(rng.choices(["a", "1", ". ", "[1]", "\n", "。", ".[2] ", "It is so", "[", "] "], k=9))
        for _ in range(150)
    ]
    for text in [*chains.texts("a1. []\n", 3), *drawn]:
        whole, shown = plan.verify(text), set[str]()
        for cuts in ([*range(len(text))], [], [len(text) // 2], [len(text) // 3, 2 * len(text) // 3]):
            stream = plan.stream()
            assert stream.buffers == ()
            parts = [text[i:j] for i, j in pairwise([0, *cuts, len(text)])]
            out = "".join(map(stream.feed, parts))
            rest, verdict = stream.close()
            shown.add(out + rest)
            assert verdict.decision == whole.decision, text
            if whole.decision != "block":
                assert out + rest == text
                continue
            released = (out + rest).removesuffix("(no)")
            assert verdict.violations[0] == whole.violations[0], text
            assert text.startswith(released)
            assert len(released) <= (whole.violations[0].start or 0), "nothing of the sentence was shown"
        assert len(shown) == 1, text


def test_a_stream_shows_a_sentence_with_its_citation() -> None:
    stream = PLANS["sentence"].stream()
    assert [stream.feed(part) for part in ("It is ", "so", " [1", "]", ". And", " more")] == [
        "", "", "", "It is so [1]", ". ", "",
    ]  # fmt: skip


def test_with_other_rules_the_text_can_still_be_ended() -> None:
    other = [{"id": "r", "match": {"phrases": ["risk-free"], "regex": "[0-9]%"}, "action": {"block": {}}}]
    plan = plan_of(BRACKETS, *other)
    assert plan.liveness.kind is pk.LivenessKind.ESCAPE
    assert not plan.liveness.fragile
    asked = [{"id": "r", "require": {"match": {"phrases": ["no advice"]}}, "action": {"block": {}}}]
    assert plan_of(BRACKETS, *asked).liveness.kind is pk.LivenessKind.ESCAPE


def test_some_sentences_need_none() -> None:
    """Free texts count as whole sentences: by the mask, by the verifier and by the stream."""
    plan = plan_of(BRACKETS | {"free": ["I do not know.", "Ok", "わからない。"]})
    assert plan.liveness.kind is pk.LivenessKind.ESCAPE
    fine = [
        "I do not know.",
        " I do not know. ",
        "It is [1]. I do not know.\n",
        "Ok",
        "Ok \n [1].",
        "わからない。It is [1].",
    ]
    wrong = [
        "I do not know. It is.",
        "I do not know",
        "I do not know!",
        "Ok.",
        "O k",
        "わからない",
        "I do not know. Ok ok",
    ]
    vocabulary_, ids = vocabulary("わからない。")
    for text in (*fine, *wrong):
        assert plan.verify(text).decision.value == ("allow" if text in fine else "block"), text
        stream = plan.stream()
        for char in text:
            stream.feed(char)
        assert stream.close()[1].decision == plan.verify(text).decision
        state = plan.constraint(vocabulary_).start()
        written = all(state.accept(ids[char]) for char in text) and state.accepting
        assert written == (text in fine), text


def test_a_match_narrows_the_rule() -> None:
    plan = plan_of(BRACKETS, match={"phrases": ["according to"]})
    assert {row.level.value for row in plan.enforcements} == {"decode"}
    texts = {"It is so.": "allow", "According to them it is.": "block", "According to them it is [1].": "allow"}
    assert {text: plan.verify(text).decision.value for text in texts} == texts
    vocabulary_, ids = vocabulary("ab")
    for text, wanted in texts.items():
        state = plan.constraint(vocabulary_).start()
        assert (all(state.accept(ids[char]) for char in text) and state.accepting) == (wanted == "allow")


def test_over_a_grammar_the_rule_takes_what_the_grammar_leaves() -> None:
    grammar = pk.Grammar.from_lark('start: s (" " s)*\ns: W M? "."\nW: /[a-z]+/\nM: /\\[[0-9]\\]/\n')
    plan = pk.compile(policies(BRACKETS), grammar)
    texts = ["a[1].", "a.", "ab[1]. c.", "a[1]. c[2].", "a. c[2]."]
    assert [plan.verify(text).decision.value for text in texts] == ["allow", "block", "block", "allow", "block"]
    vocabulary_, ids = vocabulary("ab")
    for text, verdict in zip(texts, map(plan.verify, texts), strict=True):
        state = plan.constraint(vocabulary_).start()
        written = all(state.accept(ids[char]) for char in text) and state.accepting
        assert written == (verdict.decision == "allow"), text


def test_the_definition_can_say_no() -> None:
    assert citations.pieces("It. Is.[1] So! ", "sentence", r"\[[0-9]+\]") == ["It. ", "Is.[1] ", "So! ", ""]
    assert citations.pieces("a.b e.g. x", "sentence", "x") == ["a.b e.g. ", "x"]
    assert citations.pieces("**It.**\u200b Is", "sentence", "x") == ["**It.**\u200b ", "Is"]
    assert not citations.is_uncited("It is [1]. So is this [2]!\n\n* [3] x")
    assert citations.is_uncited("It is [1]. So is this!")
    assert citations.can_go_on("It is [1]. So is this!")
