"""Rules that look as if they were on: outside of every profile that names them, or about a tool that there is not."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from policykit.diagnostics import Severity
from policykit.profiles import check_reach, load_profiles, plan_for, reach
from tests.profiles.case import write_profile

AGENT = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: retail, version: 1.2.0, owner: a@b.c, why: because}
task: agent
policies: [calls.policy.yaml]
tenants: ['acme-*', other]
fallback: I cannot do that.
tools:
  - {name: issue_refund, arguments: {type: object}}
  - {name: look_up, arguments: {type: object}}
"""
CALLS = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: calls, version: 1.0.0, owner: a@b.c, why: because}
rules:
  - id: refunds
    target: tool_call
    tool: [issue_refund, delete_*]
    match: {phrases: [now]}
    action: {block: {}}
  - id: other
    match: {phrases: [guaranteed returns]}
    action: {block: {}}
"""


def written(folder: Path, old: str = "", new: str = "") -> Path:
    path = write_profile(folder, AGENT)
    assert not old or CALLS.count(old) == 1, "the changed part must be unique"
    (folder / "calls.policy.yaml").write_text(CALLS.replace(old, new) if old else CALLS)
    return path


@pytest.mark.parametrize(("old", "new", "line", "says", "help"), [
    ("- id: other", "- id: other\n    scope: {profiles: [retial]}", 10,
     "`calls#other` is on in none of the profiles that name its policy: `retail`", "did you mean `retail`?"),
    ("- id: other", "- id: other\n    scope: {profiles: [agents]}", 10,
     "`calls#other` is on in none of the profiles that name its policy: `retail`", "correct its scope, or remove it"),
    ("- id: other", "- id: other\n    scope: {tenants: [acne-*]}", 10,
     "`calls#other` is on in none of the profiles that name its policy: `retail`", "correct its scope, or remove it"),
    ("- id: other", "- id: other\n    scope: {tenants: ['*-1']}", 10, None, None),
    ("- id: other", "- id: other\n    scope: {tenants: [others]}", 10,
     "`calls#other` is on in none of the profiles that name its policy: `retail`", "correct its scope, or remove it"),
    ("- id: other", "- id: other\n    scope: {tenants: [acme-2], profiles: ['re*'], locales: [de]}", 10, None, None),
    ("- id: other", "- id: other\n    mode: off\n    scope: {profiles: [agents]}", 10, None, None),
    ("issue_refund", "isue_refund", 5,
     "`calls#refunds` is about a tool `isue_refund`, which no profile has", "did you mean `issue_refund`?"),
    ("issue_refund", "'issue_*'", 5, None, None), ("issue_refund", "erase_subject", 5, None, None),
])  # fmt: skip
def test_a_rule_that_no_profile_meets(
    tmp_path: Path, old: str, new: str, line: int, says: str | None, help: str | None
) -> None:
    found = check_reach(load_profiles(written(tmp_path, old, new)))
    told = [(d.code, d.message, d.help, d.place and d.place.line, d.severity) for d in found]
    assert told == ([("PK618", says, help, line, Severity.WARNING)] if says else [])


ON_FOR_NONE = ["`calls#other` is on in none of the profiles that name its policy: `retail`"]


@pytest.mark.parametrize(("documents", "rules", "is_met"), [
    ("[other]", "[acme-1]", False), ("[other]", "['o*']", True), ("[acme-1, other]", "[acme-1]", True),
    ("['acme-*']", "['*-2']", True), ("['acme-1*']", "['acme-2*']", False), ("['*']", "[third]", False),
    ("['a*', third]", "['*r', third]", True), ("['ot*']", "['*her']", True), ("['o*e']", "['*r']", False),
])  # fmt: skip
def test_tenants_of_a_rule_its_document_and_a_profile_are_held_together(
    tmp_path: Path, documents: str, rules: str, is_met: bool
) -> None:
    path = written(tmp_path, "- id: other", f"- id: other\n    scope: {{tenants: {rules}}}")
    policy = tmp_path / "calls.policy.yaml"
    scope = f"scope: {{tenants: {documents}}}\nrules:"
    policy.write_text(policy.read_text().replace("rules:", scope, 1))
    found = [d.message for d in check_reach(load_profiles(path)) if "calls#other" in d.message]
    assert found == ([] if is_met else ON_FOR_NONE)


GLOB = st.text(st.sampled_from("ab*"), min_size=1, max_size=3)
NAMES = ["".join(letters) for n in range(1, 8) for letters in product("ab", repeat=n)]


@given(st.lists(st.lists(GLOB, max_size=2), min_size=1, max_size=3))
def test_lists_of_globs_share_a_name(lists: list[list[str]]) -> None:
    """Of three globs of up to three characters a shortest name has at most seven."""
    read = [[re.compile(glob.replace("*", ".*")) for glob in globs] for globs in lists]
    shared = any(all(any(glob.fullmatch(name) for glob in globs) for globs in read) for name in NAMES)
    assert reach._share(*lists) == shared  # pyright: ignore[reportPrivateUsage]


def test_it_is_on_where_one_profile_meets_it(tmp_path: Path) -> None:
    path = written(tmp_path, "- id: other", "- id: other\n    scope: {profiles: [wholesale]}")
    other = tmp_path / "y.profile.yaml"
    other.write_text(AGENT.replace("name: retail", "name: wholesale"))
    assert check_reach(load_profiles(path, other)) == ()
    assert [d.code for d in check_reach(load_profiles(path))] == ["PK618"]


def test_the_row_of_a_tool_names_the_rules_about_its_calls(tmp_path: Path) -> None:
    (profile,) = load_profiles(written(tmp_path))
    rows = {row.name: row.why for row in plan_for(profile).enforcements}
    assert "the rules about calls (calls#refunds)" in rows["issue_refund"]
    assert "no rule about calls" in rows["look_up"]
