"""Runs: the folder that one training leaves, what is logged there, when it is stopped, and how it goes on.

A run folder holds `training.yaml` (the file as it was), `run.json` (settings with everything filled in, seeds, digests
of plan, bundle and data, versions), `metrics.jsonl`, `tensorboard/`, `checkpoints/`, what was trained, `plots/` as SVG,
`summary.json` and `summary.md`.
"""
