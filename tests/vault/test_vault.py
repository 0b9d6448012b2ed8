"""Vaults: what goes in comes out, for the tenant and the purpose that it may, and from nowhere else."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.vault import Grant, NotGranted, UnknownToken, UnusableTemplate, Vault, VaultUnreachable

KEY = bytes(range(32))
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALL = Grant("refund", ("*",))


def clock() -> datetime:
    return NOON


def in_memory(*grants: Grant) -> Vault:
    return Vault.in_memory(clock=clock, grants=grants or (ALL,))


def on_disk(folder: Path, **more) -> Vault:
    return Vault.open(folder / "v.db", KEY, clock=clock, **{"grants": (ALL,)} | more)


def test_a_token_has_label_nonce_and_number() -> None:
    vault = in_memory()
    assert vault.tokenise("acme", "IBAN", "GB29") == f"[IBAN_{vault.nonce}_1]"
    assert vault.tokenise("acme", "EMAIL", "a@b.c") == f"[EMAIL_{vault.nonce}_2]"
    assert vault.tokenise("acme", "IBAN", "GB29") == f"[IBAN_{vault.nonce}_1]"
    assert vault.tokenise("acme", "IBAN", "x", template="<{n}:{type}>") == f"<{vault.nonce}_3:IBAN>"


def test_equal_values_of_two_tenants_share_nothing() -> None:
    vault = in_memory()
    one, two = vault.tokenise("acme", "IBAN", "GB29"), vault.tokenise("bolt", "IBAN", "GB29")
    assert one != two
    assert vault.reveal(one, "acme", "refund", "m1") == "GB29"
    with pytest.raises(UnknownToken):
        vault.reveal(one, "bolt", "refund", "m1")
    assert vault.unmask(f"{one} {two}", "bolt", "refund", "m1") == f"{one} GB29"


def test_two_vaults_know_nothing_of_each_other() -> None:
    one, two = in_memory(), in_memory()
    token = one.tokenise("acme", "IBAN", "GB29")
    assert two.unmask(token, "acme", "refund", "m1") == token
    with pytest.raises(UnknownToken):
        two.reveal(token, "acme", "refund", "m1")


@pytest.mark.parametrize("around", ["[IBAN_1]", "[IBAN_{nonce}_2]", "[IBAN_{nonce}_01]", "IBAN_{nonce}_1]", "{nonce}_1",
                                    "[EMAIL_{nonce}_1]", "[IBAN_{nonce}_1", "[IBAN_{nonce}_11]", "[iban_{nonce}_1]",
                                    "[IBAN_{nonce}_99999999999999999999]"])  # fmt: skip
def test_what_looks_like_a_token_survives(around: str) -> None:
    vault = in_memory()
    token = vault.tokenise("acme", "IBAN", "GB29")
    looks_like = around.replace("{nonce}", vault.nonce)
    assert vault.unmask(f"{looks_like}{token}{looks_like}", "acme", "refund", "m1") == f"{looks_like}GB29{looks_like}"


def test_values_are_spelled_as_json_where_the_text_is_json() -> None:
    vault = in_memory()
    token = vault.tokenise("acme", "NAME", 'a "b"\n\\')
    text = json.dumps({"name": f"Dr {token}"})
    assert json.loads(vault.unmask(text, "acme", "refund", "m1", as_json=True)) == {"name": 'Dr a "b"\n\\'}


@pytest.mark.parametrize(
    "template", ["{n}", "[{type}]", "[{n}{n}]", "{type}_{n}]", "[{n}", '["{n}"]', "[\\{n}]", "[\n{n}]"]
)
def test_a_template_whose_tokens_would_be_lost_is_refused(template: str) -> None:
    with pytest.raises(UnusableTemplate):
        in_memory().tokenise("acme", "IBAN", "x", template=template)


@pytest.mark.parametrize("kind", ["", "a b", "1A", "[X]"])
def test_a_kind_is_a_word(kind: str) -> None:
    with pytest.raises(UnusableTemplate):
        in_memory().tokenise("acme", kind, "x")


# -- law 9

NONCE = "\0"  # stands for the vault's nonce, which no generator can know
PIECES = st.sampled_from(["4111", "GB29", "é", "[IBAN_1]", f"[IBAN_{NONCE}_", f"{NONCE}_1", f"{NONCE}_2]", "]", "[",
                          "_", "1", "0", " ", "[IBAN_", f"[IBAN_{NONCE}_1]", f"[IBAN_{NONCE}_3]", "\u200b",
                          "😀"])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)
VALUES = ("4111", "GB29", "é")


def mask(vault: Vault, text: str, tenant: str = "acme", template: str = "[{type}_{n}]") -> str:
    """Every value replaced, by plain search: no part of the package but the vault."""
    out, at = "", 0
    while at < len(text):
        value = next((v for v in VALUES if text.startswith(v, at)), None)
        out += vault.tokenise(tenant, "IBAN", value, template=template, avoid=text) if value else text[at]
        at += len(value or text[at])
    return out


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(["[{type}_{n}]", "<{n}>", "|{type}{n}|", "«{n}»"]))
def test_unmasking_undoes_masking(text: str, template: str) -> None:
    """For texts that hold no token yet: also those that guess the nonce and the next numbers."""
    with in_memory() as vault:
        text = text.replace(NONCE, vault.nonce)
        assert vault.unmask(mask(vault, text, template=template), "acme", "refund", "m1") == text


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_masking_again_changes_nothing(texts: list[str]) -> None:
    with in_memory() as vault:
        masked = [mask(vault, text.replace(NONCE, "")) for text in texts]
        for text in masked:
            assert mask(vault, text) == text
        for text, original in zip(masked, texts, strict=True):
            assert vault.unmask(text, "acme", "refund", "m1") == original.replace(NONCE, "")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.sampled_from("KL"), st.text(max_size=6)), st.none(), max_size=12
    )
)
def test_tokens_are_a_function_and_distinct(values) -> None:
    with in_memory() as vault:
        tokens = {value: vault.tokenise(*value) for value in values}
        assert len(set(tokens.values())) == len(tokens)
        for (tenant, kind, value), token in tokens.items():
            assert vault.tokenise(tenant, kind, value) == token
            assert vault.reveal(token, tenant, "refund", "x") == value
            assert vault.marks(f"a {token}b", tenant) == ((2, 2 + len(token)),)
            assert vault.marks(token, tenant + "x") == ()


# -- grants


SUPPORT = Grant("refund", ("m1", "m2"), tenants=("acme",), kinds=("IBAN",))


@pytest.mark.parametrize(("tenant", "kind", "purpose", "actor", "granted"), [
    ("acme", "IBAN", "refund", "m1", True), ("acme", "IBAN", "refund", "m2", True),
    ("acme", "IBAN", "refund", "m3", False), ("acme", "IBAN", "marketing", "m1", False),
    ("acme", "EMAIL", "refund", "m1", False), ("bolt", "IBAN", "refund", "m1", False),
    ("acme", "IBAN", "*", "m1", False), ("acme", "IBAN", "refund", "*", False),
])  # fmt: skip
def test_only_what_is_granted_is_revealed(tenant, kind, purpose, actor, granted) -> None:
    vault = in_memory(SUPPORT)
    token = vault.tokenise(tenant, kind, "v")
    for call in (
        lambda: vault.reveal(token, tenant, purpose, actor),
        lambda: vault.unmask(token, tenant, purpose, actor),
    ):
        if granted:
            assert call() == "v"
        else:
            with pytest.raises(NotGranted):
                call()


def test_one_kind_that_is_not_granted_keeps_all_hidden() -> None:
    vault = in_memory(SUPPORT)
    text = vault.tokenise("acme", "IBAN", "GB29") + vault.tokenise("acme", "EMAIL", "a@b.c")
    with pytest.raises(NotGranted):
        vault.unmask(text, "acme", "refund", "m1")
    assert [line.outcome for line in vault.audit()] == ["refused", "refused"]


def test_without_grants_nothing_is_revealed() -> None:
    vault = Vault.in_memory(clock=clock)
    with pytest.raises(NotGranted):
        vault.reveal(vault.tokenise("a", "K", "v"), "a", "p", "x")
    assert vault.unmask("no token", "a", "p", "x") == "no token"


# -- files, threads and processes


def test_a_file_keeps_its_tokens_and_nothing_in_the_clear(tmp_path: Path) -> None:
    with on_disk(tmp_path) as vault:
        token = vault.tokenise("acme", "IBAN", "GB29NWBK60161331926819")
    with on_disk(tmp_path) as again:
        assert again.nonce == vault.nonce
        assert again.tokenise("acme", "IBAN", "GB29NWBK60161331926819") == token
        assert again.reveal(token, "acme", "refund", "m1") == "GB29NWBK60161331926819"
        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"GB29NWBK" not in stored
    assert (tmp_path / "v.db").stat().st_mode & 0o077 == 0


def test_a_closed_vault_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    vault = on_disk(tmp_path)
    vault.close()
    with pytest.raises(VaultUnreachable, match="closed"):
        vault.tokenise("a", "K", "v")
    with pytest.raises(VaultUnreachable, match="there is no vault"):
        Vault.open(tmp_path / "other.db", KEY, clock=clock, create=False)
    assert not (tmp_path / "other.db").exists()


def test_threads_agree(tmp_path: Path) -> None:
    vault = on_disk(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda i: vault.tokenise("acme", "K", str(i % 10)), range(80)))
    assert len(set(tokens)) == 10
    assert all(tokens[i] == tokens[i % 10] for i in range(80))


def _work(folder: str, barrier, results) -> None:
    barrier.wait()
    with on_disk(Path(folder), audit_file=Path(folder) / "audit.jsonl") as vault:
        tokens = {i: vault.tokenise("acme", "K", str(i)) for i in range(30)}
        for i, token in tokens.items():
            assert vault.reveal(token, "acme", "refund", "m1") == str(i)
        results.put(tokens)


def test_processes_agree_and_their_audit_is_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_work, args=(str(tmp_path), barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) == 30
    with on_disk(tmp_path, audit_file=tmp_path / "audit.jsonl") as vault:
        assert vault.verify_audit().sequence == 90


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_opens_the_file_anew_and_cannot_use_memory(tmp_path: Path) -> None:
    disk, memory = on_disk(tmp_path), in_memory()
    token = disk.tokenise("a", "K", "v")
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    def child() -> None:
        try:
            memory.tokenise("a", "K", "v")
        except VaultUnreachable as error:
            results.put((disk.tokenise("a", "K", "v"), str(error)))

    worker = context.Process(target=child)
    worker.start()
    seen, error = results.get(timeout=60)
    worker.join()
    assert seen == token
    assert "one process" in error
    assert disk.reveal(token, "a", "refund", "m1") == "v"


# -- the audit log


def test_every_attempt_is_on_the_log(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    zone = timezone(timedelta(hours=9))
    path = tmp_path / "v.db"
    vault = Vault.open(path, KEY, clock=lambda: NOON.astimezone(zone), grants=(SUPPORT,), audit_file=file)
    token, other = vault.tokenise("acme", "IBAN", "GB29"), vault.tokenise("bolt", "IBAN", "GB29")
    vault.reveal(token, "acme", "refund", "m1")
    vault.unmask(f"{token} {token} {other} [IBAN_1]", "acme", "refund", "m2")
    with pytest.raises(NotGranted):
        vault.reveal(token, "acme", "marketing", "m3")
    with pytest.raises(UnknownToken):
        vault.reveal("[IBAN_1]", "acme", "refund", "m1")
    told = [(line.actor, line.purpose, line.token, line.outcome) for line in vault.audit()]
    assert told == [
        ("m1", "refund", token, "revealed"), ("m2", "refund", token, "revealed"), ("m2", "refund", other, "unknown"),
        ("m3", "marketing", token, "refused"), ("m1", "refund", "[IBAN_1]", "unknown"),
    ]  # fmt: skip
    assert {line.at for line in vault.audit()} == {NOON.isoformat()}
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["actor"], line["token"]) for line in written] == [(actor, t) for actor, _, t, _ in told]
    assert vault.verify_audit().sequence == 5
    assert "GB29" not in file.read_text()


def test_a_clock_without_a_zone_reveals_nothing() -> None:
    vault = Vault.in_memory(clock=lambda: datetime(2026, 1, 1), grants=(ALL,))
    token = vault.tokenise("a", "K", "v")
    with pytest.raises(ValueError, match="time zone"):
        vault.reveal(token, "a", "refund", "m1")
