"""`policykit train`: one training from one file, into a run folder."""

import json
import logging
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from policykit.cli import pipeline
from policykit.cli.command import Command, add_format
from policykit.cli.engine import NotInstalled, quieten
from policykit.cli.exits import Exit
from policykit.cli.render import print_diagnostics
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import not_negative
from policykit.cli.streams import Streams
from policykit.diagnostics import Diagnostic, PolicyError, did_you_mean
from policykit.training.kinds import KINDS, Kind
from policykit.training.runs.guards import Diverged
from policykit.training.runs.record import record_of
from policykit.training.runs.summary import Summary
from policykit.training.session import Ready, is_main_process, prepare, train

_EXTRA = ("torch", "transformers", "peft", "accelerate", "tensorboard", "trl", "datasets", "safetensors", "scipy")


def _configure(parser: ArgumentParser) -> None:
    kinds = "; ".join([*(f"{kind.name}: {kind.about}" for kind in KINDS), f"{pipeline.NAME}: {pipeline.ABOUT}"])
    parser.add_argument("kind", metavar="KIND", help=kinds)
    parser.add_argument("file", type=Path, metavar="FILE", help="the training file")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder, in place of the file's")
    parser.add_argument("--seed", type=not_negative, metavar="N", help="the seed, in place of the file's")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run folder")
    parser.add_argument("--dry-run", action="store_true", help="check everything and print it; train nothing")
    add_format(parser, "json")


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = [*(kind.name for kind in KINDS), pipeline.NAME]
    help = did_you_mean(name, names) or f"the kinds are {', '.join(names)}"
    raise PolicyError.of("PK550", f"there is no kind of training `{name}`", help=help)


def _run(args: Namespace, streams: Streams) -> Exit:
    kind = None if args.kind == pipeline.NAME else _kind(args.kind)
    quieten()
    warnings.simplefilter("ignore", FutureWarning)  # of libraries about each other: not about the user's input
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    try:
        if kind is None:
            return pipeline.run(args, streams)
        ready = prepare(kind, args.file, folder=args.out, seed=args.seed)
        if is_main_process():
            print_diagnostics(streams.err, ready.job.warnings)
        if args.dry_run:
            return _told(ready, args.format, streams)
        return _trained(ready, args, streams)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _EXTRA:
            raise
        message = f"training needs `{error.name}`, which is not installed"
        raise NotInstalled(Diagnostic("PK555", message, help="pip install 'policykit[train]'")) from error


def _trained(ready: Ready, args: Namespace, streams: Streams) -> Exit:
    config = ready.start.config
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    watched = streams.err.is_terminal and is_main_process()
    with Progress(*columns, console=streams.err, transient=True, disable=not watched) as progress:
        bar = progress.add_task(f"training {config.name}", total=config.steps.n_steps)
        try:
            summary = train(
                ready,
                resume=args.resume,
                show=lambda step, note: progress.update(bar, completed=step, description=note),
            )
        except Diverged as stop:
            print_diagnostics(streams.err, (stop.diagnostic,))
            return Exit.FAILED
    if is_main_process():
        _print(summary, config.folder, args.format, streams)
    return Exit.FINE


def _print(summary: Summary, folder: Path, form: str, streams: Streams) -> None:
    if form == "json":
        streams.write(to_json({**summary.as_json(), "folder": str(folder)}))
        return
    streams.write(f"{summary.kind}: {summary.status} after {summary.n_steps} steps, in {folder}\n")
    width = max((len(name) for name in summary.last), default=0)
    for name, value in sorted(summary.last.items()):
        streams.write(f"  {name:<{width}}  {summary.first[name]:>10.4g}  {value:>10.4g}\n")
    streams.out.print(Text("first and last value of every metric; plots are in the folder", "dim"))


def _told(ready: Ready, form: str, streams: Streams) -> Exit:
    record = record_of(ready.start, ready.job)
    if form == "json":
        streams.write(to_json(record))
        return Exit.FINE
    start = ready.start
    streams.write(f"{ready.kind.name}: everything fits; nothing was trained\n")
    rows = {"rows": len(start.train), "held-out rows": len(start.held_out), "steps": start.config.steps.n_steps}
    for name, value in {**rows, **ready.job.facts}.items():
        streams.write(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}\n")
    return Exit.FINE


COMMAND = Command("train", "train a model, from one file into a run folder", _configure, _run)
