"""Decoding strategies on the real engine: what is drawn is the model's own, and going back is sending tokens again."""

import re
import sys
from collections.abc import Iterator
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.decoding import (
    Auto,
    Block,
    Budget,
    Ending,
    Exact,
    Mask,
    Reject,
    Sampled,
    Settings,
    Strategy,
    Weighted,
    sample,
)
from policykit.engines import attest
from policykit.engines.vllm.sampling import BLOCK, MODE, VllmEngine
from policykit.ir.document import PolicySet
from tests.decoding.worlds import POLICY as BANNING, distance, frequencies, noise
from tests.engines.test_sampling import BANNED, POLICY, PROMPT

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))  # benchmarks are scripts beside each other, no package
import listed_llama

pytestmark = pytest.mark.vllm
STRATEGIES: list[Strategy] = [Mask(), Reject(), Exact(), Block(), Auto(1)]
NAMES = [strategy.name.value for strategy in STRATEGIES]
PIECES, LENGTH, RULE = "abc\n", 5, "ba|ca|ab"
FIXED: dict[str, Any] = {"enforce_eager": True, "dtype": "float32", "distributed_executor_backend": "uni"}


@pytest.fixture(scope="module", autouse=True)
def attempting(guard: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(attest.ATTEMPTS, "1")
        yield


@pytest.fixture(scope="module")
def engine(start: Any, attempting: None) -> VllmEngine:
    """The embedded model."""
    return VllmEngine.of(start(logprobs_mode=MODE, block_size=BLOCK))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("listed")
    listed_llama.write(folder, PIECES, seed=7)
    return listed_llama.Listed(folder, PIECES, LENGTH)


@pytest.fixture(scope="module")
def small(listed: Any, attempting: None) -> VllmEngine:
    """The model whose texts are listed, as a user starts an engine."""
    return VllmEngine.load(str(listed.folder), max_model_len=64, **FIXED)


@pytest.fixture(scope="module")
def words() -> pk.Plan:
    return pk.compile(PolicySet((pk.parse_document(POLICY, "words.policy.yaml"),)))


def plan_of(rule: str) -> pk.Plan:
    return pk.compile(PolicySet((pk.parse_document(BANNING % rule, "toy.policy.yaml"),)))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_every_strategy_writes_what_the_plan_passes_and_the_same_again(
    engine: VllmEngine, words: pk.Plan, strategy: Strategy
) -> None:
    settings = Settings(max_new_tokens=24, seed=3)
    constraint = words.constraint(engine.vocabulary)
    found = sample(engine, PROMPT, words, strategy, n=4, settings=settings, constraint=constraint)
    assert found.ending is Ending.ACCEPTED
    assert not any(BANNED.search(answer.raw) for answer in found.answers)
    again = sample(engine, PROMPT, words, strategy, n=4, settings=settings, constraint=constraint)
    assert [a.token_ids for a in again.answers] == [a.token_ids for a in found.answers]
    assert isinstance(strategy, Mask) or found.reasons.get("words#no-sorry", 0) > 0, "or nothing was held"
    # A request sends the text again: what its cache does not hold is less than a block, and a step behind a refusal.
    assert 4 <= found.n_requests <= len(found.attempts)
    assert again.n_prefilled <= again.n_requests * (BLOCK + 1)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_probabilities_are_the_models_own_whatever_was_banned(
    engine: VllmEngine, words: pk.Plan, embedded_model: Any, temperature: float
) -> None:
    """Against transformers, token by token; every answer behind a failure begins with a token drawn under a ban."""
    import torch

    model, _ = embedded_model
    settings = Settings(max_new_tokens=16, seed=5, temperature=temperature)
    found = sample(engine, PROMPT, words, Exact(), n=12, settings=settings)
    assert len(found.attempts) > 12
    prompt = engine.open(PROMPT, words, words.constraint(engine.vocabulary)).prompt
    for answer in found.answers:
        ids = torch.tensor([[*prompt, *answer.token_ids]])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1, : engine.vocabulary.size]
        logps = torch.log_softmax(logits.double() / temperature, -1)
        own = float(logps.gather(1, ids[0, len(prompt) :, None]).sum())
        assert answer.logp == pytest.approx(own, abs=2e-3)


def legal_of(listed: Any, rule: str = RULE) -> dict[tuple[int, ...], float]:
    return {text: exp(logp) for text, logp in listed.texts() if not re.search(rule, listed.text_of(text))}


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_the_distance_from_exact_is_within_the_bound(small: VllmEngine, listed: Any, strategy: Strategy) -> None:
    legal, n, plan = legal_of(listed), 250, plan_of(RULE)
    mass = sum(legal.values())
    exact = {text: p / mass for text, p in legal.items()}
    constraint = plan.constraint(small.vocabulary)

    def one(seed: int) -> Sampled:
        settings = Settings(LENGTH, seed=seed)
        return sample(small, listed_llama.PROMPT, plan, strategy, settings=settings, constraint=constraint)

    found = frequencies(one(seed).answers[0].token_ids for seed in range(n))
    assert set(found) <= set(legal)
    bound = {"reject": 0.0, "exact": 0.0, "auto": (1 - mass) ** 2}.get(strategy.name, 1 - mass)
    assert distance(found, exact) <= bound + noise(exact, n)


def test_exact_answers_that_share_a_memory_are_exact_and_the_bound_is_the_legal_mass(
    small: VllmEngine, listed: Any
) -> None:
    legal, n = legal_of(listed), 3000
    mass = sum(legal.values())
    exact = {text: p / mass for text, p in legal.items()}
    settings = Settings(LENGTH, seed=1, budget=Budget(n_attempts=None))
    found = sample(small, listed_llama.PROMPT, plan_of(RULE), Exact(), n=n, settings=settings)
    assert len(found.answers) == n
    assert distance(frequencies(a.token_ids for a in found.answers), exact) <= noise(exact, n)
    assert mass - 1e-4 <= found.legal_mass_bound <= mass + 0.02
    assert found.n_requests < n / 2, "what is known is not asked again"
    for answer in found.answers[::100]:
        assert answer.logp == pytest.approx(log(legal[answer.token_ids]), abs=1e-3)


def test_almost_no_legal_mass_is_a_named_outcome_within_the_budget(small: VllmEngine, listed: Any) -> None:
    rule = r"[abc\n]"
    legal = legal_of(listed, rule)
    plan, mass = plan_of(rule), sum(legal.values())
    assert mass < 0.15
    for strategy in (Reject(), Exact(), Block(), Auto()):
        settings = Settings(LENGTH, seed=2, budget=Budget(n_tokens=40), min_legal_mass=mass + 0.05)
        found = sample(small, listed_llama.PROMPT, plan, strategy, n=50, settings=settings)
        assert found.ending in (Ending.NO_LEGAL_MASS, Ending.OUT_OF_TOKENS)
        assert found.n_tokens <= 40
        assert all(answer.token_ids in legal for answer in found.answers)
        assert found.legal_mass_bound >= mass - 1e-4
        assert found.reasons["toy#banned"] > 0


def test_what_the_engine_cannot_do_is_refused_by_name(
    engine: VllmEngine, words: pk.Plan, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pk.PolicyError, match=r"PK471.*cannot run the strategy `weighted`"):
        sample(engine, PROMPT, words, Weighted())
    engine.llm.llm_engine.vllm_config.model_config.logprobs_mode = "raw_logprobs"
    with pytest.raises(pk.PolicyError, match=r"(?s)PK471.*raw_logprobs.*processed_logprobs"):
        VllmEngine.of(engine.llm)
    engine.llm.llm_engine.vllm_config.model_config.logprobs_mode = MODE
    monkeypatch.delenv(attest.ATTEMPTS)
    with pytest.raises(pk.PolicyError, match="PK749"):
        VllmEngine.of(engine.llm)
    with pytest.raises(Exception, match="PK749"):
        sample(engine, PROMPT, words, Reject(), settings=Settings(4))


def test_generators_give_seeds(engine: VllmEngine, words: pk.Plan) -> None:
    from policykit.decoding import Ask

    session = engine.open(PROMPT, words, words.constraint(engine.vocabulary))
    one, two, other = (session.draw([Ask((), 12)] * 3, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one == two != other
    assert len({draw.token_ids for draw in one}) == 3


def test_a_model_s_folder_has_no_say_where_all_is_drawn_from() -> None:
    """Of what a request leaves unsaid, the server's own reader takes the folder's settings; these say it all."""
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest

    folder = {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.4, "top_k": 20, "min_p": 0.1}

    def params(**said: Any) -> dict[str, Any]:
        asked: Any = CompletionRequest(model="m", prompt=[1, 2], **said).to_sampling_params(10, folder)
        return {name: getattr(asked, name) for name in folder}

    assert params() == folder
    assert params(**attest.WHOLE) == dict(attest.WHOLE)
