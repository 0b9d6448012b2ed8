"""What a stage's folder is named after: a digest of everything that its result depends on."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from policykit.pipeline.load import EvaluateStage, TrainStage
from policykit.policy.checked import Json

_NO_MATTER = ("logEvery", "checkpointEvery", "keep")
"""Settings of a run that leave its result as it is."""


def digest_of(value: Json) -> str:
    """SHA-256 of canonical JSON, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def train_key(stage: TrainStage, model: Json, before: Sequence[str]) -> str:
    """Of the kind, all settings, the bytes of the rows, the plan, the model, and the stages before (by their keys)."""
    start = stage.start
    said = {name: value for name, value in stage.said.items() if name not in ("name", "data")}
    run = said.get("run")
    if isinstance(run, Mapping):
        said["run"] = {name: value for name, value in run.items() if name not in _NO_MATTER}
    data = start.config.data
    files: list[Json] = [digest for name, digest in sorted(stage.files.items()) if name not in _rows_of(stage)]
    return digest_of(
        {
            "stage": "train",
            "said": said,
            "files": files,
            "rows": [start.train.digest, start.held_out.digest, data.max_tokens, data.drop_too_long],
            "plan": start.plan.digest if start.plan else None,
            "model": model,
            "before": list(before),
        }
    )


def _rows_of(stage: TrainStage) -> tuple[str, ...]:
    """The names of the files of rows, whose digests stand by themselves."""
    data = stage.said.get("data")
    return tuple(str(value) for value in data.values()) if isinstance(data, Mapping) else ()


def compose_key(before: Sequence[str]) -> str:
    """Of the adapters that are composed."""
    return digest_of({"stage": "compose", "before": list(before)})


def evaluate_key(
    stage: EvaluateStage, prompts: str, plans: Sequence[str], schema: str | None, before: Sequence[str]
) -> str:
    """Of all settings, the prompts' bytes, both plans, the schema, and the adapter."""
    said = {name: value for name, value in stage.said.items() if name not in ("prompts", "second", "schema")}
    return digest_of(
        {
            "stage": "evaluate",
            "said": said,
            "prompts": prompts,
            "plans": list(plans),
            "schema": schema,
            "before": list(before),
        }
    )
