"""A text whose errors are its own: vLLM would take the engine down, and every other request with it."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from policykit.engines.attest import Finished
from policykit.engines.mask_time import MaskTime
from policykit.engines.vllm.text import ChoiceText


class FailsAlone:
    """Another text, until that raises or its masks take too long: ``on_error`` is told, and nothing is accepted any
    more, so that vLLM ends the request as failed. Rows allow one token then: of a row without any it would draw one,
    too."""

    def __init__(self, text: ChoiceText, on_error: Callable[[Exception], None], spent: MaskTime | None = None) -> None:
        self._text = text
        self._on_error = on_error
        self._spent = spent or MaskTime()
        self._between_s = 0.0  # what tokens took since the last mask: it is counted with the next
        self.error: Exception | None = None  # why nothing is accepted any more

    @property
    def token_ids(self) -> Sequence[int]:
        return self._text.token_ids

    @property
    def n_tokens(self) -> int:
        return self._text.n_tokens

    def fill(self, row: NDArray[np.int32]) -> None:
        if self.error is None:
            began = time.thread_time()
            try:
                self._spent.check()
                self._text.fill(row)
                took, self._between_s = time.thread_time() - began + self._between_s, 0.0
                self._spent.spend(took)
                return
            except Exception as error:
                self._fail(error)
        row[:] = 0
        row[:1] = 1

    def accept(self, token_ids: Sequence[int]) -> bool:
        if self.error is not None:
            return False
        began = time.thread_time()
        try:
            return self._text.accept(token_ids)
        except Exception as error:
            self._fail(error)
            return False
        finally:
            self._between_s += time.thread_time() - began

    def allowed_prefix(self, token_ids: Sequence[int]) -> list[int]:
        if self.error is not None:
            return []
        began = time.thread_time()
        try:
            return self._text.allowed_prefix(token_ids)
        except Exception as error:
            self._fail(error)
            return []
        finally:
            self._between_s += time.thread_time() - began

    def rollback(self, n: int) -> None:
        if self.error is not None:
            return
        began = time.thread_time()
        try:
            self._text.rollback(n)
        except Exception as error:
            self._fail(error)
        finally:
            self._between_s += time.thread_time() - began

    def finished(self, request: str, child: str, digest: str, *, counts_rules: bool) -> Finished:
        return self._text.finished(request, child, digest, counts_rules=counts_rules)

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._on_error(error)
