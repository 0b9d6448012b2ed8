"""Records for tests: one that is plain, and Hypothesis's idea of any."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_type_hints

from hypothesis import strategies as st

from policykit.audit import Record
from policykit.audit.record import Outcome
from policykit.ir.verdict import Decision

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def plain(number: int = 0, **changed: Any) -> Record:
    """A record that is unlike that of another number."""
    given: dict[str, Any] = {
        "request": f"r{number}",
        "at": BEGAN + timedelta(seconds=number),
        "route": "/v1/chat/completions",
        "outcome": Outcome.SERVED,
        "decision": Decision.ALLOW,
        "status": 200,
        "tenant": f"tenant-{number % 3}",
        "profile": "answer",
    }
    return Record(**{**given, **changed})


def _texts() -> st.SearchStrategy[str]:
    return st.text(max_size=12)


def _floats() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False)


def _times() -> st.SearchStrategy[datetime]:
    zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes))
    naive = st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(2200, 1, 1))
    return st.tuples(naive, zones).map(lambda pair: pair[0].replace(tzinfo=UTC) + pair[1])


for _type, _strategy in ((str, _texts()), (float, _floats()), (datetime, _times())):
    st.register_type_strategy(_type, _strategy)

every_field = st.deferred(lambda: st.builds(Record, **{name: st.from_type(kind) for name, kind in _hints().items()}))


def _hints() -> dict[str, Any]:
    return get_type_hints(Record)


def only_segment(folder: Path) -> Path:
    (path,) = sorted(folder.glob("segment-*.db"))
    return path
