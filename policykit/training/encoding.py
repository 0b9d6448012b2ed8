"""Completions that fit what a row may be long, and how likely a model finds them."""
# transformers leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from typing import Any

import torch

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.engines.encoding import Batch, Encoded
from policykit.training.config import Config


def positions_of(model: Any) -> int | None:
    """How many tokens a model reads; None where it does not say."""
    positions: int | None = getattr(model.config, "max_position_embeddings", None)
    return positions if positions and positions > 0 else None


class Fitting:
    """Keeps rows to ``data.maxTokens`` and to what the model reads: more is refused when all rows were seen, or counted
    and dropped. ``n_written`` tokens are kept free behind each row for what the model is to write."""

    def __init__(self, config: Config, model: Any, n_written: int = 0) -> None:
        self._data, self._n_written = config.data, n_written
        self._positions = positions_of(model)
        self._found: list[Diagnostic] = []
        self.n_dropped = 0

    def fits(self, place: Place, *encoded: Encoded) -> bool:
        """Whether a row stays; what is too long of it is remembered."""
        n = max(len(one.token_ids) for one in encoded)
        is_read = self._positions is None or n + self._n_written <= self._positions
        if n <= self._data.max_tokens and is_read:
            return True
        self.n_dropped += 1
        if not self._data.drop_too_long:
            message = f"the row has {n} tokens, and `maxTokens` is {self._data.max_tokens}"
            help = "raise `data.maxTokens`, or say `tooLong: drop`"
            if not is_read:
                written = f" beside `maxNewTokens`, which is {self._n_written}" if self._n_written else ""
                message = f"the row has {n} tokens, and the model reads {self._positions}{written}"
                help = "shorten the row, or say `tooLong: drop`"
            self._found.append(Diagnostic("PK782", message, place, help))
        return False

    def is_read(self, encoded: Encoded) -> bool:
        """Whether the model has room for it."""
        return self._positions is None or len(encoded.token_ids) <= self._positions

    def check(self, n_left: int) -> None:
        """Raises PolicyError (PK782) with the rows that are too long, and where dropping them leaves none."""
        if self._found:
            raise PolicyError(self._found[:20])
        if self.n_dropped and not n_left:
            message = (
                f"all {self.n_dropped} rows have more tokens than `maxTokens` ({self._data.max_tokens}) or the model"
            )
            help = "raise `data.maxTokens`, or give shorter rows"
            raise PolicyError.of("PK782", f"{message} has room for", Place(str(self._data.train)), help)


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
