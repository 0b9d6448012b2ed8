"""What a shadowed candidate costs in latency: the same requests to two gateways, of which one asks a second bundle.

    python benchmarks/shadow_load.py [--requests 400] [--clients 8] [--out benchmarks/results/shadow_load.json]

The upstream answers at once with a text of the bundled corpus; both bundles have 1,000 phrases and 20 expressions, and
the candidate has a rule more. Each client asks the two gateways in turns, so that the machine's other work meets both
alike; differences are of pairs. Client, upstream and gateways share the machine. A candidate is asked in a thread of
its own after the answer: what it costs is processor time, which a busy machine feels and an idle one does not.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from gateway_load import KEY, MODEL, PROFILE, configure, free_port, replies, wait_for

import policykit as pk
from policykit.audit.shadow import Counted, read_shadow
from policykit.bundle import build, generate

WAYS = ("alone", "shadowed")
ANSWERS = replies(200)


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for said in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{said}.complete"})
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    number = int(json.loads(body)["messages"][-1]["content"]) if body else 0
    message = {"role": "assistant", "content": ANSWERS[number % len(ANSWERS)]}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def bundles(folder: Path) -> None:
    """`live.bundle` and `next.bundle`, with the key that signs them."""
    generate(folder / "key")
    for revision, name in enumerate(("live", "next"), 1):
        source = folder / name
        source.mkdir()
        configure(source)
        policy = json.loads((source / "bench.policy.yaml").read_text())
        if name == "next":
            policy["rules"].append({"id": "more", "match": {"phrases": ["thank you"]}, "action": {"block": {}}})
        (source / "bench.policy.yaml").write_text(json.dumps(policy))
        (source / "bench.keys.yaml").replace(folder / "bench.keys.yaml")
        bundle = build([source], revision).bundle.signed_by(folder / "key")
        (folder / f"{name}.bundle").write_bytes(bundle.render())


def serve(folder: Path, way: str, port: int, behind: int) -> "subprocess.Popen[bytes]":
    more = ("--shadow-bundle", str(folder / "next.bundle"), "--shadow-log", str(folder / "shadow.sqlite"))
    command = [
        *(sys.executable, "-c", "import sys; from policykit.cli.main import main; sys.exit(main())", "serve"),
        *("--upstream", f"http://127.0.0.1:{behind}", "--model", MODEL, "--port", str(port)),
        *("--bundle", str(folder / "live.bundle"), "--trusted", str(folder / "key.pub")),
        *("--keys", str(folder / "bench.keys.yaml"), "--log", str(folder / f"log-{way}")),
        *("--run", str(folder / f"run-{way}"), *(more if way == "shadowed" else ())),
    ]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def asked(client: httpx.Client, port: int, number: int) -> float:
    """Seconds of one request."""
    body = {"model": f"profile:{PROFILE}", "messages": [{"role": "user", "content": str(number)}]}
    began = time.perf_counter()
    answer = client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


def paired(ports: dict[str, int], numbers: range) -> list[tuple[float, float]]:
    """Each request both ways, the first way in turns."""
    found: list[tuple[float, float]] = []
    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False) as client:
        for number in numbers:
            first, second = WAYS if number % 2 else WAYS[::-1]
            took = {first: asked(client, ports[first], number), second: asked(client, ports[second], number)}
            found.append((took["alone"], took["shadowed"]))
    return found


def run(folder: Path, n_requests: int, n_clients: int) -> dict[str, Any]:
    bundles(folder)
    behind, ports = free_port(), {way: free_port() for way in WAYS}
    processes = [subprocess.Popen([sys.executable, __file__, "--upstream-port", str(behind)])]
    try:
        wait_for(behind, processes[0])
        for way, port in ports.items():
            processes.append(serve(folder, way, port, behind))
            wait_for(port, processes[-1])
        paired(ports, range(20))
        share = n_requests // n_clients
        with ThreadPoolExecutor(n_clients) as pool:
            work = [pool.submit(paired, ports, range(at * share, (at + 1) * share)) for at in range(n_clients)]
            pairs = [pair for one in work for pair in one.result()]
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(60)
    report = read_shadow(folder / "shadow.sqlite")
    took = dict(zip(WAYS, zip(*pairs, strict=True), strict=True))
    return {
        "requests": len(pairs),
        "clients": n_clients,
        "request_ms": {way: _cuts(values) for way, values in took.items()},
        "added_ms": {
            "p50": round(1000 * statistics.median(shadowed - alone for alone, shadowed in pairs), 2),
            "p99": round(_cuts(took["shadowed"])["p99"] - _cuts(took["alone"])["p99"], 2),
        },
        "asked_beside": report.total(Counted.REQUESTS),
        "differ": report.total(Counted.DIFFERED),
        "dropped": report.total(Counted.DROPPED),
    }


def _cuts(values: tuple[float, ...]) -> dict[str, float]:
    found = statistics.quantiles(values, n=100)
    return {"p50": round(1000 * found[49], 2), "p99": round(1000 * found[98], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--upstream-port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.upstream_port:
        import uvicorn

        uvicorn.run(upstream, host="127.0.0.1", port=args.upstream_port, log_level="critical")
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        measured = run(Path(folder), args.requests, args.clients)
    result = {
        "benchmark": "shadow_load",
        "command": f"python benchmarks/shadow_load.py --requests {args.requests} --clients {args.clients}",
        "versions": {"policykit": pk.__version__},
        "machine": {
            "python": platform.python_version(), "system": platform.machine(), "cpus": os.cpu_count(),
            "load_before": round(load, 1),
        },
        **measured,
    }  # fmt: skip
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
