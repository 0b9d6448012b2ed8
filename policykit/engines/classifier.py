"""A text-classification model in a local folder, as `save_pretrained` of transformers writes it.

Long texts are read in windows of the model's length that overlap, so that nothing is cut off. Nothing is fetched, no
code of a folder is run, and weights are read from safetensors only.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from policykit.diagnostics import PolicyError
from policykit.predicates import Scored

OVERLAP = 4
"""A window shares one token in so many with the window before it."""
_BATCH = 16


def folder_digest(folder: str | Path) -> str:
    """The digest of a folder's files: their names below it and their content."""
    found = hashlib.sha256()
    root = Path(folder)
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        found.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return f"sha256:{found.hexdigest()}"


class FolderClassifier:
    """The model of a folder; threads may share it. Made by :func:`load_classifier`."""

    def __init__(self, model: Any, tokenizer: Any, digest: str) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._lock = Lock()  # a fast tokenizer keeps its truncation as state
        self._window = _window(model.config, tokenizer)
        self.digest = digest
        names: dict[int, str] = model.config.id2label
        self.labels = tuple(names[i] for i in sorted(names))

    def scores(self, text: str, label: str) -> Sequence[Scored]:
        """The label's probability in every window: of independent labels where the model is trained so, else of one
        label among all."""
        parts, batches = self._windows(text)
        index = self.labels.index(label)
        found: list[float] = []
        with torch.inference_mode():
            for batch in batches:
                logits = self._model(**batch).logits.float()
                several = self._model.config.problem_type == "multi_label_classification" or logits.shape[-1] == 1
                found += (logits.sigmoid() if several else logits.softmax(-1))[:, index].tolist()
        return [Scored(start, end, score) for (start, end), score in zip(parts, found, strict=True)]

    def _windows(self, text: str) -> tuple[list[tuple[int, int]], list[Any]]:
        """The stretches of the text that the windows read, which leave nothing out, and the model's inputs."""
        with self._lock:
            encoded = self._tokenizer(
                text,
                truncation=True,
                max_length=self._window,
                stride=max(self._window // OVERLAP, 1),
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
            inputs = [
                {name: encoded[name][i] for name in self._tokenizer.model_input_names if name in encoded}
                for i in range(len(encoded["input_ids"]))
            ]
            size = _BATCH if self._tokenizer.pad_token is not None else 1
            batches = [
                self._tokenizer.pad(inputs[i : i + size], return_tensors="pt") for i in range(0, len(inputs), size)
            ]
        ends = [max((end for _, end in offsets), default=0) for offsets in encoded["offset_mapping"]]
        starts = [0, *ends[:-1]]
        read = [min((a for a, b in offsets if a < b), default=0) for offsets in encoded["offset_mapping"]]
        # What lies between two windows are characters that the tokenizer drops: they belong to the later one.
        parts = [(min(start, first), end) for start, first, end in zip(starts, read, ends, strict=True)]
        parts[-1] = (parts[-1][0], len(text))
        return parts, batches


def load_classifier(folder: str | Path) -> FolderClassifier:
    """The model in a folder. Raises PolicyError: there is none (PK450), or it cannot be loaded (PK451)."""
    root = Path(folder)
    if not (root / "config.json").is_file():
        raise PolicyError.of("PK450", f"there is no model in `{folder}`", help="name a folder with a `config.json`")
    kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(root, use_fast=True, **kept)
        model: Any = AutoModelForSequenceClassification.from_pretrained(root, use_safetensors=True, **kept)
        if not tokenizer.is_fast:
            raise ValueError("its tokenizer is a slow one, which does not say where its tokens stand")
        return FolderClassifier(model, tokenizer, folder_digest(root))
    except PolicyError:
        raise
    except Exception as error:
        message = (
            f"the classifier in `{folder}` cannot be loaded: {str(error).splitlines()[0] if str(error) else error!r}"
        )
        help = "it is what `save_pretrained` of a sequence classification model and its fast tokenizer writes"
        raise PolicyError.of("PK451", message, help=help) from error


def _window(config: Any, tokenizer: Any) -> int:
    """How many tokens the model reads at once, special ones included."""
    positions: int | None = getattr(config, "max_position_embeddings", None)
    longest: int = tokenizer.model_max_length
    if positions is None:
        return min(longest, 512)
    return longest if longest <= positions else positions - 2  # some models keep two positions for themselves
