"""Plans in Outlines: its own generators, on a real model, never write what the mask forbids."""

import re
from typing import Any

import numpy as np
import openai
import outlines
import pytest
import torch

from policykit.constraint import Vocabulary
from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.engines.outlines import PolicyProcessor, generator, processor
from policykit.grammar import choices
from policykit.plan import Plan, compile as compile_plan
from policykit.policy import load_policies

PROMPTS = ["What can I expect from the Atlas Index fund?", "My parcel was delivered to someone else."]
COMMON = ("the", "is", "you", "thank", "return")  # words that free replies are full of
POLICY = f"""\
apiVersion: policykit/v1
kind: Policy
metadata: {{name: common, version: 1.0.0, owner: a@b.c, why: because}}
rules:
  - id: no-common-words
    match: {{phrases: {list(COMMON)}}}
    action: {{block: {{message: no}}}}
"""
HOT: dict[str, Any] = {"do_sample": True, "temperature": 1.3, "top_k": 0, "max_new_tokens": 16}


def broken(text: str) -> bool:
    return re.search(rf"\b({'|'.join(COMMON)})\b", text.lower()) is not None


def before_the_cut(text: str) -> str:
    """Without the word that a limit of tokens may have cut: `the` of `there`, which only the verifier can judge."""
    return re.sub(r"\w+$", "", text)


@pytest.fixture(scope="module")
def model(embedded_model) -> Any:
    return outlines.from_transformers(*embedded_model)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("policies") / "common.policy.yaml"
    path.write_text(POLICY)
    return compile_plan(load_policies(path))


def test_free_texts_break_what_texts_under_a_plan_keep(model: Any, plan: Plan) -> None:
    torch.manual_seed(0)
    free = outlines.Generator(model)(PROMPTS[0], num_return_sequences=8, **HOT)
    assert sum(map(broken, free)) >= 2
    held = outlines.Generator(model, processor=processor(model, plan))
    texts = held(PROMPTS[0], num_return_sequences=24, **HOT)
    assert [text for text in texts if broken(before_the_cut(text))] == []
    assert all(texts)
    judged = [plan.verify(text) for text in texts]
    assert [verdict.decision == "block" for verdict in judged] == [broken(text) for text in texts]
    assert sum(verdict.decision == "allow" for verdict in judged) >= 12


def test_a_generator_gives_verdicts_of_what_it_wrote(model: Any, plan: Plan) -> None:
    write = generator(model, plan)
    torch.manual_seed(1)
    one: Any = write(PROMPTS[0], **HOT)
    many: Any = write(PROMPTS[1], num_return_sequences=8, **HOT)
    for verdict in (one, *many):
        assert verdict.text
        assert not broken(verdict.text)
        assert verdict.decision == "allow" or verdict.text == "no"
    assert "allow" in [verdict.decision for verdict in many]


def test_batches_of_prompts_of_different_lengths(model: Any, plan: Plan) -> None:
    write = generator(model, plan)
    greedy: dict[str, Any] = {"do_sample": False, "max_new_tokens": 12}
    together: Any = write.batch(PROMPTS, **greedy)
    alone: Any = [write(prompt, **greedy) for prompt in PROMPTS]
    assert [verdict.text for verdict in together] == [verdict.text for verdict in alone]
    sampled: Any = write.batch(PROMPTS, num_return_sequences=4, **HOT)
    assert [len(verdicts) for verdicts in sampled] == [4, 4]
    assert not any(broken(verdict.text) for verdicts in sampled for verdict in verdicts)


def test_a_grammar_of_the_plan_is_written(model: Any) -> None:
    write = generator(model, compile_plan(None, choices(["maybe later", "never"], Place("words"))))
    texts = {verdict.text for verdict in write(PROMPTS[0], num_return_sequences=6, **HOT)}  # type: ignore[union-attr]
    assert texts <= {"maybe later", "never"}


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_both_kinds_of_tensors_are_masked_alike(plan: Plan, vocabulary: Vocabulary, library: str) -> None:
    """The bits are those of a state that is asked alone; scores beyond the vocabulary are closed."""
    constraint = plan.constraint(vocabulary)
    row = np.zeros(-(-vocabulary.size // 32), np.int32)
    constraint.start().fill(row)
    wanted = np.array([bool(row[i // 32] >> i % 32 & 1) for i in range(vocabulary.size)] + [False] * 3)
    make: Any = torch.tensor if library == "torch" else np.array
    held = PolicyProcessor(constraint, library)
    scores = make([[0.5] * (vocabulary.size + 3)] * 2)
    first = np.asarray(held(make([[1, 2], [3, 4]]), scores))
    assert (np.isfinite(first) == wanted).all()
    assert set(first[np.isfinite(first)]) == {0.5}
    assert np.isfinite(np.asarray(scores)).all()
    alone = np.asarray(held(make([5, 6, 7]), scores[0]))
    assert (np.isfinite(alone) == wanted).all()


def test_a_token_that_was_chosen_against_the_mask_is_an_error(plan: Plan, vocabulary: Vocabulary) -> None:
    held = PolicyProcessor(plan.constraint(vocabulary), "numpy")
    scores = np.zeros((1, vocabulary.size))
    masked = held(np.array([[1, 2]]), scores)
    closed = int(np.flatnonzero(np.isinf(masked[0]))[0])
    with pytest.raises(InternalError, match="which the mask forbids"):
        held(np.array([[1, 2, closed]]), scores)
    with pytest.raises(InternalError, match="the vocabulary has"):
        held(np.array([[1, 2]]), scores[:, :-1])


def test_models_that_take_no_mask_are_refused(plan: Plan, vocabulary: Vocabulary) -> None:
    remote = outlines.from_openai(openai.OpenAI(api_key="none", base_url="http://127.0.0.1:9"), "some-model")
    with pytest.raises(PolicyError) as caught:
        generator(remote, plan)
    assert caught.value.diagnostics[0].code == "PK452"
    with pytest.raises(PolicyError) as caught:
        PolicyProcessor(plan.constraint(vocabulary), "mlx")
    assert caught.value.diagnostics[0].code == "PK452"
