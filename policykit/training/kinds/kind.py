"""What a kind of training is: a name, its part of the training file, its columns, and what prepares it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from policykit.diagnostics import Diagnostic
from policykit.plan import Plan
from policykit.policy.checked import Json
from policykit.training.config import Config
from policykit.training.rows import Column, Rows
from policykit.training.runs.run import Run
from policykit.training.screening import Screened
from policykit.training.table import Record


@dataclass(frozen=True, slots=True)
class Start:
    """What a kind is prepared from: the file, its plan (None if it names none), and rows whose columns are right."""

    config: Config
    plan: Plan | None
    train: Rows
    held_out: Rows


@dataclass(frozen=True, slots=True)
class Job:
    """A training that has been checked, and can begin.

    ``settings`` is the kind's section with everything that was not said filled in; ``facts`` are numbers about it that
    `--dry-run` prints. ``run`` trains, and logs, evaluates and keeps checkpoints by what it is given. ``warnings`` are
    for people, before the first step; ``screened`` are the rows of both files that are learned from (or measured on)
    against the plan, None for kinds that do not learn to write them.
    """

    run: Callable[[Run], None]
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])
    warnings: tuple[Diagnostic, ...] = ()
    screened: tuple[Screened, Screened] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of training.

    ``records`` are the field table of its section in the file; the first is the section and has the kind's name.
    ``columns`` are what a row holds. ``prepare`` checks everything that can be known before the first step and raises
    PolicyError with all of it; what is heavy (torch, a model) it imports and loads itself. ``needs_plan``: the file
    must name policies, a grammar or a plan. ``plots`` are named groups of metrics for the plots of a run. ``output`` is
    the folder of a run with what was trained: `adapter` is a part of the model, which pipelines add up.
    """

    name: str
    about: str
    records: tuple[Record, ...]
    columns: tuple[Column, ...]
    prepare: Callable[[Start], Job]
    needs_plan: bool = False
    plots: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    output: str = "adapter"
