"""Sends attacks, and says what is wrong with the answers."""

import json
import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.serving.attacks.cases import Case
from tests.serving.attacks.oracle import forbidden_in, leaks, texts_of


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; of several on one connection the first one's status, and all of their bytes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    data: bytes


_CLIENT = httpx.Client(trust_env=False, verify=False, timeout=60)


def send(url: str, case: Case) -> Answer:
    if case.wire is not None:
        return _on_the_wire(url, case)
    given = [(name.encode(), value.encode("utf-8")) for name, value in case.headers]
    names = {name.lower() for name, _ in case.headers}
    if "content-type" not in names and case.method == "POST":
        given.append((b"content-type", b"application/json"))
    if case.key is not None and "authorization" not in names:
        given.append((b"authorization", f"Bearer {case.key}".encode()))
    if case.profile is not None:
        given.append((b"x-policykit-profile", case.profile.encode()))
    text = case.raw if case.raw is not None else json.dumps(case.body)
    content = text.encode(case.encoding, "surrogatepass") if case.method == "POST" else None
    response = _CLIENT.request(case.method, url + case.route, headers=given, content=content)
    return Answer(response.status_code, tuple(response.headers.items()), response.content)


def _on_the_wire(url: str, case: Case) -> Answer:
    parts = urlsplit(url)
    assert case.wire is not None
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as connection:
        connection.sendall(case.wire.replace("\n", "\r\n").replace("\r\r\n", "\r\n").encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    head = re.match(rb"HTTP/1\.1 (\d{3})", data)
    return Answer(int(head[1]) if head else 400, (), data if head else b"")


def wrong_with(case: Case, answer: Answer, faults: Collection[str] = ()) -> list[str]:
    """Everything that should not be. ``faults`` are names of errors that the upstream is made to cause."""
    found = [f"leak: {leak}" for leak in leaks(answer.data, answer.headers)]
    found += [f"leak behind the message: {leak}" for leak in _where_they_meet(case, answer.data)]
    if case.wire is not None:
        if answer.status >= 500 or any(b" 5" in line[:11] for line in answer.data.splitlines() if line[:5] == b"HTTP/"):
            found.append(f"status {answer.status}")
        return found
    error = _error(answer.data)
    if error.get("code") in faults:
        return found
    if answer.status >= 500:
        found.append(f"status {answer.status}: {answer.data[:300]!r}")
    if answer.status == 200 and case.expect == "refused":
        found.append(f"was served: {answer.data[:300]!r}")
    if answer.status != 200 and case.expect == "served":
        found.append(f"was not served: {answer.status} {answer.data[:300]!r}")
    if 400 <= answer.status < 500:
        found += _unexplained(case, error, answer.data)
    return found


def _where_they_meet(case: Case, data: bytes) -> list[str]:
    """The phrases that a message which is continued begins, and the answer ends."""
    body = case.body if isinstance(case.body, dict) else {}
    begun = body["messages"][-1]["content"] if body.get("continue_final_message") else None
    if not isinstance(begun, str):
        return []
    known = forbidden_in(begun)
    return [f"{p!r} in {begun + t!r}" for t in texts_of(data) for p in forbidden_in(begun + t) if p not in known]


def _unexplained(case: Case, error: Mapping[str, Any], data: bytes) -> list[str]:
    message, code = error.get("message"), error.get("code")
    if not isinstance(message, str) or len(message.split()) < 3 or not str(code).startswith("policykit_"):
        return [f"the refusal says nothing: {data[:300]!r}"]
    if case.says and case.says not in message and case.says != code:
        return [f"the refusal does not say `{case.says}`: {message[:300]}"]
    return []


def _error(data: bytes) -> Mapping[str, Any]:
    """The error of an answer; of a stream, the one that ended it."""
    lines = [line[5:] for line in data.splitlines() if line.startswith(b"data:")] or [data]
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("error"), dict):
            return found["error"]
    return {}
