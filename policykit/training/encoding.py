"""Prompts and completions as token ids, and batches of them as tensors."""
# transformers leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.policy.checked import Json
from policykit.training.config import Config


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


def encode(tokenizer: Any, prompt: Json, completion: str, *, ends: bool = True) -> Encoded:
    """The tokens of a prompt, in the tokenizer's chat template where it has one, and of a completion.

    A prompt is text or a list of messages. The two are encoded apart, as the model meets them when it writes. ``ends``
    puts an end of text behind the completion.
    """
    before = prompt_ids(tokenizer, prompt)
    found = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = found["input_ids"]
    spans = [(int(start), int(end)) for start, end in found["offset_mapping"]]
    if ends:
        ids, spans = [*ids, int(tokenizer.eos_token_id)], [*spans, (len(completion), len(completion))]
    return Encoded((*before, *ids), len(before), tuple(spans))


def prompt_ids(tokenizer: Any, prompt: Json) -> list[int]:
    """The tokens of a prompt as the model is asked with it."""
    if isinstance(prompt, str) and tokenizer.chat_template is None:
        return list(tokenizer(prompt)["input_ids"])
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


class Fitting:
    """Keeps rows to ``data.maxTokens``: more is refused when all rows were seen, or counted and dropped."""

    def __init__(self, config: Config) -> None:
        self._data = config.data
        self._found: list[Diagnostic] = []
        self.n_dropped = 0

    def fits(self, place: Place, *encoded: Encoded) -> bool:
        """Whether a row stays; what is too long of it is remembered."""
        n = max(len(one.token_ids) for one in encoded)
        if n <= self._data.max_tokens:
            return True
        self.n_dropped += 1
        if not self._data.drop_too_long:
            message = f"the row has {n} tokens, and `maxTokens` is {self._data.max_tokens}"
            help = "raise `data.maxTokens`, or say `tooLong: drop`"
            self._found.append(Diagnostic("PK782", message, place, help))
        return False

    def check(self, n_left: int) -> None:
        """Raises PolicyError (PK782) with the rows that are too long, and where dropping them leaves none."""
        if self._found:
            raise PolicyError(self._found[:20])
        if self.n_dropped and not n_left:
            message = f"all {self.n_dropped} rows have more than {self._data.max_tokens} tokens"
            raise PolicyError.of("PK782", message, Place(str(self._data.train)), "raise `data.maxTokens`")


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


def completion_logits(model: Callable[..., Any], batch: Batch) -> torch.Tensor:
    """Logits [B, T, V] that score ``batch.token_ids``: those of the position before each. With gradient."""
    logits: torch.Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    n_tokens = batch.token_ids.shape[1]
    at = batch.starts[:, None] - 1 + torch.arange(n_tokens, device=logits.device)[None]
    rows = torch.arange(logits.shape[0], device=logits.device)[:, None]
    return logits[rows, at.clamp(max=logits.shape[1] - 1)]


def token_logps(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """log π of the completions' tokens, [B, T]; 0 at padding."""
    scores = logits.float()
    of_token = scores.gather(-1, batch.token_ids[..., None]).squeeze(-1) - scores.logsumexp(-1)
    return torch.where(batch.is_real, of_token, 0.0)
