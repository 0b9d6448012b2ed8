"""Masks that are made at once do not wait for grammars that take long; a mask that takes long fails its text."""

import time
from collections.abc import Sequence
from concurrent.futures import wait
from threading import Event
from typing import Any

import numpy as np
import pytest

from policykit.diagnostics import PolicyError
from policykit.engines import mask_time
from policykit.engines.vllm.alone import FailsAlone
from policykit.engines.vllm.threads import N_SLOW, Threads


def test_what_is_quick_does_not_wait_for_what_is_not() -> None:
    gate = Event()

    def create(request: str) -> str:
        if request == "slow":
            gate.wait(60)
        return request

    threads = Threads(lambda request: request == "quick")
    slow = [threads.submit(create, "slow") for _ in range(N_SLOW + 4)]
    assert [threads.submit(create, "quick").result(60) for _ in range(8)] == ["quick"] * 8
    assert not any(one.done() for one in slow)
    gate.set()
    assert not wait(slow, 60).not_done
    threads.shutdown()


def test_who_cannot_say_whether_it_is_quick_does_not_stop_the_engine() -> None:
    """The engine's own thread asks; what is wrong with the request fails where its mask is made."""

    def raises(request: str) -> bool:
        raise ValueError(request)

    threads = Threads(raises)
    assert threads.submit(str.upper, "a").result(60) == "A"
    assert isinstance(threads.submit(raises, "a").exception(60), ValueError)
    threads.shutdown()


class Busy:
    """A text whose masks take the processor's time."""

    token_ids: Sequence[int] = ()
    n_tokens = 0

    def __init__(self, seconds: float, slow: str = "fill") -> None:
        self._seconds = {slow: seconds}

    def _work(self, name: str) -> None:
        began = time.thread_time()
        while time.thread_time() - began < self._seconds.get(name, 0.0):
            pass

    def fill(self, row: Any) -> None:
        row[:] = -1
        self._work("fill")

    def accept(self, token_ids: Sequence[int]) -> bool:
        self._work("accept")
        return True

    def allowed_prefix(self, token_ids: Sequence[int]) -> list[int]:
        self._work("allowed_prefix")
        return list(token_ids)

    def rollback(self, n: int) -> None:
        self._work("rollback")


@pytest.mark.parametrize(("seconds", "fails"), [(0.0, False), (0.5, True)])
def test_masks_that_take_long_fail_their_text(monkeypatch: pytest.MonkeyPatch, seconds: float, fails: bool) -> None:
    monkeypatch.setattr(mask_time, "MAX_OWED_S", 0.3)
    errors: list[Exception] = []
    text: Any = FailsAlone(Busy(seconds), errors.append)  # type: ignore[arg-type]
    row = np.zeros(2, np.int32)
    text.fill(row)
    assert text.accept([1]) is not fails
    assert list(row) == ([1, 0] if fails else [-1, -1])
    assert [isinstance(error, PolicyError) and error.diagnostics[0].code for error in errors] == ["PK209"] * fails


@pytest.mark.parametrize("slow", ["accept", "allowed_prefix", "rollback"])
def test_what_tokens_take_between_masks_counts_with_the_next(monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    """With speculative decoding, drafts are tried and taken back between two masks."""
    monkeypatch.setattr(mask_time, "MAX_OWED_S", 0.3)
    errors: list[Exception] = []
    text: Any = FailsAlone(Busy(0.2, slow), errors.append)  # type: ignore[arg-type]
    row = np.zeros(2, np.int32)
    text.fill(row)
    for _ in range(2):
        assert text.allowed_prefix([1, 2]) == [1, 2]
        assert text.accept([1, 2])
        text.rollback(1)
    assert errors == []
    text.fill(row)
    assert [isinstance(error, PolicyError) and error.diagnostics[0].code for error in errors] == ["PK209"]


def test_a_text_whose_plan_has_had_its_part_makes_no_mask() -> None:
    share = mask_time.EngineShare()
    share.take("slow", mask_time.BURST_S + 1)
    errors: list[Exception] = []
    texts: Any = [
        FailsAlone(Busy(0.0), errors.append, mask_time.MaskTime(share, plan))  # type: ignore[arg-type]
        for plan in ("slow", "other")
    ]
    for text, row in ((text, np.zeros(2, np.int32)) for text in texts):
        text.fill(row)
        assert list(row) == ([1, 0] if text is texts[0] else [-1, -1])
    assert [isinstance(error, PolicyError) and error.diagnostics[0].code for error in errors] == ["PK209"]
