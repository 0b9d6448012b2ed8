"""Records have one spelling, which reads back; verdicts become judgements without their text."""

import json
import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.audit import (
    BestReport,
    Keeping,
    LogError,
    MaskReport,
    Record,
    Result,
    Retired,
    SamplingReport,
    SpanForm,
    parse,
    render,
)
from policykit.audit.record import LoggedSpan, RuleVerdict
from policykit.audit.spans import MAX_SPANS, masked
from policykit.ir.verdict import (
    CheckError,
    Decision,
    DecisionMade,
    Escalation,
    ExceptionApplied,
    NotApplicable,
    Verdict,
    Violation,
)
from tests.audit.records import every_field, plain

KEY = bytes(range(32))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(every_field)
def test_what_is_rendered_reads_back(record: Record) -> None:
    data = render(record)
    assert parse(data) == record
    assert render(parse(data)) == data
    members = json.loads(data)
    assert list(members) == sorted(members)
    assert members.keys() == {field.name for field in fields(Record)} | {"v", "kind"}


def test_equal_times_in_other_zones_are_spelled_alike() -> None:
    here = datetime(2026, 3, 1, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    assert render(plain(at=here)) == render(plain(at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC)))
    assert json.loads(render(plain(at=here)))["at"] == "2026-03-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(plain(cost=math.nan), id="no number"),
        pytest.param(plain(seconds=math.inf), id="infinite"),
        pytest.param(plain(tenant="\ud800"), id="half a surrogate pair"),
        pytest.param(plain(at=datetime(2026, 3, 1)), id="no time zone"),
    ],
)
def test_what_has_no_spelling_is_refused(record: Record) -> None:
    with pytest.raises(LogError) as caught:
        render(record)
    assert [d.code for d in caught.value.diagnostics] == ["PK660"]


def test_records_from_before_masks_had_attempts_are_read() -> None:
    """Only what came later may be missing."""
    members = json.loads(render(plain(masks=(MaskReport(1, "sha256:a", 2),))))
    del members["masks"][0]["attempt"]
    (mask,) = parse(json.dumps(members).encode()).masks  # type: ignore[union-attr]
    assert mask == MaskReport(1, "sha256:a", 2)
    del members["masks"][0]["steps"]
    with pytest.raises(LogError):
        parse(json.dumps(members).encode())


def test_records_from_before_a_choice_said_what_it_lacks_are_read() -> None:
    best = BestReport("helpful", "d", 4, (0.5,), 0)
    members = json.loads(render(plain(sampling=(SamplingReport(0, "exact", "accepted", 1, 9, 1.0, best=best),))))
    del members["sampling"][0]["best"]["missing"]
    (found,) = parse(json.dumps(members).encode()).sampling  # type: ignore[union-attr]
    assert found.best == best


@pytest.mark.parametrize(
    "changed",
    [
        {"v": 2},
        {"kind": "other"},
        {"status": "200"},
        {"status": True},
        {"status": 200.5},
        {"cost": "1"},
        {"outcome": "nothing"},
        {"surprise": 1},
        {"at": "2026-03-01T12:00:00"},
        {"masks": [[]]},
        {"masks": [{"choice": 0, "plan_digest": "", "steps": 0, "closed": [["a"]], "dead_end": False}]},
        {"stream": None},
    ],
)
def test_what_is_not_strictly_a_record_is_refused(changed: dict[str, object]) -> None:
    data = json.loads(render(plain())) | changed
    with pytest.raises(LogError, match="PK660"):
        parse(json.dumps(data).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 100_000, b'{"v":1,"kind":"decision"}'])
def test_other_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(LogError, match="PK660"):
        parse(data)


def test_a_retirement_reads_back() -> None:
    retired = Retired(datetime(2026, 3, 1, tzinfo=UTC), 7, "ab" * 32)
    assert parse(render(retired)) == retired


TEXT = "Call Ann on 030 1234, or Ann."
VERDICT = Verdict(
    Decision.ESCALATE,
    "shown",
    (
        Violation("names", 5, 8, "compat", "Ann", "high", 2.0),
        Violation("phones", 12, 20, "compat", r"\d+", "high", 1.0),
        Violation("names", 25, 28, "compat", "Ann", "high", 2.0),
        Violation("closing", None, None, None, "missing", "low", 0.5),
    ),
    (),
    (CheckError("broken", "ValueError: Ann"),),
    (Violation("watched", 0, 4, "compat", "Call", "low", 0.0),),
    (NotApplicable("language", "too short"),),
    5.5,
    "sha256:plan",
    (Escalation("names", "desk", "sha256:b", 60),),
    (ExceptionApplied("phones", "EX-1", "board", "test", 1),),
    (DecisionMade("names", None, "data.x", None, "d1", "Ann is unknown"),),
)


def test_a_verdict_is_kept_by_rule_and_without_text() -> None:
    kept = Keeping(key=KEY).judgement(
        VERDICT, channel="content", choice=1, attempt=2, text=TEXT, rules=("names", "quiet", "broken")
    )
    results = [(rule.rule, rule.result, rule.count, rule.cost) for rule in kept.rules]
    assert results == [
        ("names", Result.FIRED, 2, 4.0),
        ("phones", Result.FIRED, 1, 1.0),
        ("closing", Result.FIRED, 1, 0.5),
        ("watched", Result.SHADOW, 1, 0.0),
        ("broken", Result.ERRORED, 1, 0.0),
        ("language", Result.NOT_APPLICABLE, 0, 0.0),
        ("quiet", Result.PASSED, 0, 0.0),
    ]
    first, second = kept.rules[0].spans
    assert first.value == second.value != kept.rules[1].spans[0].value
    assert kept.n_characters == len(TEXT)
    assert (kept.text, kept.decision, kept.plan_digest) == (None, Decision.ESCALATE, "sha256:plan")
    data = render(plain(judgements=(kept,)))
    assert b"Ann" not in data
    assert b"1234" not in data


def test_hashes_are_keyed_hmacs() -> None:
    import hashlib
    import hmac

    span = Keeping(key=KEY).span(TEXT, 5, 8)
    assert span == LoggedSpan(5, 8, SpanForm.HASHED, hmac.new(KEY, b"Ann", hashlib.sha256).hexdigest())
    assert Keeping(key=bytes(32)).span(TEXT, 5, 8).value != span.value
    assert Keeping().span(TEXT, 5, 8).value != Keeping().span(TEXT, 5, 8).value


@pytest.mark.parametrize(
    ("keeping", "value"),
    [
        (Keeping(SpanForm.OMITTED, KEY), ""),
        (Keeping(SpanForm.MASKED, KEY), "999 9999"),
        (Keeping(SpanForm.CLEAR, KEY, replay=True), "030 1234"),
    ],
)
def test_spans_are_kept_as_configured(keeping: Keeping, value: str) -> None:
    assert keeping.span(TEXT, 12, 20) == LoggedSpan(12, 20, keeping.spans, value)


def test_masks_keep_the_shape_alone() -> None:
    assert masked("Ünal 3½-Ǆx₂漢!–\n") == "Aaaa 99-Aa9a!x\n"


@settings(max_examples=100)
@given(st.text())
def test_masks_hold_no_letter_and_no_digit(text: str) -> None:
    assert {c for c in masked(text) if c.isalnum()} <= {"A", "a", "9", "x"}
    assert len(masked(text)) == len(text)


def test_replay_keeps_text_and_reasons() -> None:
    kept = Keeping(key=KEY, replay=True).judgement(VERDICT, channel="content", text=TEXT + "\ud800")
    assert kept.text == TEXT + "\ufffd"
    assert next(rule.why for rule in kept.rules if rule.result is Result.ERRORED) == "ValueError: Ann"
    assert parse(render(plain(judgements=(kept,)))) == plain(judgements=(kept,))


def test_of_very_many_findings_some_are_kept_and_all_counted() -> None:
    many = replace(VERDICT, violations=tuple(Violation("x", i, i + 1, None, "x", "low", 1.0) for i in range(1000)))
    (rule, *_) = Keeping(key=KEY).judgement(many, channel="content", text="x" * 1000).rules
    assert (rule.count, rule.cost, len(rule.spans)) == (1000, 1000.0, MAX_SPANS)


def test_a_text_that_is_not_known_leaves_places() -> None:
    kept = Keeping(key=KEY).judgement(VERDICT, channel="content")
    assert (kept.text_hash, kept.n_characters) == (None, None)
    assert kept.rules[1] == RuleVerdict("phones", Result.FIRED, 1, 1.0, (LoggedSpan(12, 20),))


def test_a_short_key_and_clear_spans_without_replay_are_refused() -> None:
    for make in (lambda: Keeping(key=b"short"), lambda: Keeping(SpanForm.CLEAR, KEY)):
        with pytest.raises(LogError) as caught:
            make()
        assert [d.code for d in caught.value.diagnostics] == ["PK669"]
