"""`policykit verify --stream`: what may be shown of a text goes to standard output while the text arrives."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from policykit.cli.streams import Streams
from policykit.cli.visible import shown
from policykit.ir.verdict import Decision, Verdict
from policykit.streaming import Stream

_MANY = 1 << 16


def judge_arriving(stream: Stream, name: str, streams: Streams) -> tuple[Verdict, str]:
    """The verdict, and the text as far as it was read. The last line break is no part of the text; it goes out behind
    a text that may be shown. Nothing is read behind a block.

    Raises OSError where there is no such file.
    """
    if stream.buffers:
        why = "; ".join(f"`{wait.name}` {wait.why}" for wait in stream.buffers)
        streams.complain(f"everything is held back until the end: {why}")
    read: list[bytes] = []
    with nullcontext(streams.stdin.buffer) if name == "-" else Path(name).open("rb") as source:
        last = b""
        for chunk in _chunks(source):
            text = last + chunk
            last = b"\n" if text.endswith(b"\n") else b""
            text = text.removesuffix(b"\n")
            read.append(text)
            _show(streams, stream.feed(text))
            if stream.verdict is not None:
                break
    rest, verdict = stream.close()
    _show(streams, rest)
    if last and verdict.decision in (Decision.ALLOW, Decision.TRANSFORM):
        streams.write("\n")
    return verdict, b"".join(read).decode("utf-8", "replace")


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    """What there is to read, as soon as there is some."""
    read = getattr(source, "read1", source.read)
    while chunk := read(_MANY):
        yield chunk


def _show(streams: Streams, text: str) -> None:
    """Exactly for a pipe, with control characters spelled out for a terminal."""
    if text:
        streams.write("\n".join(map(shown, text.split("\n"))) if streams.out.is_terminal else text)
