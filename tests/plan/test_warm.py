"""A plan that is warmed says what it says cold; warming asks nobody, and the first texts then wait for nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cache
from threading import Event, get_ident
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.automata import Finder
from policykit.entities import EntityFinder
from policykit.entities.language import digits
from policykit.streaming import Stream
from policykit.verify import Verifier
from policykit.verify.groups import Groups

from .documents import blocks, of, rule

ENTITIES = rule("numbers", {"entities": ["phone", "iban", "payment_card", "us_ssn"]}, {"block": {"onMatch": "stop"}})
PHRASES = rule("words", {"phrases": ["guaranteed returns", "risk free"]}, {"block": {"onMatch": "stop"}})
EXPRESSION = rule("digits", {"regex": [r"\bacct \d{4}\b"]}, {"transform": {"mask": {"with": "[{type}_{n}]"}}})
CONTEXT = rule(
    "number", {"regex": [r"\d{4,9}"], "before": {"regex": "account", "within": 20}}, {"block": {"onMatch": "stop"}}
)
RULES = (ENTITIES, PHRASES)
TEXTS = (
    "It has guaranteed returns.",
    "Call +49 170 1234567.",
    "DE89 3704 0044 0532 0130 00",
    "risk averse, Größe 12",
    "acct 1234",
    "4111 1111 1111 1111",
)
DECISIONS = ("block", "block", "block", "allow", "allow", "block")
"""By hand: what each of them is under the rules."""


def streamed(plan: pk.Plan, text: str) -> tuple[str, pk.Verdict]:
    stream = plan.stream()
    shown = stream.feed(text)
    rest, verdict = stream.close()
    return shown + rest, verdict


@pytest.mark.parametrize("rules", [RULES, (*RULES, EXPRESSION), (blocks("a b"),)], ids=["streams", "waits", "phrase"])
def test_verdicts_are_the_same(rules: tuple[dict[str, object], ...]) -> None:
    cold, warm = pk.compile(of(*rules)), pk.compile(of(*rules))
    warm.warm()
    warm.warm({"a fact": 1})
    for text in TEXTS:
        assert warm.verify(text) == cold.verify(text)
        assert streamed(warm, text) == streamed(cold, text)


def test_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a verdict")

    plan = pk.compile(of(*RULES))
    monkeypatch.setattr(Verifier, "_judge", refuse)
    monkeypatch.setattr(Stream, "__init__", refuse)
    plan.warm()


def test_numbering_plans_are_read_and_phrases_have_been_met() -> None:
    plan = pk.compile(of(*RULES))
    plan.warm()
    n_languages = len(digits())
    plan.verify("".join(f"+{code}{i:07d} " for code in (7, 33, 54, 81, 91) for i in range(1_000, 1_200)))
    assert len(digits()) == n_languages > 500
    streaming = plan._streaming  # pyright: ignore[reportPrivateUsage]
    (watch,) = next(w for w in streaming._parts._watches.values() if w)  # pyright: ignore[reportPrivateUsage]
    n_rows = watch.joint.n_rows
    assert streamed(plan, "Guaranteed, risk. Returns free guaranteed a free risk, returns.")[1].decision == "allow"
    assert watch.joint.n_rows <= n_rows + 5


def test_an_expired_plan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = pk.compile(of(*RULES, effective={"until": "2099-01-01"}), at=date(2026, 1, 1))
    monkeypatch.setattr("policykit.plan.plan.today", lambda: date(2099, 1, 1))
    with pytest.raises(pk.PolicyError, match="expired"):
        plan.warm()


@pytest.mark.parametrize(("finder", "name"), [(EntityFinder, "warm"), (EntityFinder, "find"), (Finder, "findall")])
def test_no_verdict_waits_for_warming(finder: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever warming is doing, a verdict needs no lock that it holds."""
    plan = pk.compile(of(*RULES, CONTEXT))
    texts = (*TEXTS, "account 12345")
    verdicts = judged_while_stuck(plan, texts, finder, name, monkeypatch)
    assert [verdict.decision for verdict in verdicts] == [*DECISIONS, "block"]
    assert [plan.verify(text) for text in texts] == verdicts


def test_texts_in_ascii_do_not_wait_for_expressions_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = pk.compile(of(*RULES))
    verdicts = judged_while_stuck(plan, ("4111 1111 1111 1111", "no"), Groups, "_parts", monkeypatch)
    assert [verdict.decision for verdict in verdicts] == ["block", "allow"]


def judged_while_stuck(
    plan: pk.Plan, texts: tuple[str, ...], of: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> list[pk.Verdict]:
    """The verdicts while a thread that warms the plan is stuck in a method of a class."""
    plain, begun, go, warming = getattr(of, name), Event(), Event(), set[int]()

    def stuck(self: Any, *given: Any) -> Any:
        if get_ident() in warming and not go.is_set():
            begun.set()
            assert go.wait(60)
        return plain(self, *given)

    def warm() -> None:
        warming.add(get_ident())
        plan.warm()

    monkeypatch.setattr(of, name, stuck)
    with ThreadPoolExecutor(2) as threads:
        done = threads.submit(warm)
        try:
            assert begun.wait(60)
            verdicts = [threads.submit(plan.verify, text).result(30) for text in texts]
        finally:
            go.set()
        done.result(60)
    return verdicts


PARTS = (*TEXTS, "account 12345", "account", "4111111111111111", " ", "+1 212 555 0100", "7", "é")


@cache
def cold_and_warm() -> tuple[pk.Plan, pk.Plan]:
    cold, warm = (pk.compile(of(*RULES, CONTEXT)) for _ in range(2))
    warm.warm()
    return cold, warm


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_warm_finders_find_what_cold_ones_do(parts: list[str]) -> None:
    cold, warm = cold_and_warm()
    for text in ("".join(parts), " ".join(parts)):
        assert warm.verify(text) == cold.verify(text)


def test_plans_are_warmed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("another finder")

    plan = pk.compile(of(*RULES, CONTEXT))
    plan.warm()
    for name in ("EntityFinder", "compile_finder"):
        monkeypatch.setattr(f"policykit.verify.finders.{name}", refuse)
    plan.warm({"a fact": 1})
