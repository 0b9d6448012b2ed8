"""Generation step by step: rows of one batch, each with its own mask, settings and seed, on one key-value cache."""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from policykit.constraint import Constraint, Outcome, State
from policykit.constraint.watching import every
from policykit.decoding.steps import take
from policykit.diagnostics import InternalError
from policykit.engines.mask_time import MaskTime, check_first
from policykit.engines.rows import unpacked


class End(StrEnum):
    """How a row ended."""

    STOP = "stop"
    LENGTH = "length"
    DEAD_END = "dead_end"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """It had no mask any more, and other choices of its request did."""


@dataclass(slots=True)
class Row:
    """One text that is to be written. ``on_token`` is told of each token (not of the end of text) and says whether the
    row goes on; either ``on_end`` or ``on_error`` is called, once. They are called on the worker's thread, ``on_start``
    on the one that starts the row. With ``in_grammar`` the prefix is also the beginning of the grammar's text."""

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
    begun: tuple[int, ...] = ()
    """The text's own first tokens, which stand at the end of the prompt."""
    is_attempt: bool = False
    """Drawn without the mask, up to a token that the constraint refuses. ``not_first`` may not come first."""
    not_first: frozenset[int] = frozenset()
    steps: int = 0
    token_ids: list[int] = field(default_factory=list[int])
    """What was written, the end of text, or a refused token, included."""
    logps: list[float] = field(default_factory=list[float])
    """Of what was sampled from: at the temperature, after mask and bans."""
    refused_by: tuple[str, ...] = ()
    spent: MaskTime = field(default_factory=MaskTime)
    """What its masks take: whoever has made the first one says whose time it is."""
    _state: State | None = None
    _random: Any = None
    _between_s: float = 0.0

    def start(self) -> None:
        """Put the mask in its place, and make the first one, which the state keeps: in a thread that no text waits for.
        Called once, before the first step. Raises PolicyError (PK209) where it takes too long."""
        began = time.thread_time()
        check = partial(check_first, began)
        state = self._state = self.constraint.start(self.prefix, prefix_in_grammar=self.in_grammar, check=check)
        if not all(take(state, token_id) for token_id in every(self.begun, check)):
            raise ValueError("the text that the request begins with is not legal itself")
        self._random = torch.Generator()
        if self.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(self.seed % (1 << 63))
        if not self.is_attempt:
            state.fill(np.zeros(-(-state.vocabulary_size // 32), dtype=np.int32))
        check_first(began)
        self.on_start()

    @property
    def is_started(self) -> bool:
        return self._state is not None

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
        """By rule, the places of the text where it closed some token; of an attempt, the rules that ended it."""
        return dict.fromkeys(self.refused_by, 1) if self.is_attempt else self.state.closers()

    def choose(self, logits: torch.Tensor) -> int:
        """The next token, from the scores [V] of this step, masked unless it is an attempt's."""
        size = self.constraint.vocabulary.size
        if self.is_attempt:
            self._spend(lambda: None)  # following it takes time, too
            return self._drawn(logits[:size].double())
        packed = np.zeros(-(-size // 32), dtype=np.int32)
        self._spend(lambda: self.state.fill(packed))
        self.steps += 1
        allowed = torch.from_numpy(unpacked(packed[None], size, logits.shape[0])[0])
        if not bool(allowed.any()):
            raise InternalError("nothing is allowed, not even the end of text")
        masked = logits.float().masked_fill(~allowed, float("-inf"))
        if self.temperature == 0.0:
            self.logps.append(0.0)
            return int(masked.argmax())
        return self._sampled(torch.softmax(masked / self.temperature, dim=-1))

    def _spend(self, mask: Callable[[], object]) -> None:
        """Make the mask of this step. Raises PolicyError (PK209) where the text's, or its payer's, take too long."""
        self.spent.check()
        began = time.thread_time()
        mask()
        took, self._between_s = time.thread_time() - began + self._between_s, 0.0
        self.spent.spend(took)

    def accept(self, token: int) -> bool:
        """Take the token that was chosen; what that takes is counted with the next mask."""
        began = time.thread_time()
        try:
            return take(self.state, token) if self.is_attempt else self.state.accept(token)
        finally:
            self._between_s += time.thread_time() - began

    def _drawn(self, logits: torch.Tensor) -> int:
        self.steps += 1
        probabilities = torch.softmax(logits / self.temperature, dim=-1)
        if self.top_p < 1.0:
            probabilities = _nucleus(probabilities, self.top_p)
        if not self.token_ids and self.not_first:
            probabilities[list(self.not_first)] = 0.0
            if not bool(probabilities.any()):  # an end of text that is known already says so
                return self.constraint.vocabulary.eos_ids[0]
            probabilities /= probabilities.sum()
        return self._sampled(probabilities)

    def _sampled(self, probabilities: torch.Tensor) -> int:
        if not self.is_attempt and self.top_p < 1.0:
            probabilities = _nucleus(probabilities, self.top_p)
        token = int(torch.multinomial(probabilities, 1, generator=self._random))
        self.logps.append(float(probabilities[token].double().log()))
        return token


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
        if not row.is_started:
            row.start()
        return True
    except Exception as error:
        row.on_error(error)
        return False


def _step(row: Row, logits: torch.Tensor) -> int | None:
    """The row's next token; None where it has ended."""
    try:
        token = row.choose(logits)
        if not row.accept(token):
            if not row.is_attempt:
                raise InternalError(f"the mask let token {token} through, and the constraint does not take it")
            row.refused_by = row.state.blocked_by(token)
            row.token_ids.append(token)
            row.on_end(row, End.REFUSED)
            return None
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
