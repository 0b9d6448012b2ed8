"""Server-sent events, cut anywhere: a byte order mark before them hides none."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from policykit.serving.sse import Limits, events_of

MARK = b"\xef\xbb\xbf"
STREAM = b"data: one\r\n\r\n: a comment\ndata: two\ndata:three\n\ndata: \xef\xbb\xbffour\r\revent: x\n\ndata\n\n"
EVENTS = [b"one", b"two\nthree", b"\xef\xbb\xbffour"]


def read(data: bytes, *cuts: int) -> list[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        at = 0
        for cut in (*cuts, len(data)):
            yield data[at:cut]
            at = cut

    async def all_of() -> list[bytes]:
        return [event async for events in events_of(pieces(), Limits()) for event in events]

    return asyncio.run(all_of())


@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "marked"])
def test_every_cut_gives_the_same_events(mark: bytes) -> None:
    data = mark + STREAM
    assert read(data) == EVENTS
    for cut in range(len(data) + 1):
        assert read(data, cut) == EVENTS
    assert read(data, *range(len(data))) == EVENTS


def test_a_stream_of_a_mark_alone_is_empty() -> None:
    for n in range(len(MARK) + 1):
        assert read(MARK[:n]) == []


def test_many_short_lines_in_one_piece_take_no_longer_than_in_many() -> None:
    """Each line is looked at once, wherever the pieces are cut; those behind it are not moved for it."""
    data = b": x\n\n" * 200_000 + b"data: one\n\n"

    def seconds(*cuts: int) -> float:
        began = time.process_time()
        assert read(data, *cuts) == [b"one"]
        return time.process_time() - began

    assert seconds() < 2 * seconds(*range(0, len(data), 5_000))
