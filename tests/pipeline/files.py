"""A pipeline of the embedded model that takes seconds: taught by replies, shaped by rewards, and evaluated."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: toy/promises, version: 1.0.0, owner: me@example.org, why: words that the model says often}
rules:
  - {id: words, match: {phrases: [the, your]}, action: {block: {message: no}}}
tests:
  - {name: one, given: {output: the}, expect: {decision: block, rules: [words]}}
"""
SECOND = POLICY.replace("toy/promises", "toy/second").replace("phrases: [the, your]", "regex: ['(?i)\\b(the|your)\\b']")
PIPELINE = """\
apiVersion: policykit/v1
kind: Pipeline
name: toy
model: embedded
policies: [toy.policy.yaml]
folder: runs
stages:
  - name: taught
    train: sft
    data: {train: taught.jsonl, heldOut: held.jsonl}
    run: {steps: 6, batch: 4, checkpointEvery: 2}
    optimizer: {rate: 0.003}
    lora: {rank: 4}
  - name: refined
    train: rloo
    data: {train: refined.jsonl}
    run: {steps: 4, batch: 2, checkpointEvery: 1, seed: 3}
    optimizer: {rate: 0.002}
    lora: {rank: 3, modules: [q_proj, v_proj]}
    rloo: {task: "task.py:short", groupSize: 2, maxNewTokens: 12, weights: {limit: 0.1, rate: 0.5}}
evaluate:
  prompts: prompts.jsonl
  second: [second.policy.yaml]
  maxNewTokens: 12
  masked: 2
  maxViolations: 1.0
"""
TASK = """\
def short(prompts, completions, **columns):
    return [1.0 / (1 + len(text)) for text in completions]
"""
PROMPTS = ("Where is my parcel?", "Is it safe?", "My card is declined.", "Can I move my flight?")


def rows(path: Path, found: Iterable[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")


def write_pipeline(folder: Path, text: str = PIPELINE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.policy.yaml").write_text(POLICY, "utf-8")
    (folder / "second.policy.yaml").write_text(SECOND, "utf-8")
    for name, reply in (
        ("taught", "We will look into it."),
        ("refined", "A colleague answers soon."),
        ("held", "Yes."),
    ):
        rows(folder / f"{name}.jsonl", [{"prompt": prompt, "completion": reply} for prompt in PROMPTS])
    rows(folder / "prompts.jsonl", [{"prompt": prompt, "reference": "we will look"} for prompt in PROMPTS])
    (folder / "task.py").write_text(TASK, "utf-8")
    path = folder / "pipeline.yaml"
    path.write_text(text, "utf-8")
    return path
