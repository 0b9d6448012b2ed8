"""How fast whole texts are judged, beside plain `re` and Presidio's pattern recognisers, in one run.

    python benchmarks/verify_throughput.py [--presidio PYTHON] [--out benchmarks/results/verify_throughput.json]

1,000 phrases on the views raw and skeleton, 30 expressions, 10 entities. Times are processor time of one thread, so
that they hold on a busy machine; MB is 10^6 bytes of UTF-8. ``--presidio`` is a Python that has presidio-analyzer;
its recognisers run alone, without a language model. The slow ones get shorter texts of the same kind.
Every hostile text is judged four times: `first_ms` is the first time that a plan which was warmed (`Plan.warm`) meets
its kind, as it is; `ms` is the median of the three that follow, since single ones are up to a third off on a machine
that does other things too (garbage collection is not why: it takes 0 to 3 per cent), and `worst_ms` the longest of
these three. `median_benign_ms` is of harmless texts that are judged in between, one before each hostile one: machines
are faster and slower for minutes. `cold_ms` is the first time in a process of its own, without warming: it has what is
made once (numbering plans that are read, automata that grow).
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from time import process_time

from verify_policy import ENTITIES, MATCHING, REGEXES, make_phrases, plan_of
from verify_texts import ascii_texts, hostile_texts, mixed_texts, replies

import policykit as pk

SHORT = 20_000
AGAIN = 3
"""Times that every hostile text is judged after the first."""
PRESIDIO = """
import inspect, json, sys, time
import presidio_analyzer.predefined_recognizers as known
from presidio_analyzer import PatternRecognizer
kinds = [k for k in vars(known).values() if inspect.isclass(k) and issubclass(k, PatternRecognizer)]
made = [k() for k in kinds if k is not PatternRecognizer]
out = []
for text in json.load(sys.stdin):
    begin = time.process_time()
    for one in made:
        one.analyze(text, one.supported_entities, None)
    out.append(len(text.encode()) / 1e6 / (time.process_time() - begin))
print(json.dumps({"mb_per_s": out, "recognisers": len(made)}))
"""


def seconds(run: Callable[[str], object], text: str) -> float:
    begin = process_time()
    run(text)
    return process_time() - begin


def rates(run: Callable[[str], object], texts: Sequence[str]) -> dict[str, float]:
    found = sorted(len(text.encode()) / 1e6 / seconds(run, text) for text in texts)
    return {"median": round(statistics.median(found), 3), "slowest": round(found[0], 3), "texts": len(found)}


def plain_re(phrases: Sequence[str]) -> Callable[[str], object]:
    """What one writes without a library: the phrases as one alternation, the expressions one by one."""
    words = "|".join(re.escape(phrase).replace(r"\ ", r"[\s_*~`-]+") for phrase in phrases)
    compiled = [re.compile(rf"\b(?:{words})\b", re.IGNORECASE), *map(re.compile, REGEXES)]
    return lambda text: [found for one in compiled for found in one.finditer(text)]


def presidio(python: str, texts: Sequence[str]) -> dict[str, object]:
    done = subprocess.run(
        [python, "-c", PRESIDIO], input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr.strip().splitlines()[-1]}


def firsts(plan: pk.Plan, texts: dict[str, str]) -> dict[str, float]:
    """Seconds by kind of text, in order."""
    return {name: seconds(plan.verify, text) for name, text in texts.items()}


def in_turn(plan: pk.Plan, texts: dict[str, str], benign: Sequence[str]) -> tuple[dict[str, float], list[float]]:
    """The same, and the seconds of harmless texts, one of which is judged before each."""
    found: dict[str, float] = {}
    between: list[float] = []
    for i, (name, text) in enumerate(texts.items()):
        between.append(seconds(plan.verify, benign[i % len(benign)]))
        found[name] = seconds(plan.verify, text)
    return found, between


def slowest_first(found: dict[str, float]) -> dict[str, float]:
    return {name: round(s * 1000, 1) for name, s in sorted(found.items(), key=lambda item: -item[1])}


def cold(size: int) -> dict[str, float]:
    """The same in another process, whose plan is not warmed but has judged harmless text."""
    command = [sys.executable, __file__, "--cold", "--size", str(size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presidio", help="a Python with presidio-analyzer")
    parser.add_argument("--benign", type=int, default=100, help="harmless texts in ASCII")
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes of a text")
    parser.add_argument("--cold", action="store_true", help="only what hostile texts cost first, without warming")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pool = replies(3_000)
    phrases = make_phrases(1_000, pool)
    plan, without = plan_of(phrases), plan_of(phrases, ())
    texts = hostile_texts(phrases, MATCHING, options.size)
    if options.cold:
        for text in (ascii_texts(pool, 1, options.size)[0], mixed_texts(pool, 1, options.size)[0]):
            plan.verify(text)
        sys.stdout.write(json.dumps(firsts(plan, texts)))
        return
    begin = process_time()
    plan.warm()
    warming = process_time() - begin
    clean = [text for text in pool if plan.verify(text).decision == "allow"]
    benign = ascii_texts(clean, options.benign, options.size)
    mixed = mixed_texts(clean, max(3, options.benign // 10), options.size)
    for text in (benign[0], mixed[0]):
        plan.verify(text)
        without.verify(text)
    benign_rates = rates(plan.verify, benign)
    first, _ = in_turn(plan, texts, benign)
    rounds = [in_turn(plan, texts, benign) for _ in range(AGAIN)]
    again = [found for found, _ in rounds]
    median_ms = statistics.median(second for _, between in rounds for second in between) * 1000
    hostile = {name: statistics.median(found[name] for found in again) for name in texts}
    worst = {name: max(found[name] for found in again) for name in texts}
    slowest = max(hostile, key=hostile.__getitem__)
    short = [benign[0][:SHORT], mixed[0][: SHORT // 2]]
    result = {
        "benchmark": "verify_throughput",
        "command": f"python benchmarks/verify_throughput.py --size {options.size} --benign {options.benign}"
        + (" --presidio PYTHON" if options.presidio else ""),
        "versions": {"google-re2": version("google-re2"), "ahocorasick-rs": version("ahocorasick-rs")},
        "machine": {"python": platform.python_version(), "system": platform.machine(), "threads": 1},
        "rules": {
            "phrases": 1_000,
            "views": ["raw", "skeleton"],
            "expressions": len(REGEXES),
            "entities": len(ENTITIES),
        },
        "mb_per_s": {
            "ascii": benign_rates,
            "ascii, without entities": rates(without.verify, benign),
            "mixed": rates(plan.verify, mixed),
            "mixed, without entities": rates(without.verify, mixed),
            "re, ascii and mixed": rates(plain_re(phrases), short),
            "presidio, ascii and mixed": presidio(options.presidio, short) if options.presidio else "not run",
        },
        "warm_s": round(warming, 2),
        "hostile": {
            "median_benign_ms": round(median_ms, 1),
            "slowest": slowest,
            "slowest_to_median": round(hostile[slowest] * 1000 / median_ms, 1),
            "ms": slowest_first(hostile),
            "worst_ms": slowest_first(worst),
            "first_ms": slowest_first(first),
            "cold_ms": slowest_first(cold(options.size)),
        },
    }
    text = json.dumps(result, indent=2, ensure_ascii=False)
    if options.out:
        options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
