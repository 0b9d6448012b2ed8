"""Keys: files, grants, and what may be selected with one."""

import hashlib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import PolicyError
from policykit.profiles import (
    Admin,
    Grant,
    Keyring,
    ProfileSet,
    Refused,
    check_keys,
    load_keys,
    load_profiles,
    new_key,
    select,
)
from tests.profiles.case import KEYS, PROFILE, SHA_A, SHA_B, Case, expected_place, write_profile

CASES = (
    Case("unknown field", "PK020", "tenant: acme-1", "«tenat»: acme-1, tenant: acme-1", "did you mean `tenant`?"),
    Case("a key itself", "PK614", SHA_A, "«pk-secret»", "policykit keys new"),
    Case("a digest that is too short", "PK614", SHA_A, f"«{SHA_A[:63]}»", "policykit keys new"),
    Case("an id twice", "PK613", "id: acme-old", "id: «acme-web»", "rename one"),
    Case("an id of an admin", "PK613", "id: ops", "id: «acme-web»", "rename one"),
    Case("a key twice", "PK613", SHA_B, f"«{SHA_A.upper()}»", "a key of its own"),
    Case("a default that is not granted", "PK612", "default: retail", "default: «retial»", "did you mean `retail`?"),
    Case("no default of two", "PK612", "profiles: [retail, other], default: retail",
         "«profiles»: [retail, other]", "`default: ...`"),
    Case("no such day", "PK027", "2026-01-01", "«2026-02-30»", "YYYY-MM-DD"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_told_at_its_place(case: Case, tmp_path: Path) -> None:
    marked = case.marked(KEYS)
    text = marked.replace("«", "").replace("»", "")
    path = tmp_path / "x.keys.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError) as caught:
        load_keys(path)
    (found,) = caught.value.diagnostics
    assert found.code == case.code, str(caught.value)
    assert case.help in (found.help or "")
    line, column, underlined = expected_place(marked)
    assert found.place is not None
    assert (found.place.line, found.place.column) == (line, column)
    assert text.split("\n")[line - 1][column - 1 : found.place.end_column - 1] == underlined


def ring(folder: Path, text: str = KEYS) -> Keyring:
    path = folder / "x.keys.yaml"
    path.write_text(text)
    return load_keys(path)


def test_a_key_is_known_by_its_digest(tmp_path: Path) -> None:
    key = new_key()
    digest = hashlib.sha256(key.encode()).hexdigest()
    keyring = ring(tmp_path, KEYS.replace(SHA_A, digest.upper()))
    grant = keyring.grant(key)
    assert grant is not None
    assert (grant.key_id, grant.tenant, grant.profiles, grant.default) == (
        "acme-web",
        "acme-1",
        ("retail", "other"),
        "retail",
    )
    assert [keyring.grant(other) for other in (key[:-1], digest, "", new_key(), "\ud800")] == [None] * 5
    assert keyring.admin(key) is None
    assert key not in (tmp_path / "x.keys.yaml").read_text()


def test_a_key_expires_on_its_day(tmp_path: Path) -> None:
    keyring = ring(tmp_path, KEYS.replace(SHA_B, hashlib.sha256(b"old").hexdigest()))
    assert [keyring.grant("old", date(2025, 12, 31)) is None, keyring.grant("old", date(2026, 1, 1)) is None] == [
        False,
        True,
    ]


def test_an_operators_key_is_no_clients(tmp_path: Path) -> None:
    keyring = ring(tmp_path, KEYS.replace("c" * 64, hashlib.sha256(b"ops").hexdigest()))
    assert keyring.admin("ops") == Admin("ops")
    assert keyring.grant("ops") is None


def test_keys_are_not_in_the_rings_text(tmp_path: Path) -> None:
    assert "_secret" not in repr(ring(tmp_path))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.text("ab", min_size=1, max_size=3), max_size=20), st.text(max_size=8))
def test_exactly_the_known_keys_are_found(keys: dict[str, str], asked: str) -> None:
    grants = {
        hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest(): Grant(name, "t", ("p",), "p")
        for key, name in keys.items()
    }
    keyring = Keyring(grants)
    for key in (*keys, asked):
        found = keyring.grant(key)
        assert (found and found.key_id) == keys.get(key)


@pytest.fixture
def profiles(tmp_path: Path) -> ProfileSet:
    write_profile(tmp_path, PROFILE.replace("task: answer", "task: answer\nmodel: llama"))
    for name in ("other", "hidden"):
        (tmp_path / f"{name}.profile.yaml").write_text(PROFILE.replace("name: retail", f"name: {name}"))
    for path in (tmp_path / "promises.policy.yaml", tmp_path / "more" / "b.policy.yaml"):
        path.write_text(path.read_text().replace("[retail, other]", "['*']"))
    return load_profiles(tmp_path)


GRANT = Grant("k", "acme-1", ("retail", "other"), "retail")


@pytest.mark.parametrize(
    ("model", "header", "expected"),
    [
        (None, None, "retail"),
        ("", "", "retail"),
        ("llama", None, "retail"),
        ("profile:other", None, "other"),
        (None, "other", "other"),
        ("profile:other", "other", "other"),
        ("served", "other", "other"),  # names no model: the one that is served
        ("llama", "other", None),
        ("profile:other", "retail", None),
        ("profile:hidden", None, None),
        (None, "hidden", None),
        ("profile:none", None, None),
        ("profile:", None, None),
        ("other", None, None),
        ("gpt", None, None),
        ("served", None, None),  # the default names another
    ],
)
def test_nothing_outside_the_grant_can_be_selected(
    model: str | None, header: str | None, expected: str | None, profiles: ProfileSet
) -> None:
    if expected is None:
        with pytest.raises(Refused) as caught:
            select(profiles, GRANT, model, header, "served")
        assert caught.value.status == 403
        assert "hidden" not in caught.value.message or "hidden" in (model or "") + (header or "")
    else:
        assert select(profiles, GRANT, model, header, "served").name == expected


def test_a_profile_that_is_not_for_the_tenant_is_refused(profiles: ProfileSet) -> None:
    with pytest.raises(Refused):
        select(profiles, Grant("k", "stranger", ("retail",), "retail"))


def test_grants_are_checked_against_the_profiles(tmp_path: Path, profiles: ProfileSet) -> None:
    text = KEYS.replace("[retail, other]", "[retail, othre]").replace("tenant: other", "tenant: stranger")
    found = check_keys(ring(tmp_path, text), profiles)
    assert [(d.code, d.place and d.place.line) for d in found] == [("PK610", 4), ("PK611", 5)]
    assert found[0].help == "did you mean `other`?"
    assert check_keys(ring(tmp_path), profiles) == ()


def test_key_files_of_a_folder_are_one_ring(tmp_path: Path) -> None:
    (tmp_path / "a.keys.yaml").write_text(KEYS)
    (tmp_path / "b.keys.yaml").write_text(
        KEYS.replace("acme-", "b-")
        .replace("ops", "b-ops")
        .replace("0123", "4567")
        .replace("a" * 64, "b" * 64)
        .replace("c" * 64, "d" * 64)
    )
    assert len(load_keys(tmp_path).grants) == 4
    (tmp_path / "b.keys.yml").write_text(KEYS)
    with pytest.raises(PolicyError) as caught:
        load_keys(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["PK601"]
