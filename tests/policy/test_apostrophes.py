"""Phrases and expressions that find one apostrophe and not the other."""

from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import Severity
from policykit.policy import load_policies

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: a, version: 1.0.0, owner: a@b.c, why: because}
rules:
  - id: r
    match: MATCH
    action: {block: {}}
tests: [{name: t, given: {output: fine}, expect: {decision: allow}}]
"""


@pytest.mark.parametrize(("match", "message", "underlined", "help"), [
    ("{phrases: [we can't lose]}", "`we can't lose` is not found with `’`", "we can't lose", "add `we can’t lose`"),
    ("{phrases: [we can’t lose]}", "`we can’t lose` is not found with `'`", "we can’t lose", "add `we can't lose`"),
    ("{phrases: [can't, won't, no]}", "`can't` is not found with `’` (and 1 more beside it)", "can't", "add `can’t`"),
    ("{phrases: [l'argent sûr]}", "`l'argent sûr` is not found with `’`", "l'argent sûr", "add `l’argent sûr`"),
    ("{any: [{not: {phrases: [it's]}}, {phrases: [x]}]}", "`it's` is not found with `’`", "it's", "add `it’s`"),
    ("{near: {of: [{phrases: [can't]}, {phrases: [x]}], words: 2}}", "`can't` is not found with `’`", "can't", "add"),
    ("""{regex: ["can't \\\\w+"]}""", "`can't \\w+` is not found with `’`", "can't \\\\w+", "write `['’]` for it"),
])  # fmt: skip
def test_the_other_apostrophe_is_missed(tmp_path: Path, match: str, message: str, underlined: str, help: str) -> None:
    path = tmp_path / "a.policy.yaml"
    path.write_text(POLICY.replace("MATCH", match))
    (found,) = load_policies(path).warnings
    assert (found.code, found.message, found.severity) == ("PK071", message, Severity.WARNING)
    assert found.help is not None
    assert found.help.startswith(help)
    assert found.place is not None
    line = path.read_text().splitlines()[found.place.line - 1]
    assert line[found.place.column - 1 :].lstrip('"').startswith(underlined)


@pytest.mark.parametrize("match", [
    "{phrases: [can't, can’t]}", "{phrases: [CAN'T, can’t]}", "{any: [{phrases: [can't]}, {phrases: [can’t]}]}",
    "{phrases: [we can't lose], views: [compat, skeleton]}", """{regex: ["can['’]t"]}""", "{phrases: [users' data]}",
    """{phrases: ["'tis so"]}""", "{phrases: [cant]}", "{entities: [email]}", "{length: {unit: words, atLeast: 9}}",
])  # fmt: skip
def test_both_are_found_or_none_is_meant(tmp_path: Path, match: str) -> None:
    path = tmp_path / "a.policy.yaml"
    path.write_text(POLICY.replace("MATCH", match))
    assert load_policies(path).warnings == ()


@pytest.mark.parametrize(("match", "expected"), [
    ("{phrases: [we can't lose]}", "allow"), ("{phrases: [we can't lose, we can’t lose]}", "block"),
    ("{phrases: [we can't lose], views: [compat, skeleton]}", "block"),
])  # fmt: skip
def test_what_is_warned_of_is_so(tmp_path: Path, match: str, expected: str) -> None:
    path = tmp_path / "a.policy.yaml"
    path.write_text(POLICY.replace("MATCH", match))
    plan = pk.compile(load_policies(path))
    assert [plan.verify(text).decision for text in ("we can't lose", "we can’t lose")] == ["block", expected]
