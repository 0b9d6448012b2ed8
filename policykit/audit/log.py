"""The log as the guard sees it, and the thread that makes many appends one write to the disk."""

import asyncio
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Protocol

from policykit.audit.chain import Columns, Head, Receipt, Row, columns_of
from policykit.audit.checkpoint import Checkpoint
from policykit.audit.coding import render
from policykit.audit.errors import LogClosed, LogError, LogUnreachable
from policykit.audit.record import Body

MAX_BATCH = 256
ALL = -(2**63)
"""Before every number that an entry can have, also one that it should not."""


class Log(Protocol):
    """Takes records. One that was acknowledged is on the disk, and no later one can be without it."""

    def append(self, record: Body) -> Receipt:
        """Returns when the record is durable. Raises LogError: it is not acknowledged, and nothing may go out."""
        ...

    async def aappend(self, record: Body) -> Receipt:
        """The same, without holding up the event loop."""
        ...

    async def check(self) -> None:
        """Raises LogError where a record could not be written now, as far as that shows without writing one."""
        ...

    def close(self) -> None:
        """Write what waits, and let go of the store."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that waits for its place in the chain."""

    record: bytes
    columns: Columns

    @staticmethod
    def of(body: Body) -> "Draft":
        return Draft(render(body), columns_of(body))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries a store is asked for; None leaves a column open. Times are microseconds since 1970, the last
    excluded."""

    since_us: int | None = None
    until_us: int | None = None
    tenant: str | None = None
    profile: str | None = None
    decision: str | None = None
    request: str | None = None
    holding: str | None = None
    """A text that the record's JSON holds: narrows the search, decides nothing."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store says of itself: the log's id, the entry before the oldest that it keeps, and the newest."""

    log_id: bytes
    base: Head
    head: Head


class Reader(Protocol):
    """Reads what a store keeps, as it stands."""

    def stored(self) -> Stored: ...

    def rows(self, after: int = ALL) -> Iterator[Row]:
        """In order of their numbers."""
        ...

    def find(self, wanted: Filter) -> Iterator[Row]: ...

    def checkpoints(self) -> Iterator[Checkpoint]: ...

    def problems(self) -> Sequence[str]:
        """What the database itself finds wrong with its files."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """Where entries are kept; used by one thread."""

    def write(self, drafts: Sequence[Draft]) -> Sequence[Receipt]:
        """All of them, durably and in one transaction, or LogError and none of them acknowledged."""
        ...

    def check(self) -> None:
        """Reach what would be written to, and write nothing. Raises LogError."""
        ...

    def close(self) -> None: ...


_Waiting = tuple[Draft, "Future[Receipt]"]
_Checked = Future[None]


class GroupCommit:
    """A :class:`Log` over a store: what arrives while the disk is busy is written together with the next write."""

    def __init__(self, store: Store, *, timeout_s: float = 30.0, max_batch: int = MAX_BATCH) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[_Waiting | _Checked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="policykit-audit", daemon=True)
        self._thread.start()

    def append(self, record: Body) -> Receipt:
        waiting = self._submit(record)
        try:
            return waiting.result(self._timeout_s)
        except FutureTimeout:
            waiting.cancel()
            raise self._late() from None

    async def aappend(self, record: Body) -> Receipt:
        waiting = asyncio.wrap_future(self._submit(record))
        try:
            return await asyncio.wait_for(waiting, self._timeout_s)
        except TimeoutError:
            raise self._late() from None

    async def check(self) -> None:
        checked: _Checked = Future()
        self._put(checked)
        try:
            await asyncio.wait_for(asyncio.wrap_future(checked), self._timeout_s)
        except TimeoutError:
            raise self._late() from None

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._pid == os.getpid():
            self._thread.join()

    def _submit(self, record: Body) -> "Future[Receipt]":
        if self._pid != os.getpid():
            raise LogClosed.because("the log was opened before this process forked", "open it in each process")
        draft = Draft.of(record)
        waiting: Future[Receipt] = Future()
        self._put((draft, waiting))
        return waiting

    def _put(self, item: _Waiting | _Checked) -> None:
        with self._lock:
            if self._closed:
                raise LogClosed.because("the log is closed", "open it again")
            self._queue.put(item)

    def _late(self) -> LogError:
        message = f"the log did not take a record in {self._timeout_s:g} s"
        return LogUnreachable.because(message, "check the disk or the server; the record may still be written")

    def _run(self) -> None:
        ending = False
        while not ending:
            batch: list[_Waiting] = []
            item = self._queue.get()
            while item is not None:
                if isinstance(item, Future):
                    self._check(item)
                elif item[1].set_running_or_notify_cancel():
                    batch.append(item)
                if len(batch) == self._max_batch:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            ending = item is None
            if batch:
                self._write(batch)
        self._store.close()

    def _check(self, checked: _Checked) -> None:
        if not checked.set_running_or_notify_cancel():
            return
        try:
            self._store.check()
            checked.set_result(None)
        except Exception as error:
            checked.set_exception(error)

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            receipts = self._store.write([draft for draft, _ in batch])
            for (_, waiting), receipt in zip(batch, receipts, strict=True):
                waiting.set_result(receipt)
        except Exception as error:
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(error)
