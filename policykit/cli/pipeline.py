"""`policykit train pipeline FILE`: what a pipeline does, shown on a terminal."""

from argparse import Namespace

from policykit.cli.exits import Exit
from policykit.cli.progress import stages
from policykit.cli.render import print_diagnostics
from policykit.cli.reports.plain import to_json
from policykit.cli.streams import Streams
from policykit.diagnostics import PolicyError
from policykit.pipeline.load import Pipeline, load_pipeline
from policykit.pipeline.run import Outcome, check, run_pipeline
from policykit.training.runs.guards import Diverged

NAME = "pipeline"
ABOUT = "trainings one after the other and an evaluation, resumed where they stopped"


def run(args: Namespace, streams: Streams) -> Exit:
    """Check the whole file, and do what is not done yet."""
    if args.seed is not None or args.resume:
        message = "a pipeline has a seed for each stage, and always goes on where it stopped"
        raise PolicyError.of("PK550", message, help="leave `--seed` and `--resume` out")
    pipeline = load_pipeline(args.file, args.out)
    print_diagnostics(streams.err, check(pipeline))
    if args.dry_run:
        _told(pipeline, streams)
        return Exit.FINE
    with stages(streams) as progress:
        try:
            outcome = run_pipeline(pipeline, progress)
        except Diverged as stop:
            print_diagnostics(streams.err, (stop.diagnostic,))
            return Exit.FAILED
    _print(outcome, args.format, streams)
    return Exit.FAILED if outcome.exceeded else Exit.FINE


def _told(pipeline: Pipeline, streams: Streams) -> None:
    streams.write("pipeline: everything fits; nothing was trained\n")
    for stage in pipeline.stages:
        n_rows, n_steps = len(stage.start.train), stage.start.config.steps.n_steps
        streams.write(f"  {stage.name}: {stage.kind.name}, {n_steps} steps on {n_rows} rows\n")


def _print(outcome: Outcome, form: str, streams: Streams) -> None:
    rows = [(s.name, str(s.folder), "was there" if s.was_there else "done") for s in outcome.stages]
    if form == "json":
        found = {"stages": rows, "adapter": str(outcome.adapter), "exceeded": outcome.exceeded}
        streams.write(to_json({**found, "evaluation": str(outcome.evaluation) if outcome.evaluation else None}))
        return
    for name, folder, how in rows:
        streams.write(f"{name}: {how}, in {folder}\n")
    for reason in outcome.exceeded:
        streams.write(f"limit exceeded: {reason}\n")
