"""What streams on the real vLLM notice of a big grammar that a request brings, and what bounds cost an everyday one.

    python benchmarks/grammar_wait.py --name after --out benchmarks/results/grammar_wait.json

The server is vLLM with the guard inside, on the embedded model. Four streams run one after the other; measured are the
times between two pieces of a stream, while nothing else is asked, and while a schema of 800 properties is compiled
that nobody has sent before, three times. Then an everyday schema: compiled in this process, in another one, and asked
for again. Run it with an interpreter that has vLLM; with `PYTHONPATH` at another version it measures that one, and
`--name` says under which name its numbers are kept.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import openai

import policykit as pk
from tests.serving.real_vllm import Server, vllm_served
from tests.serving.test_real_vllm import client, write

N_STREAMS, QUIET_S, ROUNDS, N_PROPERTIES = 4, 30.0, 3, 800
BOUNDS = {"POLICYKIT_COMPILE_DEADLINE_S": "200", "POLICYKIT_COMPILE_WAIT_S": "100"}
"""Wide ones, so that a machine with other work measures the same."""


def big(number: int) -> dict[str, Any]:
    """A schema that takes seconds to compile; each number is another one."""
    properties = {f"p{number}_{at}": {"type": "string", "maxLength": 10 + at % 50} for at in range(N_PROPERTIES)}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def everyday(number: int) -> dict[str, Any]:
    properties = {
        f"name{number}": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["private", "business"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
    }
    return {"type": "object", "properties": properties, "required": ["age"], "additionalProperties": False}


def ask(server: Server, **more: Any) -> Any:
    question: Any = {"role": "user", "content": "What returns can I expect?"}
    chats = client(server).with_options(timeout=300).chat
    return chats.completions.create(messages=[question], temperature=1.0, **more)


def gaps(server: Server, over: Event) -> list[float]:
    """Milliseconds between the pieces of each stream, of one stream after the other."""
    found: list[float] = []
    while not over.is_set():
        last: float | None = None
        for event in ask(server, model="profile:answer", max_tokens=60, stream=True):
            now = time.perf_counter()
            if last is not None and event.choices:
                found.append((now - last) * 1e3)
            last = now
    return found


def streamed(server: Server, meanwhile: Callable[[], None]) -> dict[str, float]:
    over = Event()
    with ThreadPoolExecutor(N_STREAMS) as pool:
        streams = [pool.submit(gaps, server, over) for _ in range(N_STREAMS)]
        try:
            meanwhile()
        finally:
            over.set()
        found = sorted(gap for stream in streams for gap in stream.result())
    return {
        "pieces": len(found),
        "median_ms": round(statistics.median(found), 1),
        "p99_ms": round(found[int(len(found) * 0.99)], 1),
        "max_ms": round(found[-1], 1),
    }


def served() -> dict[str, Any]:
    took: list[float] = []

    def compiles() -> None:
        for number in range(ROUNDS):
            began = time.perf_counter()
            form = {"type": "json_schema", "json_schema": {"name": "big", "schema": big(number)}}
            with suppress(openai.BadRequestError):  # it took too long to be waited for, and is compiled all the same
                ask(server, model="profile:open", response_format=form, max_tokens=20)
            took.append(round(time.perf_counter() - began, 2))

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        for path in Path(folder).glob("*.profile.yaml"):
            path.write_text(path.read_text("utf-8").replace("timeoutSeconds: 60", "timeoutSeconds: 280"), "utf-8")
        with vllm_served(Path(folder), variables=BOUNDS) as server:
            ask(server, model="profile:answer", max_tokens=20)
            quiet = streamed(server, lambda: time.sleep(QUIET_S))
            busy = streamed(server, compiles)
    return {"quiet": quiet, "big_grammars": busy, "big_grammars_s": took}


def cost() -> dict[str, float]:
    """Milliseconds for the plan of an everyday schema under a policy, medians of ten."""
    from policykit.ir.document import PolicySet
    from policykit.plan import request_compilers
    from policykit.profiles.plans import Plans
    from tests.engines.vllm.plans import POLICIES

    assert isinstance(POLICIES, PolicySet)
    compilers, made = request_compilers(), pk.Grammar.from_json_schema
    compilers.start()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        from policykit.engines.vllm.grammars import unread
        from policykit.profiles import load_profiles

        profile = load_profiles(folder).get("open")
        assert profile is not None
        plans, times = Plans(), {"here": [0.0], "elsewhere": [0.0], "again": [0.0]}
        for number in range(12):
            source = json.dumps(everyday(number))
            runs: dict[str, Callable[[], object]] = {
                "here": lambda source=source: pk.compile(profile.policies, made(source)),
                "elsewhere": lambda source=source: plans.plan_for(profile, grammar=unread("JSON", source)),
                "again": lambda source=source: plans.plan_for(profile, grammar=unread("JSON", source)),
            }
            for name, run in runs.items():
                began = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - began) * 1e3)
    compilers.close()
    return {f"{name}_ms": round(statistics.median(found[3:]), 2) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="after")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found: dict[str, Any] = served()
    if hasattr(__import__("policykit.plan").plan, "request_compilers"):
        found["everyday_schema"] = cost()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    found |= {"vllm": version("vllm"), "machine": machine, "command": " ".join(["python", *sys.argv])}
    kept = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    text = json.dumps({**kept, args.name: found}, indent=1) + "\n"
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
