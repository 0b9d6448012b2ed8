"""The embedded model's artefact, its training and its text."""

import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st
from rich.console import Console

from policykit.embedded import MODEL_FILES, model_path
from policykit.embedded.corpus import DOMAINS, chat, example
from policykit.embedded.corpus.template import Scene
from policykit.engines.embedded_evaluation import PHRASES, Sample, free_samples
from policykit.engines.embedded_tokenizer import END_ID, PAD_ID, SPECIAL_TOKENS, train_tokenizer
from policykit.engines.train_embedded import IGNORED, Recipe, batches, encode, train, weights_digest

GRAMMARS = Path(__file__).parents[2] / "grammars"
SHORT = Recipe(n_steps=3, n_tokens=256, hidden_size=32, feed_forward=64, n_layers=1)


def test_the_artefact_is_complete_and_small() -> None:
    assert {f.name for f in model_path().iterdir()} >= set(MODEL_FILES)
    assert sum(f.stat().st_size for f in model_path().iterdir()) < 3_500_000


def test_the_shipped_tokenizer_is_the_trained_one() -> None:
    recipe = Recipe()
    trained = json.loads(train_tokenizer(recipe.seed, recipe.vocab_size).backend_tokenizer.to_str())
    shipped = json.loads((model_path() / "tokenizer.json").read_text("utf-8"))
    assert trained["model"] == shipped["model"]


@pytest.mark.slow
def test_the_tokenizer_does_not_depend_on_hash_seeds() -> None:
    code = (
        "import hashlib; from policykit.engines import embedded_tokenizer as t; t.N_EXAMPLES = 500;"
        "print(hashlib.sha256(t.train_tokenizer(7, 600).backend_tokenizer.to_str().encode()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(runs) == 1


def test_special_tokens_come_first_and_every_byte_has_a_token(vocabulary, embedded_model) -> None:
    _, tokenizer = embedded_model
    assert tuple(tokenizer.convert_ids_to_tokens(range(4))) == SPECIAL_TOKENS
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (PAD_ID, END_ID)
    assert vocabulary.eos_ids == (END_ID,)
    assert {t[0] for t in vocabulary.tokens if len(t) == 1} == set(range(256))


@given(st.text())
def test_tokens_are_the_text_byte_for_byte(vocabulary, embedded_model, text: str) -> None:
    _, tokenizer = embedded_model
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert vocabulary.decode(ids) == text.encode()
    assert tokenizer.decode(ids) == text


def test_the_chat_template_is_what_the_model_was_trained_on(embedded_model) -> None:
    _, tokenizer = embedded_model
    one = next(c for c in (chat(Random(i)) for i in range(9)))
    ids, labels = encode(one, tokenizer)
    messages = [{"role": "user", "content": one.prompt}, {"role": "assistant", "content": one.completion}]
    assert tokenizer.apply_chat_template(messages, return_dict=False) == ids
    assert tokenizer.decode([t for t in labels if t != IGNORED]) == one.completion + "<|end|>"


def test_what_a_grammar_forces_carries_no_loss(embedded_model) -> None:
    _, tokenizer = embedded_model
    rng = Random(0)
    forced = next(c for c in (example(rng) for _ in range(500)) if c.forced_chars)
    _, labels = encode(forced, tokenizer)
    learned = tokenizer.decode([t for t in labels if t != IGNORED])
    assert forced.completion.startswith("{")
    assert not learned.startswith("{")
    assert (forced.completion + "<|end|>").endswith(learned)


def test_batches_keep_to_their_size_and_shift_labels_by_one(embedded_model) -> None:
    _, tokenizer = embedded_model
    source = batches(replace(SHORT, n_tokens=600), tokenizer)
    for batch in (next(source) for _ in range(20)):
        assert batch.token_ids.numel() <= 600
        has_loss = batch.labels[:, :-1] != IGNORED
        assert (batch.labels[:, :-1][has_loss] == batch.token_ids[:, 1:][has_loss]).all()
        assert (batch.labels[:, -1] == IGNORED).all()


def test_training_twice_gives_the_same_weights(embedded_model) -> None:
    _, tokenizer = embedded_model
    quiet = Console(file=io.StringIO())
    digests = [weights_digest(train(replace(SHORT, seed=s), tokenizer, quiet)) for s in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
def test_free_replies_break_policies_often_and_end(embedded_model) -> None:
    samples = free_samples(*embedded_model, n_per_domain=24, temperature=1.0, seed=5)
    assert Counter(s.domain for s in samples) == dict.fromkeys((d.name for d in DOMAINS), 24)
    assert 0.3 < sum(s.breaks_policy for s in samples) / len(samples) < 0.65
    assert sum(s.ended for s in samples) / len(samples) > 0.97


@pytest.mark.parametrize("reply", ["It is RISK-FREE.", "Card 4111 1111 1111 1111.", "Your PIN is 1234."])
def test_the_crude_list_finds_breaches(reply: str) -> None:
    assert Sample("shop", "", reply, ended=True).breaks_policy
    assert not Sample("shop", "", "The lamp costs £20 and is in stock.", ended=True).breaks_policy


def test_the_corpus_is_a_function_of_the_seed_and_varied() -> None:
    def texts(seed: int) -> list[str]:
        rng = Random(seed)
        return [example(rng).completion for _ in range(2000)]

    assert texts(1) == texts(1) != texts(2)
    assert len(set(texts(1))) > 1900


def test_about_half_of_the_chats_break_a_policy_in_every_domain() -> None:
    rng = Random(3)
    for domain in DOMAINS:
        replies = [chat(rng, domain).completion for _ in range(500)]
        share = sum(Sample(domain.name, "", r, ended=True).breaks_policy for r in replies) / len(replies)
        assert 0.4 < share < 0.56, domain.name
    assert len(PHRASES) == len(set(PHRASES))


def test_every_chat_is_written_out() -> None:
    rng = Random(4)
    for one in (example(rng) for _ in range(3000)):
        assert not set("#&|") & set(one.prompt), one.prompt
        assert "  " not in one.completion
        assert one.completion[0].isupper() or one.completion[0] == "{" or one.completion[0].isdigit()


@pytest.mark.parametrize(
    ("kind", "schema"),
    [("ticket", "support-ticket.schema.json"), ("report", "product-quality-report.schema.json")],
)
def test_structured_examples_are_valid_under_the_shipped_schemas(kind: str, schema: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((GRAMMARS / schema).read_text("utf-8")))
    rng = Random(6)
    documents = [json.loads(c.completion) for c in (example(rng) for _ in range(3000)) if c.domain == kind]
    full = [d for d in documents if kind == "report" or "sentiment" in d]
    assert len(full) > 100
    assert [list(validator.iter_errors(d)) for d in full if not validator.is_valid(d)] == []


def scene(seed: int = 0) -> Scene:
    return Scene(Random(seed), {"name": ("Ann", "Bob"), "both": ("{name} and {name}",)})


@pytest.mark.parametrize(
    ("template", "possible"),
    [
        ("plain", {"plain"}),
        ("[a|b]", {"a", "b"}),
        ("x[ y|]", {"x", "x y"}),
        ("[a[b|c]|d]", {"ab", "ac", "d"}),
        ("{name}, {name}", {"Ann, Ann", "Bob, Bob"}),
        ("{both}", {"Ann and Ann", "Bob and Bob"}),
        ("a|b", {"a|b"}),
    ],
)
def test_templates_write_each_of_their_texts_and_no_other(template: str, possible: set[str]) -> None:
    assert {scene(seed).write(template) for seed in range(60)} == possible


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_digits_are_digits(seed: int) -> None:
    text = scene(seed).write("&#")
    assert text.isdecimal()
    assert 10 <= int(text) <= 99


@pytest.mark.parametrize("template", ["[a", "[a|[b]", "a[b|c"])
def test_an_open_bracket_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        scene().write(template)
