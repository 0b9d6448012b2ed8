"""What the gateway adds under load: streams straight from an upstream beside the same streams through the gateway.

    python benchmarks/gateway_load.py [--streams 300] [--rounds 5] [--out benchmarks/results/gateway_load.json]

The upstream is a process that paces tokens like a model and says texts of the bundled corpus; into every tenth it puts
a phrase that the policy forbids (1,000 phrases, 20 expressions). Rounds alternate between the two ways; all streams
begin within three seconds and run at once. Latencies run from the moment when the upstream is due to send a piece to
the moment when the client has all that this piece releases. How long text is held back because a rule may still want
it is counted apart, in pieces: that is the policy's, and no gateway can do without. Upstream, gateway and client share
the machine, as they would not in production; the gateway's own processor time is counted, too. After each round every
text is compared with what the upstream said, and at the end the decision log is verified and counted.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verify_policy import REGEXES, VIEWS, make_phrases

import policykit as pk
from policykit.audit import open_reader, verify_log
from policykit.embedded.corpus import DOMAINS, chat
from policykit.profiles import digest_of_key

KEY, MODEL, PROFILE = "key-of-the-benchmark", "synthetic", "load"
PIECE_S, WORDS, EVERY, RAMP_S = 0.1, 100, 10, 3.0
"""Seconds between two pieces of a stream (a model at 10 tokens a second), pieces, how many streams to a bad one, and
the seconds within which streams begin."""
FALLBACK = "Please ask a colleague."


def replies(n: int) -> list[str]:
    rng = random.Random(11)
    return [chat(rng, DOMAINS[i % len(DOMAINS)]).completion for i in range(n)]


PHRASES = make_phrases(1000, replies(500))


def pieces_of(number: int) -> list[str]:
    """What the upstream says in stream ``number``; every tenth has a forbidden phrase in it."""
    rng = random.Random(number)
    words = " ".join(rng.choice(BENIGN) for _ in range(12)).split()[:WORDS]
    if number % EVERY == 0:
        words[rng.randrange(20, len(words) - 10)] += f" {rng.choice(PHRASES)}"
    return [word if i == 0 else f" {word}" for i, word in enumerate(words)]


def is_bad(text: str) -> bool:
    """Plain search, which knows nothing of plans."""
    spaced = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.casefold()).split())} "
    return any(f" {phrase} " in spaced for phrase in PHRASES)


BENIGN = [text for text in replies(600) if not is_bad(text) and not any(re.search(r, text) for r in REGEXES)]


# -- the upstream, a process of its own ------------------------------------------------------------------------------


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    if scope["method"] == "GET":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"object": "list", "data": []}'})
        return
    number = int(json.loads(body)["messages"][-1]["content"].rsplit(" ", 1)[1])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    due = time.monotonic()
    for piece in pieces_of(number):
        due += PIECE_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await send({"type": "http.response.body", "body": event_of({"content": piece}, None), "more_body": True})
    await send({"type": "http.response.body", "body": event_of({}, "stop") + b"data: [DONE]\n\n"})


def event_of(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


# -- the client --------------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """One stream as its client saw it: its text, when each piece came (seconds after the request), how it ended."""

    number: int
    text: str = ""
    arrivals: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """Characters that had come, and when."""
    seconds: float = 0.0
    reason: str | None = None
    error: str | None = None


async def stream(port: int, number: int, start: asyncio.Event, after_s: float) -> Heard:
    """One streamed chat over a connection of its own."""
    heard = Heard(number)
    message = {"role": "user", "content": f"Say number {number}"}
    body = json.dumps({"model": f"profile:{PROFILE}", "messages": [message], "stream": True, "max_tokens": 2 * WORDS})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n"
    head += f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await start.wait()
    await asyncio.sleep(after_s)
    began = time.perf_counter()
    try:
        writer.write((head + body).encode())
        status = (await reader.readline()).split()[1:2]
        if status != [b"200"]:
            heard.error = f"{status} {(await reader.read(2000))[-500:]!r}"
            return heard
        async for line in reader:
            if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                heard.error = str(chunk["error"])
            for choice in chunk.get("choices", ()):
                if piece := choice["delta"].get("content"):
                    heard.text += piece
                    heard.arrivals.append((len(heard.text), time.perf_counter() - began))
                heard.reason = choice.get("finish_reason") or heard.reason
        heard.seconds = time.perf_counter() - began
    finally:
        writer.close()
    return heard


async def together(port: int, numbers: Sequence[int]) -> list[Heard]:
    start = asyncio.Event()
    step = RAMP_S / len(numbers)
    waiting = [asyncio.create_task(stream(port, number, start, step * i)) for i, number in enumerate(numbers)]
    await asyncio.sleep(0.5)  # until all are connected
    start.set()
    return await asyncio.gather(*waiting)


def lateness(heard: Heard, released: Sequence[int]) -> list[float]:
    """Seconds from the moment when a piece was due to be sent to when the client had all that it releases: that many
    characters of the text, after each piece."""
    found: list[float] = []
    at = n_before = 0
    for i, n in enumerate(released):
        while at < len(heard.arrivals) and heard.arrivals[at][0] < n:
            at += 1
        if n > n_before and at < len(heard.arrivals):
            found.append(heard.arrivals[at][1] - (i + 1) * PIECE_S)
        n_before = n
    return found


def released_by(plan: pk.Plan | None, number: int) -> list[int]:
    """How many characters of a stream may be shown after each piece; what the plan holds back waits for later ones."""
    found: list[int] = []
    stream, n = plan.stream() if plan else None, 0
    for piece in pieces_of(number):
        n += len(stream.feed(piece) if stream else piece)
        found.append(n)
    return found


def holding(number: int, released: Sequence[int]) -> list[int]:
    """For each piece, how many later ones it waits for because a rule may still want it."""
    found: list[int] = []
    n, at = 0, 0
    for i, piece in enumerate(pieces_of(number)):
        n += len(piece)
        while at < len(released) and released[at] < n:
            at += 1
        if at < len(released):
            found.append(max(at - i, 0))
    return found


# -- what is checked ---------------------------------------------------------------------------------------------------


def check(all_heard: Sequence[Heard], guarded: bool) -> dict[str, int]:
    """Raises AssertionError: a stream was lost or changed, or something forbidden came out of the gateway."""
    n_bad = 0
    for heard in all_heard:
        assert heard.error is None, (heard.number, heard.error)
        said = "".join(pieces_of(heard.number))
        if heard.number % EVERY or not guarded:
            assert heard.text == said, (heard.number, "lost or changed", heard.text, said)
            assert heard.reason == "stop", (heard.number, heard.reason)
        else:
            assert is_bad(said), "the upstream was to say it"
            assert not is_bad(heard.text), (heard.number, "went out", heard.text)
            assert said.startswith(heard.text.removesuffix(FALLBACK)), (heard.number, heard.text)
            assert heard.reason == "content_filter", (heard.number, heard.reason)
            n_bad += 1
    return {"streams": len(all_heard), "stopped": n_bad}


def configure(folder: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"id": "phrases", "match": {"phrases": PHRASES, "views": list(VIEWS)}, "action": {"block": {}}},
        *({"id": f"regex-{i}", "match": {"regex": [r]}, "action": {"block": {}}} for i, r in enumerate(REGEXES[:20])),
    ]
    why = {"version": "1.0.0", "owner": "bench@example.org", "why": "a benchmark"}
    head: dict[str, Any] = {"apiVersion": "policykit/v1"}
    policy = {**head, "kind": "Policy", "metadata": {"name": "bench", **why}, "rules": rules}
    profile = {
        **head, "kind": "Profile", "metadata": {"name": PROFILE, **why}, "task": "answer",
        "policies": ["bench.policy.yaml"], "fallback": FALLBACK, "limits": {"timeoutSeconds": 120, "attempts": 1},
    }  # fmt: skip
    grant = {"id": "k", "sha256": digest_of_key(KEY), "tenant": "bench", "profiles": [PROFILE], "default": PROFILE}
    (folder / "bench.policy.yaml").write_text(json.dumps(policy))
    (folder / f"{PROFILE}.profile.yaml").write_text(json.dumps(profile))
    (folder / "bench.keys.yaml").write_text(json.dumps({**head, "kind": "Keys", "keys": [grant]}))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("a server did not start") from None
            time.sleep(0.1)


def run(folder: Path, n_streams: int, rounds: int) -> dict[str, Any]:
    configure(folder)
    plan, held = pk.compile(pk.load_policies(folder / "bench.policy.yaml")), list[int]()
    ports = {"direct": free_port(), "gateway": free_port()}
    here = [sys.executable, __file__, "--upstream-port", str(ports["direct"])]
    serve = [
        *(sys.executable, "-c", "import sys; from policykit.cli.main import main; sys.exit(main())", "serve"),
        *("--upstream", f"http://127.0.0.1:{ports['direct']}", "--model", MODEL),
        *("--port", str(ports["gateway"]), "--profiles", str(folder), "--keys", str(folder / "bench.keys.yaml")),
        *("--log", str(folder / "log"), "--run", str(folder / "run")),
    ]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in (here, serve)]
    late: dict[str, list[float]] = {"direct": [], "gateway": []}
    took: dict[str, list[float]] = {"direct": [], "gateway": []}
    medians: dict[str, list[float]] = {"direct": [], "gateway": []}
    counts = {"streams": 0, "stopped": 0}
    try:
        for port, process in zip(ports.values(), processes, strict=True):
            wait_for(port, process)
        cpu_s = 0.0
        for at in range(-1, rounds):  # the first round warms up
            if at == 0:
                cpu_s = processor_s(processes[1].pid)
            for way, port in ports.items():
                numbers = [1 + (at + 1) * n_streams + i for i in range(n_streams)]
                heard = asyncio.run(together(port, numbers))
                found = check(heard, guarded=way == "gateway")
                if way == "gateway":
                    counts = {name: counts[name] + found[name] for name in counts}
                if at >= 0:
                    whole = [one for one in heard if one.number % EVERY]
                    ways = [released_by(plan if way == "gateway" else None, one.number) for one in whole]
                    these = [delay for one, n in zip(whole, ways, strict=True) for delay in lateness(one, n)]
                    late[way] += these
                    if way == "gateway":
                        held += [h for one, n in zip(whole, ways, strict=True) for h in holding(one.number, n)]
                    medians[way].append(statistics.median(these))
                    took[way] += [one.seconds for one in whole]
            print(f"round {at + 1} of {rounds}: {n_streams} streams each way", file=sys.stderr, flush=True)
        cpu_s = processor_s(processes[1].pid) - cpu_s
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(60)
    verified = verify_log(open_reader(folder / "log"))
    assert verified.fault is None, verified.fault
    records = sum(1 for _ in open_reader(folder / "log").rows())
    assert records >= counts["streams"], (records, counts)
    pairs = list(zip(medians["gateway"], medians["direct"], strict=True))
    return {
        "streams_at_once": n_streams,
        "pieces": WORDS,
        "pieces_per_s": round(n_streams / PIECE_S),
        "piece_lateness_ms": {way: cuts(values) for way, values in late.items()},
        "added_ms": {
            "p50": round(1000 * statistics.median(g - d for g, d in pairs), 2),
            "p99": round(cuts(late["gateway"])["p99"] - cuts(late["direct"])["p99"], 2),
        },
        "held_for_pieces": {"mean": round(statistics.mean(held), 2), "p99": statistics.quantiles(held, n=100)[98]},
        "gateway_cpu_ms_per_piece": round(1000 * cpu_s / (rounds * n_streams * WORDS), 3),
        "stream_s": {way: round(statistics.median(values), 3) for way, values in took.items()},
        "through_the_gateway": {**counts, "lost_or_changed": 0, "forbidden": 0, "records": records},
    }  # fmt: skip


def processor_s(pid: int) -> float:
    """Seconds of processor time that a process has used (Linux, proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cuts(values: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    found = statistics.quantiles(values, n=1000)
    return {"p50": round(found[499] * 1000, 2), "p99": round(found[989] * 1000, 2), "max": round(max(values) * 1000, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--upstream-port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.upstream_port:
        import uvicorn

        uvicorn.run(upstream, host="127.0.0.1", port=args.upstream_port, log_level="critical", backlog=4096)
        return
    with tempfile.TemporaryDirectory() as folder:
        measured = run(Path(folder), args.streams, args.rounds)
    result = {
        "benchmark": "gateway_load",
        "command": f"python benchmarks/gateway_load.py --streams {args.streams} --rounds {args.rounds}",
        "versions": {"policykit": pk.__version__},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "cpus": os.cpu_count()},
        **measured,
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
