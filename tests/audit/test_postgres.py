"""The log in a real PostgreSQL: one chain for all connections, append-only, and closed when it fails."""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from policykit.audit import (
    LogError,
    Query,
    Record,
    Retired,
    Tampering,
    open_log,
    open_reader,
    parse,
    query_log,
    retire_log,
    verify_log,
)
from tests.audit.records import BEGAN, plain
from tests.audit.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def address(server: Server) -> str:
    return server.database(f"log_{secrets.token_hex(4)}")


def requests(address: str) -> list[str]:
    reader = open_reader(address)
    found = [parse(row.record) for row in reader.rows()]
    reader.close()
    return [body.request for body in found if isinstance(body, Record)]


def codes(error: LogError) -> list[str]:
    return [diagnostic.code for diagnostic in error.diagnostics]


def fault(address: str) -> tuple[int, Tampering] | None:
    reader = open_reader(address)
    found = verify_log(reader).fault
    reader.close()
    return None if found is None else (found.sequence, found.kind)


def test_many_connections_write_one_chain(address: str) -> None:
    """Eight that start at once, and make the tables at once, with four threads each."""
    got: list[int] = []
    start = threading.Barrier(8)

    def one(number: int) -> None:
        start.wait()
        log = open_log(address)
        with ThreadPoolExecutor(4) as pool:
            receipts = pool.map(lambda i: log.append(plain(number * 1000 + i)), range(40))
            got.extend(receipt.sequence for receipt in receipts)
        log.close()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 321))
    assert sorted(requests(address)) == sorted(f"r{n * 1000 + i}" for n in range(8) for i in range(40))
    assert fault(address) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE policykit_audit_entries SET tenant = 'x'",
        "DELETE FROM policykit_audit_entries",
        "TRUNCATE policykit_audit_entries",
        "DELETE FROM policykit_audit_head",
        "TRUNCATE policykit_audit_head",
        "UPDATE policykit_audit_head SET sequence = 1",
        "UPDATE policykit_audit_head SET log_id = 'x', sequence = 9",
        "TRUNCATE policykit_audit_checkpoints",
    ],
)
def test_the_database_refuses_to_take_anything_back(address: str, statement: str) -> None:
    log = open_log(address)
    for i in range(2):
        log.append(plain(i))
    log.close()
    with (
        psycopg.connect(address) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement.encode())
    assert fault(address) is None


ALTER = "ALTER TABLE policykit_audit_entries DISABLE TRIGGER ALL"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE policykit_audit_entries SET record = replace(record, 'tenant-0', 'tenant-9') WHERE sequence = 4",
         (4, Tampering.ALTERED)),
        ("UPDATE policykit_audit_entries SET tenant = 'other' WHERE sequence = 3", (3, Tampering.ALTERED)),
        ("DELETE FROM policykit_audit_entries WHERE sequence = 5", (5, Tampering.REMOVED)),
        ("DELETE FROM policykit_audit_entries WHERE sequence > 6", (7, Tampering.TRUNCATED)),
        ("UPDATE policykit_audit_entries a SET record = b.record, hash = b.hash, at_us = b.at_us, tenant = b.tenant, "
         "request = b.request FROM policykit_audit_entries b WHERE (a.sequence, b.sequence) IN ((2, 3), (3, 2))",
         (2, Tampering.REORDERED)),
    ],
)  # fmt: skip
def test_what_somebody_with_all_rights_does_is_found(
    address: str, statement: str, expected: tuple[int, Tampering]
) -> None:
    log = open_log(address)
    for i in range(8):
        log.append(plain(i))
    with psycopg.connect(address) as connection:
        connection.execute(ALTER)
        assert connection.execute(statement.encode()).rowcount > 0
        connection.execute("ALTER TABLE policykit_audit_entries ENABLE TRIGGER ALL")
    assert fault(address) == expected
    log.close()


def test_the_owner_retires_old_rows_and_the_rest_verifies(server: Server, address: str) -> None:
    log = open_log(address)
    for i in range(10):
        log.append(plain(i, at=BEGAN + timedelta(days=i)))
    role = f"writer_{secrets.token_hex(4)}"
    with psycopg.connect(address) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}".encode())
    now = BEGAN + timedelta(days=50)
    with pytest.raises(LogError) as caught:
        retire_log(address.replace("owner@", f"{role}@"), BEGAN + timedelta(days=6), now)
    assert codes(caught.value) == ["PK663"]
    assert len(requests(address)) == 10
    done = retire_log(address, BEGAN + timedelta(days=6), now)
    assert (done.removed, done.kept_from, done.oldest) == (6, 7, BEGAN + timedelta(days=6))
    log.append(plain(10))
    log.close()
    assert requests(address) == [f"r{i}" for i in range(6, 11)]
    reader = open_reader(address)
    found = verify_log(reader)
    reader.close()
    assert (found.fault, found.first, found.retired) == (None, 7, now)
    with psycopg.connect(address) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM policykit_audit_entries")
    with psycopg.connect(address) as connection:
        connection.execute(ALTER)
        connection.execute("DELETE FROM policykit_audit_entries WHERE sequence = 7")
        connection.execute("ALTER TABLE policykit_audit_entries ENABLE TRIGGER ALL")
    assert fault(address) is not None


def test_rows_are_retired_some_at_a_time(address: str) -> None:
    from policykit.audit.log import Draft
    from policykit.audit.postgres_retired import RowsRetired

    log = open_log(address)
    for i in range(7):
        log.append(plain(i))
    log.close()
    store, ends = RowsRetired(address, batch=3), list[int]()
    while (end := store.next(round((BEGAN.timestamp() + 5) * 1_000_000))) is not None:
        store.remove(end, Draft.of(Retired(BEGAN + timedelta(days=1), end.sequence, end.hash.hex())))
        ends.append(end.sequence)
    store.close()
    assert ends == [3, 5]
    assert requests(address) == ["r5", "r6"]
    assert fault(address) is None


def test_a_missing_trigger_is_told(address: str) -> None:
    log = open_log(address)
    log.append(plain())
    log.close()
    with psycopg.connect(address) as connection:
        connection.execute(ALTER)
    reader = open_reader(address)
    found = verify_log(reader).fault
    reader.close()
    assert found is not None
    assert "policykit_audit_stay" in found.why


def test_the_documented_rights_are_enough_and_no_more(server: Server, address: str) -> None:
    open_log(address).close()
    role = f"writer_{secrets.token_hex(4)}"
    with psycopg.connect(address) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        entries = "policykit_audit_entries, policykit_audit_checkpoints"
        connection.execute(f"GRANT SELECT, INSERT ON {entries} TO {role}".encode())
        connection.execute(f"GRANT SELECT ON policykit_audit_head TO {role}".encode())
    as_writer = address.replace("owner@", f"{role}@")
    log = open_log(as_writer)
    with pytest.raises(LogError) as caught:
        log.append(plain(0))
    assert codes(caught.value) == ["PK663"]
    with psycopg.connect(address) as connection:
        connection.execute(f"GRANT UPDATE ON policykit_audit_head TO {role}".encode())
    assert log.append(plain(1)).sequence == 1
    log.close()
    with psycopg.connect(as_writer) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(ALTER)


def test_a_server_that_goes_takes_nothing_and_comes_back(server: Server, address: str) -> None:
    log = open_log(address)
    log.append(plain(0))
    server.stop()
    for i in (1, 2):
        with pytest.raises(LogError) as caught:
            log.append(plain(i))
        assert codes(caught.value) == ["PK665"]
    with pytest.raises(LogError) as caught:
        open_log(address)
    assert codes(caught.value) == ["PK665"]
    server.start()
    assert log.append(plain(3)).sequence == 2
    log.close()
    assert requests(address) == ["r0", "r3"]
    assert fault(address) is None


def test_a_turn_that_does_not_come_is_told(address: str) -> None:
    from policykit.audit.log import GroupCommit
    from policykit.audit.postgres import PostgresSettings, PostgresStore

    log = GroupCommit(PostgresStore(address, PostgresSettings(timeout_s=1)))
    with psycopg.connect(address) as connection:
        connection.execute("SELECT 1 FROM policykit_audit_head FOR UPDATE")
        with pytest.raises(LogError) as caught:
            log.append(plain(0))
        assert codes(caught.value) == ["PK661"]
    assert log.append(plain(1)).sequence == 1
    log.close()


def test_a_server_that_does_not_wait_for_its_disk_is_refused(server: Server, address: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        try:
            for _ in range(100):
                with psycopg.connect(address) as other:
                    if other.execute("SHOW fsync").fetchone() == ("off",):
                        break
            with pytest.raises(LogError) as caught:
                open_log(address)
        finally:
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf()")
    assert codes(caught.value) == ["PK666"]
    for _ in range(100):
        with psycopg.connect(address) as other:
            if other.execute("SHOW fsync").fetchone() == ("on",):
                break


def test_a_database_without_a_log_and_one_that_is_not_there(server: Server, address: str) -> None:
    with pytest.raises(LogError) as caught:
        open_reader(address)
    assert codes(caught.value) == ["PK666"]
    with pytest.raises(LogError) as caught:
        open_reader(server.address("nowhere"))
    assert codes(caught.value) == ["PK665"]


def test_records_are_found(address: str) -> None:
    log = open_log(address)
    for i in range(20):
        log.append(plain(i, rules=(f"rule {i % 2}",)))
    log.close()
    reader = open_reader(address)
    since, until = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 15, tzinfo=UTC)
    found = query_log(reader, Query(since=since, until=until, tenant="tenant-0", rule="rule 0"))
    assert [(sequence, record.request) for sequence, record in found] == [(7, "r6"), (13, "r12")]
    reader.close()
