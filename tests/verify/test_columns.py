"""Verdicts made of columns are those that are made one by one."""

import copy
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policykit.automata import Found, leftmost_longest
from policykit.automata.columns import inside, leftmost_longest_of, matches, not_contained, stretches
from policykit.ir.document import Join, Mode, Within
from policykit.ir.verdict import Verdict, Violation, Violations
from policykit.text import VIEW_NAMES, view
from policykit.verify import CompiledSearches, Verifier, fired
from policykit.verify.findings import Finding, Findings, Listed, separate_findings, separated
from policykit.verify.units import Seen
from tests.entities.slow import without_contained
from tests.verify.build import phrases, reading, regexes, replacement, rule

spans = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(0, 3)).map(lambda t: Found(t[0], t[0] + t[1], t[2])),
    max_size=12,
)


@settings(deadline=None)
@given(spans)
def test_the_leftmost_longest_of_columns(found: list[Found]) -> None:
    assert list(leftmost_longest_of(matches(found)).found()) == leftmost_longest(found)


@settings(deadline=None)
@given(spans.map(lambda found: [one for one in dict.fromkeys(found) if one.end > one.start]))
def test_stretches_that_no_other_contains(found: list[Found]) -> None:
    expected = without_contained([(one.start, one.end, one.index) for one in found])
    assert [(one.start, one.end, one.index) for one in not_contained(matches(found)).found()] == expected


pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)).map(lambda t: (t[0], t[0] + t[1])), max_size=6)


@settings(deadline=None)
@given(pairs, pairs)
def test_stretches_inside_what_spans_cover(some: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    def covered(start: int, end: int) -> bool:
        """Spans that touch are one: from where one begins they reach as far as the next ones go on."""
        begin = max((a for a, _ in some if a <= start), default=None)
        reach = max((b for a, b in some if a <= start), default=-1) if begin is not None else -1
        while more := [b for a, b in some if a <= reach and b > reach]:
            reach = max(more)
        return begin is not None and end <= reach

    starts, ends = stretches(asked)
    assert inside(some, starts, ends).tolist() == [covered(a, b) for a, b in asked]


@settings(deadline=None)
@given(st.lists(spans, max_size=3))
def test_findings_without_overlaps(parts: list[list[Found]]) -> None:
    listed = [
        Listed(tuple(Finding(((one.start, one.end),), "", f"view {n}", str(one.index), False) for one in part))
        for n, part in enumerate(parts)
    ]
    findings = Findings(listed)
    assert list(findings) == [one for part in listed for one in part.findings]
    assert [findings[i] for i in range(len(findings))] == list(findings)
    separate = separated(findings)
    expected = [(one.start, one.end, one.view, one.matched) for one in separate_findings(findings)]
    assert [separate.place_of(i) for i in range(len(separate))] == expected


TEXTS = st.text('aA\uff41bß\u200b -1"[],\\:%20ﬁ', max_size=24)


def one_by_one(verifier: Verifier, text: str, views: Sequence[str]) -> list[tuple[int, int, str, str, str]]:
    """The violations of rules on plain text from the automata's finds, by the definition: (start, end, view, matched,
    rule)."""
    out: list[tuple[int, int, int, str, str, str]] = []
    for check in verifier.checks:
        leaf = check.rule.matcher
        assert isinstance(leaf, type(phrases("a")) | type(regexes("a")))
        findings: list[Finding] = []
        for name in views:
            seen, offsets = view(name).apply_with_offsets(text)
            for one in CompiledSearches().by_automata(leaf, view(name)).finder.findall(seen):
                place = int(offsets[one.start]), int(offsets[one.end - 1]) + 1
                names = [p.text for p in leaf.phrases] if isinstance(leaf, type(phrases("a"))) else None
                named = names[one.index] if names else leaf.regexes[one.index].source  # type: ignore[union-attr]
                findings.append(Finding((place,), "", name, named, False))
        for found in separate_findings(findings):
            out.append((found.start, found.end, check.order, found.view, found.matched, check.name))
    ordered = sorted(out, key=lambda one: one[:3])
    return [(start, end, on, matched, name) for start, end, _, on, matched, name in ordered]


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.lists(st.sampled_from(VIEW_NAMES), min_size=1, max_size=3, unique=True), st.sampled_from([0, 1_000]))
def test_verdicts_of_columns_are_those_that_are_made_one_by_one(text: str, views: list[str], few: int) -> None:
    read = reading(tuple(views))
    rules = (
        rule("p", phrases("a", "b a", "fi", read=read)),
        rule("r", regexes("a+", "b", "[ab].", read=read)),
        rule("s", phrases("a b", "s", read=read)),
    )
    verifier = Verifier(rules, None, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fired, "FEW", few)
        verdict = verifier.verify(text)
    expected = one_by_one(verifier, text, views)
    assert [(v.start, v.end, v.view, v.matched, v.rule) for v in verdict.violations] == expected
    assert verdict.rules == tuple(dict.fromkeys(name for *_, name in expected))


RULES = (
    rule("p", phrases("a", "b a", read=reading(("raw", "skeleton")))),
    rule("j", phrases("a b", read=reading(within=Within.JSON_STRINGS, join=Join.ARRAY))),
    rule("s", regexes("b"), mode=Mode.SHADOW),
    rule("m", regexes("1+"), replacement("#")),
    rule("n", regexes("z"), severity="low", cost=0.1),
)


@pytest.fixture(params=[0, 1, 1_000])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(fired, "FEW", request.param)
    return request.param


@pytest.mark.parametrize(
    "text", ["", "x", "a", "1 1", "b b", "a 1 b a zz", '["a", "b", "a b"]', '{"a": "b a", "b": 1}']
)
def test_many_violations_are_like_few(text: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(RULES, None, "d")
    verdict = verifier.verify(text)
    assert isinstance(verdict.violations, tuple if len(verdict.violations) <= few else Violations)
    monkeypatch.setattr(fired, "FEW", 1_000)
    expected = verifier.verify(text)
    assert isinstance(expected.violations, tuple)
    same(verdict, expected)


def same(verdict: Verdict, expected: Verdict) -> None:
    """Whatever is done with violations does the same with many."""
    many, few = verdict.violations, expected.violations
    assert verdict == expected
    assert expected == verdict
    assert hash(many) == hash(few)
    assert repr(verdict) == repr(expected)
    assert verdict.rules == expected.rules
    assert verdict.cost == expected.cost == sum(violation.cost for violation in few)
    assert pickle.loads(pickle.dumps(verdict)) == expected
    assert copy.deepcopy(verdict) == expected
    assert list(many) == list(few)
    assert len(many) == len(few)
    assert bool(many) == bool(few)
    assert [many[i] for i in range(-len(few), len(few))] == [few[i] for i in range(-len(few), len(few))]
    assert many[1:] == few[1:]
    assert many[::-1] == few[::-1]
    assert many + few == few + many == (*few, *few)
    assert all(violation in many for violation in few)
    for at in (len(few), -len(few) - 1):
        with pytest.raises(IndexError):
            many[at]
    assert many != (*few, Violation("x", None, None, None, "x", "low", 1.0))
    assert many != [*few]


def test_the_cost_of_many_is_summed_in_their_order() -> None:
    rules = tuple(rule(char, regexes(char), cost=cost) for char, cost in (("a", 0.1), ("b", 0.7), ("c", 1e-9)))
    verdict = Verifier(rules, None, "").verify("".join(np.random.default_rng(1).choice(list("abc"), 2_000)))
    assert isinstance(verdict.violations, Violations)
    assert verdict.cost == sum(violation.cost for violation in verdict.violations)


def test_findings_in_many_units_stand_in_theirs() -> None:
    text = '["a b", "x", "", "b a", "a"]'
    leaf = phrases("a", read=reading(within=Within.JSON_STRINGS))
    verdict = Verifier((rule("r", leaf),), None, "").verify(text)
    assert [text[v.start : v.end] for v in verdict.violations] == ["a", "a", "a"]
    assert isinstance(verdict.violations, tuple)


def test_no_unit_has_no_matches() -> None:
    assert len(CompiledSearches().get(phrases("a"), view("raw")).find_by_automata(Seen(()))) == 0
