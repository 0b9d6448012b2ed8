"""Run in a small file system of its own: asks a server until its log's disk is full, makes room, and asks again."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from policykit.audit import (
    Keeping,
    LogError,
    Record,
    SpanForm,
    SqliteSettings,
    open_log,
    open_reader,
    parse,
    verify_log,
)
from policykit.serving import Guard, Serving
from policykit.serving.log import AuditBook
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import deployment, served

SAID = "A word that only an answer holds."
HEADERS = {"authorization": "Bearer key-acme"}


def ask(client: httpx.Client, stream: bool) -> dict[str, Any]:
    """What a client saw: its status, the code of an error, whether it saw the answer's end, and the record's id."""
    body = {"messages": [{"role": "user", "content": "Hello? " * 20}], "stream": stream}
    answer = client.post("/v1/chat/completions", json=body, headers=HEADERS)
    ended = '"finish_reason":"stop"' in answer.text.replace(" ", "")
    code = "policykit_log_unavailable" if "policykit_log_unavailable" in answer.text else ""
    seen = {"status": answer.status_code, "code": code, "ended": ended, "said": SAID in answer.text, "stream": stream}
    return {**seen, "record": answer.headers["x-policykit-record"]}


def verified(folder: Path) -> str:
    """The log's fault, `None` or the code of an error: SQLite needs some room to open a file that nobody has open."""
    try:
        return str(verify_log(open_reader(folder)).fault)
    except LogError as error:
        return error.diagnostics[0].code


def main(disk: Path, elsewhere: Path, segment_bytes: int) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    log = open_log(disk / "log", SqliteSettings(segment_bytes=segment_bytes))
    peer = Peer(answer=lambda body: Say((SAID,), cut=100))
    book = AuditBook(log, Keeping(SpanForm.MASKED))
    guard = Guard(Serving(deployment(elsewhere)), AppUpstream(peer), book)
    seen: list[dict[str, Any]] = []
    with served(guard) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for number in range(3000):
            seen.append(ask(client, stream=number % 2 == 1))
            if Counter(one["code"] for one in seen)["policykit_log_unavailable"] == 8:
                break
        full = verified(disk / "log")
        ballast.unlink()
        after = [ask(client, stream=number % 2 == 1) for number in range(6)]
    log.close()
    reader = open_reader(disk / "log")
    kept = {found.request for row in reader.rows() if isinstance(found := parse(row.record), Record)}
    finished = {one["record"] for one in (*seen, *after) if one["ended"]}
    failed = [one for one in seen if one["code"]]
    print(
        json.dumps(
            {
                "faults": [full, verified(disk / "log")],
                "n_segments": len(list((disk / "log").glob("segment-*.db"))),
                "n_finished": len(finished),
                "lost": sorted(finished - kept),
                "failed": [[one["status"], one["ended"], one["said"] and not one["stream"]] for one in failed],
                "after": [[one["status"], one["ended"]] for one in after],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
