"""Decoding strategies on the embedded model: the cache gives what a computation from the start gives."""

import re

import numpy as np
import pytest
import torch

import policykit as pk
from policykit.decoding import Auto, Block, Ending, Exact, Mask, Reject, Settings, Weighted, sample
from policykit.engines.sampling import N_KEPT, TransformersEngine, _CachedScorer
from policykit.ir.document import PolicySet

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: words, version: 1.0.0, owner: team@example.org, why: words that the model likes to write}
rules: [{id: no-sorry, match: {phrases: [sorry, thank you]}, action: {block: {message: no}}}]
tests: [{name: t, given: {output: Sorry!}, expect: {decision: block, rules: [no-sorry]}}]
"""
BANNED = re.compile(r"\b(?:sorry|thank\s+you)\b", re.IGNORECASE)
PROMPT = "Where is my parcel?"


@pytest.fixture(scope="module")
def engine(embedded_model):
    return TransformersEngine.of(*embedded_model)


@pytest.fixture(scope="module")
def plan():
    return pk.compile(PolicySet((pk.parse_document(POLICY, "words.policy.yaml"),)))


def from_the_start(engine, text, temperature=1.0):
    ids = torch.tensor([[*engine.encoded(PROMPT), *text]])
    with torch.inference_mode():
        logits = engine.model(input_ids=ids, use_cache=False).logits[0, -1, : engine.vocabulary.size]
    return torch.log_softmax(logits.double() / temperature, -1).numpy()


def test_whatever_is_rewound_or_forked_the_cache_gives_the_same(engine):
    scorer = _CachedScorer(engine, engine.encoded(PROMPT), 0.7)
    rng = np.random.default_rng(0)
    texts: list[tuple[int, ...]] = [()]
    for _ in range(60):
        base = texts[rng.integers(len(texts))]
        text = (*base[: rng.integers(len(base) + 1)], *rng.integers(4, 2000, rng.integers(1, 4)).tolist())
        texts.append(text)
        (found,) = scorer.logps([text])
        np.testing.assert_allclose(found, from_the_start(engine, text, 0.7), atol=1e-4)
    assert len(scorer._kept) <= N_KEPT


def test_going_on_from_a_kept_text_computes_only_what_is_new(engine):
    scorer = _CachedScorer(engine, engine.encoded(PROMPT), 1.0)
    n_prompt = len(engine.encoded(PROMPT))
    for length in range(12):
        scorer.logps([tuple(range(10, 10 + length))])
    assert scorer.n_prefilled == n_prompt - 1
    scorer.logps([(10, 11, 12, 99)])  # forked in the middle: nothing is computed twice
    assert scorer.n_prefilled == n_prompt - 1


@pytest.mark.parametrize(
    "strategy", [Mask(), Reject(), Exact(), Block(), Auto(1), Weighted(3, 4)], ids=lambda s: s.name
)
def test_every_strategy_writes_what_the_plan_passes_and_the_same_again(engine, plan, strategy):
    constraint = plan.constraint(engine.vocabulary)
    settings = Settings(max_new_tokens=24, seed=3)
    found = sample(engine, PROMPT, plan, strategy, n=2, settings=settings, constraint=constraint)
    assert found.ending is Ending.ACCEPTED
    assert not any(BANNED.search(answer.raw) for answer in found.answers)
    again = sample(engine, PROMPT, plan, strategy, n=2, settings=settings, constraint=constraint)
    assert [a.token_ids for a in again.answers] == [a.token_ids for a in found.answers]
    for answer in found.answers:
        logp = sum(from_the_start(engine, answer.token_ids[:i])[token] for i, token in enumerate(answer.token_ids))
        assert answer.logp == pytest.approx(logp, abs=1e-3)


def test_free_draws_do_break_the_rule_so_that_something_was_held(engine, plan):
    found = sample(engine, PROMPT, plan, Reject(), n=8, settings=Settings(max_new_tokens=24, seed=3))
    assert found.reasons.get("words#no-sorry", 0) > 0
