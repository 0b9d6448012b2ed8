"""Training by the verdicts of a policy: violations before and after, judged also by a policy that training never saw.

    python benchmarks/shaping.py --out benchmarks/results/shaping.json

A model of 0.4 million parameters, which breaks a rule in four replies of ten, is trained from a seed. From it, for each
of three seeds: rejection tuning on its own accepted replies, and then RLOO with a weight λ for every rule. For one seed
PPO and GRPO instead of RLOO, and DPO on pairs of the same replies; and, so that one can see the second policy object,
rejection tuning under a policy that is too narrow. Every model answers the same held-out questions, free and masked.
`--quick` does all that in small: it shows that it runs, and not how well.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from time import perf_counter, process_time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import shaping_task as of_task
import torch
from reply_task import train
from shaping_evaluate import evaluate
from shaping_report import MADE_BY, write_plot
from shaping_rl import METHODS, Shaping
from shaping_train import Fit, Writer, drawn, prefer, tune
from transformers.utils import logging

Row = dict[str, Any]
COMMAND = "python benchmarks/shaping.py --out benchmarks/results/shaping.json"
HELD_OUT_SEED, SHAPING_SEED = 424_242, 10_000


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is done. ``n_each`` replies to ``n_asked`` questions are what rejection tuning and DPO learn from."""

    pretraining_steps: int = 1400
    n_asked: int = 768
    n_each: int = 4
    tuning: Fit = field(default_factory=lambda: Fit(n_epochs=3, lr=5e-4))
    preferring: Fit = field(default_factory=lambda: Fit(n_epochs=3, lr=2e-4))
    shaping: Shaping = field(default_factory=Shaping)
    seeds: tuple[int, ...] = (0, 1, 2)
    n_held_out: int = 3000


QUICK = Extent(
    pretraining_steps=250, n_asked=128, tuning=Fit(2, 1e-3), shaping=Shaping(n_steps=6, n_prompts=16),
    seeds=(0,), n_held_out=300,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """A model to make by ``method`` under a policy, from the folder ``start``, beside which its own is put."""

    method: str
    seed: int = 0
    start: str = "base"
    policy: str = "claims"

    @property
    def name(self) -> str:
        return "-".join([self.method, *([] if self.policy == "claims" else [self.policy]), str(self.seed)])


def waves(seeds: tuple[int, ...]) -> tuple[list[Job], list[Job]]:
    """What starts from the base model, and what then starts from the tuned ones; what matters most first."""
    first = [Job("tuned", seed) for seed in seeds]
    first += [Job("tuned", seeds[0], policy="claims-narrow"), Job("dpo", seeds[0]), Job("base")]
    others = [Job(method, seeds[0], f"tuned-{seeds[0]}") for method in METHODS if method != "rloo"]
    return first, [*(Job("rloo", seed, f"tuned-{seed}") for seed in seeds), *others]


def done(job: Job, extent: Extent, folder: Path) -> Row:
    """Makes and judges one model; its row. Runs in a process of its own, on one core."""
    _quietly()
    torch.manual_seed(job.seed)
    started, cpu_started = perf_counter(), process_time()
    plan, second = of_task.plan(job.policy), of_task.plan("claims-second")
    writer, base = Writer.load(folder / job.start), Writer.load(folder / "base")
    steps = list(_made(job, extent, writer, plan))
    writer.save(folder / job.name)
    trained = perf_counter()
    held_out = of_task.asked(extent.n_held_out, HELD_OUT_SEED)
    row: Row = {
        **asdict(job), "name": job.name, "bundle_digest": plan.bundle_digest, "plan_digest": plan.digest,
        "second_bundle_digest": second.bundle_digest, "training_seconds": round(trained - started, 1),
        **evaluate(writer, base, held_out, plan, second, HELD_OUT_SEED),
    }  # fmt: skip
    row["judging_seconds"] = round(perf_counter() - trained, 1)
    return row | {"cpu_seconds": round(process_time() - cpu_started, 1), "steps": steps}


def _made(job: Job, extent: Extent, writer: Writer, plan: of_task.Plan) -> Iterator[Row]:
    """Changes the model as the job says; what is logged on the way."""
    match job.method:
        case "tuned" | "dpo":
            # One seed draws the same replies for both.
            generator = torch.Generator().manual_seed(job.seed)
            asked = of_task.asked(extent.n_asked, 1_000 + job.seed)
            samples = drawn(writer, plan, asked, extent.n_each, generator)
            is_dpo = job.method == "dpo"
            n = prefer(writer, samples, extent.preferring) if is_dpo else tune(writer, samples, extent.tuning)
            n_accepted = sum(samples.is_accepted)
            yield {"drawn": len(samples.is_accepted), "accepted": n_accepted, "steps": n}
        case "base":
            pass
        case _:
            rows: list[Row] = []
            METHODS[job.method](writer, plan, extent.shaping, SHAPING_SEED + job.seed, rows.append)
            yield from history(rows)


def _quietly() -> None:
    """One core, and no bars for what takes milliseconds."""
    torch.set_num_threads(1)
    logging.disable_progress_bar()


KEPT = ("policy/lambda/", "policy/violation_rate/", "task", "kl", "reward")
AT_A_TIME = 5


def history(rows: Sequence[Row]) -> Iterator[Row]:
    """Means over some steps at a time of what a run has logged, and the digest that stood in all of their rows."""
    steps = [row for row in rows if "reward" in row]
    for i in range(0, len(steps), AT_A_TIME):
        part = steps[i : i + AT_A_TIME]
        (digest,) = {row["bundle_digest"] for row in part}
        names = [name for name in part[0] if name in KEPT or name.startswith(KEPT[:2])]
        means = {name: round(fmean(row[name] for row in part), 5) for name in names}
        yield {"until_step": i + len(part), "bundle_digest": digest, **means}


def run(extent: Extent, folder: Path, out: Path, is_quick: bool) -> None:
    """Everything, two processes at a time. Rows are written as they come."""
    started, cpu_started = perf_counter(), process_time()
    if not (folder / "base").exists():
        _quietly()
        train(folder / "base", of_task.ask, n_steps=extent.pretraining_steps)
    pretrained, cpu = perf_counter() - started, process_time() - cpu_started
    rows = _kept(out, extent, folder)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for jobs in waves(extent.seeds):
            wave = [job for job in jobs if job.name not in {row["name"] for row in rows}]
            for row in pool.map(done, wave, [extent] * len(wave), [folder] * len(wave)):
                rows.append(row)
                _say(row)
                spent = cpu + sum(row["cpu_seconds"] for row in rows)
                seconds = {"pretraining": pretrained, "all": perf_counter() - started, "cpu": spent}
                _write(out, extent, rows, seconds, is_quick)
    write_plot(out)


def _kept(out: Path, extent: Extent, folder: Path) -> list[Row]:
    """The rows of an earlier run of the same extent that was broken off, whose models are still there."""
    if not out.is_file():
        return []
    earlier = json.loads(out.read_text("utf-8"))
    if earlier["extent"] != json.loads(json.dumps(asdict(extent))):
        return []
    return [row for row in earlier["models"] if (folder / row["name"]).is_dir()]


def _say(row: Row) -> None:
    free, masked = row["free"], row["masked"]
    print(
        f"{row['name']}: {free['violations']['k']} of {free['violations']['n']} break a rule, "
        f"{free['second_violations']['k']} by the second policy, task {free['task']['share']:.3f}, "
        f"masked {masked['violations']['k']}, tax {masked['mask_tax_nats']:.3f} nat, "
        f"{row['training_seconds']:.0f} + {row['judging_seconds']:.0f} s",
        file=sys.stderr,
    )


def _write(out: Path, extent: Extent, rows: list[Row], seconds: Row, is_quick: bool) -> None:
    order = list(MADE_BY)
    whole = {
        "benchmark": "shaping",
        "command": COMMAND + (" --quick" if is_quick else ""),
        "machine": {"python": platform.python_version(), "torch": torch.__version__, "cpus": os.cpu_count()},
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "extent": asdict(extent),
        "models": sorted(rows, key=lambda row: (row["policy"] != "claims", order.index(row["method"]), row["seed"])),
    }
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="what training by a policy's verdicts does to a small model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--models", type=Path, help="a folder that keeps the models: a run that was broken off goes on, from `base`"
    )
    parser.add_argument("--quick", action="store_true", help="small, in about a minute: to see that it works")
    parser.add_argument("--seeds", type=int, nargs="+", help="of RLOO (default: 0 1 2)")
    args = parser.parse_args()
    extent = QUICK if args.quick else Extent()
    if args.seeds:
        extent = replace(extent, seeds=tuple(args.seeds))
    with tempfile.TemporaryDirectory() as scratch:
        run(extent, args.models or Path(scratch), args.out, args.quick)


if __name__ == "__main__":
    main()
