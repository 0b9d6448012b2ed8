"""The kinds of training that `policykit train KIND FILE` knows.

A kind plugs in with one file and one line: the file exports one `Kind` as ``KIND``, the line names it in ``KINDS``.

A `Kind` says, without torch and without loading anything,

- the field table of its section in the training file (``records``; the first is the section and has the kind's name).
  Names, types, choices and ranges are checked by it, with places; an unknown loss is a `Choice` that is not there;
- the columns of its rows (``columns``), which are checked line by line; rows may have more, and kinds may use them;
- ``prepare``, from `Start` (the file as values, the plan, the rows) to `Job`. Here a kind imports what is heavy, loads
  its model, reads its section (``start.config.section``, None if the file has none) and raises PolicyError for
  everything that can be known before the first step. It trains nothing.

`Job.run` is given a `policykit.training.runs.run.Run` and does the training in whatever loop it likes:

- ``run.log(step, {"loss": …, "kl": …, …})`` once per step, from 1: writes `metrics.jsonl` and TensorBoard, moves the
  progress bar and stops a run that diverges (by raising; let it rise). Names with a `/` are groups in TensorBoard;
- ``run.log_held_out(step, {…})`` for what is measured on held-out rows;
- ``run.is_due(every, step)`` and ``run.checkpoint(step, write)``, where ``write(folder)`` puts its files into a folder
  that becomes a checkpoint when all of them are there; ``run.resumed`` is the one to go on from;
- what is trained goes to the folder ``Kind.output`` of the run (``run.folder.adapter`` if it is a part of the model);
  other files into ``run.folder.path``.

Randomness comes from ``config.steps.seed`` and the step alone, so that a run that goes on is the one that never
stopped. Kinds that learn from rows alone share the loop of `policykit.training.offline`.
"""

from policykit.training.kinds import dpo, grpo, kto, ppo, rloo, rm, sft
from policykit.training.kinds.kind import Job, Kind, Start

KINDS: tuple[Kind, ...] = (sft.KIND, dpo.KIND, kto.KIND, rm.KIND, ppo.KIND, grpo.KIND, rloo.KIND)

__all__ = ["KINDS", "Job", "Kind", "Start"]
