"""What guard and engine tell each other: messages come back as they went, and whatever else is malformed."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from policykit.engines import attest

TEXT = st.text(max_size=20)
MESSAGES = st.one_of(
    st.builds(attest.Started, TEXT, TEXT, TEXT, TEXT),
    st.builds(attest.Failed, TEXT, TEXT, TEXT, TEXT),
    st.builds(attest.Part, TEXT, TEXT, st.integers(0, 9), st.integers(0, 9), TEXT),
    st.builds(
        attest.Finished, TEXT, TEXT, TEXT, st.integers(0, 9), st.integers(0, 9), st.booleans(),
        st.dictionaries(TEXT, st.integers(0, 9), max_size=5),
    ),
)  # fmt: skip
DIGEST = "sha256:" + "0a" * 32


@given(MESSAGES)
def test_messages_come_back(message: attest.Attestation) -> None:
    assert attest.parse(attest.render(message)) == message


@given(
    st.text(min_size=1, max_size=200), st.none() | TEXT, st.lists(TEXT, max_size=3).map(tuple), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_requests_come_back(
    request: str, prefix: str | None, special: tuple[str, ...], in_grammar: bool, replay: bool
) -> None:
    asked = attest.MaskRequest(request, DIGEST, "guard-1.sock", prefix, special, in_grammar, replay)
    asked = replace(asked, payer=request[:20], own_grammar=not in_grammar)
    assert attest.MaskRequest.parse(asked.render()) == asked


@given(st.binary(max_size=40))
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(attest.Malformed):
        attest.parse(data)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{}",
        attest.MaskRequest("r", DIGEST).render().replace('"v":1', '"v":2'),
        attest.MaskRequest("r", "sha256:../../etc/passwd").render(),
        attest.MaskRequest("r", DIGEST, "../other.sock").render(),
        attest.MaskRequest("", DIGEST).render(),
        attest.MaskRequest("r", DIGEST, payer="x" * 201).render(),
        attest.MaskRequest("r", DIGEST).render().replace('"payer":""', '"payer":[]'),
        attest.MaskRequest("r", DIGEST).render().replace('"own_grammar":false', '"own_grammar":1'),
    ],
)
def test_requests_that_are_refused(text: object) -> None:
    with pytest.raises(attest.Malformed):
        attest.MaskRequest.parse(text)


def test_very_many_rules_still_fit_a_datagram() -> None:
    closed = {f"document-{'x' * 200}#rule-{i}": i for i in range(10_000)}
    message = attest.Finished("r", "0", DIGEST, 1, 1, False, closed)
    assert len(attest.render(message)) <= attest.MAX_DATAGRAM


def test_a_message_arrives_and_none_waits(tmp_path: Path) -> None:
    message = attest.Started("r", "0", DIGEST, DIGEST)
    attest.Reply.to(tmp_path, "nobody.sock").send(message)
    attest.Reply.to(None, "nobody.sock").send(message)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as guard:
        guard.bind(str(tmp_path / "guard.sock"))
        guard.settimeout(5)
        attest.Reply.to(tmp_path, "guard.sock").send(message)
        assert attest.parse(guard.recv(attest.MAX_DATAGRAM)) == message
