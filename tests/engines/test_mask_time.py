"""What slow masks may take: of one text, and of an engine together. The oracle adds up what a test has spent."""

import pytest
from hypothesis import given, strategies as st

from policykit.diagnostics import PolicyError
from policykit.engines.mask_time import (
    BURST_S,
    MAX_OWED_S,
    MAX_OWED_WHEN_SPENT_S,
    QUICK_S,
    SHARE,
    EngineShare,
    MaskTime,
)

EVERYDAY = (0.0004, 0.003, 0.0265)
"""Mean, 99th percentile and slowest of the masks of everyday schemas over 200,000 tokens and 1,000 phrases."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def masks_until_it_fails(text: MaskTime, seconds: float, at_most: int = 10_000) -> int:
    for n in range(at_most):
        try:
            text.spend(seconds)
        except PolicyError:
            return n
    return at_most


@pytest.mark.parametrize("seconds", EVERYDAY)
def test_everyday_masks_never_fail(seconds: float) -> None:
    share = EngineShare(Clock())
    assert not share.take(BURST_S + 1), "nothing is left for anybody"
    quick = [EVERYDAY[0]] * 20
    text = MaskTime(share)
    for _ in range(500):
        for one in (*quick, seconds):
            text.spend(one)


def test_a_text_fails_when_it_owes_too_much() -> None:
    assert masks_until_it_fails(MaskTime(), QUICK_S + 0.25) == int(MAX_OWED_S / 0.25)
    assert masks_until_it_fails(MaskTime(), QUICK_S) == 10_000
    growing = MaskTime()
    for n in range(65):
        growing.spend(n / 1_000)
    with pytest.raises(PolicyError, match=r"PK209: its masks hold up the engine: by 1\.0"):
        growing.spend(0.065)


def test_many_texts_share_and_what_is_quick_goes_on() -> None:
    clock = Clock()
    share = EngineShare(clock)
    slow = [masks_until_it_fails(MaskTime(share), QUICK_S + 0.05) * 0.05 for _ in range(50)]
    assert sum(slow) < BURST_S + 50 * (MAX_OWED_WHEN_SPENT_S + 0.06)
    assert slow[0] > slow[-1]
    with pytest.raises(PolicyError, match="as those of other requests do"):
        MaskTime(share).spend(QUICK_S + 2 * MAX_OWED_WHEN_SPENT_S)
    MaskTime(share).spend(QUICK_S + MAX_OWED_WHEN_SPENT_S / 2)
    MaskTime().spend(QUICK_S + 1.0)  # of a plan without a request's grammar: nobody else's doing
    clock.now += BURST_S / SHARE
    assert masks_until_it_fails(MaskTime(share), QUICK_S + 0.25) == int(MAX_OWED_S / 0.25), "it fills up again"


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1), st.floats(0, 2)), max_size=80))
def test_whatever_comes_the_engine_is_held_up_within_bounds(masks: list[tuple[int, float, float]]) -> None:
    """Texts that fail stop, so that what they took is bounded: each by what it may owe and its last mask, and together
    by the share, what each may owe when that is spent, and their last masks."""
    clock, started = Clock(), Clock().now
    share = EngineShare(clock)
    texts = {n: MaskTime(share) for n in range(10)}
    over: dict[int, list[float]] = {n: [] for n in texts}
    for n, seconds, passes in masks:
        clock.now += passes
        if n in texts:
            over[n].append(seconds - QUICK_S)
            try:
                texts[n].spend(seconds)
            except PolicyError:
                del texts[n]
    for took in over.values():
        owed = 0.0
        for one in took[:-1]:
            owed = max(0.0, owed + one)
            assert owed <= MAX_OWED_S + 1e-9
    slow = [one for took in over.values() for one in took if one > 0]
    quick = sum(-one for took in over.values() for one in took if one < 0)
    lasts = sum(max(0.0, took[-1]) for took in over.values() if took)
    allowed = BURST_S + SHARE * (clock.now - started) + 10 * MAX_OWED_WHEN_SPENT_S + lasts + quick
    assert sum(slow) <= allowed + 1e-9
