"""The small language model that ships with the package, so that a demonstration needs no network.

A Llama with under two million parameters and its own byte-level BPE. It writes short customer-service replies in five
domains and, left alone, breaks the shipped policies in about four replies of ten: it is made to be held back.
It is trained by ``python -m policykit.engines.train_embedded`` on the text of `policykit.embedded.corpus`.
"""

from importlib.resources import files
from pathlib import Path

NAME = "embedded"
MODEL_FILES = (
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def model_path() -> Path:
    """The folder of the model, as ``from_pretrained`` of transformers and ``vllm serve`` take it.

    >>> (model_path() / "config.json").is_file()
    True
    """
    return Path(str(files("policykit.embedded"))) / "model"


def tokenizer_path() -> Path:
    """The model's ``tokenizer.json``: all that a vocabulary needs, without torch.

    >>> tokenizer_path().name
    'tokenizer.json'
    """
    return model_path() / "tokenizer.json"


__all__ = ["MODEL_FILES", "NAME", "model_path", "tokenizer_path"]
