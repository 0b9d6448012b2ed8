"""Requirements by hand, and the choice of distinct approvals against brute force."""

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings, strategies as st

from policykit.approvals import Approval, Missing, Reason, Requirement, Satisfied, Why, check
from policykit.diagnostics import PolicyError

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
TWO = Requirement("manager", 2, not_requester=True, ttl_s=900)


def given_by(user: str, nonce: str | None = None, *, role: str = "manager", digest: str = "d", age_s: float = 60,
             left_s: float = 600, **attributes: str) -> Approval:  # fmt: skip
    issued, expires = AT - timedelta(seconds=age_s), AT + timedelta(seconds=left_s)
    return Approval(user, role, digest, issued, expires, nonce or user, tuple(sorted(attributes.items())))


def reasons(found: Satisfied | Missing) -> list[tuple[str | None, Why]]:
    assert isinstance(found, Missing)
    return [(reason.user, reason.why) for reason in found.reasons]


def test_two_people_are_enough() -> None:
    one, two, three = given_by("m1"), given_by("m2"), given_by("m3")
    assert check(TWO, [one, two, three], "u7", "d", AT) == Satisfied((one, two))


CASES = (
    ("one person twice", [given_by("m1", "a"), given_by("m1", "b")], [("m1", Why.NOT_DISTINCT)]),
    ("one person in two spellings", [given_by("M1", "a"), given_by(" ｍ1", "b")], [(" ｍ1", Why.NOT_DISTINCT)]),
    ("one approval twice", [given_by("m1"), given_by("m1")], []),
    ("the requester", [given_by("m1"), given_by("u7")], [("u7", Why.REQUESTER)]),
    ("the requester in capitals", [given_by("m1"), given_by("U7")], [("U7", Why.REQUESTER)]),
    ("another role", [given_by("m1"), given_by("m2", role="clerk")], [("m2", Why.OTHER_ROLE)]),
    ("a role in capitals", [given_by("m1"), given_by("m2", role="Manager")], [("m2", Why.OTHER_ROLE)]),
    ("something else", [given_by("m1"), given_by("m2", digest="e")], [("m2", Why.OTHER_REQUEST)]),
    ("expired", [given_by("m1"), given_by("m2", left_s=0)], [("m2", Why.EXPIRED)]),
    ("older than the requirement lets it be", [given_by("m1"), given_by("m2", age_s=900)], [("m2", Why.EXPIRED)]),
    ("not yet", [given_by("m1"), given_by("m2", age_s=-1)], [("m2", Why.NOT_YET)]),
    ("used", [given_by("m1"), given_by("m2", "old")], [("m2", Why.SPENT)]),
    ("none", [], []),
)


@pytest.mark.parametrize(("name", "approvals", "expected"), CASES, ids=[case[0] for case in CASES])
def test_what_does_not_count_says_why(name: str, approvals, expected) -> None:
    found = check(TWO, approvals, "u7", "d", AT, {"old"})
    assert reasons(found) == [*expected, (None, Why.TOO_FEW)]


def test_the_limits_are_the_last_moments() -> None:
    edge = [given_by("m1", age_s=0), given_by("m2", age_s=899.999, left_s=0.001)]
    assert isinstance(check(TWO, edge, "u7", "d", AT), Satisfied)


@pytest.mark.parametrize("requester", [None, "", "  "])
def test_an_unknown_requester_may_be_anybody(requester: str | None) -> None:
    found = check(TWO, [given_by("m1"), given_by("m2")], requester, "d", AT)
    assert found == Missing((Reason(Why.UNKNOWN_REQUESTER), Reason(Why.TOO_FEW)))
    assert isinstance(check(Requirement("manager"), [given_by("m1")], requester, "d", AT), Satisfied)


def test_people_must_differ_in_the_attribute_too() -> None:
    by_team = Requirement("manager", 2, distinct_by="team")
    a1, a2, b1 = given_by("m1", team="a"), given_by("m2", team="A"), given_by("m3", team="b")
    assert isinstance(check(by_team, [a1, a2], None, "d", AT), Missing)
    assert isinstance(check(by_team, [a1, b1], None, "d", AT), Satisfied)
    same = given_by("m1", "x", team="b")
    assert isinstance(check(by_team, [a1, same], None, "d", AT), Missing), "one person in two teams is one person"
    assert reasons(check(by_team, [a1, given_by("m9")], None, "d", AT))[0] == ("m9", Why.NO_ATTRIBUTE)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pqrst"), st.sampled_from("abcde")), max_size=8), st.integers(1, 5))
def test_as_many_count_as_brute_force_finds(pairs: list[tuple[str, str]], count: int) -> None:
    approvals = [given_by(user, str(i), team=team) for i, (user, team) in enumerate(pairs)]
    possible = any(
        len({user for user, _ in chosen}) == count and len({team for _, team in chosen}) == count
        for chosen in combinations(pairs, count)
    )
    found = check(Requirement("manager", count, distinct_by="team"), approvals, None, "d", AT)
    assert isinstance(found, Satisfied) == possible
    if isinstance(found, Satisfied):
        assert len({a.user for a in found.approvals}) == len({a.attribute("team") for a in found.approvals}) == count


@pytest.mark.parametrize("wrong", [{"role": " "}, {"count": 0}, {"ttl_s": 0}, {"distinct_by": ""}], ids=repr)
def test_an_impossible_requirement_is_refused(wrong) -> None:
    with pytest.raises(PolicyError) as caught:
        Requirement(**{"role": "manager"} | wrong)
    assert caught.value.diagnostics[0].code == "PK085"
