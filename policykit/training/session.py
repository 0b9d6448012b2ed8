"""From a training file to a run folder: what is checked before the first step, and what is left after the last."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.grammar import load_grammar
from policykit.plan import Plan, compile as compile_plan, load_plan
from policykit.policy import load_policies
from policykit.training.config import Config, PlanSource, load_config
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.rows import Rows, load_rows
from policykit.training.runs.folder import RunFolder
from policykit.training.runs.guards import Diverged
from policykit.training.runs.pinning import pin
from policykit.training.runs.record import record_of
from policykit.training.runs.run import Run, Show, show_nothing
from policykit.training.runs.summary import Summary, plots_of, summary_of, write_summary

_T = TypeVar("_T")
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Ready:
    """A training that has been checked as far as it can be before its first step."""

    kind: Kind
    start: Start
    job: Job


def prepare(kind: Kind, path: Path, *, folder: Path | None = None, seed: int | None = None) -> Ready:
    """Everything that comes before the first step; ``folder`` and ``seed`` take the place of the file's.

    Raises PolicyError with everything that is wrong with the file, its plan and its rows.
    """
    config = load_config(path, kind.name, kind.records)
    if folder is not None:
        config = replace(config, folder=folder)
    if seed is not None:
        config = replace(config, steps=replace(config.steps, seed=seed))
    return prepared(kind, start_of(kind, config))


def prepared(kind: Kind, start: Start) -> Ready:
    """What the kind itself checks. Raises PolicyError."""
    return Ready(kind, start, kind.prepare(start))


def start_of(kind: Kind, config: Config) -> Start:
    """The plan and the rows that a training file names. Raises PolicyError with everything that is wrong with them."""
    found: list[Diagnostic] = []
    if kind.needs_plan and not config.plan.is_named:
        message = f"`{kind.name}` needs a plan"
        help = "name `policies`, a `grammar` or a `plan`"
        found.append(Diagnostic("PK780", message, config.place(), help))
    absent = tuple(_absent(config))
    found.extend(absent)
    plan = None if absent else _tried(lambda: plan_from(config.plan), found)
    data = config.data
    train = _tried(lambda: load_rows(data.train, kind.columns, plan, config.place("data", "train")), found)
    held_out: Rows | None = Rows()
    if (named := data.held_out) is not None:
        held_out = _tried(lambda: load_rows(named, kind.columns, plan, config.place("data", "heldOut")), found)
    if found or train is None or held_out is None:
        raise PolicyError(dict.fromkeys(found))  # what is wrong with a file is told once, however often it is named
    return Start(config, plan, train, held_out)


def _absent(config: Config) -> Iterator[Diagnostic]:
    """Files of the plan that are not there, each where the training file names it."""
    source, entries = config.plan, config.entries
    one = ((entries.leaf("grammar"), source.grammar), (entries.leaf("plan"), source.file))
    for leaf, path in (*zip(entries.leaves("policies"), source.policies, strict=True), *one):
        if leaf and path and not path.exists():
            yield Diagnostic("PK001", f"there is no `{path}`", leaf.place, "check the path")


def _tried(make: Callable[[], _T], found: list[Diagnostic]) -> _T | None:
    try:
        return make()
    except PolicyError as error:
        found.extend(error.diagnostics)
        return None


def plan_from(source: PlanSource) -> Plan | None:
    """The plan that a training file names; None where it names none."""
    if not source.is_named:
        return None
    if source.file is not None:
        return load_plan(source.file)
    policies = load_policies(*source.policies) if source.policies else None
    grammar = load_grammar(source.grammar) if source.grammar else None
    said = source.context.get
    return compile_plan(
        policies,
        grammar,
        profile=said("profile"),
        tenant=said("tenant"),
        locale=said("locale"),
        jurisdiction=said("jurisdiction"),
    )


def is_main_process() -> bool:
    """Whether this is the process that writes: the first of those that `accelerate launch` or torchrun began."""
    return os.environ.get("RANK", "0") == "0"


def train(ready: Ready, *, resume: bool = False, show: Show = show_nothing) -> Summary:
    """Run what was prepared, to its end or until a guard stops it.

    Raises PolicyError (PK784) for a folder that does not fit, and Diverged (PK783), with the summary written.
    """
    config = ready.start.config
    folder, is_main = RunFolder(config.folder), is_main_process()
    record = record_of(ready.start, ready.job)
    resumed = None
    if resume:
        resumed = folder.resume(record)
    elif is_main:
        folder.new(record, config.text)
    run = Run(config, folder, resumed, is_main, show)
    try:
        ready.job.run(run)
    except Diverged as stop:
        _close(ready, run, stop.diagnostic.message)
        raise
    except PolicyError:
        if is_main and not resume:
            folder.forget()
        raise
    finally:
        run.close()
    return _close(ready, run, FINISHED)


def _close(ready: Ready, run: Run, status: str) -> Summary:
    lines = run.folder.lines()
    summary = summary_of(ready.start.config.name, ready.kind.name, status, lines)
    if run.is_main:
        write_summary(run.folder, summary, plots_of(lines, ready.kind.plots))
    if run.is_main and status == FINISHED:
        pin(run.folder.path / ready.kind.output, ready.start, ready.job, lines)
    return summary
