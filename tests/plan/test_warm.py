"""A plan that is warmed says what it says cold; warming asks nobody, and the first texts then wait for nothing."""

from datetime import date

import pytest

import policykit as pk
from policykit.entities.language import language
from policykit.streaming import Stream
from policykit.verify import Verifier

from .documents import blocks, of, rule

ENTITIES = rule("numbers", {"entities": ["phone", "iban", "payment_card", "us_ssn"]}, {"block": {"onMatch": "stop"}})
PHRASES = rule("words", {"phrases": ["guaranteed returns", "risk free"]}, {"block": {"onMatch": "stop"}})
EXPRESSION = rule("digits", {"regex": [r"\bacct \d{4}\b"]}, {"transform": {"mask": {"with": "[{type}_{n}]"}}})
RULES = (ENTITIES, PHRASES)
TEXTS = (
    "It has guaranteed returns.",
    "Call +49 170 1234567.",
    "DE89 3704 0044 0532 0130 00",
    "risk averse, Größe 12",
    "acct 1234",
    "4111 1111 1111 1111",
)


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
    n_languages = language.cache_info().currsize
    plan.verify("".join(f"+{code}{i:07d} " for code in (7, 33, 54, 81, 91) for i in range(1_000, 1_200)))
    assert language.cache_info().currsize == n_languages > 500
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
