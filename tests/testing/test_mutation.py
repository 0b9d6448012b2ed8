"""Changes of a policy: which are made, which are noticed, and that the diff shows what was run."""

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import PolicyError
from policykit.policy import document_of, load_policies, parse_document, tree_of
from policykit.testing.mutation import mutate
from policykit.testing.mutation.changes import Change, changes
from policykit.testing.mutation.conditions import changed_conditions
from policykit.testing.mutation.regexes import changed_regexes
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
    made = [row for row in changes(tree_of(source.text, str(path)), source) if isinstance(row, Change)]
    assert len(made) > 10
    for change in made[:: max(len(made) // 12, 1)]:
        try:
            run = document_of(change.root, str(path))
        except PolicyError:
            continue
        assert parse_document(source.applied(change.edit), str(path)).canonical == run.canonical, change.what


@pytest.mark.parametrize(("source", "expected"), [
    ("a|b", {"a", "b"}),
    (r"\bcats?\b", {r"cats?\b", r"\bcats?", r"\bcats\b", r"\bcat\b"}),
    ("(?:x|yy)?z", {"(?:x)?z", "(?:yy)?z", "(?:x|yy)z"}),
    ("x*", {"x+", ""}),
    ("x+", {"x"}),
    ("x{3}", {"x{4}", "x{2}"}),
    ("x{2,3}", {"x{3,3}", "x{1,3}", "x{2,2}", "x{2,4}"}),
    ("x{0,1}?", {"x{1,1}", "x{0,0}", "x{0,2}"}),
    ("[0-9_a]", {"(?s:.)", "[0-8_a]", "[0-9_]", "[0-9a]"}),
    (r"[\s*_-]+a[\s*_-]+", {
        "(?s:.)+a(?s:.)+", r"[*_-]+a[*_-]+", r"[\s*_]+a[\s*_]+", r"[\s*_-]a[\s*_-]"}),
    (r"[^\d_]", {"[^_]", r"[^\d]"}),
    (r"\d", {"(?s:.)"}),
    ("(?i)a", {"a"}),
    (r"\[x]", set[str]()),
])  # fmt: skip
def test_expressions_are_changed_once_in_every_place(source: str, expected: set[str]) -> None:
    found = [text for _, text in changed_regexes(source)]
    assert (set(found), len(found)) == (expected, len(expected))


def test_conditions_are_changed_at_their_thresholds() -> None:
    conditions = {text for _, text in changed_conditions('a.b < 2 && c == "x"')}
    assert conditions == {
        'a.b <= 2 && c == "x"', 'a.b < 3 && c == "x"', 'a.b < 1 && c == "x"',
        'a.b < 2 || c == "x"', 'a.b < 2 && c != "x"', 'a.b < 2 && c == "x~"',
    }  # fmt: skip
    assert [text for _, text in changed_conditions("flag")] == ["!(flag)"]


@settings(max_examples=200, deadline=None)
@given(st.text("ab|()[]{}?*+\\^$-,1", max_size=12))
def test_any_text_can_be_changed(source: str) -> None:
    assert all(changed != source for _, changed in changed_regexes(source))
    assert all(changed != source for _, changed in changed_conditions(source))


EQUAL = """\
rules:
  - id: words
    match: {regex: ['x+yz?', 'xy']}
    action: {block: {}}
tests:
  - {name: a, given: {output: xyz}, expect: {decision: block, rules: [words]}}
  - {name: b, given: {output: x z y}, expect: {decision: allow, rules: []}}
"""


def test_what_no_text_tells_is_no_mutant(tmp_path: Path) -> None:
    """Each of the two finds what the other finds, so neither is missed; only the views make a difference."""
    report = mutate(policy(tmp_path, EQUAL))
    assert report.n_equivalent >= 4
    assert {survivor.what for survivor in report.survivors} == {"put `views: [raw]`"}


def test_a_survivor_comes_with_a_text_that_would_tell(tmp_path: Path) -> None:
    weak = EQUAL.replace("'x+yz?', 'xy'", "'ab|cd'").replace("output: xyz", "output: ab")
    report = mutate(policy(tmp_path, weak))
    notes = {survivor.what: survivor.note for survivor in report.survivors}
    assert notes["without the branch `cd`"] == "would be noticed in: cd"


def test_spans_count_where_they_are_replaced(tmp_path: Path) -> None:
    masks = EQUAL.replace("'x+yz?', 'xy'", "'xy+'").replace("block: {}", "transform: {replace: {with: q}}")
    masks = masks.replace("block, rules: [words]", "transform, rules: [words], output: qz")
    (survivor,) = [s for s in mutate(policy(tmp_path, masks)).survivors if "exactly once" in s.what]
    assert survivor.note.startswith("it finds something in the same texts")
    firm = masks.replace("output: xyz", "output: xyyz")
    assert not [s for s in mutate(policy(tmp_path, firm)).survivors if "exactly once" in s.what]


def test_days_are_moved_by_one(tmp_path: Path) -> None:
    text = """\
rules:
  - id: fee
    match: {phrases: [fee], views: [raw]}
    action: {block: {}}
    except:
      - {id: EX-1, approvedBy: a, reason: r, expires: 2027-01-01}
tests:
  - {name: a, given: {output: fee, at: 2026-12-31}, expect: {decision: allow}}
  - {name: b, given: {output: fee, at: 2027-01-01}, expect: {decision: block}}
"""
    report = mutate(policy(tmp_path, text))
    assert [survivor.what for survivor in report.survivors] == ["drop `views`"]
    weak = mutate(policy(tmp_path, text.replace("at: 2027-01-01", "at: 2027-02-01")))
    assert "`expires` one day later" in [survivor.what for survivor in weak.survivors]


def test_what_is_left_alone_is_named_with_its_reason(tmp_path: Path) -> None:
    more = RULES.replace("block: {}", "block: {code: X-1}", 1).replace(
        "- id: promises", "- id: promises\n    cost: 2.0"
    )
    report = mutate(policy(tmp_path, more + FIRM))
    assert {row.field for row in report.left_alone} == {"metadata", "cost", "code"}
    assert all(row.why and row.place.line for row in report.left_alone)


def test_what_is_the_same_is_counted_once(tmp_path: Path) -> None:
    """Without `raw`, or without the list, the views are those of a rule that names none."""
    both = EQUAL.replace("'xy']", "'xy'], views: [raw, compat]")
    assert mutate(policy(tmp_path, both)).n_same == 1
