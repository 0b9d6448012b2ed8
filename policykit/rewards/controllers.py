"""How the weights λ move: not at all, by the Lagrangian's gradient, or by a PID controller.

A controller sees which rollouts violated each group. Only free rollouts count: under a mask nothing violates.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from policykit.diagnostics import PolicyError

State = dict[str, object]
"""JSON values."""

_KEYS: dict[str, set[str]] = {
    "fixed": {"weights"},
    "lagrangian": {"log_weights", "seen"},
    "pid": {"weights", "integral", "proportional", "shares"},
}


class Controller(Protocol):
    """Weights by group, moved by what was observed. ``state_dict`` is JSON, and loads into a controller of one kind
    with the same groups (PolicyError, PK765, otherwise)."""

    @property
    def weights(self) -> Mapping[str, float]: ...
    def observe(self, costs: Sequence[Mapping[str, float]]) -> None: ...
    def state_dict(self) -> State: ...
    def load_state_dict(self, state: Mapping[str, object]) -> None: ...


class Fixed:
    """Weights that stay as they are."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise PolicyError.of("PK764", f"the weight of `{name}` is {weight}", help="give it 0 or more")
        self._weights = dict(weights)

    @property
    def weights(self) -> Mapping[str, float]:
        return dict(self._weights)

    def observe(self, costs: Sequence[Mapping[str, float]]) -> None:
        """Nothing changes."""

    def state_dict(self) -> State:
        return {"kind": "fixed", "weights": dict(self._weights)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        _check_kind(state, "fixed", "weights", self._weights)
        if _numbers(state, "weights", self._weights) != self._weights:
            raise PolicyError.of(
                "PK765",
                "the checkpoint has other weights",
                help="go on with the weights of the run, or start a new one",
            )


class Lagrangian:
    """log λ += rate·(share − limit)·λ after every batch: the gradient of the Lagrangian in log λ.

    ``share`` is the share of the last ``window`` rollouts that violated a rule of the group. Nothing moves before
    3/limit rollouts were seen: without a violation among them, the share is below the limit at 95 %. λ stays within
    ``bounds``. Raises PolicyError (PK765) for settings with which that cannot be.
    """

    def __init__(
        self,
        limits: Mapping[str, float],
        *,
        initial: float = 1.0,
        rate: float = 0.1,
        window: int | None = None,
        bounds: tuple[float, float] = (1e-3, 10.0),
    ) -> None:
        _check_limits(limits, allow_zero=False)
        needed = {name: math.ceil(3 / limit - 1e-9) for name, limit in limits.items()}
        self._window = max(needed.values(), default=1) if window is None else window
        low, high = bounds
        if not (0 < low <= initial <= high < math.inf and 0 < rate < math.inf):
            help = "0 < low <= initial <= high, rate > 0"
            raise PolicyError.of("PK765", f"bounds {bounds}, initial {initial} and rate {rate} do not fit", help=help)
        for name, n in needed.items():
            if n > self._window:
                message = f"a limit of {limits[name]:g} for `{name}` needs a window of {n}, not {self._window}"
                raise PolicyError.of("PK765", message, help="widen the window, or raise the limit")
        self._limits, self._rate, self._bounds, self._needed = dict(limits), rate, bounds, needed
        self._log_weights = dict.fromkeys(limits, math.log(initial))
        self._seen = {name: deque[bool](maxlen=self._window) for name in limits}

    @property
    def weights(self) -> Mapping[str, float]:
        low, high = self._bounds
        return {name: min(high, max(low, math.exp(log))) for name, log in self._log_weights.items()}

    def observe(self, costs: Sequence[Mapping[str, float]]) -> None:
        if not costs:
            return
        low, high = map(math.log, self._bounds)
        for name, seen in self._seen.items():
            seen.extend(row[name] > 0 for row in costs)
            if len(seen) < self._needed[name]:
                continue
            share = sum(seen) / len(seen)
            log = self._log_weights[name]
            moved = log + self._rate * (share - self._limits[name]) * math.exp(log)
            self._log_weights[name] = min(high, max(low, moved))

    def state_dict(self) -> State:
        seen = {name: [int(v) for v in window] for name, window in self._seen.items()}
        return {"kind": "lagrangian", "log_weights": dict(self._log_weights), "seen": seen}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        _check_kind(state, "lagrangian", "log_weights", self._limits)
        logs, seen = _numbers(state, "log_weights", self._limits), _windows(state, "seen", self._limits)
        low, high = map(math.log, self._bounds)
        self._log_weights = {name: min(high, max(low, log)) for name, log in logs.items()}
        self._seen = {name: deque(map(bool, values), maxlen=self._window) for name, values in seen.items()}


class Pid:
    """λ = max(0, Kp·P + I + Kd·D) of the share of violations in each batch, at most ``maximum``.

    With δ = share − limit: I = max(0, I + Ki·δ), P a moving average of δ, D the rise of the averaged share over
    ``delay`` batches, never negative (Stooke, Achiam and Abbeel 2020, algorithm 2).
    """

    def __init__(
        self,
        limits: Mapping[str, float],
        *,
        gains: tuple[float, float, float] = (0.1, 0.01, 0.01),
        initial: float = 0.0,
        smoothing: float = 0.95,
        delay: int = 10,
        maximum: float = 10.0,
    ) -> None:
        _check_limits(limits, allow_zero=True)
        is_fine = all(0 <= gain < math.inf for gain in gains)
        if not is_fine or not 0 <= smoothing < 1 or delay < 1 or not 0 <= initial <= maximum < math.inf:
            help = "gains >= 0, 0 <= smoothing < 1, delay >= 1, 0 <= initial <= maximum"
            raise PolicyError.of("PK765", "the settings of the controller do not fit", help=help)
        self._limits, self._gains, self._smoothing, self._maximum = dict(limits), gains, smoothing, maximum
        self._delay = delay
        self._integral = dict.fromkeys(limits, initial)
        self._proportional = dict.fromkeys(limits, 0.0)
        self._weights = dict.fromkeys(limits, initial)
        self._shares = {name: deque[float](maxlen=delay + 1) for name in limits}

    @property
    def weights(self) -> Mapping[str, float]:
        return dict(self._weights)

    def observe(self, costs: Sequence[Mapping[str, float]]) -> None:
        if not costs:
            return
        kp, ki, kd = self._gains
        for name, shares in self._shares.items():
            share = sum(row[name] > 0 for row in costs) / len(costs)
            delta = share - self._limits[name]
            self._integral[name] = min(self._maximum, max(0.0, self._integral[name] + ki * delta))
            smooth = self._smoothing * self._proportional[name] + (1 - self._smoothing) * delta
            self._proportional[name] = smooth
            shares.append(self._smoothing * shares[-1] + (1 - self._smoothing) * share if shares else share)
            rise = max(0.0, shares[-1] - shares[0])
            moved = kp * smooth + self._integral[name] + kd * rise
            self._weights[name] = min(self._maximum, max(0.0, moved))

    def state_dict(self) -> State:
        shares = {name: list(values) for name, values in self._shares.items()}
        kept = {"integral": dict(self._integral), "proportional": dict(self._proportional), "shares": shares}
        return {"kind": "pid", "weights": dict(self._weights), **kept}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        _check_kind(state, "pid", "weights", self._limits)
        weights, integral, proportional = (
            _numbers(state, key, self._limits) for key in ("weights", "integral", "proportional")
        )
        shares = _windows(state, "shares", self._limits)
        self._weights = {name: min(self._maximum, max(0.0, weight)) for name, weight in weights.items()}
        self._integral, self._proportional = integral, proportional
        self._shares = {name: deque(values, maxlen=self._delay + 1) for name, values in shares.items()}


def _check_limits(limits: Mapping[str, float], *, allow_zero: bool) -> None:
    for name, limit in limits.items():
        if not (0 <= limit < 1) or (limit == 0 and not allow_zero):
            help = "a share of rollouts below 1, and above 0 where it is to be told from 0"
            raise PolicyError.of("PK765", f"the limit of `{name}` is {limit}", help=help)


def _numbers(state: Mapping[str, object], key: str, names: Iterable[str]) -> dict[str, float]:
    """One finite number for each name. Raises PolicyError (PK765): what is loaded in part goes on as another run."""
    found = {name: _number(_entry(state, key, name), key) for name in names}
    if len(found) != len(cast("Mapping[str, object]", state[key])):
        raise _damaged(key)
    return found


def _windows(state: Mapping[str, object], key: str, names: Iterable[str]) -> dict[str, list[float]]:
    """A list of finite numbers for each name. Raises as :func:`_numbers`."""
    found: dict[str, list[float]] = {}
    for name in names:
        values = _entry(state, key, name)
        if not isinstance(values, list | tuple):
            raise _damaged(key)
        found[name] = [_number(value, key) for value in cast("Sequence[object]", values)]
    return found


def _entry(state: Mapping[str, object], key: str, name: str) -> object:
    values = state[key]
    if not isinstance(values, Mapping) or name not in values:
        raise _damaged(key)
    return cast("Mapping[str, object]", values)[name]


def _number(value: object, key: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise _damaged(key)
    return value


def _damaged(key: str) -> PolicyError:
    message = f"`{key}` in the checkpoint of the controller is not one finite number for each of its groups"
    return PolicyError.of("PK765", message, help="go on from another checkpoint, or start a new run")


def _check_kind(state: Mapping[str, object], kind: str, key: str, own: Iterable[str]) -> None:
    if state.get("kind") == kind and not _KEYS[kind] <= set(state):
        raise PolicyError.of("PK765", "the checkpoint of the controller is not complete", help="start a new run")
    if state.get("kind") != kind:
        message = f"the checkpoint is of a `{state.get('kind')}` controller, not a `{kind}` one"
        raise PolicyError.of("PK765", message, help="go on with the controller of the run")
    if not isinstance(state[key], Mapping):
        raise _damaged(key)
    names = cast("Mapping[str, object]", state[key])
    if set(names) != set(own):
        message = f"the checkpoint has weights for {sorted(names)}, not for {sorted(own)}"
        raise PolicyError.of("PK765", message, help="go on with the groups of the run")
