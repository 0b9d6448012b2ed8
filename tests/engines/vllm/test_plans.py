"""Which plan a request is decoded under, and every way in which there is none."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.engines import attest
from policykit.engines.vllm.grammars import FREE, grammar_of
from policykit.engines.vllm.plans import Checks, Constraints, Kept, Plans
from tests.engines.vllm.plans import POLICIES, embedded_vocabulary, plan

SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
TAG = json.dumps({"type": "structural_tag", "format": {"type": "json_schema", "json_schema": {"const": 1}}})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    made = plan()
    made.save(attest.plan_path(tmp_path, made.digest))
    return tmp_path


def asked(digest: str) -> attest.MaskRequest:
    return attest.MaskRequest("r", digest)


def test_a_plan_is_found_by_its_digest(run: Path) -> None:
    found = Plans(run, None).plan(asked(plan().digest), "REGEX", FREE)
    assert found.digest == plan().digest


def test_a_grammar_makes_another_plan_of_the_same_policies(run: Path) -> None:
    found = Plans(run, None).plan(asked(plan().digest), "JSON", SCHEMA)
    whole = pk.compile(POLICIES, pk.Grammar.from_json_schema(SCHEMA))
    assert found.digest == whole.digest != plan().digest


def test_no_plan_is_a_failure(run: Path) -> None:
    with pytest.raises(pk.PolicyError, match="PK740"):
        Plans(run, None).plan(None, "REGEX", FREE)
    with pytest.raises(pk.PolicyError, match="PK741"):
        Plans(run, None).plan(asked("sha256:" + "0" * 64), "REGEX", FREE)
    with pytest.raises(pk.PolicyError, match="PK741"):
        Plans(None, None).plan(asked(plan().digest), "REGEX", FREE)


def test_a_plan_under_another_name_is_refused(run: Path) -> None:
    other = pk.compile(POLICIES, profile="answer")
    other.save(attest.plan_path(run, plan().digest))
    with pytest.raises(pk.PolicyError, match="PK741"):
        Plans(run, None).plan(asked(plan().digest), "REGEX", FREE)


def test_a_plan_that_was_edited_is_refused(run: Path) -> None:
    path = attest.plan_path(run, plan().digest)
    path.write_text(path.read_text().replace("risk-free", "risk-fred"))
    with pytest.raises(pk.PolicyError, match="PK313"):
        Plans(run, None).plan(asked(plan().digest), "REGEX", FREE)


def test_the_default_plan_is_for_requests_without_one(run: Path) -> None:
    path = run / "default.plan.json"
    plan().save(path)
    assert Plans(None, path).plan(None, "REGEX", FREE).digest == plan().digest


def test_a_text_cannot_follow_two_grammars(run: Path) -> None:
    whole = pk.compile(POLICIES, pk.Grammar.from_json_schema(SCHEMA))
    whole.save(attest.plan_path(run, whole.digest))
    assert Plans(run, None).plan(asked(whole.digest), "REGEX", FREE).digest == whole.digest
    with pytest.raises(pk.PolicyError, match="PK315"):
        Plans(run, None).plan(asked(whole.digest), "CHOICE", '["a"]')


def test_conflicts_of_grammar_and_policy_are_refused(run: Path) -> None:
    with pytest.raises(pk.PolicyError, match="PK30"):
        Plans(run, None).plan(asked(plan().digest), "REGEX", "guaranteed returns")


@pytest.mark.parametrize(
    ("option", "source", "text", "other"),
    [
        ("JSON", SCHEMA, '{"a":1}', '{"a":"1"}'),
        ("JSON_OBJECT", "", "{}", "[]"),
        ("REGEX", "a+", "aa", "b"),
        ("CHOICE", '["x", "y"]', "y", "z"),
        ("GRAMMAR", 'start: "a" | "b"', "b", "c"),
        ("GRAMMAR", 'root ::= "a" | "b"', "b", "c"),
        (
            "STRUCTURAL_TAG",
            TAG,
            "1",
            "2",
        ),
    ],
)
def test_forms_of_grammars(option: str, source: str, text: str, other: str) -> None:
    grammar = grammar_of(option, source)
    assert grammar is not None
    made = pk.compile(POLICIES, grammar)
    assert made.verify(text).decision.value == "allow"
    assert made.verify(other).decision.value == "block"


@pytest.mark.parametrize(
    ("option", "source"),
    [
        ("GRAMMAR", "root ::= <a>"),
        ("STRUCTURAL_TAG", "{}"),
        ("STRUCTURAL_TAG", "no json"),
        ("STRUCTURAL_TAG", json.dumps({"type": "structural_tag", "format": {"type": "any_tokens"}})),
        ("CHOICE", "[]"),
        ("CHOICE", "[1]"),
        ("LATER", ""),
    ],
)
def test_forms_that_are_refused(option: str, source: str) -> None:
    with pytest.raises(pk.PolicyError, match=r"PK743|PK21[67]"):
        grammar_of(option, source)


def test_what_is_wrong_with_a_plan_does_not_say_where_it_lies(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks the engine is told which plan: when it is loaded, bound, and met by a request's grammar."""
    named = pk.compile(None, pk.Grammar.from_lark('start: "a" <|x|>'))
    path = attest.plan_path(run, named.digest)
    named.save(path)
    plans, request = Plans(run, path), asked(named.digest)
    told: list[str] = []
    for asks in (request, None):
        with pytest.raises(PolicyError) as found, plans.names(asks):
            Constraints(embedded_vocabulary()).of(plans.plan(asks, "REGEX", FREE))
        told.append(str(found.value))
    assert [one.partition(":1:12: PK219")[0] for one in told] == [f"plan {named.digest}", "the default plan"]
    assert caplog.text.count(str(path)) == 2
    path.write_text(path.read_text().replace('"kind"', '"kin"', 1))
    for asks, who in ((request, f"plan {named.digest}"), (None, "the default plan")):
        with pytest.raises(PolicyError, match=who) as found:
            Plans(run, path).base(asks)
        told.append(str(found.value))
    with pytest.raises(PolicyError) as found:
        Plans(run, None).plan(asked(plan().digest), "CHOICE", '["guaranteed returns"]')
    told.append(str(found.value))
    assert "PK3" in told[-1]
    assert not any(str(run) in one for one in told)


def test_threads_share_one_constraint(run: Path) -> None:
    plans, constraints = Plans(run, None), Constraints(embedded_vocabulary())

    def ask(_: int) -> object:
        return constraints.of(plans.plan(asked(plan().digest), "JSON", SCHEMA))

    with ThreadPoolExecutor(8) as pool:
        assert len({id(found) for found in pool.map(ask, range(16))}) == 1


def test_what_cannot_be_made_is_not_kept() -> None:
    kept: Kept[int, int] = Kept(4)
    for key in range(100):
        with pytest.raises(ZeroDivisionError):
            kept.get(key, lambda: 1 // 0)
    assert len(kept) == 0
    assert kept.get(1, lambda: 7) == kept.get(1, lambda: 1 // 0) == 7
    for key in range(100):
        kept.get(key, lambda: 1)
    assert len(kept) == 4


def test_a_check_says_what_is_soon_known(run: Path) -> None:
    checks = Checks(Plans(run, None), wait_s=30)
    checks.check(asked(plan().digest), "REGEX", FREE)
    with pytest.raises(pk.PolicyError, match="PK741"):
        checks.check(asked("sha256:" + "0" * 64), "REGEX", FREE)
    with pytest.raises(pk.PolicyError, match="PK740"):
        checks.check(None, "REGEX", FREE)
    with pytest.raises(pk.PolicyError, match="PK30"):
        checks.check(asked(plan().digest), "CHOICE", '["guaranteed returns"]')


def test_a_check_that_takes_long_is_left_to_the_engine(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither it nor the next one keeps others waiting; and then checks are made again."""
    plans, may_end, n = Plans(run, None), Event(), 0

    def slow(*_: object) -> pk.Plan:
        nonlocal n
        n += 1
        may_end.wait(30)
        raise pk.PolicyError([])

    monkeypatch.setattr(plans, "plan", slow)
    checks, began = Checks(plans, wait_s=0.2), time.monotonic()
    checks.check(asked(plan().digest), "CHOICE", '["a"]')
    for _ in range(50):
        checks.check(asked(plan().digest), "CHOICE", '["b"]')
    assert (n, time.monotonic() - began < 5) == (1, True)
    may_end.set()

    def until_it_is_checked() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            checks.check(asked(plan().digest), "CHOICE", '["c"]')

    with pytest.raises(pk.PolicyError):
        until_it_is_checked()
