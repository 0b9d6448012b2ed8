"""How fast texts are judged while they arrive, beside judging all that has arrived again at every chunk.

    python benchmarks/streaming.py [--out benchmarks/results/streaming.json]

The policy of `verify_throughput.py`: 1,000 phrases on the views raw and skeleton, 30 expressions, 10 entities. Texts
are harmless customer-service replies, and such with digits that may be accounts and are not. Times are processor time
of one thread; MB is 10^6 bytes of UTF-8. `first stream` builds the automaton on the way, which later streams of the
plan share; `first stream after Plan.warm` finds most of it built. The peers read one reply of 2,000 bytes: what they
cost grows with the square of its length.
"""

import argparse
import json
import platform
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

from verify_policy import ENTITIES, REGEXES, VIEWS, make_phrases, plan_of
from verify_texts import ascii_texts, filled, mixed_texts, replies
from verify_throughput import plain_re

import policykit as pk

CHUNKS = (8, 64, 0)
REPLY = 2_000


def chunks_of(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)] if size else [data]


def streamed(plan: pk.Plan, data: bytes, size: int) -> float:
    """MB/s of one stream."""
    chunks = chunks_of(data, size)
    begin = process_time()
    stream = plan.stream()
    for chunk in chunks:
        stream.feed(chunk)
    _, verdict = stream.close()
    spent = process_time() - begin
    assert verdict.decision == "allow", "the texts are harmless"
    return len(data) / 1e6 / spent


def again_and_again(judge: Callable[[str], object], data: bytes, size: int) -> float:
    """MB/s where every chunk has all of the text judged that is there."""
    text = data.decode("ascii")
    begin = process_time()
    for end in range(size, len(text) + size, size):
        judge(text[:end])
    return len(data) / 1e6 / (process_time() - begin)


def with_numbers(pool: list[str], size: int) -> str:
    rng = random.Random(3)

    def number() -> str:
        return " ".join(f"{rng.randrange(9_000, 10_000)}" for _ in range(4))

    return filled(lambda: f"{rng.choice(pool)} Reference {number()}x.\n", size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=300_000, help="bytes of a text")
    parser.add_argument("--texts", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pool = replies(3_000)
    phrases = make_phrases(1_000, pool)
    plan = plan_of(phrases)
    clean = [text for text in pool if text.isascii() and plan.verify(text).decision == "allow"]
    texts = {
        "ascii": [text.encode() for text in ascii_texts(clean, options.texts, options.size)],
        "mixed": [text.encode() for text in mixed_texts(clean, options.texts, options.size)],
        "candidates": [with_numbers(clean, options.size).encode()],
    }
    first = round(streamed(plan, texts["ascii"][0], 8), 3)
    plan = plan_of(phrases)
    begin = process_time()
    plan.warm()
    warming = process_time() - begin
    warmed = round(streamed(plan, texts["ascii"][0], 8), 3)
    rates: dict[str, dict[str, dict[str, float]]] = {}
    for kind, data in texts.items():
        streamed(plan, data[0], 64)
        for size in CHUNKS:
            found = sorted(streamed(plan, one, size) for one in data)
            name = f"{size} bytes" if size else "whole"
            rates.setdefault(kind, {})[name] = {
                "median": round(statistics.median(found), 3),
                "slowest": round(found[0], 3),
            }
    reply = texts["ascii"][0][:REPLY]
    by_re = plain_re(phrases)
    peers = {
        f"{size} bytes": {
            "stream": round(streamed(plan, reply, size), 4),
            "verify the grown text": round(again_and_again(plan.verify, reply, size), 4),
            "re on the grown text": round(again_and_again(by_re, reply, size), 4),
        }
        for size in (8, 64)
    }
    result = {
        "benchmark": "streaming",
        "command": f"python benchmarks/streaming.py --size {options.size} --texts {options.texts}",
        "versions": {"policykit": pk.__version__},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "threads": 1},
        "rules": {"phrases": 1_000, "views": list(VIEWS), "expressions": len(REGEXES), "entities": len(ENTITIES)},
        "mb_per_s": {
            "first stream, ascii, 8 bytes": first,
            "first stream after Plan.warm, ascii, 8 bytes": warmed,
            **rates,
        },
        "warm_s": round(warming, 2),
        f"a reply of {REPLY} bytes, mb_per_s": peers,
    }
    text = json.dumps(result, indent=2)
    if options.out:
        options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
