"""Pipeline files: read strictly, every stage by the table of its kind, all of it checked before anything begins."""

from collections.abc import Iterator, Mapping as Table
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import assert_never

from policykit.adapters.reward import FILE, reward_digest
from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.pipeline.table import RECORDS
from policykit.plan import Plan
from policykit.policy.checked import Checked, DataLeaf, Entries, Items, Json, Leaf, RegexLeaf
from policykit.policy.files import read_text_file
from policykit.policy.nodes import Mapping, Node, Scalar, Sequence, compose
from policykit.policy.reader import read
from policykit.policy.shapes import Record, Ref
from policykit.training.config import Config, config_of
from policykit.training.kinds import KINDS, Kind, Start
from policykit.training.session import start_of
from policykit.training.table import stage_records

_ROOT = ("model", "plan", "policies", "grammar", "context")
"""What the pipeline says for all stages."""


@dataclass(frozen=True, slots=True)
class TrainStage:
    """One training: its kind, its file's part as values, and its plan and rows. ``said`` is its part as JSON, and
    ``files`` the digests of other files that it names, such as those of reward functions."""

    name: str
    kind: Kind
    start: Start
    said: Table[str, Json]
    files: Table[str, str]


@dataclass(frozen=True, slots=True)
class EvaluateStage:
    """The evaluation; ``said`` is the section, with the files that it names as paths from the working folder."""

    said: Table[str, Json]
    prompts: Path
    second: tuple[Path, ...]
    schema: Path | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline whose parts fit together. ``plan`` is that of all stages."""

    name: str
    model: str
    folder: Path
    plan: Plan
    stages: tuple[TrainStage, ...]
    evaluate: EvaluateStage | None


def load_pipeline(path: Path, folder: Path | None = None) -> Pipeline:
    """The pipeline of a file; ``folder`` takes the place of the file's. Raises PolicyError with everything wrong."""
    found: list[Diagnostic] = []
    text = read_text_file(path, found)
    node = None if text is None else compose(text, str(path), found)
    if text is None or node is None:
        raise PolicyError(found)
    key = node.entries[0].key.place if isinstance(node, Mapping) and node.entries else Place(str(path))
    root = read(node, Ref("pipeline"), "", key, found, RECORDS)
    nodes = _stage_nodes(node)
    read_stages = [_stage(stage, found) for stage in nodes]
    if found or not isinstance(root, Entries):
        raise PolicyError(found)
    target = folder or path.parent / (root.text("folder") or "")
    stages = [
        stage for one in read_stages if one and (stage := _train_stage(one, root, path.parent, text, found)) is not None
    ]
    evaluate = _evaluate(root.entries("evaluate"), path.parent, found)
    _check_names(stages, root, found)
    plan = stages[0].start.plan if stages else None
    if plan is None and not found:
        help = "name `policies`, a `grammar` or a `plan`"
        found.append(Diagnostic("PK847", "a pipeline trains and evaluates under a plan", root.place, help))
    if found or plan is None:
        raise PolicyError(found)
    name, model = root.text("name") or "", stages[0].start.config.model
    return Pipeline(name, model, target, plan, tuple(stages), evaluate)


def _stage_nodes(node: Node) -> tuple[Node, ...]:
    for entry in node.entries if isinstance(node, Mapping) else ():
        if entry.key.text == "stages" and isinstance(entry.value, Sequence):
            return entry.value.items
    return ()


def _stage(node: Node, found: list[Diagnostic]) -> tuple[Kind, Entries] | None:
    """A stage's fields by the table of the kind that it names."""
    named = next(
        (e.value for e in node.entries if e.key.text == "train") if isinstance(node, Mapping) else iter(()), None
    )
    kinds = {kind.name: kind for kind in KINDS if kind.output == "adapter"}
    if not isinstance(named, Scalar) or named.text not in kinds:
        said = f"there is no kind of training `{named.text}`" if isinstance(named, Scalar) else "`train` is missing"
        advice = did_you_mean(named.text, kinds) if isinstance(named, Scalar) else None
        place = named.place if isinstance(named, Scalar) else node.place
        found.append(Diagnostic("PK847", said, place, advice or f"name a kind: {', '.join(kinds)}"))
        return None
    kind = kinds[named.text]
    table: dict[str, Record] = stage_records(kind.name, kind.records)
    entries = read(node, Ref("stage"), "", node.place, found, table)
    return (kind, entries) if isinstance(entries, Entries) else None


def _train_stage(
    stage: tuple[Kind, Entries], root: Entries, folder: Path, text: str, found: list[Diagnostic]
) -> TrainStage | None:
    kind, own = stage
    shared = {name: root.fields[name] for name in _ROOT if name in root.fields}
    fields: dict[str, Checked] = {**shared, **own.fields}
    keys = {**{name: root.keys[name] for name in shared if name in root.keys}, **own.keys}
    try:
        config = config_of(Entries("training", fields, keys, own.place), folder, kind.name, kind.records[0].name, text)
        start = start_of(kind, config)
    except PolicyError as error:
        known = {str(one) for one in found}
        found.extend(one for one in error.diagnostics if str(one) not in known)
        return None
    said = said_of(own)
    return TrainStage(config.name, kind, start, said, dict(_named_files(said, folder)))


def _named_files(said: Json, folder: Path) -> Iterator[tuple[str, str]]:
    """Files that a stage names from the pipeline's folder, as `FILE` or `FILE:NAME`, with digests of their bytes."""
    match said:
        case dict():
            for value in said.values():
                yield from _named_files(value, folder)
        case list():
            for value in said:
                yield from _named_files(value, folder)
        case str():
            path = folder / said.partition(":")[0]
            if said and path.is_file():
                yield said, sha256(path.read_bytes()).hexdigest()
            elif said and (path / FILE).is_file():
                yield said, reward_digest(path)
        case _:
            pass


def _check_names(stages: list[TrainStage], root: Entries, found: list[Diagnostic]) -> None:
    names = [stage.name for stage in stages]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(Diagnostic("PK847", f"two stages are called `{name}`", root.place, "give each its own name"))


def _evaluate(section: Entries | None, folder: Path, found: list[Diagnostic]) -> EvaluateStage | None:
    if section is None:
        return None
    prompts = folder / (section.text("prompts") or "")
    second = tuple(folder / str(leaf.value) for leaf in section.leaves("second"))
    schema = section.text("schema")
    for path in (prompts, *second, *([folder / schema] if schema else [])):
        if not path.exists():
            found.append(Diagnostic("PK001", f"there is no `{path}`", section.place, "check the path"))
    return EvaluateStage(said_of(section), prompts, second, folder / schema if schema else None)


def said_of(checked: Checked) -> dict[str, Json]:
    """A record as JSON, without places and in the order of names."""
    found = _json(checked)
    assert isinstance(found, dict)
    return found


def _json(checked: Checked) -> Json:
    match checked:
        case Entries():
            return {name: _json(checked.fields[name]) for name in sorted(checked.fields)}
        case Items(items=items):
            return [_json(item) for item in items]
        case RegexLeaf(source=source):
            return source
        case DataLeaf(value=data):
            return data
        case Leaf(value=value):
            return value.isoformat() if isinstance(value, date) else value
        case _:
            assert_never(checked)


def in_folder(config: Config, folder: Path, adapters: tuple[Path, ...]) -> Config:
    """A stage's configuration where its folder, and the adapters that it begins with, are known."""
    return replace(config, folder=folder, adapters=adapters)
