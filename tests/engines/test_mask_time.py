"""What slow masks may take: of one text, and of an engine together. The oracle adds up what a test has spent."""

from collections.abc import Iterable

import pytest
from hypothesis import given, strategies as st

from policykit.diagnostics import PolicyError
from policykit.engines.mask_time import (
    BURST_S,
    EVERYDAY_S,
    FIRST_BURST_S,
    FIRST_FREE_S,
    FIRST_QUICK_S,
    FREE_S,
    MAX_MASK_S,
    MAX_OWED_S,
    QUICK_S,
    SHARE,
    EngineShare,
    MaskTime,
)
from policykit.engines.purses import Purses

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


class Engine:
    """Masks as an engine makes them: none of a text that has failed. ``held_s``: what they took, by plan."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.share = EngineShare(self.clock)
        self.held_s: dict[str, float] = {}

    def text(self, plan: str, payer: str = "") -> MaskTime:
        return MaskTime(self.share, plan, payer)

    def writes(self, text: MaskTime, plan: str, masks: Iterable[float]) -> bool:
        """Whether the text goes on behind all of these."""
        try:
            for seconds in masks:
                text.check()
                self.held_s[plan] = self.held_s.get(plan, 0.0) + seconds
                text.spend(seconds)
        except PolicyError:
            return False
        return True

    def is_spent_by(self, n: int) -> "Engine":
        """Others have made what they may and more, of ``n`` grammars each."""
        for i in range(n):
            self.writes(self.text(f"other {i}"), f"other {i}", [2 * BURST_S / n + 0.2] * 2)
        return self


@pytest.mark.parametrize("seconds", EVERYDAY)
@pytest.mark.parametrize("n_others", [1, 7, 300])
def test_everyday_masks_never_fail(seconds: float, n_others: int) -> None:
    engine = Engine().is_spent_by(n_others)
    quick = [EVERYDAY[0]] * 20
    for _ in range(20):
        text = engine.text("everyday")
        assert all(engine.writes(text, "everyday", (*quick, seconds)) for _ in range(25))


def test_a_text_fails_when_it_owes_too_much() -> None:
    assert masks_until_it_fails(MaskTime(), QUICK_S + 0.25) == int(MAX_OWED_S / 0.25)
    assert masks_until_it_fails(MaskTime(), QUICK_S) == 10_000
    growing = MaskTime()
    for n in range(65):
        growing.spend(n / 1_000)
    with pytest.raises(PolicyError, match=r"PK209: its masks hold up the engine: by 1\.0"):
        growing.spend(0.065)


def test_a_thousand_texts_of_one_grammar_have_one_purse() -> None:
    engine = Engine()
    goes_on = [engine.writes(engine.text("one"), "one", [0.119]) for _ in range(1_000)]
    assert BURST_S - 0.119 < engine.held_s["one"] < BURST_S + 0.2
    assert goes_on == sorted(goes_on, reverse=True), "what comes behind the one that failed makes no mask at all"
    engine.clock.now += BURST_S / SHARE
    assert engine.writes(engine.text("one"), "one", [0.119]), "it fills up again"


def test_masks_that_are_just_not_slow_hold_nobody_up_together() -> None:
    engine, took = Engine(), 0.0199
    texts = [engine.text("one") for _ in range(256)]
    for _ in range(200):
        texts = [text for text in texts if engine.writes(text, "one", [took])]
    assert not texts
    assert engine.held_s["one"] <= (BURST_S + took) * took / (took - EVERYDAY_S) + 1e-9


def test_texts_of_many_grammars_share() -> None:
    """Each makes one slow mask: what goes on has made less and less, and what has failed makes no second one."""
    engine, n, took = Engine(), 1_000, FREE_S + 0.1
    texts = {str(i): engine.text(str(i)) for i in range(n)}
    went_on = [engine.writes(text, plan, [took]) for plan, text in texts.items()]
    assert went_on == [True] * int(BURST_S / (took - EVERYDAY_S)) + [False] * (n - int(BURST_S / (took - EVERYDAY_S)))
    for _ in range(3):
        assert not any(engine.writes(engine.text(plan), plan, [took]) for plan in texts), "the first are spent, too"
    assert sum(engine.held_s.values()) == pytest.approx(n * took)


def test_a_spender_fails_and_others_go_on() -> None:
    """A text a second of one grammar, 0.12 s each, spends what there is, and so do grammars of one text each; each
    second another client has six masks of 45 ms, of a grammar of its own."""
    engine = Engine().is_spent_by(1)
    spends: list[bool] = []
    others: list[bool] = []
    for second in range(300):
        engine.clock.now += 1
        spends.append(engine.writes(engine.text("spender"), "spender", [0.12]))
        engine.writes(engine.text(f"once {second}"), f"once {second}", [0.12])
        others.append(engine.writes(engine.text(f"{second}"), f"{second}", [0.045] * 6))
    assert all(others)
    assert False in spends
    assert engine.held_s["spender"] < BURST_S + 300 * SHARE + 0.12


def test_many_that_owe_little_leave_the_rest_to_who_owes_more() -> None:
    engine = Engine().is_spent_by(2)
    for n in range(200):
        assert engine.writes(engine.text(f"little {n}"), f"little {n}", [EVERYDAY_S + 0.001])
    assert engine.writes(engine.text("some"), "some", [EVERYDAY_S + 0.04] * 11), "and not a 200th of the burst"
    assert not engine.writes(engine.text("much"), "much", [EVERYDAY_S + 0.04] * 20)


def test_a_plan_fails_for_itself_alone() -> None:
    engine = Engine()
    assert [engine.writes(engine.text("slow"), "slow", [0.9]) for _ in range(4)] == [True, True, False, False]
    MaskTime(engine.share, "other").check()
    MaskTime().spend(QUICK_S + 1.0)  # of a plan without a request's grammar: nobody else's doing
    assert engine.writes(engine.text("other"), "other", [FREE_S])
    with pytest.raises(PolicyError, match="PK209: its masks hold up the engine: with those of the same grammar"):
        MaskTime(engine.share, "slow").check()


MASKS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(0, 1),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0004, 0.0199, 0.0451])),
        st.one_of(st.just(0.0), st.floats(0, 3)),
        st.integers(1, 60),
    ),
    max_size=60,
)


@given(MASKS)
def test_whatever_comes_the_engine_is_held_up_within_bounds(masks: list[tuple[int, int, float, float, int]]) -> None:
    """In every window, by adding up what was made in it; and what has made little goes on, whatever the others do."""
    engine, longest = Engine(), max((seconds for _, _, seconds, _, _ in masks), default=0.0)
    texts: dict[tuple[int, int], MaskTime] = {}
    made: list[tuple[float, float]] = []  # when, and how much beyond an everyday mask
    over: dict[str, float] = {}
    for n, which, seconds, passes, repeats in masks:
        engine.clock.now += passes
        plan = str(n)
        for _ in range(repeats):
            text = texts.setdefault((n, which), engine.text(plan))
            before = engine.held_s.get(plan, 0.0)
            goes_on = engine.writes(text, plan, [seconds])
            if engine.held_s.get(plan, 0.0) > before:
                made.append((engine.clock.now, seconds - EVERYDAY_S))
                over[plan] = over.get(plan, 0.0) + max(0.0, seconds - EVERYDAY_S)
            if not goes_on:
                assert over[plan] > FREE_S, "a plan that has made little fails for nobody"
                del texts[n, which]
    held_at_once = sum(max(FREE_S, BURST_S / k) for k in range(1, 7)) + 6 * longest
    for first, (began, _) in enumerate(made):
        held = 0.0
        for at, seconds in made[first:]:
            held += seconds
            assert held <= SHARE * (at - began) + held_at_once + 1e-6


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=8), st.lists(st.floats(0, 30), min_size=1, max_size=4))
def test_purses_are_forgiven_in_equal_parts(owed: list[float], passes: list[float]) -> None:
    """Whatever the steps: by bisection for the part that each is forgiven, or all that it owes."""
    engine = Engine()
    for n, seconds in enumerate(owed):
        engine.share.take(str(n), seconds + EVERYDAY_S)
    for step in passes:
        engine.clock.now += step
        engine.share.owed_s("0")
    low, high = 0.0, 3.0
    for _ in range(60):
        part = (low + high) / 2
        low, high = (part, high) if sum(min(part, one) for one in owed) < SHARE * sum(passes) else (low, part)
    for n, one in enumerate(owed):
        assert engine.share.owed_s(str(n)) == pytest.approx(max(0.0, one - high), abs=1e-9)


# ---- tenants


def test_a_thousand_grammars_of_one_tenant_hold_up_no_more_than_one() -> None:
    """Each makes one slow mask. Another tenant's masks, slow ones of new states among them, are made meanwhile."""
    engine, took = Engine(), 0.119
    went_on = 0
    for n in range(1_000):
        went_on += engine.writes(engine.text(f"{n}", "many"), f"{n}", [took])
        if n % 10 == 0:
            assert engine.writes(engine.text(f"other {n}", "other"), f"other {n}", [0.0004] * 20)
    held = sum(seconds for plan, seconds in engine.held_s.items() if "other" not in plan)
    assert held < 2 * BURST_S + took + 1_000 * EVERYDAY_S
    assert went_on < 2 * BURST_S / (took - EVERYDAY_S)
    assert engine.writes(engine.text("new", "other"), "new", [0.045] * 6), "its part is its own"
    with pytest.raises(PolicyError, match="PK209: its masks hold up the engine: with those of its tenant's grammars"):
        MaskTime(engine.share, "another", "many").check()
    engine.clock.now += 4 * BURST_S / SHARE
    assert engine.writes(engine.text("another", "many"), "another", [took]), "it fills up again"


def test_of_one_tenant_the_grammar_that_owes_most_fails_first() -> None:
    engine = Engine()
    slow = [engine.writes(engine.text("slow", "a"), "slow", [0.119]) for _ in range(40)]
    assert slow == sorted(slow, reverse=True)
    assert BURST_S - 0.119 < engine.held_s["slow"] < BURST_S + 0.2
    everyday = (*[EVERYDAY[0]] * 20, EVERYDAY[2])
    assert all(engine.writes(engine.text("everyday", "a"), "everyday", everyday) for _ in range(100))


def test_tenants_have_equal_parts_whatever_they_send() -> None:
    """One sends many grammars, two send one each: each of the three is held to the same part."""
    engine = Engine()
    sent = {"a": [f"a{n}" for n in range(500)], "b": ["b"] * 500, "c": ["c"] * 500}
    held = dict.fromkeys(sent, 0.0)
    for plans in zip(*sent.values(), strict=True):
        for payer, plan in zip(sent, plans, strict=True):
            before = engine.held_s.get(plan, 0.0)
            engine.writes(engine.text(plan, payer), plan, [0.1])
            held[payer] += engine.held_s.get(plan, 0.0) - before
    assert held["b"] == pytest.approx(held["c"], abs=0.1 + 1e-9)
    assert held["b"] <= held["a"] + 0.1
    assert held["a"] <= 2 * (BURST_S / 3 + 0.1) + 0.1, "twice its part, with the mask that it is over with"


TENANTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 40),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0004, 0.0199, 0.0451])),
        st.one_of(st.just(0.0), st.floats(0, 3)),
        st.integers(1, 30),
    ),
    max_size=80,
)


@given(TENANTS)
def test_whatever_tenants_send_the_engine_is_held_up_within_bounds(
    masks: list[tuple[int, int, float, float, int]],
) -> None:
    """In every window, by adding up; the number of grammars does not come into it. Who has made little goes on."""
    engine, longest = Engine(), max((seconds for _, _, seconds, _, _ in masks), default=0.0)
    made: list[tuple[float, float]] = []
    over: dict[str, float] = {}
    for tenant, n, seconds, passes, repeats in masks:
        engine.clock.now += passes
        payer, plan = f"t{tenant}", f"t{tenant} {n}"
        for _ in range(repeats):
            before = engine.held_s.get(plan, 0.0)
            goes_on = engine.writes(engine.text(plan, payer), plan, [seconds])
            if engine.held_s.get(plan, 0.0) > before:
                made.append((engine.clock.now, seconds - EVERYDAY_S))
                over[payer] = over.get(payer, 0.0) + max(0.0, seconds - EVERYDAY_S)
            assert goes_on or over.get(payer, 0.0) > FREE_S or seconds - QUICK_S > MAX_OWED_S
    held_at_once = 2 * sum(max(FREE_S, BURST_S / k) for k in range(1, 4)) + 3 * longest
    for first, (began, _) in enumerate(made):
        held = 0.0
        for at, seconds in made[first:]:
            held += seconds
            assert held <= SHARE * (at - began) + held_at_once + 1e-6


class First:
    """First masks as an engine makes them, on a made clock of the processor. ``held_s``: by tenant."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.cpu_s = Clock(), 0.0
        self.purses = Purses(self.clock)
        self.held_s: dict[str, float] = {}
        monkeypatch.setattr("policykit.engines.purses.time.thread_time", lambda: self.cpu_s)

    def makes(
        self,
        plan: str,
        payer: str,
        seconds: float,
        *,
        fails: bool = False,
        is_own: bool = True,
        begins: bool = False,
    ) -> bool:
        try:
            with self.purses.first_mask(plan, payer, is_own, begins=begins):
                self.cpu_s += seconds
                self.held_s[payer] = self.held_s.get(payer, 0.0) + seconds
                if fails:
                    raise ArithmeticError
        except PolicyError:
            return False
        except ArithmeticError:
            return True
        return True


@pytest.mark.parametrize("fails", [False, True])
def test_first_masks_of_a_tenant_have_a_share_of_their_own(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """Of grammars that nobody has sent before, each as slow as one may be, and whether it fails for that or not."""
    first = First(monkeypatch)
    assert first.makes("known", "many", 0.02)
    made = [first.makes(f"{n}", "many", MAX_MASK_S, fails=fails) for n in range(1_000)]
    assert made == sorted(made, reverse=True)
    assert first.held_s["many"] <= FIRST_BURST_S + MAX_MASK_S + 0.02 + 3 * FIRST_QUICK_S
    assert first.makes("known", "many", 0.02), "what is known to be quick goes on"
    assert all(first.makes(f"everyday {n}", "other", 0.026) for n in range(1_000))
    assert first.makes("a slow one", "other", FIRST_FREE_S)
    first.clock.now += 2 * FIRST_BURST_S / SHARE
    assert first.makes("another", "many", MAX_MASK_S), "it fills up again"


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("begins", [False, True])
def test_what_was_quick_once_is_bounded_as_what_never_was(
    monkeypatch: pytest.MonkeyPatch, fails: bool, begins: bool
) -> None:
    """A plan that turns slow, and texts that begin inside a quick plan's grammar, each a second after the last."""
    first = First(monkeypatch)
    assert first.makes("known", "many", 0.02)
    n_made = 0
    for _ in range(1_000):
        first.clock.now += 1
        n_made += first.makes("known", "many", 4.9, fails=fails, begins=begins)
    assert 4.9 * (n_made - 1) <= FIRST_BURST_S + SHARE * 1_000
    assert first.purses.is_quick("known") == begins


def test_only_a_whole_first_mask_shows_that_a_plan_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    first = First(monkeypatch)
    for told in ({"begins": True}, {"fails": True}):
        assert first.makes("new", "one", 0.01, **told)
        assert not first.purses.is_quick("new")
    for is_own in (True, False):
        assert first.makes("new", "one", 0.01, is_own=is_own)
        assert first.purses.is_quick("new")
        assert first.makes("new", "one", 0.5, is_own=is_own)
        assert not first.purses.is_quick("new")


def test_first_masks_of_what_is_not_a_request_s_own_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first = First(monkeypatch)
    assert all(first.makes(f"{n}", "one", MAX_MASK_S, is_own=False) for n in range(50))
    assert first.makes("new", "one", 0.02)


def test_a_plan_that_may_have_no_mask_has_no_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = First(monkeypatch)
    first.purses.share.take("slow", 3 * BURST_S, "many")
    assert not first.makes("slow", "many", 0.01)
    assert first.held_s == {}
