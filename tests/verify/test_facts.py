"""Rules that depend on more than text: conditions, exceptions, approvals, tools, and what is allowed by default."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from policykit.approvals import SignedApproval, SpentInMemory, issue
from policykit.ir.document import Target
from policykit.ir.plan import ResolvedRule

AT = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
KEY = b"0123456789abcdef0123456789abcdef"
REFUND: dict[str, Any] = {
    "id": "refund",
    "target": "tool_call",
    "tool": "issue_*",
    "when": "args.amount > limits.refund",
    "require": {"approvals": {"role": "manager", "count": 2, "notRequester": True}},
    "action": {"escalate": {"queue": "payments", "ttl": "15m", "message": "A manager has to approve this."}},
}
FACTS: dict[str, object] = {"limits": {"refund": 500}, "user": {"id": "u7"}}


def plan(*rules: dict[str, Any], **more: Any) -> pk.Plan:
    compiling = {key: more.pop(key) for key in ("profile", "tenant") if key in more}
    return pk.compile(policies(*rules, **more), at=AT, **compiling)


def policies(*rules: dict[str, Any], **more: Any) -> Any:
    from policykit.ir.document import PolicySet

    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x/y", "version": "1.0.0", "owner": "a@b.c", "why": "a test"},
        "rules": list(rules),
        **more,
    }
    return PolicySet((pk.parse_document(json.dumps(document), "x.policy.yaml"),))


def rule(id: str = "r", action: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "action": action or {"block": {"message": "no"}}, **more}


def decision(verdict: pk.Verdict) -> tuple[str, tuple[str, ...]]:
    return verdict.decision.value, verdict.rules


PROMISE = {"match": {"phrases": ["guaranteed returns"]}}


def test_a_rule_fires_when_it_finds_something_and_its_condition_holds() -> None:
    made = plan(rule(**PROMISE, when="user.role != 'advisor'"))
    text = "Guaranteed returns!"
    assert decision(made.verify(text, {"user": {"role": "guest"}})) == ("block", ("r",))
    assert decision(made.verify(text, {"user": {"role": "advisor"}})) == ("allow", ())
    assert decision(made.verify("Hello.", {})) == ("allow", ()), "what is not found needs no facts"


@pytest.mark.parametrize("facts", [{}, {"user": {}}, {"user": 3}, {"user": {"role": 10**30}}])
def test_a_condition_that_cannot_be_decided_fails_closed(facts: dict[str, object]) -> None:
    verdict = plan(rule(**PROMISE, when="user.role != 'advisor'")).verify("guaranteed returns", facts)
    assert verdict.decision is pk.Decision.BLOCK
    assert verdict.text == ""
    assert [error.rule for error in verdict.errors] == ["r"]


def test_a_condition_that_the_context_decides_is_decided_when_compiling() -> None:
    guarded = rule(**PROMISE, when="profile == 'answer'")
    assert [e.level for e in plan(guarded, profile="answer").enforcements] == [pk.Level.DECODE]
    assert plan(guarded, profile="agent").enforcements == ()
    (row,) = plan(guarded).enforcements
    assert row.level is pk.Level.STREAM
    assert "depends on a condition" in row.why


def test_facts_cannot_contradict_the_plan_or_replace_what_is_judged() -> None:
    made = plan(rule(**PROMISE), profile="answer")
    for facts in ({"profile": "agent"}, {"args": {}}, {"json": 1}, {"target": "input"}):
        verdict = made.verify("Hello.", facts)
        assert verdict.decision is pk.Decision.BLOCK
        assert verdict.errors[0].rule == "facts"
    assert made.verify("Hello.", {"profile": "answer"}).decision is pk.Decision.ALLOW


def test_facts_are_checked_against_the_documents_schema() -> None:
    schema = {"type": "object", "properties": {"user": {"type": "object", "properties": {"age": {"type": "integer"}}}}}
    made = plan(rule(**PROMISE, when="user.age < 18"), facts={"inline": schema})
    assert decision(made.verify("guaranteed returns", {"user": {"age": 12}})) == ("block", ("r",))
    verdict = made.verify("Hello.", {"user": {"age": "twelve"}})
    assert verdict.decision is pk.Decision.BLOCK
    assert "/user/age" in verdict.errors[0].message


# ---- exceptions


def exception(**more: Any) -> dict[str, Any]:
    return {"id": "EX-17", "approvedBy": "officer", "reason": "s.21", "expires": "2027-09-30", **more}


def test_an_exception_excuses_and_is_counted() -> None:
    made = plan(rule(**PROMISE, **{"except": [exception(when="user.role == 'advisor'")]}))
    text = "guaranteed returns and guaranteed returns"
    excused = made.verify(text, {"user": {"role": "advisor"}})
    assert decision(excused) == ("allow", ())
    (applied,) = excused.exceptions
    assert (applied.exception, applied.rule, applied.approved_by, applied.count) == ("EX-17", "r", "officer", 2)
    assert decision(made.verify(text, {"user": {"role": "guest"}})) == ("block", ("r",))


def test_an_exception_whose_fact_is_unknown_does_not_apply() -> None:
    made = plan(rule(**PROMISE, **{"except": [exception(when="user.role == 'advisor'")]}))
    verdict = made.verify("guaranteed returns")
    assert decision(verdict) == ("block", ("r",))
    assert verdict.exceptions == ()


def test_an_exception_ends() -> None:
    before = plan(rule(**PROMISE, **{"except": [exception()]}))
    assert before.verify("guaranteed returns").decision is pk.Decision.ALLOW
    assert before.valid_until == date(2027, 9, 30)
    after = plan(rule(**PROMISE, **{"except": [exception(expires="2026-06-01")]}))
    assert decision(after.verify("guaranteed returns")) == ("block", ("r",))
    assert [e.level for e in after.enforcements] == [pk.Level.DECODE]
    assert [e.level for e in before.enforcements] == [pk.Level.STREAM]


def test_plans_with_and_without_an_exception_have_different_digests() -> None:
    stop = {"block": {"onMatch": "stop", "message": "no"}}
    made = policies(rule(action=stop, **PROMISE, **{"except": [exception(expires="2026-06-02")]}))
    before, after = pk.compile(made, at=AT), pk.compile(made, at=date(2026, 6, 2))
    assert before.bundle_digest == after.bundle_digest
    assert before.digest != after.digest


def test_a_shadow_rule_excuses_nothing_aloud() -> None:
    made = plan(rule(**PROMISE, mode="shadow", **{"except": [exception()]}))
    assert made.verify("guaranteed returns").exceptions == ()


# ---- tools and approvals


def approve(made: pk.Plan, subject: pk.Subject, *users: str, key: bytes = KEY, role: str = "manager") -> pk.Subject:
    (found,) = (r for r in made.spec.rules if isinstance(r, ResolvedRule) and r.approvals)
    binding = made.verifier.binding(found, subject)
    signed: list[SignedApproval] = [
        issue({"k": key}, "k", user=user, role=role, digest=binding, at=NOON, ttl_s=900) for user in users
    ]
    return replace(subject, approvals=tuple(signed), at=NOON + timedelta(minutes=1))


def refunds(**more: Any) -> pk.Plan:
    return plan({**REFUND, **more}).with_resources(pk.Resources(keys={"k": KEY}, approvals=SpentInMemory()))


def call(amount: int = 900, tool: str = "issue_refund") -> pk.Subject:
    return pk.tool_call(tool, {"amount": amount}, FACTS)


def test_a_call_over_the_limit_is_escalated_and_bound_to_its_arguments() -> None:
    made = refunds()
    verdict = made.verify(call())
    assert decision(verdict) == ("escalate", ("refund",))
    assert verdict.text == "A manager has to approve this."
    (waiting,) = verdict.escalations
    assert (waiting.queue, waiting.ttl) == ("payments", 900)
    assert waiting.binding != made.verify(call(901)).escalations[0].binding
    assert decision(made.verify(call(100))) == ("allow", ())


def test_a_rule_on_a_tool_is_not_applicable_to_another() -> None:
    verdict = refunds().verify(call(tool="read_account"))
    assert decision(verdict) == ("allow", ())
    assert [row.rule for row in verdict.not_applicable] == ["refund"]


def test_two_people_approve_once() -> None:
    made = refunds()
    approved = approve(made, call(), "m1", "m2")
    assert decision(made.verify(approved)) == ("allow", ())
    assert decision(made.verify(approved)) == ("escalate", ("refund",)), "an approval is good for one use"


@pytest.mark.parametrize(
    "users", [(), ("m1",), ("m1", "m1"), ("m1", " M1 "), ("m1", "u7")], ids=["none", "one", "twice", "spelled", "self"]
)
def test_too_few_people(users: tuple[str, ...]) -> None:
    made = refunds()
    assert decision(made.verify(approve(made, call(), *users))) == ("escalate", ("refund",))


def test_approvals_of_something_else_count_for_nothing() -> None:
    made = refunds()
    good = approve(made, call(), "m1", "m2")
    altered = replace(good, text=call(901).text)
    other_tool = replace(good, tool="issue_credit")
    late = replace(good, at=NOON + timedelta(minutes=16))
    forged = approve(made, call(), "m1", "m2", key=KEY[::-1])
    clerks = approve(made, call(), "m1", "m2", role="clerk")
    for subject in (altered, other_tool, late, forged, clerks):
        assert decision(made.verify(subject)) == ("escalate", ("refund",))
    assert decision(made.verify(good)) == ("allow", ()), "none of these has used them up"


def test_approvals_are_not_used_up_by_a_call_that_another_rule_blocks() -> None:
    blocking = rule("no-yen", match={"phrases": ["yen"]}, target="tool_call")
    made = plan(REFUND, blocking).with_resources(pk.Resources(keys={"k": KEY}, approvals=SpentInMemory()))
    subject = pk.tool_call("issue_refund", {"amount": 900, "currency": "yen"}, FACTS)
    approved = approve(made, subject, "m1", "m2")
    assert decision(made.verify(approved)) == ("block", ("no-yen",))
    store = made.resources.approvals
    assert store is not None
    assert not store.among(
        [signed.approval.nonce for signed in approved.approvals if isinstance(signed, SignedApproval)]
    )


def test_without_a_store_no_approval_counts() -> None:
    made = plan(REFUND).with_resources(pk.Resources(keys={"k": KEY}))
    assert decision(made.verify(approve(made, call(), "m1", "m2"))) == ("escalate", ("refund",))


class Failing(SpentInMemory):
    """A store that can be read and not written, or that others write to first."""

    def __init__(self, raises: bool) -> None:
        super().__init__()
        self._raises = raises

    def spend(self, approvals: Any, at: datetime) -> bool:
        if self._raises:
            raise OSError("disk full")
        return False


@pytest.mark.parametrize("raises", [True, False])
def test_a_use_that_cannot_be_kept_blocks(raises: bool) -> None:
    made = plan(REFUND).with_resources(pk.Resources(keys={"k": KEY}, approvals=Failing(raises)))
    verdict = made.verify(approve(made, call(), "m1", "m2"))
    assert (verdict.decision, verdict.text) == (pk.Decision.BLOCK, "")
    assert verdict.errors[0].rule == "facts"


@pytest.mark.parametrize("text", ["[1]", "no json", '{"amount": ', "null"])
def test_arguments_that_are_no_object_are_blocked(text: str) -> None:
    verdict = refunds().verify(pk.Subject(text, Target.TOOL_CALL, "issue_refund", FACTS))
    assert verdict.decision is pk.Decision.BLOCK
    assert verdict.errors


@pytest.mark.parametrize("text", ['{"amount": 1, "amount": 900}', '{"a": {"b": 1, "b": 2}}', '{"a":' * 9_000])
def test_arguments_that_readers_may_read_differently_are_blocked(text: str) -> None:
    verdict = refunds().verify(pk.Subject(text, Target.TOOL_CALL, "issue_refund", FACTS))
    assert verdict.decision is pk.Decision.BLOCK
    assert verdict.errors[0].rule == "facts"


def test_what_was_approved_may_still_be_masked() -> None:
    mask = rule("m", {"transform": {"replace": {"with": "x"}}}, target="tool_call", match={"phrases": ["alpha"]})
    made = plan(REFUND, mask).with_resources(pk.Resources(keys={"k": KEY}, approvals=SpentInMemory()))
    subject = pk.tool_call("issue_refund", {"amount": 900, "note": "alpha"}, FACTS)
    assert decision(made.verify(subject)) == ("escalate", ("m", "refund"))
    verdict = made.verify(approve(made, subject, "m1", "m2"))
    assert (verdict.decision, verdict.text) == (pk.Decision.TRANSFORM, '{"amount":900,"note":"x"}')


# ---- what is allowed


def test_by_default_only_whole_texts_of_allow_rules_pass() -> None:
    made = plan(
        rule("greeting", {"allow": {}}, match={"phrases": ["good morning", "hello"]}),
        rule("ticket", {"allow": {}}, match={"regex": "ticket [0-9]+"}),
        default="block",
    )
    for text in ("Good morning", "hello", "ticket 12", "HELLO"):
        assert decision(made.verify(text)) == ("allow", ()), text
    for text in ("", "hello!", "well, hello", "ticket 12 or so", "hello hello", "ticket"):
        assert decision(made.verify(text)) == ("block", ("default",)), text
    assert decision(made.verify(pk.Subject("anything", Target.INPUT))) == ("allow", ()), "no allow rule is about inputs"


def test_an_allow_rule_can_be_a_guard() -> None:
    guard = rule("small", {"allow": {}}, target="tool_call", tool="issue_refund", when="args.amount <= 50")
    made = plan(guard, default="block")
    assert decision(made.verify(call(50))) == ("allow", ())
    assert decision(made.verify(call(51))) == ("block", ("default",))
    assert decision(made.verify(call(10, tool="drop_table"))) == ("block", ("default",))
    undecided = made.verify(pk.tool_call("issue_refund", {}, FACTS))
    assert undecided.decision is pk.Decision.BLOCK
    assert undecided.errors


def test_an_allow_rule_out_of_scope_admits_nothing() -> None:
    made = plan(
        rule("a", {"allow": {}}, match={"phrases": ["a"]}, scope={"profiles": ["agent"]}),
        default="block",
        profile="answer",
    )
    assert decision(made.verify("a")) == ("block", ("default",))


def test_allow_rules_in_shadow_block_nothing() -> None:
    made = plan(rule("a", {"allow": {}}, match={"phrases": ["a"]}), defaults={"mode": "shadow"}, default="block")
    assert decision(made.verify("b")) == ("allow", ())
    assert [violation.rule for violation in made.verify("b").shadow] == ["default"]
    assert made.verify("a").shadow == ()


def test_what_is_allowed_can_still_be_blocked() -> None:
    made = plan(
        rule("any", {"allow": {}}, match={"regex": "(?s).*x"}),
        rule("no", match={"phrases": ["secret"]}),
        default="block",
    )
    assert decision(made.verify("a secret x")) == ("block", ("no",))


# ---- targets, requirements, order of actions


def test_rules_judge_only_their_target() -> None:
    made = plan(rule("in", **PROMISE, target="input"), rule("out", match={"phrases": ["refund"]}))
    assert decision(made.verify("guaranteed returns")) == ("allow", ())
    assert decision(made.verify(pk.Subject("guaranteed returns", Target.INPUT))) == ("block", ("in",))
    assert decision(made.verify(pk.Subject("refund", Target.RETRIEVED))) == ("allow", ())


def test_a_target_may_be_written_as_text_and_must_exist() -> None:
    made = plan(rule("in", **PROMISE, target="input"))
    assert decision(made.verify(pk.Subject("guaranteed returns", "input"))) == ("block", ("in",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="inputs"):
        pk.Subject("guaranteed returns", "inputs")  # type: ignore[arg-type]


def test_rules_on_json_read_the_output_as_json() -> None:
    made = plan(rule(target="json", when='!(json.rating in ["low", "high"]) || json.exposure > 0.25'))
    assert decision(made.verify('{"rating": "low", "exposure": 0.1}')) == ("allow", ())
    assert decision(made.verify('{"rating": "mid", "exposure": 0.1}')) == ("block", ("r",))
    assert decision(made.verify('{"rating": "low", "exposure": 1}')) == ("block", ("r",))
    plain = made.verify("plain text")
    assert [row.rule for row in plain.not_applicable] == ["r"]
    assert made.verify('{"rating": "low"}').errors, "a field that is missing cannot be judged"
    twice = made.verify('{"rating": "mid", "rating": "low", "exposure": 0}')
    assert twice.decision is pk.Decision.BLOCK
    assert "twice" in twice.errors[0].message
    assert plan(rule(**PROMISE)).verify('{"a": 1, "a": 2}').decision is pk.Decision.ALLOW, "no rule reads it as JSON"


def test_a_requirement_fires_on_what_is_missing() -> None:
    made = plan(rule(**PROMISE, require={"match": {"phrases": ["capital at risk"]}}))
    assert decision(made.verify("guaranteed returns")) == ("block", ("r",))
    assert decision(made.verify("guaranteed returns, capital at risk")) == ("allow", ())
    assert [e.level for e in made.enforcements] == [pk.Level.DECODE]


def test_block_before_escalate_before_transform_before_allow() -> None:
    mask = rule("m", {"transform": {"replace": {"with": "x"}}}, match={"phrases": ["alpha"]})
    ask = rule("e", {"escalate": {"queue": "q"}}, match={"phrases": ["beta"]})
    stop = rule("b", match={"phrases": ["gamma"]})
    for order in ((mask, ask, stop), (stop, ask, mask), (ask, mask, stop)):
        made = plan(*order)
        assert made.verify("alpha beta gamma").decision is pk.Decision.BLOCK
        assert made.verify("alpha beta").decision is pk.Decision.ESCALATE
        assert made.verify("alpha").decision is pk.Decision.TRANSFORM
        assert made.verify("delta").decision is pk.Decision.ALLOW


def test_a_plan_with_facts_is_saved_and_loaded(tmp_path: Path) -> None:
    schema = tmp_path / "facts.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"limits": {"type": "object"}}}))
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x/y", "version": "1.0.0", "owner": "a@b.c", "why": "a test"},
        "facts": {"schema": "facts.json"},
        "rules": [REFUND],
    }
    (tmp_path / "x.policy.yaml").write_text(json.dumps(document))
    made = pk.compile(pk.load_policies(tmp_path), at=AT)
    made.save(tmp_path / "plan.json")
    schema.unlink()
    loaded = pk.load_plan(tmp_path / "plan.json")
    assert loaded.digest == made.digest
    assert decision(loaded.verify(call())) == ("escalate", ("refund",))


def test_a_subject_brings_its_own_facts() -> None:
    with pytest.raises(pk.PolicyError, match="PK314"):
        refunds().verify(call(), {"user": "u8"})
