"""One batch of completions, priced: verdicts to costs to composed rewards, with a row for the log of each."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from inspect import isawaitable, iscoroutine
from math import isfinite, nan
from threading import Lock
from typing import Any, cast

from policykit.diagnostics import PolicyError
from policykit.plan import Plan
from policykit.rewards.compose import HALLUCINATION, compose
from policykit.rewards.controllers import Controller, Fixed
from policykit.rewards.costs import CostModel, Costs, Group


class RolloutMode(StrEnum):
    """What rollouts are samples of: the model, the model renormalised under masks, the model given that it complies."""

    FREE = "free"
    MASKED = "masked"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class RewardRow:
    """How one completion came to its reward. ``reward`` is None where a term is missing, and ``errors`` say why."""

    bundle_digest: str
    plan_digest: str
    mode: str
    reward: float | None
    task: float | None
    hallucination: float | None
    costs: Mapping[str, float]
    weights: Mapping[str, float]
    fired: tuple[str, ...]
    errors: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The row as JSON values."""
        return asdict(self)


def no_log(row: RewardRow) -> None:
    """Keeps nothing."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What moves a run, of one priced row: its costs, None where it has none, and why it has no reward, if so."""

    costs: Mapping[str, float] | None
    is_lost: bool
    why: str


Gather = Callable[[list[Observed]], list[Observed]]


def alone(rows: list[Observed]) -> list[Observed]:
    """One process has observed all there is."""
    return rows


def always() -> bool:
    """Every row that is priced is trained on."""
    return True


class PolicyReward:
    """Prices completions by the plan that serves them; λ by group from ``controller`` (all 1 by default).

    A row with a check that failed, or without a task reward, has no reward at all (None) and is counted; more than
    ``max_lost`` of the last ``window`` rows stop the run (PK763). Only free rollouts move the controller. ``log`` gets
    every row, with the digests of the bundle and of the plan.

    Raises PolicyError: PK764 where groups and weights do not fit the plan, PK310 for an expired plan.
    """

    def __init__(
        self,
        plan: Plan,
        controller: Controller | None = None,
        groups: Sequence[Group] | None = None,
        *,
        hallucination_weight: float = 0.0,
        mode: RolloutMode = RolloutMode.FREE,
        max_lost: float = 0.05,
        window: int = 256,
        log: Callable[[RewardRow], None] = no_log,
    ) -> None:
        plan.check_date()
        self.plan, self.costs, self.mode, self.log = plan, CostModel(plan, groups), mode, log
        names = [group.name for group in self.costs.groups]
        self.controller: Controller = controller or Fixed(dict.fromkeys(names, 1.0))
        if set(self.controller.weights) != set(names):
            message = f"weights are for {sorted(self.controller.weights)}, and costs for {sorted(names)}"
            raise PolicyError.of("PK764", message, help="give every group a weight, and no other name")
        if HALLUCINATION in names:
            message = f"a group is called `{HALLUCINATION}`, which is the name of another term"
            raise PolicyError.of("PK764", message, help="call it otherwise")
        if not (0 <= max_lost <= 1 and window >= 1):
            message = f"of {window} rows a share of {max_lost} may be lost"
            raise PolicyError.of("PK764", message, help="give a share between 0 and 1, and a window of at least 1")
        self._hallucination = Fixed({HALLUCINATION: hallucination_weight}).weights
        self._max_lost = max_lost * window
        self._lost = deque[bool](maxlen=window)
        self.n_lost = 0
        self._why = "what was before"
        self._gather: Gather = alone
        self._is_training: Callable[[], bool] = always
        self.is_attached = False
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For frameworks that send reward functions to their workers: all but the lock, which each has its own of."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = Lock()

    def attach(self, gather: Gather = alone, is_training: Callable[[], bool] = always) -> None:
        """Make this reward one trainer's. ``gather`` gives every process the rows of all, in one order, so that λ and
        the count of lost rows are the same in each; while ``is_training`` is False, as in an evaluation, rows are
        priced and nothing moves."""
        self._gather, self._is_training, self.is_attached = gather, is_training, True

    @property
    def weights(self) -> Mapping[str, float]:
        """λ of every group, and of the share of unsupported claims."""
        return {**self.controller.weights, **self._hallucination}

    def price(
        self,
        texts: Sequence[str],
        task: Sequence[float | None],
        hallucination: Sequence[float | None] | None = None,
        facts: Sequence[Mapping[str, object] | None] | None = None,
    ) -> tuple[RewardRow, ...]:
        """One row for each text, all under the weights before this batch; then the controller moves. ``facts`` are
        those of each text; None where it has none.

        Raises PolicyError: PK761 for another number of rewards than of texts, or one that is not finite; PK763.
        """
        n = len(texts)
        rewards = checked_rewards(task, n, "the task's reward")
        shares = [0.0] * n if hallucination is None else checked_shares(hallucination, n)
        if facts is not None and len(facts) != n:
            raise _wrong_length("facts", len(facts), n)
        weights = self.weights
        verdicts = [self.plan.verify(text, None if facts is None else facts[i]) for i, text in enumerate(texts)]
        priced = [self.costs.of(verdict) for verdict in verdicts]
        rows = tuple(self._row(*terms, weights) for terms in zip(priced, rewards, shares, strict=True))
        for row in rows:
            self.log(row)
        if self._is_training():
            self._move(rows, priced)
        return rows

    def _move(self, rows: Sequence[RewardRow], priced: Sequence[Costs]) -> None:
        of_costs = [None if costs.errors else dict(costs.by_group) for costs in priced]
        why = [row.errors[0] if row.errors else "a reward is not finite" for row in rows]
        observed = self._gather(
            [Observed(c, row.reward is None, w) for c, row, w in zip(of_costs, rows, why, strict=True)]
        )
        with self._lock:  # frameworks price from several threads
            self._count(observed)
            if self.mode is RolloutMode.FREE:
                self.controller.observe([row.costs for row in observed if row.costs is not None])

    def _row(
        self, costs: Costs, task: float | None, hallucination: float | None, weights: Mapping[str, float]
    ) -> RewardRow:
        missing = [] if task is not None else ["task: no reward"]
        missing += [] if hallucination is not None else [f"{HALLUCINATION}: no share"]
        errors = (*costs.errors, *missing)
        reward = None if errors else compose(task, costs.by_group, weights, hallucination)
        digests = self.costs.bundle_digest, self.costs.plan_digest
        terms = reward, task, hallucination, costs.by_group, weights, costs.fired, errors
        return RewardRow(*digests, self.mode.value, *terms)

    def _count(self, rows: Sequence[Observed]) -> None:
        lost = [row.is_lost for row in rows]
        self._why = next((row.why for row in rows if row.is_lost), self._why)
        self._lost.extend(lost)
        self.n_lost += sum(lost)
        if sum(self._lost) > self._max_lost:
            message = f"{sum(self._lost)} of the last {len(self._lost)} rows have no reward, because of {self._why}"
            raise PolicyError.of("PK763", message, help="repair the check, or raise `max_lost`")

    def nothing_priced(self) -> PolicyError:
        """The error (PK763) for a batch of which no row has a reward: nothing can be learned from it."""
        message = f"no completion has a reward, the last because of {self._why}"
        return PolicyError.of("PK763", message, help="give a number where there is a reward, and mend what fails")

    def state_dict(self) -> dict[str, object]:
        """JSON values from which :meth:`load_state_dict` goes on with the same λ, under the same bundle."""
        kept: dict[str, object] = {"controller": self.controller.state_dict(), "lost": [int(v) for v in self._lost]}
        return {"bundle_digest": self.costs.bundle_digest, "n_lost": self.n_lost, **kept}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Raises PolicyError: PK762 for a checkpoint of another bundle, PK765 of another controller."""
        check_digests([state.get("bundle_digest")], self.plan, "the checkpoint")
        if not {"controller", "lost", "n_lost"} <= set(state):
            raise PolicyError.of("PK765", "the checkpoint holds no state of rewards", help="start a new run")
        self.controller.load_state_dict(cast("Mapping[str, object]", state["controller"]))
        self._lost.clear()
        self._lost.extend(bool(lost) for lost in cast("Sequence[int]", state["lost"]))
        self.n_lost = cast("int", state["n_lost"])


def checked_rewards(rewards: object, n: int, what: str) -> list[float | None]:
    """The rewards as floats. Raises PolicyError (PK761) unless there are ``n``, each a finite number or None."""
    if isawaitable(rewards):
        if iscoroutine(rewards):
            rewards.close()
        message = f"{what} has to be waited for"
        raise PolicyError.of("PK761", message, help="use `async_reward_function`, or a function that waits itself")
    if not isinstance(rewards, Iterable):
        message = f"{what} is `{type(rewards).__name__}`, and not one for each completion"
        raise PolicyError.of("PK761", message, help="give a list, with one for each completion")
    found = list(cast("Iterable[object]", rewards))
    if len(found) != n:
        raise _wrong_length(what, len(found), n)
    return [_checked(reward, f"{what} of completion {i}") for i, reward in enumerate(found)]


def _checked(reward: object, what: str) -> float | None:
    if reward is None:
        return None
    try:
        value = float(cast("float", reward))
    except (TypeError, ValueError):
        value = nan
    if isinstance(reward, str) or not isfinite(value):
        help = "give None where there is no reward"
        raise PolicyError.of("PK761", f"{what} is {reward if isinstance(reward, float) else repr(reward)}", help=help)
    return value


def checked_shares(shares: Sequence[float | None], n: int) -> list[float | None]:
    """As :func:`checked_rewards`, each between 0 and 1."""
    values = checked_rewards(shares, n, "the share of unsupported claims")
    for i, value in enumerate(values):
        if value is not None and not 0 <= value <= 1:
            message = f"the share of unsupported claims of completion {i} is {value}"
            raise PolicyError.of("PK761", message, help="give a share between 0 and 1")
    return values


def _wrong_length(what: str, n: int, wanted: int) -> PolicyError:
    message = f"{what}: {n} values for {wanted} completions"
    return PolicyError.of("PK761", message, help="give one for each completion, in their order")


def check_digests(digests: Sequence[object], plan: Plan, what: str = "row") -> None:
    """Raises PolicyError (PK762) for the first digest that is not the plan's bundle's."""
    for i, digest in enumerate(digests):
        if digest != plan.bundle_digest:
            where = what if len(digests) == 1 else f"{what} {i}"
            message = f"{where} is of the bundle {digest}, the plan is of {plan.bundle_digest}"
            raise PolicyError.of("PK762", message, help="make the data under the policies that are trained")


def check_scale(scale_rewards: object, reward: PolicyReward, aggregation: object = None) -> None:
    """Raises PolicyError (PK760) for a scale by groups under which a weight would cancel, whether as TRL's
    ``scale_rewards`` or as its ``multi_objective_aggregation``."""
    if not any(weight > 0 for weight in reward.weights.values()):
        return
    help = 'use `scale_rewards="none"` or `"batch"`'
    if scale_rewards in ("group", True):
        raise PolicyError.of("PK760", '`scale_rewards="group"` cancels the weights of costs', help=help)
    if aggregation == "normalize_then_sum":
        message = (
            '`multi_objective_aggregation="normalize_then_sum"` cancels the weights of costs, which are in one reward'
        )
        raise PolicyError.of("PK760", message, help='use `"sum_then_normalize"`')
