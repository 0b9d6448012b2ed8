"""What a stream promises whatever its rules are."""

import pytest

import policykit as pk
from policykit.streaming import StreamClosed
from tests.plan.documents import blocks, of

PLAN = pk.compile(of(blocks("guaranteed returns")))


@pytest.mark.parametrize("data", [b"a\xff b", b"a\xc3", b"a\xe0\x80\x80", b"\xed\xa0\x80", b"a\xc3A"])
def test_bytes_that_are_no_text_are_an_error_however_they_are_cut(data: bytes) -> None:
    for cut in range(len(data) + 1):
        stream = PLAN.stream()
        shown = stream.feed(data[:cut]) + stream.feed(data[cut:])
        rest, verdict = stream.close()
        assert (verdict.decision, [error.rule for error in verdict.errors]) == (pk.Decision.BLOCK, ["stream"])
        assert (shown + rest).strip("a") == ""


def test_a_closed_stream_takes_no_more_text() -> None:
    stream = PLAN.stream()
    assert "".join([stream.feed("fine"), stream.close()[0]]) == "fine"
    assert stream.close() == ("", stream.verdict)
    with pytest.raises(StreamClosed):
        stream.feed("more")


def test_a_blocked_text_is_its_message() -> None:
    stream = PLAN.stream()
    shown = stream.feed("Guaranteed ret") + stream.feed("urns, they say")
    rest, verdict = stream.close()
    assert (shown + rest, verdict.decision, verdict.rules) == ("no", pk.Decision.BLOCK, ("no-guarantees",))
