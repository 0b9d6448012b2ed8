"""Changes of a policy: which are made, which are noticed, and that the diff shows what was run."""

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import PolicyError
from policykit.policy import document_of, load_policies, parse_document, tree_of
from policykit.testing.mutation import mutate
from policykit.testing.mutation.changes import changes
from policykit.testing.mutation.expressions import changed_conditions, changed_regexes
from policykit.testing.mutation.source import Source
from tests.testing.documents import HEAD

ROOT = Path(__file__).resolve().parents[2]
RULES = """\
rules:
  - id: promises
    match:
      phrases:
        - guaranteed returns
        - assured profits
    action: {block: {}}
  - id: limit
    target: tool_call
    when: args.amount > 5
    action: {block: {}}
"""
FIRM = """\
tests:
  - {name: a, given: {output: Guaranteed  returns}, expect: {decision: block, rules: [promises]}}
  - {name: b, given: {output: ASSURED_profits}, expect: {decision: block, rules: [promises]}}
  - {name: c, given: {tool_call: {name: x, args: {amount: 6}}}, expect: {decision: block, rules: [limit]}}
  - {name: d, given: {tool_call: {name: x, args: {amount: 5}}}, expect: {decision: allow, rules: []}}
"""


def policy(folder: Path, text: str):
    (folder / "m.policy.yaml").write_text(HEAD.replace("NAME", "m") + text, encoding="utf-8")
    return load_policies(folder / "m.policy.yaml")


def test_firm_tests_notice_every_change(tmp_path: Path) -> None:
    report = mutate(policy(tmp_path, RULES + FIRM))
    assert [survivor.what for survivor in report.survivors] == []
    assert (report.score, report.n_mutants >= 10) == (1.0, True), report


def test_a_lost_test_lets_a_change_survive_and_shows_it(tmp_path: Path) -> None:
    report = mutate(policy(tmp_path, RULES + FIRM.replace("ASSURED_profits", "guaranteed returns")))
    (survivor,) = report.survivors
    assert (survivor.rule, survivor.what, survivor.place.line) == (
        "promises",
        "drop `assured profits` from `phrases`",
        9,
    )
    assert "-        - assured profits\n" in survivor.diff + "\n"
    assert 0 < report.score < 1


@pytest.mark.parametrize(("lost", "survives"), [
    ("amount: 5}", "`>=` in place of `>`"), ("Guaranteed  returns", "put `views: [raw]`"),
])  # fmt: skip
def test_what_survives_is_what_no_test_says(tmp_path: Path, lost: str, survives: str) -> None:
    tests = FIRM.replace("ASSURED_profits", "assured profits") if "returns" in lost else FIRM
    weaker = {"amount: 5}": "amount: 1}", "Guaranteed  returns": "guaranteed  returns"}[lost]
    report = mutate(policy(tmp_path, RULES + tests.replace(lost, weaker)))
    assert survives in [survivor.what for survivor in report.survivors]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    policies = policy(tmp_path, RULES + FIRM.replace("ASSURED_profits", "guaranteed returns"))
    assert mutate(policies, jobs=2) == mutate(policies)


@pytest.mark.parametrize("tests", [FIRM.replace("allow", "block"), ""])
def test_nothing_is_said_where_tests_fail(tmp_path: Path, tests: str) -> None:
    with pytest.raises(PolicyError) as caught:
        mutate(policy(tmp_path, RULES + tests))
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["PK513"]


@pytest.mark.parametrize("path", sorted((ROOT / "policies").rglob("*.policy.yaml")), ids=lambda path: path.name)
def test_the_diff_of_a_change_is_what_is_run(path: Path) -> None:
    """Law: the file with the change, read again, is the document that the tests run against."""
    source = Source(path.read_text(encoding="utf-8"), str(path))
    made = list(changes(tree_of(source.text, str(path)), source))
    assert len(made) > 10
    for change in made[:: max(len(made) // 12, 1)]:
        try:
            run = document_of(change.root, str(path))
        except PolicyError:
            continue
        assert parse_document(source.applied(change.edit), str(path)).canonical == run.canonical, change.what


def test_expressions_are_changed_in_every_part() -> None:
    assert dict(changed_regexes(r"\b(?:cats?|dog)[0-9_]{2,3}")).keys() >= {
        r"widen: without `\b`", "narrow: no longer optional", "narrow: without the branch `cats?`",
        "narrow: without the branch `dog`", "the class without `_`", "narrow: at most 2", "widen: at most 4",
    }  # fmt: skip
    assert {text for _, text in changed_regexes("a|b")} == {"a", "b"}
    conditions = {text for _, text in changed_conditions('a.b < 2 && c == "x"')}
    assert conditions == {
        '!(a.b < 2 && c == "x")', 'a.b <= 2 && c == "x"', 'a.b < 3 && c == "x"', 'a.b < 1 && c == "x"',
        'a.b < 2 || c == "x"', 'a.b < 2 && c != "x"', 'a.b < 2 && c == "x~"',
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text("ab|()[]{}?*+\\^$-,1", max_size=12))
def test_any_text_can_be_changed(source: str) -> None:
    assert all(changed != source for _, changed in changed_regexes(source))
    assert all(changed != source for _, changed in changed_conditions(source))
