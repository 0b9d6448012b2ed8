"""What `streamSafe` costs, and whether harmless text ever has a run that it forbids.

    python benchmarks/stream_safe.py --tokenizer tokenizer.json.gz [--out benchmarks/results/stream_safe.json]

False positives: the longest run of marks and invisible characters in what the translated programs of this machine say
(compiled gettext catalogues), in languages that write many marks, as they stand and decomposed (NFD), and in pointed
Hebrew with its accents. The cost: a plan of 1,000 phrases and one of 10, each with and without the limit, bound to one
vocabulary and stepped over the same tokens; medians of paired runs.
"""

import argparse
import gzip
import json
import platform
import statistics
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from evasion import harmless
from tokenizers import Tokenizer

import policykit as pk
from policykit.ir.document import PolicySet
from policykit.policy.stream_safe import MOST
from policykit.text import UNICODE_VERSION, is_mark, view

LANGUAGES = ("en", "de", "fr", "es", "ja", "vi", "th", "hi", "he", "ar", "ta", "km", "my", "bo")
GENESIS = "בְּרֵאשִׁ֖ית בָּרָ֣א אֱלֹהִ֑ים אֵ֥ת הַשָּׁמַ֖יִם וְאֵ֥ת הָאָֽרֶץ׃"
"""Genesis 1:1 with points and accents (Masoretic text): up to three marks on a letter."""
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\ufe0f"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
"""Emoji joined by invisible characters, and the flag of Scotland, which is spelled by six invisible tags."""
REPEATS = 5
WALKED = "We can help you with that account today. " * 40 + "Ce n'est pas garanti. Tiếng Việt có dấu. " * 30


def longest_run(text: str) -> int:
    images = view("compat").images
    longest = run = 0
    for char in text:
        is_counted = bool(is_mark[ord(char)]) or images.get(ord(char)) == ""
        run = run + 1 if is_counted else 0
        longest = max(longest, run)
    return longest


def policy(n_phrases: int, is_safe: bool) -> PolicySet:
    phrases = [f"phrase {i // 26} of {chr(97 + i % 26)} words" for i in range(n_phrases)]
    content = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x", "version": "1.0.0", "owner": "o@example.org", "why": "to measure"},
        **({"streamSafe": True} if is_safe else {}),
        "rules": [{"id": "r", "match": {"phrases": phrases}, "action": {"block": {}}}],
    }
    return PolicySet((pk.parse_document(json.dumps(content), "x.policy.yaml"),))


def timed(policies: PolicySet, vocabulary: pk.Vocabulary, token_ids: list[int]) -> dict[str, float]:
    begin = time.perf_counter()
    plan = pk.compile(policies)
    compiled = time.perf_counter()
    constraint = plan.constraint(vocabulary)
    state = constraint.start()
    row = np.zeros(-(-vocabulary.size // 32), dtype=np.int32)
    state.fill(row)
    bound = time.perf_counter()
    steps: list[float] = []
    for token_id in token_ids:
        start = time.perf_counter()
        state.fill(row)
        state.accept(token_id)
        steps.append(time.perf_counter() - start)
    return {
        "compile_ms": 1e3 * (compiled - begin),
        "first_mask_ms": 1e3 * (bound - compiled),
        "step_us_mean": 1e6 * statistics.fmean(steps),
        "step_us_p50": 1e6 * statistics.median(steps),
    }


def texts() -> Iterator[tuple[str, str]]:
    for language in LANGUAGES:
        text = harmless([Path("/usr/share/locale")], language)
        if len(text) > 10_000:
            yield language, text
    yield "he, with points and accents", GENESIS
    yield "emoji", FAMILY + SCOTLAND


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    safe = pk.compile(policy(10, is_safe=True))
    runs = {
        name: {
            "MB": round(len(text.encode()) / 1e6, 3),
            "longest run": longest_run(text),
            "longest run in NFD": longest_run(unicodedata.normalize("NFD", text)),
            "found": len([v for v in safe.verify(text).violations if v.rule == "stream-safe"]),
        }
        for name, text in texts()
    }
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        data = args.tokenizer.read_bytes()
        file.write(gzip.decompress(data) if args.tokenizer.suffix == ".gz" else data)
        file.flush()
        tokenizer = Tokenizer.from_file(file.name)
        vocabulary = pk.Vocabulary.from_file(file.name, eos_token="<|endoftext|>")
    token_ids = tokenizer.encode(WALKED, add_special_tokens=False).ids
    cost: dict[str, object] = {"tokens": len(token_ids)}
    for n in (10, 1_000):
        pairs = [
            [timed(policy(n, is_safe), vocabulary, token_ids) for is_safe in (False, True)] for _ in range(REPEATS)
        ]
        cost[f"{n} phrases"] = {
            key: {
                "without": round(statistics.median(without[key] for without, _ in pairs), 3),
                "with": round(statistics.median(with_[key] for _, with_ in pairs), 3),
                "ratio": round(statistics.median(with_[key] / without[key] for without, with_ in pairs), 3),
            }
            for key in pairs[0][0]
        }
    result = {
        "about": "streamSafe: longest runs of marks and invisible characters in harmless text, and what a limit costs",
        "limit": MOST,
        "machine": {
            "processor": platform.machine(),
            "python": platform.python_version(),
            "unicode": UNICODE_VERSION,
            "numpy": version("numpy"),
        },
        "harmless": runs,
        "cost": cost,
    }
    written = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    if args.out:
        args.out.write_text(written, encoding="utf-8")
    sys.stdout.write(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
