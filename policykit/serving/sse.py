"""Server-sent events (WHATWG HTML, section 9.2): the part of it that completions are streamed in."""

import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from policykit.serving.errors import UpstreamFault

_LINE_END = re.compile(rb"\r\n|[\r\n]")
DONE = b"data: [DONE]\n\n"


def event(data: bytes, name: str | None = None) -> bytes:
    """One event whose data is one line."""
    head = b"event: " + name.encode("ascii") + b"\n" if name else b""
    return head + b"data: " + data + b"\n\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read at most, so that an upstream cannot fill the memory."""

    event_bytes: int = 1 << 20
    total_bytes: int = 64 << 20


async def events_of(pieces: AsyncIterator[bytes], limits: Limits) -> AsyncGenerator[list[bytes]]:
    """The data of the events that each piece completes, wherever the pieces are cut; never an empty list.

    Lines end in LF, CR LF or CR. Comments and fields other than `data` are passed over; an event that the stream cuts
    short is dropped, as the specification says. Raises UpstreamFault over a limit.
    """
    buffer = bytearray()
    lines: list[bytes] = []
    n_total = n_event = 0
    pending_cr = False
    pieces = _without_mark(pieces)
    async for piece in pieces:
        found: list[bytes] = []
        n_total += len(piece)
        if n_total > limits.total_bytes:
            raise too_large(limits.total_bytes)
        if pending_cr and piece:
            piece = piece.removeprefix(b"\n")
            pending_cr = False
        searched = len(buffer)  # no line ends before
        buffer += piece
        at = 0
        while (end := _LINE_END.search(buffer, max(at, searched))) is not None:
            line = bytes(buffer[at : end.start()])
            at = end.end()
            pending_cr = at == len(buffer) and buffer[-1] == 0x0D
            n_event += len(line)
            if line:
                lines.append(line)
            elif lines:
                if data := _data(lines):
                    found.append(data)
                lines, n_event = [], 0
            if n_event > limits.event_bytes:
                raise too_large(limits.event_bytes)
        del buffer[:at]
        if n_event + len(buffer) > limits.event_bytes:
            raise too_large(limits.event_bytes)
        if found:
            yield found


async def _without_mark(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """A byte order mark before the stream is none of its text, as the specification says."""
    start: bytes | None = b""
    async for piece in pieces:
        if start is None:
            yield piece
            continue
        start += piece
        if len(start) >= len(BOM_UTF8) or not BOM_UTF8.startswith(start):
            yield start.removeprefix(BOM_UTF8)
            start = None
    if start:
        yield start


def _data(lines: list[bytes]) -> bytes:
    """The `data` fields of an event, joined by line ends."""
    found: list[bytes] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if name == b"data" and (colon or line == b"data"):
            found.append(value.removeprefix(b" "))
    return b"\n".join(found)


def too_large(n_bytes: int) -> UpstreamFault:
    return UpstreamFault("policykit_upstream_too_large", f"the upstream sent more than {n_bytes} bytes")
