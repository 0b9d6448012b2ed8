"""Codes PK400–PK499: vocabularies, constraints and engines."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK450",
        "no model in this folder",
        "A model folder holds at least `config.json`, the weights and `tokenizer.json`, as `save_pretrained` writes "
        "them. The path names no folder, or a folder without a model.",
        "policykit generate --model ./no-such-model",
    ),
    CodeEntry(
        "PK451",
        "the model cannot be loaded",
        "What was named is neither a local folder nor could it be had from the hub: the name is unknown, there is no "
        "network, or HF_HUB_OFFLINE forbids fetching; or the folder's files are damaged or of an unknown architecture.",
        "HF_HUB_OFFLINE=1 policykit generate --model some/model",
    ),
)
