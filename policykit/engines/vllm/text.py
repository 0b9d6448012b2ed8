"""One choice of a request while it is written: the state of its constraint, as vLLM's interface wants it."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policykit.constraint import State
from policykit.diagnostics import PolicyError
from policykit.engines.attest import Failed, Finished, MaskRequest, Reply
from policykit.engines.vllm.requests import asked
from policykit.engines.written import Written


class ChoiceText(Protocol):
    """What the backend drives."""

    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def n_tokens(self) -> int: ...
    def fill(self, row: NDArray[np.int32]) -> None: ...
    def accept(self, token_ids: Sequence[int]) -> bool: ...
    def allowed_prefix(self, token_ids: Sequence[int]) -> list[int]: ...
    def rollback(self, n: int) -> None: ...
    def finished(self, request: str, child: str, digest: str, *, counts_rules: bool) -> Finished: ...


class MaskedText:
    """Follows the contract of vLLM's `StructuredOutputGrammar` over int32 rows, and tells the guard how it ended.

    It never says that it is terminated: vLLM would then lift the mask. After the end, rows hold the end of text alone.
    Where nothing legal can follow, rows hold ``dead_end_id`` alone, a token that stops the request and has a name in
    its answer (None: the end of text, and only the guard is told).
    """

    def __init__(self, state: State, dead_end_id: int | None) -> None:
        self._state = state
        self._dead_end_id = dead_end_id
        self._n_dead = 0
        self._n_filled = 0
        self._token_ids: list[int] = []

    @property
    def token_ids(self) -> Sequence[int]:
        """What was accepted, but for the tokens of a dead end."""
        return self._token_ids

    @property
    def n_tokens(self) -> int:
        return self._state.n_tokens + self._n_dead

    @property
    def is_dead_end(self) -> bool:
        return self._n_dead > 0 or self._state.outcome == "dead_end"

    def fill(self, row: NDArray[np.int32]) -> None:
        """Write the mask of the next token into a row that may be wider than the vocabulary."""
        width = -(-self._state.vocabulary_size // 32)
        row[width:] = 0
        self._n_filled += 1
        alive = not self._n_dead and self._state.fill(row[:width])
        if not alive and not self._state.finished and self._dead_end_id is not None:
            row[:] = 0
            row.view(np.uint32)[self._dead_end_id >> 5] |= np.uint32(1 << (self._dead_end_id & 31))

    def accept(self, token_ids: Sequence[int]) -> bool:
        """Take tokens; False where one is not allowed: those before it stay taken, and the request is to be ended."""
        return all(self._take(token_id) for token_id in token_ids)

    def _take(self, token_id: int) -> bool:
        if self._n_dead or (token_id == self._dead_end_id and self._is_stuck()):
            if token_id != self._dead_end_id:
                return False
            self._n_dead += 1
            return True
        if not self._state.accept(token_id):
            return False
        self._token_ids.append(token_id)
        return True

    def _is_stuck(self) -> bool:
        return not self._state.finished and self._state.outcome == "dead_end"

    def allowed_prefix(self, token_ids: Sequence[int]) -> list[int]:
        """The longest beginning that is allowed. Changes nothing."""
        taken = 0
        for token_id in token_ids:
            if not self._take(token_id):
                break
            taken += 1
        self.rollback(taken)
        return list(token_ids[:taken])

    def rollback(self, n: int) -> None:
        dead = min(n, self._n_dead)
        self._n_dead -= dead
        self._state.rollback(n - dead)
        del self._token_ids[self._state.n_tokens :]

    def finished(self, request: str, child: str, digest: str, *, counts_rules: bool) -> Finished:
        closed = dict(self._state.closers()) if counts_rules else {}
        return Finished(request, child, digest, self._n_filled, self.n_tokens, self.is_dead_end, closed)


def tell_end(
    text: ChoiceText,
    request: MaskRequest,
    child: str,
    digest: str,
    reply: Reply,
    written: Callable[[Sequence[int]], Written],
) -> None:
    """Tell the guard what the mask of a choice did, and of which tokens where it asks. Called once, when vLLM drops the
    choice."""
    for part in written(text.token_ids).parts(request.request, child) if request.replay else ():
        reply.send(part)
    reply.send(text.finished(request.request, child, digest, counts_rules=bool(request.reply)))


def tell_failed(reply: Reply, request: MaskRequest | None, child: str, error: Exception) -> None:
    """Tell the guard that there is no mask, or none any more."""
    code = error.diagnostics[0].code if isinstance(error, PolicyError) else "PK747"
    reply.send(Failed(request.request if request else "", child, code, str(error)))


@contextmanager
def told(run: Path | None, extra_args: Mapping[str, object] | None, child: str) -> Generator[None]:
    """While the mask of a choice is made: the guard is told where that fails, whatever it is that fails. It is raised
    all the same."""
    try:
        yield
    except Exception as error:
        request = None
        with suppress(PolicyError):
            request = asked(extra_args)
        tell_failed(Reply.to(run, request.reply if request else ""), request, child, error)
        raise
