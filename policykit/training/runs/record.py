"""What `run.json` says: settings with everything filled in, seeds, digests and versions."""

import platform
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from policykit.plan.pins import weights_of
from policykit.policy.checked import Json
from policykit.training.config import Config
from policykit.training.kinds.kind import Job, Start

_PACKAGES = ("policykit", "torch", "transformers", "peft", "accelerate", "trl", "numpy")


def record_of(start: Start, job: Job) -> dict[str, Json]:
    """``identity`` is what the trajectory depends on: a run goes on only where it is the same."""
    return {
        "name": start.config.name,
        "identity": _identity(start, job),
        "facts": dict(job.facts),
        "paths": _paths(start.config),
        "guards": cast("dict[str, Json]", asdict(start.config.guards)),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def _identity(start: Start, job: Job) -> dict[str, Json]:
    config, plan = start.config, start.plan
    steps = config.steps
    merged: dict[str, Json] = {"adapters": [_digest(path) for path in config.adapters]} if config.adapters else {}
    return {
        "kind": config.kind,
        "model": config.model,
        **merged,
        "plan_digest": plan.digest if plan else None,
        "bundle_digest": plan.bundle_digest if plan else None,
        "data": {"train": start.train.digest, "held_out": start.held_out.digest},
        "max_tokens": config.data.max_tokens,
        "steps": steps.n_steps,
        "batch": steps.batch,
        "seed": steps.seed,
        "optimizer": cast("dict[str, Json]", asdict(config.optimizer)),
        "lora": {**cast("dict[str, Json]", asdict(config.lora)), "modules": list(config.lora.modules)},
        "settings": dict(job.settings),
    }


def _paths(config: Config) -> dict[str, Json]:
    held_out = config.data.held_out
    return {
        "train": str(config.data.train),
        "held_out": str(held_out) if held_out else None,
        "adapters": [str(path) for path in config.adapters],
    }


def _digest(adapter: Path) -> str:
    """Of an adapter's weights: what is trained is on top of them, and another one would be another beginning."""
    files = (weights_of(adapter), adapter / "adapter_config.json")
    whole = sha256(b"".join(sha256(path.read_bytes()).digest() for path in files if path.is_file()))
    return f"sha256:{whole.hexdigest()}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
