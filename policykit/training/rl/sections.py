"""The sections of kinds that learn from rewards, as values; and the functions of the task that they name."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.plan import Plan
from policykit.policy.checked import Entries, Json
from policykit.rewards import Controller, CostModel, Fixed, Group, Lagrangian, Pid, PolicyReward, RolloutMode
from policykit.rewards.trl import Term
from policykit.training.rl.task import named, told as reason_of

T = TypeVar("T")


def number(section: Entries | None, name: str, default: float) -> float:
    """A number of the section, or what is used where it has none."""
    found = section.number(name) if section else None
    return default if found is None else found


def mode_of(section: Entries | None) -> RolloutMode:
    return RolloutMode((section and section.text("mode")) or RolloutMode.FREE)


def reward_from(section: Entries | None, plan: Plan, place: Place) -> PolicyReward:
    """The plan's reward with the section's groups and weights. Raises PolicyError: PK764 and PK765 for groups and
    weights that do not fit, PK780 for a setting that has no effect."""
    mode = mode_of(section)
    records = section.records("groups") if section else ()
    groups = [Group(g.text("name") or "", tuple(str(leaf.value) for leaf in g.leaves("rules"))) for g in records]
    at = section.keys["groups"] if section and records else place
    names = [group.name for group in placed(at, lambda: CostModel(plan, groups or None)).groups]
    weights = section.entries("weights") if section else None
    controller = _controller(weights, names, mode, weights.place if weights else place)
    share = section.text("hallucination") if section else None
    if section and share is None and section.number("hallucinationWeight") is not None:
        help = "name the function of the share, or remove it"
        at = section.keys["hallucinationWeight"]
        raise PolicyError.of("PK780", "`hallucinationWeight` has no effect without `hallucination`", at, help)
    weight = number(section, "hallucinationWeight", 1.0) if share else 0.0
    return PolicyReward(plan, controller, groups or None, hallucination_weight=weight, mode=mode)


def placed(place: Place, make: Callable[[], T]) -> T:
    """What ``make`` makes; what is wrong with it and has no place of its own is told at this one."""
    try:
        return make()
    except PolicyError as error:
        raise PolicyError([replace(one, place=one.place or place) for one in error.diagnostics]) from error


def _controller(weights: Entries | None, names: Sequence[str], mode: RolloutMode, place: Place) -> Controller:
    is_free = mode is RolloutMode.FREE
    said = weights.text("control") if weights else None
    control = said or ("lagrangian" if is_free else "fixed")
    if control != "fixed" and not is_free:
        help = "say `control: fixed`, or use free rollouts"
        raise PolicyError.of("PK780", f"weights never move by {mode} rollouts, which do not violate", place, help)
    without = {"fixed": ("limit", "rate", "window", "max"), "pid": ("rate", "window"), "lagrangian": ()}[control]
    for name in without:
        if weights and name in weights.fields:
            message = f"`{name}` has no effect on `{control}` weights"
            raise PolicyError.of("PK780", message, weights.keys[name], "remove it, or choose another `control`")
    limits = dict.fromkeys(names, number(weights, "limit", 0.01))
    most = number(weights, "max", 10.0)
    if control == "fixed":
        return Fixed(dict.fromkeys(names, number(weights, "initial", 1.0)))
    if control == "pid":
        return Pid(limits, initial=number(weights, "initial", 0.0), maximum=most)
    window = weights.number("window") if weights else None
    initial, rate = number(weights, "initial", 1.0), number(weights, "rate", 0.1)
    how: dict[str, Any] = {"window": None if window is None else int(window), "bounds": (min(1e-3, initial), most)}
    return Lagrangian(limits, initial=initial, rate=rate, **how)


def term_from(section: Entries | None, name: str, folder: Path, found: list[Diagnostic]) -> tuple[Term | None, str]:
    """The function that the section names, and what it is known by in a run: its name, and its file's digest.

    A file is looked for beside the training file. None where nothing is named, or what is named is not there (PK780).
    """
    said = section.text(name) if section else None
    if section is None or said is None:
        return None, ""
    where, _, function = said.rpartition(":")
    place, digest = section.keys[name], ""
    try:
        if where.endswith(".py"):
            path = folder / where
            digest = f" sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            module = _loaded(path)
        else:
            module = importlib.import_module(where)
        term: object = getattr(module, function)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        help = "name it as `FILE.py:NAME` or `MODULE:NAME`"
        found.append(Diagnostic("PK780", f"`{said}` cannot be loaded: {reason_of(error)}", place, help))
        return None, said
    if not callable(term):
        found.append(Diagnostic("PK780", f"`{said}` is no function", place, "name one of TRL's contract"))
        return None, said
    return named(cast("Callable[..., Any]", term), said, place), said + digest


def _loaded(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(f"policykit_task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(section: Entries | None) -> dict[str, Json]:
    """The section as it was said, for a run's record."""
    return _values(section) if section else {}


def _values(entries: Entries) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in entries.fields:
        inner, records, leaves = entries.entries(name), entries.records(name), entries.leaves(name)
        if inner is not None:
            found[name] = _values(inner)
        elif records:
            found[name] = [_values(record) for record in records]
        elif leaves:
            found[name] = [str(leaf.value) for leaf in leaves]
        else:
            number = entries.number(name)
            found[name] = entries.text(name) if number is None else number
    return found
