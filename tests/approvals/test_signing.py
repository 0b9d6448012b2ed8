"""Approvals are signed, and whatever is changed afterwards shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings, strategies as st

from policykit.approvals import Approval, SignedApproval, issue, parse, verify
from policykit.diagnostics import PolicyError

KEYS = {"managers": b"m" * 32, "others": b"o" * 32}
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
SIGNED = issue(
    KEYS, "managers", user="m1", role="manager", digest="sha256:1", at=AT, ttl_s=900, attributes={"team": "a"}
)


def code_of(call) -> str:
    with pytest.raises(PolicyError) as caught:
        call()
    return caught.value.diagnostics[0].code


def test_what_was_issued_verifies() -> None:
    approval = verify(SIGNED, KEYS)
    assert (approval.user, approval.role, approval.digest) == ("m1", "manager", "sha256:1")
    assert (approval.issued_at, approval.expires_at) == (AT, AT + timedelta(minutes=15))
    assert (approval.attribute("team"), approval.attribute("user"), approval.attribute("site")) == ("a", "m1", None)


def test_every_approval_has_a_nonce_of_its_own() -> None:
    again = issue(KEYS, "managers", user="m1", role="manager", digest="sha256:1", at=AT, ttl_s=900)
    assert again.approval.nonce != SIGNED.approval.nonce


CHANGES = (
    {"user": "m2"}, {"role": "director"}, {"digest": "sha256:2"}, {"issued_at": AT - timedelta(seconds=1)},
    {"expires_at": AT + timedelta(days=1)}, {"nonce": "other"}, {"attributes": (("team", "b"),)}, {"attributes": ()},
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_changed_approval_is_forged(change) -> None:
    forged = replace(SIGNED, approval=replace(SIGNED.approval, **change))
    assert code_of(lambda: verify(forged, KEYS)) == "PK081"


def test_another_key_s_name_is_forged() -> None:
    assert code_of(lambda: verify(replace(SIGNED, key_name="others"), KEYS)) == "PK081"
    assert code_of(lambda: verify(SIGNED, KEYS | {"managers": b"x" * 32})) == "PK081"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 255), st.integers(0, 31))
def test_a_changed_signature_is_forged(mask: int, at: int) -> None:
    changed = bytearray(SIGNED.signature)
    changed[at] ^= mask
    signed = replace(SIGNED, signature=bytes(changed))
    if mask:
        assert code_of(lambda: verify(signed, KEYS)) == "PK081"


@pytest.mark.parametrize("keys", [{}, {"managers": b"short"}])
def test_without_a_usable_key_nothing_is_issued_or_verified(keys) -> None:
    assert code_of(lambda: verify(SIGNED, keys)) == "PK083"
    made = {"user": "a", "role": "b", "digest": "c", "at": AT, "ttl_s": 1}
    assert code_of(lambda: issue(keys, "managers", **made)) == "PK083"


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=200, deadline=None)
@given(NAMES, NAMES, st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
       st.integers(1, 10**7), st.dictionaries(NAMES, NAMES, max_size=2))  # fmt: skip
def test_parsing_undoes_rendering(user: str, role: str, at: datetime, ttl_s: int, attributes: dict[str, str]) -> None:
    signed = issue(KEYS, "others", user=user, role=role, digest="d", at=at, ttl_s=ttl_s, attributes=attributes)
    read = parse(signed.render())
    assert read == signed
    assert verify(read, KEYS) == signed.approval


def test_a_time_is_the_same_time_in_every_zone() -> None:
    zone = timezone(timedelta(hours=-7))
    moved = replace(SIGNED.approval, issued_at=AT.astimezone(zone))
    assert verify(replace(SIGNED, approval=moved), KEYS) == moved


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.hex() + "." + data.hex()))
def test_any_text_is_refused_and_never_a_crash(text: str) -> None:
    assert code_of(lambda: parse(text)) == "PK082"


@pytest.mark.parametrize("at", [0, 10, 40, -2])
def test_a_rendered_approval_that_was_changed_is_refused(at: int) -> None:
    text = SIGNED.render()
    other = "0" if text[at] != "0" else "1"
    changed = text[:at] + other + text[at:][1:]
    assert code_of(lambda: verify(parse(changed), KEYS)) in ("PK081", "PK082", "PK083")


BROKEN = (
    {"user": " "}, {"role": ""}, {"nonce": ""}, {"digest": ""}, {"user": "\ud800"}, {"expires_at": AT},
    {"issued_at": AT.replace(tzinfo=None)}, {"issued_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23)))},
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
def test_impossible_approvals_are_refused(broken) -> None:
    good = {"user": "a", "role": "b", "digest": "c", "issued_at": AT, "expires_at": AT + timedelta(1), "nonce": "n"}
    Approval(**good)
    assert code_of(lambda: Approval(**good | broken)) == "PK082"


def test_a_signature_says_nothing_about_another_approval() -> None:
    other = issue(KEYS, "managers", user="m2", role="manager", digest="sha256:1", at=AT, ttl_s=900)
    assert code_of(lambda: verify(SignedApproval(other.approval, "managers", SIGNED.signature), KEYS)) == "PK081"
