"""Verifying: whatever was done to a bundle after it was signed is refused, with its own code."""

import json
import os
import random
import tarfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.bundle import build, generate, load_public, open_bundle, sign
from policykit.bundle.archive import MAX_BYTES
from policykit.diagnostics import PolicyError
from tests.bundle.conftest import Signed
from tests.bundle.making import rewritten, tar, write

Members = dict[str, bytes]
POLICY = "content/policies/promises.policy.yaml"
MANIFEST = "policykit-bundle.json"


def refused(path: Path, *trusted: Any, **more: Any) -> set[str]:
    with pytest.raises(PolicyError) as caught:
        open_bundle(path, trusted, **more)
    return {diagnostic.code for diagnostic in caught.value.diagnostics}


def test_a_signed_bundle_opens(signed: Signed) -> None:
    opened = open_bundle(signed.file(), [signed.other, signed.key])
    assert opened.signers == (signed.key,)
    assert opened.profiles.names == ("retail",)


def test_an_unsigned_one_opens_only_where_nothing_is_required(signed: Signed) -> None:
    path = signed.file(build([signed.folder / "source"], 7).bundle.render())
    assert refused(path, signed.key) == {"PK649"}
    assert open_bundle(path, required=False).revision == "7"


def test_another_key_and_no_key_count_for_nothing(signed: Signed) -> None:
    assert refused(signed.file(), signed.other) == {"PK649"}
    assert refused(signed.file()) == {"PK649"}


def test_several_signers(signed: Signed) -> None:
    both = signed.bundle.signed_by(signed.other_private)
    assert open_bundle(signed.file(both.render()), [signed.key, signed.other], 2).signers == (signed.key, signed.other)
    assert both.signed_by(signed.other_private).render() == both.render()
    assert refused(signed.file(), signed.key, signed.other, required=2) == {"PK649"}
    assert refused(signed.file(), signed.key, signed.key, required=2) == {"PK649"}
    swapped = signed.folder / "b.bundle"
    swapped.write_bytes(build([signed.folder / "source"], 7).bundle.render())
    detached = [sign(signed.bundle.manifest.render(), key) for key in (signed.private, signed.other_private)]
    assert open_bundle(swapped, [signed.key, signed.other], 2, detached=detached).digest == both.manifest.digest


def test_a_signature_of_another_bundle_is_wrong(signed: Signed) -> None:
    other = build([signed.folder / "source"], 8).bundle
    detached = [sign(other.manifest.render(), signed.private)]
    assert refused(signed.file(), signed.key, detached=detached) == {"PK650"}
    moved = rewritten(other.render(), lambda m: m.update(_signatures(signed)))
    assert refused(signed.file(moved), signed.key) == {"PK650"}


def _signatures(signed: Signed) -> Members:
    return {f"signatures/{signed.key.id}.json": signed.bundle.signatures[0].render()}


def test_revision_and_expiry(signed: Signed) -> None:
    path = signed.file()
    assert open_bundle(path, [signed.key], min_revision=7).revision == "7"
    assert refused(path, signed.key, min_revision=8) == {"PK651"}
    expiring = build([signed.folder / "source"], 7, expires=date(2026, 5, 1)).bundle.signed_by(signed.private)
    path = signed.file(expiring.render())
    assert open_bundle(path, [signed.key], at=date(2026, 4, 30)).revision == "7"
    assert refused(path, signed.key, at=date(2026, 5, 1)) == {"PK652"}


def _add(name: str) -> Callable[[Members], None]:
    return lambda members: members.update({name: b"x"})


def _renamed_manifest(**changes: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        content = json.loads(members[MANIFEST]) | changes
        members[MANIFEST] = (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda m: m.update({POLICY: m[POLICY].replace(b"high", b"low ")}), "PK645", id="altered"),
        pytest.param(_add("content/policies/more.policy.yaml"), "PK646", id="one more"),
        pytest.param(_add("aside.txt"), "PK646", id="one more, outside the content"),
        pytest.param(lambda m: m.pop(POLICY), "PK647", id="missing"),
        pytest.param(lambda m: m.pop(MANIFEST), "PK647", id="no manifest"),
        pytest.param(_add("content/../../x.csv"), "PK642", id="traversal"),
        pytest.param(_add("/etc/x.csv"), "PK642", id="absolute"),
        pytest.param(_add("C:/x.csv"), "PK642", id="a drive"),
        pytest.param(_add("content/a\\..\\x.csv"), "PK642", id="backslashes"),
        pytest.param(_add("content/con. "), "PK642", id="a name that is cut elsewhere"),
        pytest.param(_add(POLICY.upper()), "PK644", id="differs in case"),
        pytest.param(lambda m: m.update({MANIFEST: b"{}"}), "PK648", id="empty manifest"),
        pytest.param(lambda m: m.update({MANIFEST: b"[" * 100_000}), "PK648", id="deep manifest"),
        pytest.param(lambda m: m.update({MANIFEST: m[MANIFEST] + b"\n"}), "PK648", id="manifest with a space"),
        pytest.param(_renamed_manifest(format=2), "PK648", id="another format"),
        pytest.param(_renamed_manifest(more=1), "PK648", id="another field"),
        pytest.param(_renamed_manifest(revision=99), "PK650", id="another revision"),
        pytest.param(_renamed_manifest(expires="2099-01-01"), "PK650", id="another expiry"),
        pytest.param(_add("signatures/x.json"), "PK650", id="no signature"),
    ],
)
def test_what_was_changed_after_signing_is_refused(
    signed: Signed, change: Callable[[Members], None], code: str
) -> None:
    assert refused(signed.file(rewritten(signed.data, change)), signed.key) == {code}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_only_files_are_read(signed: Signed, kind: bytes) -> None:
    assert refused(signed.file(tar([("content/x", b"", kind)])), required=False) == {"PK643"}


def test_a_name_twice(signed: Signed) -> None:
    twice = [("content/x.csv", b"a", tarfile.REGTYPE), ("content/x.csv", b"b", tarfile.REGTYPE)]
    assert refused(signed.file(tar(twice)), required=False) == {"PK644"}


def test_too_much(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    with (signed.folder / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert refused(signed.folder / "large", required=False) == {"PK641"}
    monkeypatch.setattr("policykit.bundle.archive.MAX_FILES", 3)
    assert refused(signed.file(), signed.key) == {"PK641"}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x1f\x8b" + bytes(600), bytes(1024), b"x" * 5000])
def test_other_files_are_no_bundles(signed: Signed, data: bytes) -> None:
    assert refused(signed.file(data), required=False) <= {"PK640", "PK647"}


def test_another_order_or_trailing_bytes_are_refused(signed: Signed) -> None:
    def reorder(members: Members) -> None:
        members[POLICY] = members.pop(POLICY)

    assert refused(signed.file(rewritten(signed.data, reorder)), signed.key) == {"PK640"}
    assert refused(signed.file(signed.data + b"\0"), signed.key) == {"PK640"}
    assert refused(signed.file(signed.data[:-1]), signed.key) == {"PK640"}
    assert refused(signed.folder / "missing.bundle", signed.key) == {"PK640"}


def test_content_that_means_something_else_is_refused(signed: Signed) -> None:
    manifest = json.loads(signed.bundle.manifest.render())
    policies = manifest["policies"] | {"digest": "sha256:" + "0" * 64}
    data = rewritten(build([signed.folder / "source"], 7).bundle.render(), _renamed_manifest(policies=policies))
    assert refused(signed.file(data), required=False) == {"PK653"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.randoms(use_true_random=False), bits=st.integers(1, 255))
def test_any_other_byte_is_refused(signed: Signed, where: random.Random, bits: int) -> None:
    """One signer of two that are trusted, so that a broken signature is not saved by the other."""
    data = bytearray(signed.bundle.signed_by(signed.other_private).render())
    data[where.randrange(len(data))] ^= bits
    assert refused(signed.file(bytes(data)), signed.key, signed.other)


def test_any_other_byte_of_the_heads_and_the_signature_is_refused(signed: Signed) -> None:
    """Bytes of the first head, of the signature and of the end; bits in turn."""
    for at in (*range(0, 512, 2), *range(len(signed.data) - 2048, len(signed.data), 9)):
        data = bytearray(signed.data)
        data[at] ^= 1 << at % 8
        assert refused(signed.file(bytes(data)), signed.key)


def test_keys(signed: Signed, tmp_path: Path) -> None:
    if os.name == "posix":
        assert signed.private.stat().st_mode & 0o777 == 0o600
        signed.private.chmod(0o640)
        assert _key_refused(lambda: signed.bundle.signed_by(signed.private)) == "PK654"
        signed.private.chmod(0o600)
    before = signed.private.read_bytes()
    assert _key_refused(lambda: generate(signed.private)) == "PK654"
    assert signed.private.read_bytes() == before
    assert load_public(tmp_path / "key.pub") == signed.key
    assert _key_refused(lambda: load_public(signed.private)) == "PK654"
    assert _key_refused(lambda: load_public(tmp_path / "nothing")) == "PK654"
    (tmp_path / "key.pub").chmod(0o600)
    assert _key_refused(lambda: signed.bundle.signed_by(tmp_path / "key.pub")) == "PK654"


def test_keys_of_another_kind(signed: Signed, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec").write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    (tmp_path / "ec").chmod(0o600)
    (tmp_path / "ec.pub").write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )
    assert _key_refused(lambda: signed.bundle.signed_by(tmp_path / "ec")) == "PK654"
    assert _key_refused(lambda: load_public(tmp_path / "ec.pub")) == "PK654"


def _key_refused(what: Callable[[], object]) -> str:
    with pytest.raises(PolicyError) as caught:
        what()
    return caught.value.diagnostics[0].code


def test_the_signature_is_what_another_implementation_verifies(signed: Signed) -> None:
    """`openssl` on the command line, where it is older than Ed25519's one-shot mode, is not used: `cryptography`'s own
    parser of the key file and the message put together by hand."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key: Any = load_pem_public_key((signed.folder / "key.pub").read_bytes())
    message = b"policykit bundle manifest 1\n" + signed.bundle.manifest.render()
    key.verify(signed.bundle.signatures[0].signature, message)


def test_without_the_package_no_signature_is_made_or_taken(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    assert refused(signed.file(), signed.key) == {"PK657"}


def test_nothing_is_left_on_the_disk(signed: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(aside))
    open_bundle(signed.file(), [signed.key])
    assert list(aside.iterdir()) == []
    assert write(tmp_path / "again").exists()
