"""Decoding strategies on the embedded model: the cache gives what a computation from the start gives."""

import re

import numpy as np
import pytest
import torch

import policykit as pk
from policykit.decoding import Auto, Block, Ending, Exact, Mask, Reject, Settings, Weighted, sample, sample_all
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


PROMPTS = [PROMPT, "My card was charged twice.", "Hello?", "How do I change my address, and how long does it take?"]


def test_a_batch_computes_what_each_text_has_from_its_start(engine):
    """Rows that go on, leave, come back to an earlier place and join, in any order."""
    batch = engine.open_all(PROMPTS, 0.7)
    rng = np.random.default_rng(1)
    texts: dict[int, tuple[int, ...]] = dict.fromkeys(range(len(PROMPTS)), ())
    for _ in range(25):
        live = sorted(rng.permutation(len(PROMPTS))[: rng.integers(1, len(PROMPTS) + 1)].tolist())
        for i in live:
            text = texts[i]
            kept = text if rng.random() < 0.6 else text[: rng.integers(len(text) + 1)]
            texts[i] = (*kept, *rng.integers(4, 2000, 1 if rng.random() < 0.8 else 3).tolist())
        found = batch.logps([(i, texts[i]) for i in live])
        for i, logps in zip(live, found, strict=True):
            ids = torch.tensor([[*engine.encoded(PROMPTS[i]), *texts[i]]])
            with torch.inference_mode():
                logits = engine.model(input_ids=ids, use_cache=False).logits[0, -1, : engine.vocabulary.size]
            np.testing.assert_allclose(logps, torch.log_softmax(logits.double() / 0.7, -1).numpy(), atol=1e-4)


def test_rows_that_go_on_together_are_one_pass_a_token(engine):
    batch = engine.open_all(PROMPTS)
    for length in range(12):
        batch.logps([(i, tuple(range(10, 10 + length))) for i in range(len(PROMPTS))])
    assert batch.n_forwards == 12 + 1  # and one for the prompts
    before = batch.n_prefilled(0)
    batch.logps([(0, (10, 11, 99)), (1, (10, 99))])  # both went back: one token each is new
    assert batch.n_forwards == 14
    assert batch.n_prefilled(0) == before


@pytest.mark.parametrize("strategy", [Reject(), Exact(), Block(), Mask(), Weighted(3, 4)], ids=lambda s: s.name)
def test_a_batch_of_prompts_is_drawn_as_each_alone(engine, plan, strategy):
    constraint = plan.constraint(engine.vocabulary)
    settings = Settings(max_new_tokens=16, seed=3)
    found = sample_all(engine, PROMPTS, plan, strategy, n=2, settings=settings, constraint=constraint, batch=4)
    for i, (prompt, one) in enumerate(zip(PROMPTS, found, strict=True)):
        own = Settings(max_new_tokens=16, seed=3 + i)
        alone = sample(engine, prompt, plan, strategy, n=2, settings=own, constraint=constraint)
        assert [a.token_ids for a in one.answers] == [a.token_ids for a in alone.answers]
        assert one.attempts == alone.attempts
        assert one.ending is Ending.ACCEPTED
