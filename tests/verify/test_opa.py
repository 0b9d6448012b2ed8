"""Rules and exceptions that an Open Policy Agent decides: what is sent, what a decision does, and what none does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from policykit.cli.main import main
from policykit.ir.decision import Answer
from policykit.opa import Opa, OpaSettings
from policykit.testing import run_tests
from tests.opa.server import RULES, Reply, Server, free_port, reply, speaking
from tests.verify.test_facts import PROMISE, plan, policies, rule

PROMISED = "guaranteed returns"
MASKED = {"transform": {"replace": {"with": "…"}}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setitem(RULES, "rules/deny", lambda given: given.get("user", {}).get("role") != "advisor")
    monkeypatch.setitem(RULES, "rules/excused", lambda given: given.get("user", {}).get("role") == "advisor")
    monkeypatch.setitem(RULES, "rules/loud", lambda given: "!" in given["text"])
    with speaking() as found:
        yield found


@pytest.fixture
def opa(server: Server) -> Iterator[Opa]:
    with Opa(OpaSettings(server.url, backoff_s=0.001)) as found:
        yield found


def decided(reference: str = "data.rules.deny", **more: Any) -> dict[str, Any]:
    return {"rego": reference, **more}


def excuse(reference: str = "data.rules.deny") -> dict[str, Any]:
    return {"id": "EX-1", "when": decided(reference), "approvedBy": "a", "reason": "b", "expires": "2999-01-01"}


def made(verdict: pk.Verdict) -> list[tuple[str, str | None, str, bool | None, str | None]]:
    return [(d.rule, d.exception, d.reference, d.value, d.decision_id) for d in verdict.decisions]


def asking(opa: Opa, *rules: dict[str, Any], **more: Any) -> pk.Plan:
    return plan(*rules, **more).with_resources(pk.Resources(opa=opa))


def test_a_rule_fires_where_opa_says_so_and_the_decision_id_is_kept(opa: Opa) -> None:
    checked = asking(opa, rule(**PROMISE, when=decided()))
    verdict = checked.verify(PROMISED, {"user": {"role": "clerk"}})
    assert (verdict.decision, verdict.rules) == ("block", ("r",))
    assert made(verdict) == [("r", None, "data.rules.deny", True, "d-1")]
    verdict = checked.verify(PROMISED, {"user": {"role": "advisor"}})
    assert (verdict.decision, verdict.rules, verdict.errors) == ("allow", (), ())
    assert made(verdict) == [("r", None, "data.rules.deny", False, "d-2")]


def test_opa_is_not_asked_where_nothing_was_found(opa: Opa, server: Server) -> None:
    verdict = asking(opa, rule(**PROMISE, when=decided())).verify("harmless")
    assert (verdict.decision, verdict.decisions, server.questions) == ("allow", (), [])


def test_an_exception_applies_where_opa_says_so(opa: Opa) -> None:
    checked = asking(opa, rule(**PROMISE, **{"except": [excuse("data.rules.excused")]}))
    verdict = checked.verify(PROMISED, {"user": {"role": "advisor"}})
    assert (verdict.decision, [e.exception for e in verdict.exceptions]) == ("allow", ["EX-1"])
    assert made(verdict) == [("r", "EX-1", "data.rules.excused", True, "d-1")]
    verdict = checked.verify(PROMISED, {"user": {"role": "clerk"}})
    assert (verdict.decision, verdict.exceptions) == ("block", ())


def test_allow_rules_are_guarded_by_opa(opa: Opa, server: Server) -> None:
    guard = {"id": "g", "target": "tool_call", "when": decided("data.rules.excused"), "action": {"allow": {}}}
    checked = asking(opa, guard, default="block")
    assert checked.verify(pk.tool_call("t", {}, {"user": {"role": "advisor"}})).decision == "allow"
    assert checked.verify(pk.tool_call("t", {}, {"user": {"role": "clerk"}})).decision == "block"
    server.always = reply(500, b"")
    verdict = checked.verify(pk.tool_call("t", {}, {"user": {"role": "advisor"}}))
    assert (verdict.decision, len(verdict.errors)) == ("block", 1)


# -- what is sent


def test_what_is_sent_are_facts_context_and_target_and_no_text(opa: Opa, server: Server) -> None:
    asking(opa, rule(**PROMISE, when=decided()), profile="answer").verify(f'{{"a": "{PROMISED}"}}', {"user": {"id": 7}})
    assert server.questions == [
        ("/v1/data/rules/deny", {"input": {"user": {"id": 7}, "profile": "answer", "target": "output"}})
    ]


def test_the_arguments_of_a_tool_call_are_sent(opa: Opa, server: Server) -> None:
    asking(opa, rule(target="tool_call", when=decided())).verify(pk.tool_call("refund", {"amount": 9}))
    (asked,) = server.questions
    assert asked[1]["input"] == {"target": "tool_call", "tool": "refund", "args": {"amount": 9}}


def test_the_text_is_sent_where_the_rule_asks_for_it(opa: Opa, server: Server) -> None:
    checked = asking(opa, rule(when=decided("data.rules.loud", text=True)))
    assert checked.verify("quiet").decision == "allow"
    assert checked.verify('["loud!"]').decision == "block"
    assert [asked[1]["input"] for asked in server.questions] == [
        {"target": "output", "text": "quiet"},
        {"target": "output", "text": '["loud!"]', "json": ["loud!"]},
    ]


def test_a_fact_does_not_stand_where_the_text_is_sent(opa: Opa, server: Server) -> None:
    verdict = asking(opa, rule(when=decided("data.rules.loud", text=True))).verify("loud!", {"text": "quiet"})
    assert (verdict.decision, [e.rule for e in verdict.errors], server.questions) == ("block", ["r"], [])


def test_one_question_is_asked_once_per_verdict(opa: Opa, server: Server) -> None:
    rules = [rule(id, **PROMISE, when=decided()) for id in ("a", "b")]
    verdict = asking(opa, *rules, rule("m", MASKED, **PROMISE)).verify(PROMISED, {"user": {"role": "advisor"}})
    assert verdict.decision == "transform"
    assert len(server.questions) == 1
    assert made(verdict) == [(id, None, "data.rules.deny", False, "d-1") for id in ("a", "b")]


def test_a_changed_text_is_decided_anew(opa: Opa, server: Server) -> None:
    rules = [rule("t", when=decided("data.rules.loud", text=True)), rule("m", MASKED, match={"phrases": ["hello"]})]
    verdict = asking(opa, *rules).verify("hello")
    assert (verdict.decision, verdict.text) == ("transform", "…")
    assert [asked[1]["input"]["text"] for asked in server.questions] == ["hello", "…"]


# -- no decision


FAULTS: dict[str, Reply] = {
    "undefined": reply(200, {"decision_id": "d-x"}),
    "wrong type": reply(200, {"result": "yes"}),
    "malformed": reply(200, b'{"result": tr'),
    "failed": reply(500, {"code": "internal_error", "message": "eval"}),
    "unavailable": reply(503, b""),
    "not authorised": reply(401, b""),
    "redirect": reply(307, b"", "Location: http://localhost:1/"),
    "huge": reply(200, b" " * 100_000),
    "slow": Reply([b""], pause_s=5),
    "reset": Reply([b"HTTP/1.1 200 X\r\nContent-Length: 20\r\n\r\n{"], resets=True),
}


@pytest.fixture(params=[*FAULTS, "down"])
def broken(request: pytest.FixtureRequest, server: Server) -> Iterator[Opa]:
    server.always = FAULTS.get(request.param)
    url = f"http://localhost:{free_port()}" if request.param == "down" else server.url
    with Opa(OpaSettings(url, backoff_s=0.001, deadline_s=0.3, attempt_s=0.15)) as found:
        yield found


@pytest.mark.parametrize(
    "action",
    [{"block": {"message": "no"}}, MASKED, {"escalate": {"queue": "q"}}],
    ids=["block", "transform", "escalate"],
)
def test_an_enforced_rule_without_a_decision_blocks(broken: Opa, action: dict[str, Any]) -> None:
    verdict = asking(broken, rule(action=action, **PROMISE, when=decided())).verify(PROMISED)
    assert (verdict.decision, verdict.text) == ("block", "")
    assert [error.rule for error in verdict.errors] == ["r"]
    (asked,) = verdict.decisions
    assert (asked.value, asked.problem) == (None, verdict.errors[0].message)


def test_a_shadow_rule_without_a_decision_is_named(broken: Opa) -> None:
    verdict = asking(broken, rule(**PROMISE, when=decided(), mode="shadow")).verify(PROMISED)
    assert (verdict.decision, verdict.text, [e.rule for e in verdict.errors]) == ("allow", PROMISED, ["r"])


def test_an_exception_without_a_decision_is_not_applied(broken: Opa) -> None:
    verdict = asking(broken, rule(**PROMISE, **{"except": [excuse()]})).verify(PROMISED)
    assert (verdict.decision, verdict.rules, verdict.exceptions) == ("block", ("r",), ())
    (asked,) = verdict.decisions
    assert (asked.exception, asked.value) == ("EX-1", None)
    assert asked.problem


def test_the_decision_id_of_an_undefined_decision_is_kept(opa: Opa, server: Server) -> None:
    server.broken.append(FAULTS["undefined"])
    verdict = asking(opa, rule(**PROMISE, when=decided())).verify(PROMISED)
    assert made(verdict) == [("r", None, "data.rules.deny", None, "d-x")]


def test_without_an_opa_the_resources_are_refused_and_a_verdict_blocks() -> None:
    checked = plan(rule(**PROMISE, when=decided()))
    with pytest.raises(pk.PolicyError, match="PK163") as caught:
        checked.with_resources(pk.Resources())
    assert caught.value.diagnostics[0].place is not None
    verdict = checked.verify(PROMISED)
    assert (verdict.decision, [e.rule for e in verdict.errors]) == ("block", ["r"])


@pytest.mark.parametrize("answer", [True, "yes", None, Answer("true"), Answer(1)], ids=repr)  # type: ignore[arg-type]
def test_a_decider_that_answers_nonsense_blocks(answer: Any) -> None:
    class Nonsense:
        def decide(self, reference: str, document: dict[str, object]) -> Answer:
            return answer

    checked = plan(rule(**PROMISE, when=decided())).with_resources(pk.Resources(opa=Nonsense()))
    verdict = checked.verify(PROMISED)
    assert (verdict.decision, [e.rule for e in verdict.errors]) == ("block", ["r"])


def test_a_decider_that_crashes_blocks() -> None:
    class Crashing:
        def decide(self, reference: str, document: dict[str, object]) -> Answer:
            raise ZeroDivisionError

    checked = plan(rule(**PROMISE, when=decided())).with_resources(pk.Resources(opa=Crashing()))
    verdict = checked.verify(PROMISED)
    assert (verdict.decision, "ZeroDivisionError" in verdict.errors[0].message) == ("block", True)


# -- the plan


@pytest.mark.parametrize("onMatch", ["avoid", "stop"])
@pytest.mark.parametrize("place", ["rule", "exception"])
def test_a_rule_that_depends_on_opa_is_at_output_and_says_so(place: str, onMatch: str) -> None:
    depends = {"when": decided()} if place == "rule" else {"except": [excuse()]}
    (row,) = plan(rule(action={"block": {"onMatch": onMatch}}, **PROMISE, **depends)).enforcements
    assert row.level == "output"
    assert "OPA (data.rules.deny)" in row.why


def test_the_reference_and_what_is_sent_are_in_the_digest() -> None:
    digests = {
        plan(rule(**PROMISE, when=when)).digest
        for when in (decided(), decided("data.rules.other"), decided(text=True), "user.a == 1")
    }
    assert len(digests) == 4


def test_a_plan_with_decisions_survives_its_file(opa: Opa, tmp_path: Path) -> None:
    plan(rule(**PROMISE, when=decided())).save(tmp_path / "p.json")
    loaded = pk.load_plan(tmp_path / "p.json").with_resources(pk.Resources(opa=opa))
    assert loaded.verify(PROMISED, {"user": {"role": "clerk"}}).decision == "block"


# -- tests of policies


def case(name: str, decision: str, value: bool | None, facts: dict[str, object] | None = None) -> dict[str, Any]:
    stated = {} if value is None else {"decisions": {"data.rules.deny": value}}
    given = {"output": PROMISED, "facts": facts or {}, **stated}
    return {"name": name, "given": given, "expect": {"decision": decision}}


def test_a_test_states_what_opa_would_answer() -> None:
    tests = [case("yes", "block", True), case("no", "allow", False), case("unsaid", "allow", None)]
    report = run_tests(policies(rule(**PROMISE, when=decided()), tests=tests))
    assert [result.status for result in report.results] == ["passed", "passed", "errored"]
    assert "decisions: {data.rules.deny: true}" in report.results[2].errors[0]


def test_a_real_opa_must_say_what_a_test_states(opa: Opa) -> None:
    clerk, advisor = {"user": {"role": "clerk"}}, {"user": {"role": "advisor"}}
    tests = [
        case("yes", "block", True, clerk),
        case("no", "allow", True, advisor),
        case("unsaid", "block", None, clerk),
    ]
    report = run_tests(policies(rule(**PROMISE, when=decided()), tests=tests), opa=opa)
    assert [result.status for result in report.results] == ["passed", "failed", "passed"]
    (wrong,) = report.results[1].mismatches
    assert (wrong.part, wrong.want, wrong.got) == ("data.rules.deny", "true", "false")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    clerk = {"user": {"role": "clerk"}}
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x/y", "version": "1.0.0", "owner": "a@b.c", "why": "a test"},
        "rules": [rule(**PROMISE, when=decided())],
        "tests": [{**case("yes", "block", True, clerk), "expect": {"decision": "block", "rules": ["r"]}}],
    }
    path = tmp_path / "x.policy.yaml"
    path.write_text(json.dumps(document))
    return path


def test_the_command_line_asks_a_real_opa(file: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(file), "--opa", server.url]) == 0
    assert len(server.questions) == 1
    (file.parent / "t.txt").write_text(PROMISED)
    facts = '{"user": {"role": "clerk"}}'
    verify = ["verify", str(file.parent / "t.txt"), "--policies", str(file), "--facts", facts, "--opa"]
    assert main([*verify, server.url]) == 1
    assert "r: OPA on data.rules.deny: true (decision d-2)" in capsys.readouterr().out
    assert main([*verify, f"http://localhost:{free_port()}"]) == 1
    assert "error: r: OPA cannot be reached" in capsys.readouterr().out
    assert main([*verify, "localhost"]) == 3
    assert "PK162" in capsys.readouterr().err
    assert main(["test", str(file), "--opa-deadline", "2"]) == 3
    assert main(["test", str(file), "--opa", f"http://localhost:{free_port()}"]) == 4


def test_the_token_comes_from_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "rules/deny", lambda _: True)
    with speaking(token="s3cret") as server:
        assert main(["test", str(file), "--opa", server.url]) == 4
        monkeypatch.setenv("POLICYKIT_OPA_TOKEN", "s3cret")
        assert main(["test", str(file), "--opa", server.url]) == 0
