"""A pipeline under way: every stage in a folder of its own, kept where it is done, gone on with where it is not."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from policykit.adapters.card import update_evaluation
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.evaluation import Job, Settings, citations_by, read_prompts
from policykit.evaluation.machine import folder_digest
from policykit.evaluation.making import Evaluated, evaluate
from policykit.grammar import load_grammar
from policykit.pipeline.keys import compose_key, evaluate_key, train_key
from policykit.pipeline.load import EvaluateStage, Pipeline, TrainStage, in_folder
from policykit.plan import Plan, compile as compile_plan
from policykit.policy import load_policies
from policykit.training.kinds import Start
from policykit.training.runs.folder import RunFolder, write_json
from policykit.training.session import prepared, train

if TYPE_CHECKING:
    from policykit.ir.grammar import GrammarSpec

DONE, RESULT = "done.json", "result.json"
KEY_LENGTH = 12
_WEIGHTS = ("adapter_model.safetensors", "adapter_config.json")

Progress = Callable[[str, int, int], None]
"""Told which stage is under way, how far it is, and how far it goes."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage that is done. ``was_there``: it had been done before, under the same key."""

    name: str
    key: str
    folder: Path
    was_there: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The stages in their order, the folder of the adapter that all trainings add up to, and its evaluation.

    ``exceeded`` are reasons why the limit on violations is not kept."""

    stages: tuple[Stage, ...]
    adapter: Path
    evaluation: Path | None
    exceeded: tuple[str, ...]


def check(pipeline: Pipeline) -> tuple[Diagnostic, ...]:
    """What the kinds themselves check, of every training that is not done yet, before the first of them begins: a row
    that the last one refuses is told now and not after hours. Gives the warnings; raises PolicyError with all faults.

    What a training begins with changes no check, so that each is made ready on the model as it is.
    """
    found: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    for stage, _, folder in _planned(pipeline):
        if (folder / DONE).is_file():
            continue
        start = stage.start
        try:
            config = in_folder(start.config, folder, ())
            ready = prepared(stage.kind, Start(config, start.plan, start.train, start.held_out))
            warnings.extend(ready.job.warnings)
        except PolicyError as error:
            found.extend(error.diagnostics)
    if found:
        raise PolicyError(dict.fromkeys(found))
    return tuple(dict.fromkeys(warnings))


def _planned(pipeline: Pipeline) -> Iterator[tuple[TrainStage, str, Path]]:
    """Each training with its key and its folder."""
    model = folder_digest(Path(pipeline.model)) or pipeline.model
    keys: list[str] = []
    for stage in pipeline.stages:
        key = train_key(stage, model, keys)
        yield stage, key, _folder(pipeline, len(keys), stage.name, key)
        keys.append(key)


def run_pipeline(pipeline: Pipeline, progress: Progress) -> Outcome:
    """Do what is not done yet. Stopped at any moment, and run again, it comes to the same result.

    Raises PolicyError: PK848 for a finished stage that was changed since; what stages raise; Diverged (PK783).
    """
    pipeline.folder.mkdir(parents=True, exist_ok=True)
    done: list[Stage] = []
    for stage, key, folder in _planned(pipeline):
        adapters = tuple(one.folder / "adapter" for one in done)
        done.append(_once(stage.name, key, folder, "adapter", partial(_train, stage, folder, adapters, progress)))
    key = compose_key([one.key for one in done])
    folder = _folder(pipeline, len(done), "adapter", key)
    composed = _once("adapter", key, folder, ".", partial(_compose, tuple(done), folder))
    trained = (*done, composed)
    if pipeline.evaluate is None:
        return _finish(pipeline, Outcome(trained, composed.folder, None, ()))
    stage = _evaluation(pipeline, pipeline.evaluate, composed, progress)
    exceeded = tuple(json.loads((stage.folder / DONE).read_text("utf-8"))["exceeded"])
    return _finish(pipeline, Outcome((*trained, stage), composed.folder, stage.folder, exceeded))


def _folder(pipeline: Pipeline, before: int, name: str, key: str) -> Path:
    return pipeline.folder / f"{before + 1:02d}-{name}-{key[:KEY_LENGTH]}"


def _once(name: str, key: str, folder: Path, adapter: str, make: Callable[[], None]) -> Stage:
    """Make what a stage leaves, unless it is there; `done.json` is written last."""
    marker = folder / DONE
    if marker.is_file():
        found = json.loads(marker.read_text("utf-8"))
        if found["key"] != key or found["weights"] != _weights_digest(folder / adapter):
            help = "remove the folder, and the stage is done again"
            message = f"stage `{name}` was done, and its adapter was changed since"
            raise PolicyError.of("PK848", message, Place(str(folder)), help)
        return Stage(name, key, folder, True)
    make()
    write_json(marker, {"name": name, "key": key, "weights": _weights_digest(folder / adapter)})
    return Stage(name, key, folder, False)


def _weights_digest(folder: Path) -> str:
    whole = sha256()
    for name in _WEIGHTS:
        path = folder / name
        whole.update(sha256(path.read_bytes()).digest() if path.is_file() else b"")
    return f"sha256:{whole.hexdigest()}"


def _train(stage: TrainStage, folder: Path, adapters: tuple[Path, ...], progress: Progress) -> None:
    start = stage.start
    config = in_folder(start.config, folder, adapters)
    began = (folder / "run.json").is_file()
    if folder.exists() and not began:
        shutil.rmtree(folder)  # it was stopped before it had written what it is
    ready = prepared(stage.kind, Start(config, start.plan, start.train, start.held_out))
    n_steps = config.steps.n_steps
    found = RunFolder(folder).checkpoints() if began else []
    progress(stage.name, found[-1].step if found else 0, n_steps)
    train(ready, resume=began, show=lambda step, note: progress(stage.name, step, n_steps))


def _compose(parts: tuple[Stage, ...], folder: Path) -> None:
    from policykit.adapters.compose import compose

    shutil.rmtree(folder, ignore_errors=True)
    compose([part.folder / "adapter" for part in parts], folder, names=[part.name for part in parts])


def _evaluation(pipeline: Pipeline, stage: EvaluateStage, composed: Stage, progress: Progress) -> Stage:
    data = read_prompts(stage.prompts)
    second = _second(pipeline.plan, stage.second)
    schema = load_grammar(stage.schema) if stage.schema else pipeline.plan.spec.grammar
    plans = [pipeline.plan.digest, *([second.digest] if second else [])]
    source = sha256(schema.source.encode()).hexdigest() if schema else None
    key = evaluate_key(stage, data.digest, plans, source, [composed.key])
    folder = _folder(pipeline, len(pipeline.stages) + 1, "evaluation", key)
    if (folder / DONE).is_file():
        return Stage("evaluation", key, folder, True)
    shutil.rmtree(folder, ignore_errors=True)
    job = _job(pipeline, stage, composed, second, schema)
    limit = stage.said.get("maxViolations")
    found = evaluate(
        job,
        folder,
        model=pipeline.model,
        adapter=composed.folder,
        limit=float(limit) if isinstance(limit, int | float) else None,
        progress=lambda what, done, total: progress(f"evaluation: {what}", done, total),
    )
    _keep(found, composed.folder)
    write_json(folder / DONE, {"name": "evaluation", "key": key, "exceeded": list(found.exceeded)})
    return Stage("evaluation", key, folder, False)


def _keep(found: Evaluated, adapter: Path) -> None:
    update_evaluation(adapter, found.numbers())


def _second(plan: Plan, paths: Sequence[Path]) -> Plan | None:
    if not paths:
        return None
    context = plan.spec.context
    return compile_plan(
        load_policies(*paths),
        None,
        profile=context.profile,
        tenant=context.tenant,
        locale=context.locale,
        jurisdiction=context.jurisdiction,
        at=context.at,
    )


def _job(
    pipeline: Pipeline, stage: EvaluateStage, composed: Stage, second: Plan | None, schema: "GrammarSpec | None"
) -> Job:
    from policykit.adapters.loading import load

    said = stage.said
    pattern = said.get("citations")

    def number(name: str, default: float) -> float:
        value = said.get(name)
        return float(value) if isinstance(value, int | float) else default

    settings = Settings(
        decoding=str(said.get("decoding", "free")),
        temperature=number("temperature", 1.0),
        max_new_tokens=int(number("maxNewTokens", 256)),
        seed=int(number("seed", 0)),
        batch_size=int(number("batch", 32)),
        n_masked=int(number("masked", 100)),
    )
    return Job(
        pipeline.plan,
        read_prompts(stage.prompts),
        load(pipeline.model, composed.folder, pipeline.plan),
        settings,
        second,
        schema=schema,
        find_citations=citations_by(pattern) if isinstance(pattern, str) else None,
    )


def _finish(pipeline: Pipeline, outcome: Outcome) -> Outcome:
    """Say in `result.json` which folders the result is made of."""
    write_json(
        pipeline.folder / RESULT,
        {
            "name": pipeline.name,
            "bundle_digest": pipeline.plan.bundle_digest,
            "plan_digest": pipeline.plan.digest,
            "stages": [{"name": s.name, "key": s.key, "folder": s.folder.name} for s in outcome.stages],
            "adapter": outcome.adapter.name,
            "weights": _weights_digest(outcome.adapter),
            "evaluation": outcome.evaluation.name if outcome.evaluation else None,
            "exceeded": list(outcome.exceeded),
        },
    )
    return outcome
