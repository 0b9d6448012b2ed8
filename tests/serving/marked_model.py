"""The embedded model with marks of calls as special tokens, as Hermes', Mistral's and Llama's models have them."""

from pathlib import Path

from policykit.embedded import model_path

MARKS = ("<tool_call>", "</tool_call>", "[TOOL_CALLS]")
LIKE = "Dear"
"""How answers often begin: a mark is as likely there as this."""


def marked_model(folder: Path) -> Path:
    """The folder of such a model. Only where transformers and torch are installed."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model_path()))
    (like,) = tokenizer.encode(LIKE, add_special_tokens=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|assistant|>", *MARKS]})
    model = AutoModelForCausalLM.from_pretrained(str(model_path()), dtype=torch.float32)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        weights = model.get_input_embeddings().weight
        for mark in MARKS:
            weights[tokenizer.convert_tokens_to_ids(mark)] = weights[like]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
