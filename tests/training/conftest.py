import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def embedded():
    """A constraint on the embedded model; completions; the engine's log-probabilities of them, and its raw logits."""
    from transformers import LogitsProcessorList

    import policykit as pk
    from policykit.embedded import tokenizer_path
    from policykit.engines.transformers import PolicyLogitsProcessor, load_model

    model, tokenizer = load_model("embedded")
    vocabulary = pk.Vocabulary.from_file(tokenizer_path())
    constraint = pk.compile(None, pk.Grammar.from_regex("[A-Z][a-z]{2,8}( [a-z]{1,9}){2,5}[.]")).constraint(vocabulary)
    inputs = tokenizer(["Is it safe?"], return_tensors="pt")
    width = inputs["input_ids"].shape[1]
    processors = LogitsProcessorList([PolicyLogitsProcessor(constraint, width)])
    torch.manual_seed(0)
    out = model.generate(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], num_return_sequences=6,
        do_sample=True, temperature=0.8, top_k=0, top_p=1.0, max_new_tokens=24, eos_token_id=list(vocabulary.eos_ids),
        pad_token_id=vocabulary.eos_ids[0], logits_processor=processors, output_scores=True,
        return_dict_in_generate=True,
    )  # fmt: skip
    written = out.sequences[:, width:]
    rows = []
    for row in written.tolist():
        end = next((i for i, token in enumerate(row) if token in vocabulary.eos_ids), len(row) - 1)
        rows.append(row[: end + 1])
    longest = max(map(len, rows))
    scores = torch.stack(out.scores, 1).log_softmax(-1)
    engine = scores.gather(-1, written[..., None])[..., 0][:, :longest]
    with torch.no_grad():
        logits = model(input_ids=out.sequences).logits[:, width - 1 : -1][:, :longest]
    return constraint, rows, engine, logits
