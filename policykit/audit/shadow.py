"""What a candidate bundle says of live traffic beside the bundle that is served: counts, and examples by record.

One SQLite file that several servers may write. Its size is bounded by rules and profiles, not by traffic.
"""

import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from policykit.audit.errors import NoLog
from policykit.audit.record import LoggedSpan, SpanForm
from policykit.audit.segments import translated

APPLICATION_ID = 0x504B5348
VERSION = 1
MAX_EXAMPLES = 5
"""Examples that are kept of one difference: the first ones."""
MAX_SPANS = 10
BUSY_S = 5.0
_SCHEMA = """\
CREATE TABLE bundles (digest TEXT PRIMARY KEY, revision TEXT);
CREATE TABLE counts (
    candidate TEXT, live TEXT, profile TEXT, counted TEXT, n INTEGER NOT NULL,
    PRIMARY KEY (candidate, live, profile, counted)
) WITHOUT ROWID;
CREATE TABLE differences (
    id INTEGER PRIMARY KEY,
    candidate TEXT, live TEXT, profile TEXT, rule TEXT, change TEXT, channel TEXT, n INTEGER NOT NULL,
    UNIQUE (candidate, live, profile, rule, change, channel)
);
CREATE TABLE examples (
    difference INTEGER, record TEXT, live TEXT, candidate TEXT, spans TEXT,
    PRIMARY KEY (difference, record)
) WITHOUT ROWID;
"""


class Change(StrEnum):
    """How a candidate's verdict on one text differs from the live one, for one rule."""

    FIRES = "fires"  # only the candidate's rule fires
    NO_LONGER = "no longer"  # only the live rule fired
    ERRORS = "errors"  # only the candidate's check cannot be made
    RUNS = "runs"  # only the live check could not be made
    DECIDES = "decides otherwise"  # the same rules fire, and the decision is another
    WRITES = "writes otherwise"  # the same rules and decision, and another text or other places


class Counted(StrEnum):
    """What is counted of a profile."""

    REQUESTS = "requests"
    TEXTS = "texts"
    DIFFERED = "differed"  # texts on which the verdicts differ
    DROPPED = "dropped"  # requests that came faster than they could be judged
    FAILED = "failed"  # requests that the candidate could not be asked about


@dataclass(frozen=True, slots=True)
class Pair:
    """Which verdicts are compared: a candidate's and those of what was served, by digest, in one profile."""

    candidate: str
    live: str
    profile: str


@dataclass(frozen=True, slots=True)
class Example:
    """One text on which a verdict differs. ``live`` and ``candidate`` are the decisions; ``spans`` is what the rule
    found, in the form in which the deployment's log keeps it."""

    record: str
    live: str
    candidate: str
    spans: tuple[LoggedSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule and how it differs on ``n`` texts of a channel."""

    pair: Pair
    rule: str
    change: Change
    channel: str
    n: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted of one pair."""

    pair: Pair
    counts: tuple[tuple[Counted, int], ...]

    def of(self, counted: Counted) -> int:
        return dict(self.counts).get(counted, 0)


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """All that a store holds. ``revisions`` are those of bundles by digest, where they have one."""

    tallies: tuple[Tally, ...]
    differences: tuple[Difference, ...]
    revisions: tuple[tuple[str, str | None], ...] = ()

    def total(self, counted: Counted) -> int:
        return sum(tally.of(counted) for tally in self.tallies)

    def revision(self, digest: str) -> str | None:
        return dict(self.revisions).get(digest)

    def of(self, candidate: str | None = None, profile: str | None = None) -> "ShadowReport":
        """The part about one candidate (its digest or revision), or one profile."""

        def is_meant(pair: Pair) -> bool:
            names = (None, pair.candidate, self.revision(pair.candidate))
            return candidate in names and profile in (None, pair.profile)

        return ShadowReport(
            tuple(tally for tally in self.tallies if is_meant(tally.pair)),
            tuple(difference for difference in self.differences if is_meant(difference.pair)),
            self.revisions,
        )


class ShadowStore:
    """Adds up what is found. Safe for several processes, not for threads. Raises LogError."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        with translated(self._path):
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous = NORMAL")
            with self._written():
                if _identity(self._connection) == (0, 0) and not _tables(self._connection):
                    for statement in _SCHEMA.split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._connection.execute(f"PRAGMA user_version = {VERSION}")
        _check(self._connection, self._path)

    def add(
        self,
        counts: Iterable[tuple[Pair, Counted, int]],
        differences: Sequence[Difference],
        revisions: Iterable[tuple[str, str | None]] = (),
    ) -> None:
        """Add these to what is there, all or nothing."""
        with translated(self._path), self._written():
            for digest, revision in revisions:
                self._connection.execute("INSERT OR IGNORE INTO bundles VALUES (?, ?)", (digest, revision))
            for pair, counted, n in counts:
                self._connection.execute(
                    "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
                    (pair.candidate, pair.live, pair.profile, counted.value, n),
                )
            for difference in differences:
                self._add(difference)

    def _add(self, found: Difference) -> None:
        key = (*_columns(found.pair), found.rule, found.change.value, found.channel)
        (number,) = self._connection.execute(
            "INSERT INTO differences (candidate, live, profile, rule, change, channel, n) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET n = n + excluded.n RETURNING id",
            (*key, found.n),
        ).fetchone()
        (kept,) = self._connection.execute("SELECT count(*) FROM examples WHERE difference = ?", (number,)).fetchone()
        for example in found.examples[: max(MAX_EXAMPLES - kept, 0)]:
            spans = json.dumps([[s.start, s.end, s.form.value, s.value] for s in example.spans[:MAX_SPANS]])
            self._connection.execute(
                "INSERT OR IGNORE INTO examples VALUES (?, ?, ?, ?, ?)",
                (number, example.record, example.live, example.candidate, spans),
            )

    @contextmanager
    def _written(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def read_shadow(path: str | Path) -> ShadowReport:
    """What the store holds now. Raises NoLog (PK666), LogError."""
    file = Path(path)
    if not file.is_file():
        raise NoLog.because(f"there is no `{file}`", "name the file of `policykit serve --shadow-log`")
    with translated(file), closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        _check(connection, file)
        counted: dict[Pair, list[tuple[Counted, int]]] = {}
        for *pair, what, n in connection.execute("SELECT * FROM counts ORDER BY candidate, live, profile, counted"):
            counted.setdefault(Pair(*pair), []).append((Counted(what), n))
        return ShadowReport(
            tuple(Tally(pair, tuple(counts)) for pair, counts in counted.items()),
            tuple(_differences(connection)),
            tuple(connection.execute("SELECT digest, revision FROM bundles ORDER BY digest").fetchall()),
        )


def _differences(connection: sqlite3.Connection) -> Iterator[Difference]:
    """Most frequent first."""
    examples: dict[int, list[Example]] = {}
    for number, record, live, candidate, spans in connection.execute("SELECT * FROM examples ORDER BY record"):
        found = tuple(LoggedSpan(start, end, SpanForm(form), value) for start, end, form, value in json.loads(spans))
        examples.setdefault(number, []).append(Example(record, live, candidate, found))
    columns = "id, candidate, live, profile, rule, change, channel, n"
    order = "candidate, live, profile, n DESC, rule, change, channel"
    for number, *pair, rule, change, channel, n in connection.execute(
        f"SELECT {columns} FROM differences ORDER BY {order}"
    ):
        yield Difference(Pair(*pair), rule, Change(change), channel, n, tuple(examples.get(number, ())))


def _columns(pair: Pair) -> tuple[str, str, str]:
    return pair.candidate, pair.live, pair.profile


def _tables(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    pragmas = ("application_id", "user_version")
    first, second = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
    return first, second


def _check(connection: sqlite3.Connection, path: Path) -> None:
    with translated(path):
        if _identity(connection) != (APPLICATION_ID, VERSION):
            help = "name the file of `policykit serve --shadow-log`, or another one"
            raise NoLog.because(f"`{path}` is of another program or version", help)
