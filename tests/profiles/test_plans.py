"""Plans of profiles: compiled once, and again when the day changes what applies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import lark, regex
from policykit.ir.plan import Level
from policykit.plan import load_plan
from policykit.profiles import Plans, ProfileSet, check_profiles, load_profiles, plan_for
from tests.profiles.case import PROFILE, write_profile

NOW, LATER = date(2027, 1, 15), date(2027, 2, 1)


def loaded(folder: Path, text: str = PROFILE, effective: str = "") -> ProfileSet:
    path = write_profile(folder, text)
    policy = folder / "promises.policy.yaml"
    policy.write_text(effective + policy.read_text())
    return load_profiles(path)


def test_a_plan_is_compiled_once(tmp_path: Path) -> None:
    plans = Plans()
    (profile,) = loaded(tmp_path)
    first = plans.plan_for(profile, tenant="acme-1")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: plans.plan_for(profile, tenant="acme-1"), range(50)))
    assert all(plan is first for plan in found)
    assert plans.plan_for(profile, tenant="acme-2") is not first
    (again,) = loaded(tmp_path)
    assert plans.plan_for(again, tenant="acme-1") is first


def test_the_plan_is_the_profiles(tmp_path: Path) -> None:
    (profile,) = loaded(tmp_path)
    plan = plan_for(profile, tenant="acme-1", locale="en-GB", jurisdiction="GB")
    context = plan.spec.context
    assert (context.profile, context.tenant, context.locale, context.jurisdiction) == (
        "retail",
        "acme-1",
        "en-GB",
        "GB",
    )
    assert plan.verify("guaranteed returns").rules == ("promises#no-guarantees", "b#no-guarantees")  # `a` is for others
    assert plan.verify("fine").decision.value == "allow"


def test_a_plan_is_resolved_again_when_its_day_is_over(tmp_path: Path) -> None:
    plans = Plans()
    (profile,) = loaded(tmp_path, effective="effective: {from: 2027-02-01}\n")
    before, after = plans.plan_for(profile, at=NOW), plans.plan_for(profile, at=LATER)
    assert (before.valid_until, after.valid_until) == (LATER, None)
    names = [{rule.document for rule in plan.spec.rules} for plan in (before, after)]
    assert names == [{"b"}, {"promises", "b"}]
    assert before.digest != after.digest
    assert plans.plan_for(profile, at=date(2027, 6, 1)) is after
    assert {rule.document for rule in plans.plan_for(profile, at=NOW).spec.rules} == {"b"}


def test_few_plans_are_kept(tmp_path: Path) -> None:
    plans = Plans(size=2)
    (profile,) = loaded(tmp_path)
    first = plans.plan_for(profile, tenant="a")
    for tenant in ("b", "a", "c"):
        plans.plan_for(profile, tenant=tenant)
    assert plans.plan_for(profile, tenant="a") is first
    again = plans.plan_for(profile, tenant="b")
    assert again.digest == plans.plan_for(profile, tenant="b").digest
    assert plans.plan_for(profile, tenant="c") is not None


def test_a_requests_grammar_needs_a_profile_that_takes_it(tmp_path: Path) -> None:
    grammar = regex("[a-z]+", Place("<request>"))
    (profile,) = loaded(tmp_path)
    with pytest.raises(PolicyError) as caught:
        plan_for(profile, grammar=grammar)
    assert [d.code for d in caught.value.diagnostics] == ["PK616"]
    (open_profile,) = loaded(tmp_path, PROFILE.replace("task: answer", "task: answer\nclientGrammar: true"))
    plan = plan_for(open_profile, grammar=grammar)
    assert [plan.verify(text).decision.value for text in ("abc", "ABC")] == ["allow", "block"]
    assert plan_for(open_profile).verify("ABC").decision.value == "allow"


@pytest.mark.parametrize("policies", ["policies: [promises.policy.yaml, more]", "policies: [more]"])
def test_no_served_answer_has_a_grammar_that_names_tokens(tmp_path: Path, policies: str) -> None:
    text = PROFILE.replace("policies: [promises.policy.yaml, more]", f"{policies}\nclientGrammar: true")
    (profile,) = loaded(tmp_path, text)
    with pytest.raises(PolicyError) as caught:
        plan_for(profile, grammar=lark('start: "a"\n  | <|user|>', Place("<request>")))
    assert [(d.code, str(d.place)) for d in caught.value.diagnostics] == [("PK218", "<request>:2:5")]


def test_the_fallback_must_pass_its_own_plan(tmp_path: Path) -> None:
    assert check_profiles(loaded(tmp_path)) == ()
    (found,) = check_profiles(loaded(tmp_path, PROFILE.replace("cannot answer that", "have guaranteed returns")))
    assert (found.code, found.place and found.place.line) == ("PK609", 3)
    assert "`promises#no-guarantees`" in found.message
    (found,) = check_profiles(loaded(tmp_path, PROFILE.replace("task: answer", "task: answer\ngrammar: answer.lark")))
    assert found.code == "PK609"


def test_what_does_not_compile_is_told(tmp_path: Path) -> None:
    profiles = loaded(tmp_path, effective="effective: {until: 2026-01-01}\n")
    assert [d.code for d in check_profiles(profiles, LATER)] == ["PK301"]


def test_calls_of_tools_are_rows_of_the_plan(tmp_path: Path) -> None:
    """No mask decodes them: the plan says who does, and of which tools nobody does."""
    tools = """
tools:
  - {name: order, arguments: {type: object}}
  - {name: pay, outputRules: block, arguments: {type: object}}
  - {name: note, outputRules: ignore, arguments: {type: object}}
"""
    (profile,) = loaded(tmp_path, PROFILE.replace("task: answer", "task: agent").rstrip() + tools)
    plan = plan_for(profile, tenant="acme-1")
    rows = {row.name: row for row in plan.enforcements if row.subject == "tool"}
    assert rows.keys() == {"order", "pay", "note"}
    assert {row.level for row in rows.values()} == {Level.OUTPUT}
    assert "every rule about outputs of the arguments as decoded text" in rows["order"].why
    assert "the rules that stop outputs of the arguments as decoded text" in rows["pay"].why
    assert "may stand there" in rows["note"].why
    path = tmp_path / "plan.json"
    plan.save(path)
    assert load_plan(path).digest == plan.digest
