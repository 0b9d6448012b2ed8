"""Prompts and completions as token ids, and batches of them as tensors."""
# transformers leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policykit.diagnostics import Place, PolicyError
from policykit.policy.checked import Json


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt and what was answered: ``token_ids`` of both, of which the first ``n_prompt`` are the prompt's.

    ``spans`` are the characters of the completion that each of its tokens stands for; an end of text has none.
    """

    token_ids: tuple[int, ...]
    n_prompt: int
    spans: tuple[tuple[int, int], ...]

    @property
    def completion_ids(self) -> tuple[int, ...]:
        return self.token_ids[self.n_prompt :]


def encode(tokenizer: Any, prompt: Json, completion: str, *, ends: bool = True, place: Place | None = None) -> Encoded:
    """The tokens of a prompt, in the tokenizer's chat template where it has one, and of a completion.

    A prompt is text or a list of messages. The two are encoded apart, as the model meets them when it writes. ``ends``
    puts an end of text behind the completion. Raises PolicyError as :func:`prompt_ids`.
    """
    before = prompt_ids(tokenizer, prompt, place)
    found = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = found["input_ids"]
    spans = [(int(start), int(end)) for start, end in found["offset_mapping"]]
    if ends:
        ids, spans = [*ids, int(tokenizer.eos_token_id)], [*spans, (len(completion), len(completion))]
    return Encoded((*before, *ids), len(before), tuple(spans))


def prompt_ids(tokenizer: Any, prompt: Json, place: Place | None = None) -> list[int]:
    """The tokens of a prompt as the model is asked with it. Raises PolicyError (PK781) at ``place``, where the prompt
    stands, for messages that the tokenizer's chat template does not take."""
    if isinstance(prompt, str) and tokenizer.chat_template is None:
        return list(tokenizer(prompt)["input_ids"])
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # whatever a template, which is the model's, says no with
        message = f"the model's chat template does not take the prompt: {error}"
        raise PolicyError.of("PK781", message, place, "write the prompt as the model has learnt prompts") from error
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True, slots=True)
class Batch:
    """B encoded rows. ``input_ids`` and ``attention_mask`` are int64 [B, W], padded on the right; ``token_ids`` int64
    and ``is_real`` bool [B, T] are the completions alone, each from its first token on."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_ids: torch.Tensor
    is_real: torch.Tensor
    starts: torch.Tensor


def batch_of(rows: Sequence[Encoded], pad_id: int, device: torch.device | None = None) -> Batch:
    """The tensors of some rows on a device. Padding is ``pad_id``, and no attention goes there."""
    ids, is_input = _padded([row.token_ids for row in rows], pad_id)
    written, is_real = _padded([row.completion_ids for row in rows], 0)
    starts = torch.tensor([row.n_prompt for row in rows])
    return Batch(*(x.to(device) for x in (ids, is_input.to(torch.int64), written, is_real, starts)))


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], dtype=torch.int64)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(width)[None] < lengths[:, None]
