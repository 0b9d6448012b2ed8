"""A text whose errors are its own: vLLM would take the engine down, and every other request with it."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from policykit.diagnostics import PolicyError
from policykit.engines.attest import Finished
from policykit.engines.vllm.text import ChoiceText

MAX_MASK_S = 5.0
"""Of the processor's time, for one mask: while it is made every other text waits."""


def check_mask_time(began: float) -> float:
    """The processor's time of this thread since ``began``. Raises PolicyError (PK209) where it was too long."""
    took = time.thread_time() - began
    if took > MAX_MASK_S:
        message = f"one mask of it takes {took:.1f} s of the processor's time, at most {MAX_MASK_S:g} s"
        raise PolicyError.of("PK209", message, help="make the grammar smaller")
    return took


class FailsAlone:
    """Another text, until that raises or takes too long for a mask: ``on_error`` is told, and nothing is accepted any
    more, so that vLLM ends the request as failed. Rows allow one token then: of a row without any it would draw one,
    too."""

    def __init__(self, text: ChoiceText, on_error: Callable[[Exception], None]) -> None:
        self._text = text
        self._on_error = on_error
        self._has_failed = False

    @property
    def token_ids(self) -> Sequence[int]:
        return self._text.token_ids

    @property
    def n_tokens(self) -> int:
        return self._text.n_tokens

    def fill(self, row: NDArray[np.int32]) -> None:
        if not self._has_failed:
            began = time.thread_time()
            try:
                self._text.fill(row)
                check_mask_time(began)
                return
            except Exception as error:
                self._fail(error)
        row[:] = 0
        row[:1] = 1

    def accept(self, token_ids: Sequence[int]) -> bool:
        if self._has_failed:
            return False
        try:
            return self._text.accept(token_ids)
        except Exception as error:
            self._fail(error)
            return False

    def allowed_prefix(self, token_ids: Sequence[int]) -> list[int]:
        if self._has_failed:
            return []
        try:
            return self._text.allowed_prefix(token_ids)
        except Exception as error:
            self._fail(error)
            return []

    def rollback(self, n: int) -> None:
        if self._has_failed:
            return
        try:
            self._text.rollback(n)
        except Exception as error:
            self._fail(error)

    def finished(self, request: str, child: str, digest: str, *, counts_rules: bool) -> Finished:
        return self._text.finished(request, child, digest, counts_rules=counts_rules)

    def _fail(self, error: Exception) -> None:
        self._has_failed = True
        self._on_error(error)
