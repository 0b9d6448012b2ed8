"""The transformers engine on a real model: what `generate` writes stays inside the constraint, in every mode."""

from pathlib import Path

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from policykit.constraint import Outcome
from policykit.diagnostics import InternalError, PolicyError
from policykit.embedded import model_path
from policykit.engines.transformers import FinishReason, PolicyLogitsProcessor, generate, load_model
from tests.engines.phrase_ban import PhraseBan

PROMPTS = (
    "What can I expect from the Atlas Index fund?",
    "Is it cheaper to fly to Oslo with Northwind? I would like to know before I book anything at all with you.",
    "My parcel was delivered to someone else.",
)
COMMON = (b" the", b" is ", b"thank", b"you", b"return")  # phrases that free replies are full of


def broken(text: str) -> bool:
    return any(phrase.decode() in text.lower() for phrase in COMMON)


@pytest.fixture
def common_words(vocabulary):
    return PhraseBan(vocabulary, COMMON)


def raw(model, tokenizer, processor, prompts=PROMPTS, **settings):
    """What `model.generate` itself returns: new tokens, int64 [B, T]."""
    texts = [f"<|user|>{p}<|assistant|>" for p in prompts]
    rows = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False)
    torch.manual_seed(0)
    out = model.generate(**rows, max_new_tokens=24, logits_processor=LogitsProcessorList([processor]), **settings)
    return out[:, rows["input_ids"].shape[1] :]


def up_to_end(row: list[int], vocabulary) -> list[int]:
    ends = [i for i, token in enumerate(row) if token in vocabulary.eos_ids]
    return row[: ends[0] + 1] if ends else row


def test_free_replies_break_what_constrained_replies_keep(embedded_model, common_words) -> None:
    model, tokenizer = embedded_model
    free = generate(model, tokenizer, PROMPTS, max_new_tokens=40, seed=3)
    held = generate(model, tokenizer, PROMPTS, common_words, max_new_tokens=40, seed=3)
    assert all(broken(g.text) for g in free)
    assert not any(broken(g.text) for g in held)
    assert all(g.text for g in held)


def test_greedy_in_a_padded_batch_equals_greedy_alone(embedded_model, common_words) -> None:
    model, tokenizer = embedded_model
    settings = {"max_new_tokens": 16, "do_sample": False}
    together = generate(model, tokenizer, PROMPTS, common_words, **settings)
    alone = [generate(model, tokenizer, [p], common_words, **settings)[0] for p in PROMPTS]
    assert [g.token_ids for g in together] == [g.token_ids for g in alone]
    assert not any(broken(g.text) for g in together)


def test_sampling_repeats_under_a_seed_and_leaves_the_random_state(embedded_model, common_words) -> None:
    model, tokenizer = embedded_model
    before = torch.get_rng_state()
    texts = [generate(model, tokenizer, PROMPTS[:1], common_words, max_new_tokens=16, seed=s) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(before, torch.get_rng_state())


def test_several_samples_per_prompt(embedded_model, common_words, vocabulary) -> None:
    model, tokenizer = embedded_model
    processor = PolicyLogitsProcessor(common_words, pad_id=tokenizer.pad_token_id)
    rows = raw(model, tokenizer, processor, do_sample=True, num_return_sequences=3).tolist()
    assert len(rows) == 9
    assert not any(broken(vocabulary.decode(row).decode("utf-8", "replace")) for row in rows)
    assert all(processor.outcome(up_to_end(row, vocabulary)) for row in rows)


def test_one_processor_serves_several_calls(embedded_model, common_words, vocabulary) -> None:
    model, tokenizer = embedded_model
    processor = PolicyLogitsProcessor(common_words, pad_id=tokenizer.pad_token_id)
    first = raw(model, tokenizer, processor, PROMPTS[:1], do_sample=False)
    raw(model, tokenizer, processor, PROMPTS[1:], do_sample=False)
    assert torch.equal(first, raw(model, tokenizer, processor, PROMPTS[:1], do_sample=False))


def test_beam_search_follows_reordered_rows(embedded_model, common_words, vocabulary) -> None:
    model, tokenizer = embedded_model
    processor = PolicyLogitsProcessor(common_words, pad_id=tokenizer.pad_token_id, beam_search=True)
    settings = {"do_sample": False, "num_beams": 4, "num_return_sequences": 2}
    rows = raw(model, tokenizer, processor, **settings).tolist()
    assert len(rows) == 6
    assert not any(broken(vocabulary.decode(row).decode("utf-8", "replace")) for row in rows)
    assert all(processor.outcome(up_to_end(row, vocabulary)) for row in rows)


def test_beam_search_never_prefers_a_forbidden_hypothesis(embedded_model, vocabulary) -> None:
    # One legal continuation per step: every other beam is outside the constraint.
    text = "Yes."
    model, tokenizer = embedded_model
    forced = tokenizer.encode(text, add_special_tokens=False)
    traps = {i: frozenset({token}) for i, token in enumerate([*forced, vocabulary.eos_ids[0]])}
    processor = PolicyLogitsProcessor(PhraseBan(vocabulary, (), traps), pad_id=tokenizer.pad_token_id, beam_search=True)
    rows = raw(model, tokenizer, processor, PROMPTS[:1], do_sample=False, num_beams=3).tolist()
    assert vocabulary.decode(rows[0]).decode() == text


def test_the_tail_of_a_wider_head_is_masked_off(vocabulary, common_words) -> None:
    model, tokenizer = load_model("embedded")
    model.resize_token_embeddings(vocabulary.size + 96)
    with torch.no_grad():
        model.get_input_embeddings().weight[vocabulary.size :] = 5 * model.get_input_embeddings().weight[:96]
    held = generate(model, tokenizer, PROMPTS, common_words, max_new_tokens=16, temperature=5.0)
    assert all(max(g.token_ids) < vocabulary.size for g in held)


def test_a_head_that_is_too_narrow_is_an_error(vocabulary, common_words) -> None:
    processor = PolicyLogitsProcessor(common_words)
    with pytest.raises(InternalError, match=f"the model scores 100 tokens, the vocabulary has {vocabulary.size}"):
        processor(torch.zeros((1, 3), dtype=torch.long), torch.zeros((1, 100)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scores_keep_their_type_and_the_given_tensor(common_words, vocabulary, dtype) -> None:
    scores = torch.randn((2, vocabulary.size), dtype=dtype)
    kept = scores.clone()
    out = PolicyLogitsProcessor(common_words)(torch.zeros((2, 3), dtype=torch.long), scores)
    assert out.dtype == dtype
    assert torch.equal(scores, kept)
    open_ = out > float("-inf")
    assert torch.equal(out[open_], scores[open_])
    assert 0 < int(open_.sum()) < out.numel()


def test_the_end_of_text_is_kept_and_padding_is_not(embedded_model, vocabulary) -> None:
    model, tokenizer = embedded_model
    traps = {i: frozenset({t}) for i, t in enumerate([*tokenizer.encode("Hi."), vocabulary.eos_ids[0]])}
    short, long = PhraseBan(vocabulary, (), traps), PhraseBan(vocabulary, (b"<",))
    (ended,) = generate(model, tokenizer, PROMPTS[:1], short, max_new_tokens=30)
    assert (ended.text, ended.finish_reason, ended.finished) == ("Hi.", FinishReason.END, True)
    assert ended.token_ids[-1] in vocabulary.eos_ids
    (cut,) = generate(model, tokenizer, PROMPTS[:1], long, max_new_tokens=3)
    assert (len(cut.token_ids), cut.finish_reason, cut.finished) == (3, FinishReason.LENGTH, False)


def test_a_dead_end_is_a_reported_outcome(embedded_model, vocabulary) -> None:
    model, tokenizer = embedded_model
    (stuck,) = generate(model, tokenizer, PROMPTS[:1], PhraseBan(vocabulary, (), {4: frozenset()}), max_new_tokens=30)
    assert (stuck.finish_reason, stuck.finished, len(stuck.token_ids)) == (FinishReason.DEAD_END, False, 5)
    with pytest.raises(InternalError, match="nothing is allowed in row 0"):
        generate(model, tokenizer, PROMPTS[:1], PhraseBan(vocabulary, (), {4: frozenset()}, ends_when_dead=False))


class Meddler(LogitsProcessor):
    """Wants one token, whatever came before it in the chain."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids, scores):
        scores = torch.full_like(scores, float("-inf"))
        scores[:, self.token] = 0.0
        return scores


@pytest.mark.parametrize("max_new_tokens", [1, 5])
def test_a_processor_that_overrides_the_mask_is_found_out(
    embedded_model, common_words, vocabulary, max_new_tokens
) -> None:
    model, tokenizer = embedded_model
    token = vocabulary.tokens.index(b" the")
    with pytest.raises(InternalError):
        generate(
            model, tokenizer, PROMPTS[:1], common_words, max_new_tokens=max_new_tokens, processors=[Meddler(token)]
        )


def test_a_cut_inside_a_code_point_drops_the_unfinished_bytes(embedded_model, vocabulary) -> None:
    model, tokenizer = embedded_model
    e, acute = vocabulary.tokens.index(b"\xf0"), vocabulary.tokens.index(b"\x9f")
    traps = {0: frozenset({vocabulary.tokens.index(b"x")}), 1: frozenset({e}), 2: frozenset({acute})}
    (cut,) = generate(model, tokenizer, PROMPTS[:1], PhraseBan(vocabulary, (), traps), max_new_tokens=3)
    assert cut.text == "x"


def test_no_prompts_no_generations(embedded_model) -> None:
    assert generate(*embedded_model, []) == []


def test_plain_prompts_skip_the_chat_template(embedded_model) -> None:
    model, tokenizer = embedded_model
    plain = generate(model, tokenizer, ["<|user|>Hello<|assistant|>"], do_sample=False, max_new_tokens=8, chat=False)
    chat = generate(model, tokenizer, ["Hello"], do_sample=False, max_new_tokens=8)
    assert plain == chat


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "a/b/c"])
def test_a_missing_folder_has_a_code(path: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_model(path)
    assert caught.value.diagnostics[0].code == "PK450"


def test_a_folder_without_a_model_has_a_code(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_model(tmp_path)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, str(diagnostic.place)) == ("PK450", f"{tmp_path}:1:1")


def test_a_hub_id_offline_has_a_code_and_a_way_out() -> None:
    with pytest.raises(PolicyError) as caught:
        load_model("nobody/no-such-model")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "PK451"
    assert diagnostic.help is not None
    assert "`embedded`" in diagnostic.help


def test_a_damaged_folder_has_a_code(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((model_path() / name).read_bytes())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(PolicyError) as caught:
        load_model(tmp_path)
    assert caught.value.diagnostics[0].code == "PK451"


def test_a_tokenizer_with_a_token_that_the_model_does_not_score_has_a_code(tmp_path: Path) -> None:
    """As where somebody adds a token for padding: found when loading, and not in the middle of a text."""
    model, tokenizer = load_model("embedded")
    tokenizer.add_special_tokens({"pad_token": "<added>"})
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    with pytest.raises(PolicyError, match=r"does not score, which has \d+: `<added>` \(\d+\)") as caught:
        load_model(tmp_path)
    assert [(d.code, "resize_token_embeddings" in (d.help or "")) for d in caught.value.diagnostics] == [
        ("PK453", True)
    ]
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(tmp_path)
    load_model(tmp_path)


def test_outcomes_of_the_processor_are_the_constraints(common_words, vocabulary) -> None:
    processor = PolicyLogitsProcessor(common_words)
    word = vocabulary.tokens.index(b" the")
    assert processor.outcome([word]) is None
    assert processor.outcome([vocabulary.eos_ids[0]]) is Outcome.FINISHED


@pytest.mark.parametrize(
    ("name", "value"),
    [("repetition_penalty", 3.0), ("min_p", 0.5), ("typical_p", 0.2), ("no_repeat_ngram_size", 1), ("max_time", 0.0)],
)
def test_settings_that_a_model_brings_along_change_nothing(embedded_model, name: str, value: float) -> None:
    """A folder's `generation_config.json` would hold for all that a call leaves unsaid, and what is drawn would not be
    what the model says."""
    model, tokenizer = embedded_model
    plain = generate(model, tokenizer, PROMPTS, max_new_tokens=16, seed=5)
    before = getattr(model.generation_config, name, None)
    setattr(model.generation_config, name, value)
    try:
        assert generate(model, tokenizer, PROMPTS, max_new_tokens=16, seed=5) == plain
        assert getattr(model.generation_config, name) == value, "the model is the caller's"
    finally:
        setattr(model.generation_config, name, before)


@pytest.mark.parametrize("task", [None, "CAUSAL_LM"])
def test_an_adapter_s_base_model_keeps_its_own_settings(task: str | None) -> None:
    """PEFT hands the settings of its wrapper to the model inside, which is the caller's; or goes by those there."""
    peft = pytest.importorskip("peft", reason="adapters need peft")
    model, tokenizer = load_model("embedded")
    free = generate(model, tokenizer, PROMPTS, max_new_tokens=16, seed=5)
    lora = peft.LoraConfig(r=2, task_type=task, target_modules="all-linear", init_lora_weights=False)
    adapted = peft.get_peft_model(model, lora)
    adapted.eval()
    model.generation_config.repetition_penalty = 3.0
    before, prepares = model.generation_config, adapted.base_model.prepare_inputs_for_generation
    written = generate(adapted, tokenizer, PROMPTS, max_new_tokens=16, seed=5)
    assert model.generation_config is adapted.generation_config is before
    assert before.repetition_penalty == 3.0
    assert adapted.base_model.prepare_inputs_for_generation == prepares
    assert written != free, "or the adapter did nothing"
    with adapted.disable_adapter():
        assert generate(adapted, tokenizer, PROMPTS, max_new_tokens=16, seed=5) == free
    adapted.merge_adapter()
    model.generation_config.repetition_penalty = 1.0
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=16, seed=5) == written, "its weights, and no others"
