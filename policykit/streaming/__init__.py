"""Judging a text while it arrives: what may be shown is shown, and nothing is ever taken back."""

from policykit.streaming.stream import MAX_HELD_BYTES, STREAM, Stream, StreamClosed, Waits, areleased, released
from policykit.streaming.streaming import Streaming

__all__ = ["MAX_HELD_BYTES", "STREAM", "Stream", "StreamClosed", "Streaming", "Waits", "areleased", "released"]
