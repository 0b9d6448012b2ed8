"""An approval counts once, whoever asks first; and a store that cannot answer lets nothing pass."""

import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policykit.approvals import (
    Missing,
    Requirement,
    Satisfied,
    SpentInFile,
    SpentInMemory,
    Why,
    decide,
    issue,
)
from policykit.diagnostics import PolicyError

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEYS = {"k": b"k" * 32}
ONE = Requirement("manager")


def approved(*users: str):
    return [issue(KEYS, "k", user=u, role="manager", digest="d", at=AT, ttl_s=900, nonce=f"n-{u}") for u in users]


def decision(store, signed, requirement: Requirement = ONE):
    return decide(requirement, signed, "u7", "d", AT, keys=KEYS, store=store)


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path: Path):
    return SpentInMemory() if request.param == "memory" else SpentInFile(tmp_path / "spent.db")


def test_an_approval_counts_once(store) -> None:
    signed = approved("m1")
    assert isinstance(decision(store, signed), Satisfied)
    again = decision(store, signed)
    assert isinstance(again, Missing)
    assert [reason.why for reason in again.reasons] == [Why.SPENT, Why.TOO_FEW]


def test_what_was_not_needed_is_not_used(store) -> None:
    signed = approved("m1", "m2", "m3")
    assert isinstance(decision(store, signed, Requirement("manager", 2)), Satisfied)
    assert store.among(["n-m1", "n-m2", "n-m3"]) == {"n-m1", "n-m2"}
    assert isinstance(decision(store, signed), Satisfied)
    assert isinstance(decision(store, signed), Missing)


def test_too_few_use_nothing_up(store) -> None:
    assert isinstance(decision(store, approved("m1"), Requirement("manager", 2)), Missing)
    assert store.among(["n-m1"]) == frozenset()


def test_all_or_none_are_used(store) -> None:
    one, two = (signed.approval for signed in approved("m1", "m2"))
    assert store.spend([one], AT)
    assert not store.spend([two, one], AT)
    assert store.among([two.nonce]) == frozenset()


def test_a_forged_approval_and_one_of_an_unknown_key_count_for_nothing(store) -> None:
    forged = issue({"k": b"x" * 32}, "k", user="m1", role="manager", digest="d", at=AT, ttl_s=9)
    unknown = issue({"z": b"x" * 32}, "z", user="m2", role="manager", digest="d", at=AT, ttl_s=9)
    found = decision(store, [forged, unknown])
    assert isinstance(found, Missing)
    assert [reason.why for reason in found.reasons] == [Why.FORGED, Why.UNKNOWN_KEY, Why.TOO_FEW]
    assert isinstance(decision(store, [forged, *approved("m1")]), Satisfied)


def test_a_key_that_is_too_short_is_an_error() -> None:
    with pytest.raises(PolicyError, match="PK083"):
        decide(ONE, approved("m1"), "u7", "d", AT, keys={"k": b"short"}, store=SpentInMemory())


def test_whoever_loses_the_race_goes_on_without_that_approval() -> None:
    class Rival(SpentInMemory):
        """Somebody else uses the first approval between the look and the use."""

        def spend(self, approvals, at):
            if not self.among(["n-m1"]):
                super().spend([signed[0].approval], at)
            return super().spend(approvals, at)

    signed = approved("m1", "m2")
    found = decision(Rival(), signed)
    assert isinstance(found, Satisfied)
    assert [approval.user for approval in found.approvals] == ["m2"]
    found = decision(Rival(), signed, Requirement("manager", 2))
    assert isinstance(found, Missing)


def test_threads_race_and_one_wins(store) -> None:
    signed = approved("m1")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: decision(store, signed), range(16)))
    assert sum(isinstance(one, Satisfied) for one in found) == 1


def _race(path: str, barrier, results) -> None:
    store = SpentInFile(path)
    barrier.wait()
    results.put([isinstance(decision(store, approved(f"m{i}")), Satisfied) for i in range(25)])


def test_processes_race_and_one_wins(tmp_path: Path) -> None:
    path = str(tmp_path / "spent.db")
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_race, args=(path, barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    rows = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert [sum(won) for won in zip(*rows, strict=True)] == [1] * 25


def test_a_file_remembers_and_forgets_what_expired(tmp_path: Path) -> None:
    path = tmp_path / "spent.db"
    assert isinstance(decision(SpentInFile(path), approved("m1")), Satisfied)
    assert isinstance(decision(SpentInFile(path), approved("m1")), Missing)
    assert SpentInFile(path).forget(AT + timedelta(minutes=15)) == 0
    assert SpentInFile(path).forget(AT + timedelta(minutes=16)) == 1


# -- faults


def refused(call) -> str:
    with pytest.raises(PolicyError) as caught:
        call()
    (found,) = caught.value.diagnostics
    assert found.code == "PK084"
    return found.message


def test_a_locked_store_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spent.db"
    store = SpentInFile(path, busy_s=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "locked" in refused(lambda: decision(store, approved("m1")))
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(decision(store, approved("m1")), Satisfied)


def test_a_damaged_store_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spent.db"
    store = SpentInFile(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    path.write_bytes(data)
    refused(lambda: decision(store, approved("m1")))


def test_another_file_is_no_store(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, " * 100)
    assert "not a database" in refused(lambda: SpentInFile(text))
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    assert "another program" in refused(lambda: SpentInFile(other))
    refused(lambda: SpentInFile(tmp_path / "no" / "such" / "folder.db"))


def test_a_store_that_contradicts_itself_is_an_error() -> None:
    class Broken(SpentInMemory):
        def spend(self, approvals, at) -> bool:
            return False

    refused(lambda: decision(Broken(), approved("m1")))


def test_a_store_that_went_away_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spent.db"
    store = SpentInFile(path)
    path.unlink()
    refused(lambda: decision(store, approved("m1")))
