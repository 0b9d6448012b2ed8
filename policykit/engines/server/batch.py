"""Generation step by step: rows of one batch, each with its own mask, settings and seed, on one key-value cache."""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from policykit.constraint import Constraint, Outcome, State
from policykit.diagnostics import InternalError
from policykit.engines.rows import unpacked


class End(StrEnum):
    """How a row ended."""

    STOP = "stop"
    LENGTH = "length"
    DEAD_END = "dead_end"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Row:
    """One text that is to be written. ``on_token`` is told of each token (not of the end of text) and says whether the
    row goes on; either ``on_end`` or ``on_error`` is called, once. All are called on the worker's thread. With
    ``in_grammar`` the prefix is also the beginning of the grammar's text."""

    prompt_ids: Sequence[int]
    constraint: Constraint
    prefix: bytes
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    on_token: Callable[[int], bool]
    on_end: Callable[["Row", End], None]
    on_error: Callable[[Exception], None]
    on_start: Callable[[], None] = lambda: None
    in_grammar: bool = False
    steps: int = 0
    token_ids: list[int] = field(default_factory=list[int])
    """What was written, the end of text included."""
    _state: State | None = None
    _random: Any = None

    def start(self) -> None:
        """Put the mask in its place. Called once, before the first step."""
        self._state = self.constraint.start(self.prefix, prefix_in_grammar=self.in_grammar)
        self._random = torch.Generator()
        if self.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(self.seed % (1 << 63))
        self.on_start()

    @property
    def state(self) -> State:
        if self._state is None:
            raise InternalError("a text was to be written before its mask stood")
        return self._state

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)

    @property
    def closed(self) -> Mapping[str, int]:
        """By rule, the places of the text where it closed some token."""
        return self.state.closers()

    def choose(self, logits: torch.Tensor) -> int:
        """The next token, from the masked scores [V] of this step."""
        size = self.constraint.vocabulary.size
        packed = np.zeros(-(-size // 32), dtype=np.int32)
        self.state.fill(packed)
        self.steps += 1
        allowed = torch.from_numpy(unpacked(packed[None], size, logits.shape[0])[0])
        if not bool(allowed.any()):
            raise InternalError("nothing is allowed, not even the end of text")
        masked = logits.float().masked_fill(~allowed, float("-inf"))
        if self.temperature == 0.0:
            return int(masked.argmax())
        probabilities = torch.softmax(masked / self.temperature, dim=-1)
        if self.top_p < 1.0:
            probabilities = _nucleus(probabilities, self.top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._random))


def _nucleus(probabilities: torch.Tensor, mass: float) -> torch.Tensor:
    """The smallest set of most probable tokens that has ``mass``; at least one token."""
    ordered, order = probabilities.sort(descending=True)
    outside = ordered.cumsum(0) - ordered >= mass
    outside[0] = False
    kept = ordered.masked_fill(outside, 0.0)
    return torch.zeros_like(probabilities).scatter(0, order, kept / kept.sum())


def write(model: Any, rows: Sequence[Row], pad_id: int) -> None:
    """Write all rows to their ends. Whatever one row raises ends that row alone, by its ``on_error``."""
    rows = [row for row in rows if _started(row)]
    if not rows:
        return
    width = max(len(row.prompt_ids) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row.prompt_ids)) + list(row.prompt_ids) for row in rows])
    is_real = torch.tensor(
        [[0] * (width - len(row.prompt_ids)) + [1] * len(row.prompt_ids) for row in rows], dtype=torch.long
    )
    cache: Any = DynamicCache()
    while rows:
        positions = (is_real.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        with torch.inference_mode():
            out = model(
                input_ids=ids.to(model.device),
                attention_mask=is_real.to(model.device),
                position_ids=positions.to(model.device),
                past_key_values=cache,
                use_cache=True,
            )
        scores = out.logits[:, -1].cpu()
        chosen = [_step(row, scores[i]) for i, row in enumerate(rows)]
        kept = [i for i, token in enumerate(chosen) if token is not None]
        rows = [rows[i] for i in kept]
        if len(kept) < len(chosen) and kept:
            cache.batch_select_indices(torch.tensor(kept))
        ids = torch.tensor([[token] for token in chosen if token is not None], dtype=torch.long)
        is_real = torch.cat([is_real[kept], torch.ones((len(kept), 1), dtype=torch.long)], dim=1)


def _started(row: Row) -> bool:
    try:
        row.start()
        return True
    except Exception as error:
        row.on_error(error)
        return False


def _step(row: Row, logits: torch.Tensor) -> int | None:
    """The row's next token; None where it has ended."""
    try:
        token = row.choose(logits)
        if not row.state.accept(token):
            raise InternalError(f"the mask let token {token} through, and the constraint does not take it")
        end = _end(row, token)
    except Exception as error:
        row.on_error(error)
        return None
    if end is not None:
        row.on_end(row, end)
        return None
    return token


def _end(row: Row, token: int) -> End | None:
    row.token_ids.append(token)
    if token in row.constraint.vocabulary.eos_ids:
        return End.DEAD_END if row.state.outcome is Outcome.DEAD_END else End.STOP
    if not row.on_token(token):
        return End.CANCELLED
    return End.LENGTH if row.n_tokens >= row.max_tokens else None
