"""What is kept of a prompt's keys and values, against a model that keeps nothing: also where attention has a window."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import PolicyError

torch = pytest.importorskip("torch", reason="the engine needs torch")
transformers = pytest.importorskip("transformers", reason="the engine needs transformers")

from policykit.engines.batched import CachedBatch, whole_cache  # noqa: E402
from policykit.engines.sampling import _CachedScorer  # noqa: E402 # pyright: ignore[reportPrivateUsage]

SIZE, WINDOW = 12, 4
PROMPTS = ((1, 2, 3, 4, 5), (7, 3))


def small(**more: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = transformers.MistralConfig(
        vocab_size=SIZE, num_hidden_layers=2, initializer_range=0.6, **sizes, **more
    )  # fmt: skip
    return transformers.MistralForCausalLM(config).eval()


MODELS = {"a window": small(sliding_window=WINDOW), "no window": small(sliding_window=None)}


def by_hand(model: Any, text: tuple[int, ...]) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([text]), use_cache=False).logits[0, -1].double().log_softmax(-1).numpy()


tokens = st.integers(0, SIZE - 1)
steps = st.lists(st.tuples(st.integers(0, 30), st.lists(tokens, min_size=1, max_size=4)), min_size=1, max_size=8)
"""How many tokens of the last text are kept, and what follows them: texts that go on, and that go back."""


def texts(chosen: list[tuple[int, list[int]]]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    for kept, more in chosen:
        for token in more:
            found.append((*found[-1][:kept], token))
            kept = len(found[-1])
    return found


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(chosen=steps)
def test_going_back_gives_what_a_model_without_a_cache_gives(name: str, chosen: list[tuple[int, list[int]]]) -> None:
    model = MODELS[name]
    engine: Any = SimpleNamespace(model=model, vocabulary=SimpleNamespace(size=SIZE))
    scorer = _CachedScorer(engine, PROMPTS[0], 1.0)
    batch = CachedBatch(model, PROMPTS, SIZE, 1.0, "past_key_values")
    for text in texts(chosen):
        wanted = [by_hand(model, (*prompt, *text)) for prompt in PROMPTS]
        np.testing.assert_allclose(scorer.logps([text])[0], wanted[0], atol=2e-4)
        for found, want in zip(batch.logps([(0, text), (1, text)]), wanted, strict=True):
            np.testing.assert_allclose(found, want, atol=2e-4)


def test_a_state_that_cannot_be_taken_back_is_refused() -> None:
    config = SimpleNamespace(layer_types=["linear_attention", "full_attention"])
    config.get_text_config = lambda: config
    with pytest.raises(PolicyError, match="linear_attention") as error:
        whole_cache(SimpleNamespace(config=config))
    assert error.value.diagnostics[0].code == "PK471"
