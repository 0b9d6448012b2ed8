"""TRL and transformers trainers: checks before the first step, weights λ in every checkpoint, and no λ in evaluations.

GRPOTrainer(..., reward_funcs=reward_function(reward, task), callbacks=[PolicyCallback(reward, task)])
"""
# transformers and datasets leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from typing import Any, cast

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from policykit.diagnostics import PolicyError
from policykit.rewards import PolicyReward, check_run
from policykit.rewards.trl import DIGEST_COLUMN, Term
from policykit.training.rl.limits import check_finite, check_kl
from policykit.training.rl.processes import gathered

N_PROBED = 2


class PolicyCallback(TrainerCallback, ExportableState):
    """Keeps one reward's state with one trainer. Its state is in ``trainer_state.json`` of each checkpoint.

    A run that goes on from a checkpoint goes on with its λ; rewards of all processes are counted together; what an
    evaluation prices moves nothing. Above ``max_kl`` (the trainer's metric `kl`, nat a token), and where a loss or a
    gradient is no number, the run stops. Raises PolicyError: before the first step as
    :func:`policykit.rewards.check_run` does, PK765 for a checkpoint without this state, PK769 for a run that diverged.
    """

    def __init__(self, reward: PolicyReward, task: Term | None = None, *, max_kl: float = float("inf")) -> None:
        self._reward, self._task, self._max_kl = reward, task, max_kl

    def state(self) -> dict[str, Any]:
        """JSON values, as the trainer writes them."""
        return {"args": {}, "attributes": {"reward": self._reward.state_dict()}}

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if getattr(args, "restore_callback_states_from_checkpoint", False):
            message = (
                "`restore_callback_states_from_checkpoint` would put a new callback, without rewards, in this place"
            )
            raise PolicyError.of("PK765", message, help="leave it off: the rewards are restored without it")
        self._attach(model)

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, train_dataloader: Any = None, **_: Any
    ) -> None:
        self._attach(model)
        scale = getattr(args, "scale_rewards", None)
        aggregation = getattr(args, "multi_objective_aggregation", None)
        columns = _columns(getattr(train_dataloader, "dataset", None))
        check_run(self._reward, scale_rewards=scale, columns=columns, task=self._task, aggregation=aggregation)
        if state.global_step > 0:
            self._restore(cast("Mapping[str, Any]", state.stateful_callbacks))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        found = logs or {}
        for name in ("loss", "grad_norm"):
            if isinstance(found.get(name), float):
                check_finite(abs(found[name]), f"`{name}` at step {state.global_step}")
        if isinstance(found.get("kl"), float):
            check_kl(found["kl"], self._max_kl, "a token")

    def _attach(self, model: Any) -> None:
        def is_training() -> bool:
            return bool(model.training)

        self._reward.attach(gathered, is_training)

    def _restore(self, saved: Mapping[str, Any]) -> None:
        kept = saved.get(type(self).__name__)
        if not isinstance(kept, Mapping) or "reward" not in kept.get("attributes", {}):
            message = "the checkpoint was made without this callback, and has no weights to go on with"
            raise PolicyError.of("PK765", message, help="start a new run")
        self._reward.load_state_dict(cast("Mapping[str, object]", kept["attributes"]["reward"]))


def _columns(dataset: Any) -> Mapping[str, Sequence[object]]:
    """The digests of all rows, each once, and the first rows of every other column. A stream is checked as it comes."""
    names = getattr(dataset, "column_names", None)
    if not names or not hasattr(dataset, "__len__"):
        return {}
    columns: dict[str, Sequence[object]] = dict(dataset[:N_PROBED])
    if DIGEST_COLUMN in columns:
        columns[DIGEST_COLUMN] = dataset.unique(DIGEST_COLUMN)
    return columns
