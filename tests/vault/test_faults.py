"""Keys that do not fit, files that are no vaults, damage, locks, and logs that were changed: an error each."""

import base64
import builtins
import json
import sqlite3
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from policykit.vault import (
    AuditBroken,
    CryptographyMissing,
    KeyUnusable,
    NotGranted,
    NoVault,
    UnknownToken,
    Vault,
    VaultDamaged,
    VaultError,
    VaultUnreachable,
    WrongKey,
    key_from_environment,
    key_from_file,
)
from tests.vault.test_vault import ALL, KEY, clock, on_disk

CODES = {
    NotGranted: "PK196", CryptographyMissing: "PK190", KeyUnusable: "PK191", NoVault: "PK192", VaultDamaged: "PK193",
    VaultUnreachable: "PK194", WrongKey: "PK195", UnknownToken: "PK197", AuditBroken: "PK198",
}  # fmt: skip


def fails(kind: type[VaultError], call, match: str | None = None) -> None:
    with pytest.raises(kind, match=match) as caught:
        call()
    assert type(caught.value) is kind
    (found,) = caught.value.diagnostics
    assert found.code == CODES[kind]
    assert found.help


def change(folder: Path, statement: str, *values: object) -> None:
    """Change the file behind the vault's back, as somebody who has the file and not the key."""
    with sqlite3.connect(folder / "v.db") as connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_stays")
        connection.execute("DROP TRIGGER IF EXISTS audit_keeps")
        connection.execute(statement, values)


# -- keys


@pytest.mark.parametrize("write", [bytes, lambda k: k.hex().encode(), lambda k: k.hex().upper().encode() + b"\n",
                                   base64.b64encode, base64.urlsafe_b64encode])  # fmt: skip
def test_a_key_comes_from_a_file_in_several_forms(write, tmp_path: Path) -> None:
    key = bytes(range(222, 254))
    (tmp_path / "key").write_bytes(write(key))
    assert key_from_file(tmp_path / "key") == key
    text = base64.urlsafe_b64encode(key).decode()
    assert key_from_environment("VAULT_KEY", {"VAULT_KEY": text}) == key


@pytest.mark.parametrize("content", [b"", b"secret", b"0" * 63, b"z" * 64, bytes(31), bytes(33), b"\xff" * 40])
def test_what_is_no_key_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    fails(KeyUnusable, lambda: key_from_file(tmp_path / "key"))


def test_a_missing_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    fails(KeyUnusable, lambda: key_from_environment("NO_SUCH_KEY"), "NO_SUCH_KEY")
    fails(KeyUnusable, lambda: key_from_file(tmp_path / "no-key"), "no such file")
    fails(KeyUnusable, lambda: Vault.in_memory(clock=clock, key=b"short"))


def test_another_key_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    on_disk(tmp_path).close()
    fails(WrongKey, lambda: Vault.open(tmp_path / "v.db", bytes(32), clock=clock))
    on_disk(tmp_path).close()


def test_without_cryptography_there_is_no_vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    fails(CryptographyMissing, lambda: Vault.in_memory(clock=clock), r"`cryptography`, which is not installed")


def test_a_value_is_sealed_as_documented(tmp_path: Path) -> None:
    """An independent reading of the file with the primitives: HKDF, AES-256-GCM, and the bound parts."""
    vault = on_disk(tmp_path)
    token = vault.tokenise("acme", "IBAN", "GB29")
    with sqlite3.connect(tmp_path / "v.db") as connection:
        (salt,) = connection.execute("SELECT id FROM header").fetchone()
        (sealed,) = connection.execute("SELECT sealed FROM tokens").fetchone()
    key = HKDF(hashes.SHA256(), 32, salt, b'["policykit/vault/1","values","acme"]').derive(KEY)
    bound = json.dumps(["acme", "IBAN", token], separators=(",", ":")).encode()
    assert AESGCM(key).decrypt(sealed[:12], sealed[12:], bound) == b"GB29"


def test_what_is_not_granted_is_told(tmp_path: Path) -> None:
    vault = on_disk(tmp_path, grants=())
    token = vault.tokenise("a", "K", "v")
    fails(NotGranted, lambda: vault.reveal(token, "a", "refund", "m1"), "`m1` may not reveal `K`")
    fails(UnknownToken, lambda: vault.reveal("[K_1]", "a", "refund", "m1"))


# -- files


def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, " * 100)
    fails(NoVault, lambda: Vault.open(text, KEY, clock=clock), "no SQLite database")
    other = tmp_path / "customers.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = other.read_bytes()
    fails(NoVault, lambda: Vault.open(other, KEY, clock=clock), "another program")
    assert other.read_bytes() == before
    assert text.read_text().startswith("no database")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    on_disk(tmp_path).close()
    change(tmp_path, "PRAGMA user_version = 2")
    fails(NoVault, lambda: on_disk(tmp_path), "format 2")


def test_a_path_out_of_reach_is_an_error(tmp_path: Path) -> None:
    fails(VaultUnreachable, lambda: Vault.open(tmp_path / "no" / "folder.db", KEY, clock=clock))
    fails(VaultUnreachable, lambda: Vault.open(tmp_path, KEY, clock=clock))


def test_an_audit_file_out_of_reach_reveals_nothing(tmp_path: Path) -> None:
    vault = on_disk(tmp_path, audit_file=tmp_path / "no" / "audit.jsonl")
    token = vault.tokenise("a", "K", "v")
    fails(VaultUnreachable, lambda: vault.reveal(token, "a", "refund", "m1"), "copy of the audit log")


def test_a_locked_vault_is_an_error(tmp_path: Path) -> None:
    vault = on_disk(tmp_path, busy_s=0.05)
    token = vault.tokenise("a", "K", "v")
    other = sqlite3.connect(tmp_path / "v.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    fails(VaultUnreachable, lambda: vault.tokenise("a", "K", "new"), "locked")
    fails(VaultUnreachable, lambda: vault.reveal(token, "a", "refund", "m1"), "locked")
    assert vault.tokenise("a", "K", "v") == token, "readers do not wait for writers"
    other.execute("ROLLBACK")
    other.close()
    assert vault.reveal(token, "a", "refund", "m1") == "v"


def test_overwritten_pages_are_damage(tmp_path: Path) -> None:
    with on_disk(tmp_path) as vault:
        for i in range(200):
            vault.tokenise("a", "K", f"value {i}")
    data = bytearray((tmp_path / "v.db").read_bytes())
    data[8192:] = b"\x55" * (len(data) - 8192)
    (tmp_path / "v.db").write_bytes(data)
    with pytest.raises(VaultError) as caught, on_disk(tmp_path) as vault:
        vault.tokenise("a", "K", "value 7")
    assert caught.value.diagnostics[0].code == "PK193"


@pytest.mark.parametrize("table", ["tokens", "audit", "header"])
def test_a_missing_table_is_damage(table: str, tmp_path: Path) -> None:
    on_disk(tmp_path).close()
    change(tmp_path, f"DROP TABLE {table}")
    fails(VaultDamaged, lambda: on_disk(tmp_path))


@pytest.mark.parametrize("statement", [
    "UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE number = 2) WHERE number = 1",
    "UPDATE tokens SET sealed = x'00' WHERE number = 1",
    "UPDATE tokens SET sealed = substr(sealed, 1, 20) WHERE number = 1",
    "UPDATE tokens SET kind = 'L' WHERE number = 1",
])  # fmt: skip
def test_a_value_that_was_moved_or_changed_is_damage(statement: str, tmp_path: Path) -> None:
    vault = on_disk(tmp_path)
    token, _ = vault.tokenise("a", "K", "v"), vault.tokenise("a", "K", "w")
    change(tmp_path, statement)
    fails(VaultDamaged, lambda: vault.reveal(token, "a", "refund", "m1"))
    fails(VaultDamaged, lambda: vault.unmask(f"x {token}", "a", "refund", "m1"))
    fails(VaultDamaged, lambda: vault.tokenise("a", "K", "v"))
    assert vault.audit() == ()


def test_a_value_moved_to_another_tenant_is_damage(tmp_path: Path) -> None:
    vault = on_disk(tmp_path)
    token = vault.tokenise("acme", "K", "v")
    change(tmp_path, "UPDATE tokens SET tenant = 'bolt'")
    fails(VaultDamaged, lambda: vault.reveal(token, "bolt", "refund", "m1"))


def test_exchanged_lookups_are_damage(tmp_path: Path) -> None:
    vault = on_disk(tmp_path)
    vault.tokenise("a", "K", "v")
    vault.tokenise("a", "K", "w")
    with sqlite3.connect(tmp_path / "v.db") as connection:
        one, two = (row[0] for row in connection.execute("SELECT lookup FROM tokens ORDER BY number"))
        connection.execute("UPDATE tokens SET lookup = x'00' WHERE number = 1")
        connection.execute("UPDATE tokens SET lookup = ? WHERE number = 2", (one,))
        connection.execute("UPDATE tokens SET lookup = ? WHERE number = 1", (two,))
    fails(VaultDamaged, lambda: vault.tokenise("a", "K", "v"))


@pytest.mark.parametrize("statement", ["UPDATE header SET nonce = 'b2b2b2'", "UPDATE header SET id = x'00'"])
def test_a_changed_header_is_refused(statement: str, tmp_path: Path) -> None:
    on_disk(tmp_path).close()
    change(tmp_path, statement)
    fails(WrongKey, lambda: on_disk(tmp_path))


def test_a_lost_header_is_damage(tmp_path: Path) -> None:
    with on_disk(tmp_path) as vault:
        vault.tokenise("a", "K", "v")
    change(tmp_path, "DELETE FROM header")
    fails(VaultDamaged, lambda: on_disk(tmp_path), "header")


# -- the audit log


@pytest.fixture
def logged(tmp_path: Path) -> Vault:
    vault = on_disk(tmp_path, grants=(ALL,), audit_file=tmp_path / "audit.jsonl")
    token = vault.tokenise("a", "K", "v")
    for actor in ("m1", "m2", "m3"):
        vault.reveal(token, "a", "refund", actor)
    return vault


def test_a_log_as_it_was_written_verifies(logged: Vault, tmp_path: Path) -> None:
    head = logged.verify_audit()
    assert head.sequence == 3
    logged.unmask(logged.tokenise("a", "K", "v"), "a", "refund", "m4")
    assert logged.verify_audit(since=head).sequence == 4


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET line = replace(line, 'm2', 'm9') WHERE sequence = 2",
    "UPDATE audit SET seal = x'00' WHERE sequence = 2",
    "DELETE FROM audit WHERE sequence = 2",
    "DELETE FROM audit WHERE sequence = 1",
    "DELETE FROM audit WHERE sequence = 3",
    "INSERT INTO audit SELECT 4, line, seal FROM audit WHERE sequence = 3",
    "UPDATE audit SET sequence = 9 WHERE sequence = 3",
])  # fmt: skip
def test_a_changed_log_is_noticed(statement: str, logged: Vault, tmp_path: Path) -> None:
    head = logged.verify_audit()
    change(tmp_path, statement)
    fails(AuditBroken, lambda: logged.verify_audit())
    fails(AuditBroken, lambda: logged.verify_audit(since=head))


def test_a_shortened_log_and_copy_are_noticed_by_a_kept_head(logged: Vault, tmp_path: Path) -> None:
    head = logged.verify_audit()
    change(tmp_path, "DELETE FROM audit WHERE sequence = 3")
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(f"{line}\n" for line in file.read_text().splitlines()[:2]))
    assert logged.verify_audit().sequence == 2
    fails(AuditBroken, lambda: logged.verify_audit(since=head), "no longer holds line 3")


def test_the_log_cannot_be_changed_by_the_way(logged: Vault, tmp_path: Path) -> None:
    for statement in ("UPDATE audit SET line = ''", "DELETE FROM audit"):
        with (
            sqlite3.connect(tmp_path / "v.db") as connection,
            pytest.raises(sqlite3.IntegrityError, match="only grows"),
        ):
            connection.execute(statement)


@pytest.mark.parametrize("edit", [
    lambda lines: lines[:2], lambda lines: lines[1:], lambda lines: [lines[0], lines[2]], lambda lines: lines[::-1],
    lambda lines: [*lines, "x"], lambda lines: [lines[0].replace("m1", "m7"), *lines[1:]], lambda lines: [],
    lambda lines: [lines[0][:-5] + '0000"}', *lines[1:]],
])  # fmt: skip
def test_a_changed_copy_is_noticed(edit, logged: Vault, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in edit(lines)))
    fails(AuditBroken, lambda: logged.verify_audit())


def test_the_copy_catches_up_after_a_crash(logged: Vault, tmp_path: Path) -> None:
    """A process that dies after committing leaves a copy that lacks lines, or that has half of one."""
    file = tmp_path / "audit.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    for rest in ("", lines[1][:40]):
        file.write_text(lines[0] + rest)
        fails(AuditBroken, lambda: logged.verify_audit(), "line 2 of")
        logged.reveal(logged.tokenise("a", "K", "v"), "a", "refund", "m9")
        assert file.read_text().startswith("".join(lines))
        logged.verify_audit()


def test_a_copy_that_is_another_file_reveals_nothing(logged: Vault, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text("notes\n")
    fails(AuditBroken, lambda: logged.reveal(logged.tokenise("a", "K", "v"), "a", "refund", "m9"), "last line")


def test_a_lost_copy_is_noticed(logged: Vault, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").unlink()
    fails(AuditBroken, lambda: logged.verify_audit(), "cannot be read")
