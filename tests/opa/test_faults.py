"""One test per way in which OPA can fail: each is an error of its own type, in time, and never an answer."""

import builtins
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from policykit.diagnostics import PolicyError
from policykit.ir.decision import Answer
from policykit.opa import (
    BreakerState,
    CircuitOpen,
    Failed,
    Malformed,
    NotAuthorised,
    NotBoolean,
    NotTrusted,
    Opa,
    OpaError,
    OpaSettings,
    Redirected,
    TimedOut,
    TooLarge,
    Unavailable,
    Undefined,
    Unreachable,
    UnusableInput,
)
from tests.opa.conftest import authority
from tests.opa.server import Reply, Server, agent, free_port, reply, speaking

YES = {"result": True, "decision_id": "d"}
GIVEN: dict[str, object] = {"amount": 1}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(url: str, reference: str = "data.test.yes", given: dict[str, object] = GIVEN, **settings: Any) -> Answer:
    with Opa(OpaSettings(url, **{"backoff_s": 0.001, **settings})) as opa:
        return opa.decide(reference, given)


def fails(kind: type[OpaError], server: Server, *broken: Reply, match: str | None = None, **settings: Any) -> OpaError:
    server.broken += broken
    with pytest.raises(OpaError, match=match) as caught:
        ask(server.url, **settings)
    assert type(caught.value) is kind
    return caught.value


# -- what a real OPA answers, too


@pytest.mark.parametrize(
    ("reference", "given", "expected"),
    [
        ("data.test.yes", {}, True),
        ("data.test.no", {}, False),
        ("data.test.small", {"amount": 500}, True),
        ("data.test.quiet", {"text": "a"}, True),
        ("data.test.quiet", {"text": "shout"}, False),
        ("data.test.small", {"amount": 501}, Undefined),
        ("data.test.missing", {}, Undefined),
        ("data.nothing.here", {}, Undefined),
        ("data.test.word", {}, NotBoolean),
        ("data.test.fails", {"word": "two"}, Failed),
    ],
)
def test_what_opa_says(reference: str, given: dict[str, object], expected: bool | type[OpaError]) -> None:
    with agent() as url:
        if isinstance(expected, bool):
            answer = ask(url, reference, given)
            assert (answer.value, bool(answer.decision_id)) == (expected, True)
            return
        with pytest.raises(expected) as caught:
            ask(url, reference, given)
        assert type(caught.value) is expected
        if expected in (Undefined, NotBoolean):
            assert caught.value.decision_id


# -- what is sent


def test_what_is_sent_is_the_input_document_and_the_token() -> None:
    with speaking(token="s3cret") as server:
        assert ask(server.url, given={"user": {"id": "ü"}}, token="s3cret") == Answer(True, "d-1")
        assert server.questions == [("/v1/data/test/yes", {"input": {"user": {"id": "ü"}}})]
        assert server.headers[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\ud800", b"x"], ids=repr)
def test_facts_that_are_no_json_are_not_sent(server: Server, value: object) -> None:
    with pytest.raises(UnusableInput):
        ask(server.url, given={"x": value})
    assert server.questions == []


# -- faults


def test_down() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        ask(f"http://localhost:{free_port()}")


def test_slow(server: Server) -> None:
    server.always = Reply([b""], pause_s=5)
    started = time.monotonic()
    fails(TimedOut, server, deadline_s=0.5, attempt_s=0.2, match="within")
    assert time.monotonic() - started < 1.5
    assert len(server.questions) >= 2, "asked again within the deadline"


@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["in the head", "in the body"])
def test_dripping(server: Server, end: bytes) -> None:
    """Every byte comes in time and the whole never does: the deadline is of the decision, not of a read."""
    head = b"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n" + end
    server.always = Reply([head, *[b"X"] * 200], pause_s=0.02)
    started = time.monotonic()
    fails(TimedOut, server, deadline_s=0.4, attempt_s=0.4)
    assert time.monotonic() - started < 1.2


def test_undefined_keeps_the_decision_id(server: Server) -> None:
    error = fails(Undefined, server, reply(200, {"decision_id": "d-9"}), match="data.test.yes")
    assert error.decision_id == "d-9"


@pytest.mark.parametrize("result", [None, 1, 0, "true", [], {}, {"allow": True}, 1.5], ids=repr)
def test_wrong_type(server: Server, result: object) -> None:
    assert fails(NotBoolean, server, reply(200, {**YES, "result": result})).decision_id == "d"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"true", b"[]", b"{", b'{"result": true', b'{"result": true}}', b'{"result": true} x', b"<html>",
        b'{"result": NaN}', b'{"result": false, "result": true}', b'{"result": true, "x": "\xff"}',
        b'\xff\xfe{\x00}\x00', b'{"result": true, "decision_id": 7}', b'{"a":' * 5000,
    ],
)  # fmt: skip
def test_malformed(server: Server, body: bytes) -> None:
    fails(Malformed, server, reply(200, body))


@pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"\0" * 100])
def test_not_http(server: Server, head: bytes) -> None:
    fails(Malformed, server, Reply([head]))


def test_compressed(server: Server) -> None:
    fails(Malformed, server, reply(200, b"\x1f\x8b", "Content-Encoding: gzip"))


@pytest.mark.parametrize("status", [400, 404, 500, 501, 204, 201])
def test_other_statuses_are_errors_and_not_retried(server: Server, status: int) -> None:
    body = {"code": "internal_error", "message": "evaluation failed\u202e"}
    error = fails(Failed, server, reply(status, body if status >= 400 else b""))
    assert len(server.questions) == 1
    assert str(status) in str(error)
    assert "\u202e" not in str(error)
    assert ("internal_error: evaluation failed" in str(error)) == (status >= 400)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_unavailable_then_fine(server: Server, status: int) -> None:
    server.broken += [reply(status, b"busy"), reply(status, {"code": "x"})]
    assert ask(server.url) == Answer(True, "d-3")


def test_unavailable_all_the_time(server: Server) -> None:
    server.always = reply(503, {"code": "x", "message": "starting"})
    fails(Unavailable, server, match="status 503.*starting")
    assert len(server.questions) == 3


def test_a_wrong_token() -> None:
    with speaking(token="right") as server:
        error = fails(NotAuthorised, server, token="wrong")
        assert len(server.questions) == 1
    assert "wrong" not in str(error)


def test_a_missing_token() -> None:
    with speaking(token="right") as server:
        fails(NotAuthorised, server)


def test_a_redirect_is_not_followed(server: Server) -> None:
    with speaking() as other:
        for status in (301, 302, 303, 307, 308):
            fails(Redirected, server, reply(status, b"", f"Location: {other.url}/v1/data/test/yes"))
        assert other.questions == []


def test_a_huge_answer(server: Server) -> None:
    filler = b'{"x": "' + b"a" * 70_000
    fails(TooLarge, server, reply(200, filler + b'", "result": true}'))
    assert ask(server.url, max_bytes=40).value is True
    fails(TooLarge, server, reply(200, b" " * 60), max_bytes=40)


def test_an_endless_answer(server: Server) -> None:
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    fails(TooLarge, server, Reply([head, *[chunk] * 1000]))


def test_a_connection_that_is_reset_in_the_body(server: Server) -> None:
    half = reply(200, b'{"result": true', length=100)
    half.resets = True
    server.always = half
    fails(Unreachable, server)
    assert len(server.questions) == 3, "asked again"


def test_a_body_that_ends_early_then_fine(server: Server) -> None:
    server.broken.append(reply(200, b'{"result": true}', length=100))
    assert ask(server.url) == Answer(True, "d-2")


def test_a_connection_that_is_reset_before_the_answer_then_fine(server: Server) -> None:
    with Opa(OpaSettings(server.url, backoff_s=0.001)) as opa:
        assert opa.decide("data.test.yes", {}).value is True
        server.broken.append(Reply([], resets=True))
        assert opa.decide("data.test.yes", {}).value is True


# -- transport security


def test_a_certificate_of_the_authority_that_is_named(tmp_path: Path) -> None:
    ours = authority(tmp_path, "ours")
    with speaking("t", ours.certificate) as server:
        assert ask(server.url, ca_file=ours.ca_file, token="t").value is True


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path, "ours"), authority(tmp_path, "theirs")
    with speaking("t", theirs.certificate) as server:
        fails(NotTrusted, server, ca_file=ours.ca_file, token="t")
        fails(NotTrusted, server, token="t")  # nor do the system's authorities know it
        assert server.headers == [], "no token was sent"


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    ours = authority(tmp_path, "ours")
    with speaking(certificate=ours.certificate) as server, pytest.raises(NotTrusted):
        ask(server.url.replace("localhost", "127.0.0.1"), ca_file=ours.ca_file)


def test_plain_http_where_tls_is_expected(server: Server) -> None:
    with pytest.raises(OpaError) as caught:
        ask(server.url.replace("http:", "https:"))
    assert type(caught.value) in (NotTrusted, Unreachable)


# -- the circuit breaker


def test_the_breaker_opens_and_recovers() -> None:
    clock = Clock()
    with speaking() as server, Opa(OpaSettings(server.url, attempts=1, open_after=3, open_s=10), clock=clock) as opa:
        server.broken += [reply(503, b"")] * 3
        for _ in range(3):
            assert opa.breaker is BreakerState.CLOSED
            with pytest.raises(Unavailable):
                opa.decide("data.test.yes", {})
        assert opa.breaker is BreakerState.OPEN
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(CircuitOpen, match=r"3 times in a row.*10.0 s"):
                opa.decide("data.test.yes", {})
        assert time.monotonic() - started < 1.0
        assert len(server.questions) == 3, "nothing was asked"

        clock.now = 10.0  # half-open: one question, which fails, opens it again
        server.broken.append(reply(503, b""))
        with pytest.raises(Unavailable):
            opa.decide("data.test.yes", {})
        with pytest.raises(CircuitOpen):
            opa.decide("data.test.yes", {})
        assert len(server.questions) == 4

        clock.now = 20.0  # and one that is answered closes it
        assert opa.decide("data.test.yes", {}).value is True
        assert opa.breaker is BreakerState.CLOSED
        assert opa.decide("data.test.no", {}).value is False


def test_an_answer_between_outages_counts_them_anew(server: Server) -> None:
    with Opa(OpaSettings(server.url, attempts=1, open_after=2)) as opa:
        for _ in range(3):
            server.broken.append(reply(503, b""))
            with pytest.raises(Unavailable):
                opa.decide("data.test.yes", {})
            assert opa.decide("data.test.yes", {}).value is True


def test_a_question_that_opa_cannot_answer_is_no_outage(server: Server) -> None:
    """Whoever can make one rule fail must not be able to stop all others."""
    with Opa(OpaSettings(server.url, attempts=1, open_after=1)) as opa:
        for broken in (reply(500, b""), reply(200, {}), reply(401, b""), reply(200, b"x"), reply(302, b"")):
            server.broken.append(broken)
            with pytest.raises(OpaError):
                opa.decide("data.test.yes", {})
            assert opa.breaker is BreakerState.CLOSED


# -- settings


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"url": "opa:8181"}, "scheme, host and port"),
        ({"url": "ftp://localhost"}, "scheme, host and port"),
        ({"url": "http://localhost:8181/opa"}, "scheme, host and port"),
        ({"url": "http://u:p@localhost:8181"}, "scheme, host and port"),
        ({"url": "http://localhost:99999"}, "no address"),
        ({"token": "a\n"}, "line"),
        ({"token": ""}, "line"),
        ({"url": "http://opa.example.org:8181", "token": "a"}, "in clear"),
        ({"ca_file": Path("ca.pem")}, "no effect"),
        ({"url": "https://localhost", "ca_file": Path("missing.pem")}, "cannot be used"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"attempts": 0}, "attempts"),
        ({"backoff_s": -1}, "backoff_s"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(PolicyError, match=match) as caught:
        Opa(OpaSettings(**settings))
    (found,) = caught.value.diagnostics
    assert found.code == "PK162"
    assert found.help


def test_a_file_that_holds_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    with pytest.raises(PolicyError, match="PK162"):
        Opa(OpaSettings("https://localhost", ca_file=tmp_path / "ca.pem"))


def test_settings_do_not_show_the_token() -> None:
    assert "s3cret" not in repr(OpaSettings(token="s3cret"))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "opa_client":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args)

    monkeypatch.delitem(sys.modules, "policykit.opa.transport", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PolicyError, match="opa_client") as caught:
        Opa(OpaSettings())
    assert caught.value.diagnostics[0].code == "PK161"
