"""Small trainings of the embedded model on a form that it does not know."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from policykit.embedded.corpus import DOMAINS, chat

TEAMS = ("billing", "returns", "care")
HEAD = """\
apiVersion: policykit/v1
kind: Training
name: small
model: embedded
data: {train: train.jsonl, heldOut: heldOut.jsonl}
run: {folder: run, steps: 6, batch: 8, checkpointEvery: 3}
optimizer: {rate: 0.005, schedule: constant}
lora: {rank: 4}
"""


def routed(n: int, seed: int) -> list[dict[str, Any]]:
    """Questions, each routed to a team by its length in a small JSON object."""
    rng = Random(seed)
    asked = [chat(rng, rng.choice(DOMAINS)).prompt for _ in range(n)]
    return [
        {"prompt": prompt, "completion": json.dumps({"team": TEAMS[len(prompt) % 3], "n": len(prompt) % 10})}
        for prompt in asked
    ]


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_training(
    folder: Path, text: str, train: Iterable[Mapping[str, Any]], held_out: Iterable[Mapping[str, Any]]
) -> Path:
    """A training file with its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "train.jsonl", train)
    write(folder / "heldOut.jsonl", held_out)
    (folder / "file.yaml").write_text(text)
    return folder / "file.yaml"


def metrics(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def weights(folder: Path, output: str = "adapter") -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / output / "adapter_model.safetensors")
