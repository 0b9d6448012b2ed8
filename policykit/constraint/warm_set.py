"""States that texts have met, written down, so that the next process has their masks before its first text.

What is written are states of automata (which parts of which patterns have been read), no text and no mask: whoever
reads a warm set works every mask out by its own rules. A set that was altered costs time, and changes no mask.
"""

import json
import time
from typing import Any, Final, cast

from policykit.constraint.joint import Joint
from policykit.constraint.machine import PolicyMachine

FORMAT: Final = 1
MAX_STATES: Final = 1_000
"""States that are written, those met last."""
MOST_ROWS: Final = 0.75
"""The share of the memory for rows that a warm set may fill; the rest is for the texts to come."""
MAX_BYTES: Final = 64 << 20
_BIG: Final = 1 << 62
"""Sets of an automaton's states are integers of any length; those beyond are written in hexadecimal."""


class NoWarmSet(ValueError):
    """What was read is no warm set of these rules and this vocabulary."""


def written_states(machine: PolicyMachine, key: str) -> bytes:
    """The states whose masks the machine keeps, as JSON. ``key`` says of which rules and vocabulary they are."""
    joints = [joint for joint in machine.reader.kept() if joint.is_masked and not joint.pending]
    states = [_state(machine, joint) for joint in joints[-MAX_STATES:]]
    return json.dumps({"format": FORMAT, "key": key, "states": states}, separators=(",", ":")).encode("ascii")


def meet_states(machine: PolicyMachine, data: bytes, key: str, seconds: float) -> int:
    """Work out the masks of the states in a warm set, for at most so many seconds; those met last come first.

    Returns the number of states that are met now. Raises NoWarmSet.
    """
    met, until = 0, time.monotonic() + seconds
    try:
        for modes, is_open, keys in reversed(_read(data, key)):
            if time.monotonic() >= until or machine.rows.n_bytes > MOST_ROWS * machine.rows.limit:
                break
            joint = machine.reader.state_of(tuple(map(str, modes)), [_read_key(item) for item in keys])
            machine.mask(joint)
            if is_open:
                machine.held.meet(joint, machine.reader.forbids)
            met += 1
    except NoWarmSet:
        raise
    except (ValueError, TypeError, AssertionError, LookupError, OverflowError, RecursionError) as error:
        raise NoWarmSet("it holds a state that these rules do not have") from error
    return met


def _state(machine: PolicyMachine, joint: Joint) -> list[object]:
    keys = (unit.automaton.key(state) for unit, state in zip(joint.epoch.units, joint.states, strict=True))
    return [list(joint.modes), machine.held.is_met(joint, machine.reader.forbids), [_written(key) for key in keys]]


def _written(key: object) -> object:
    match key:
        case None | bool() | str():
            return key
        case int():
            return key if abs(key) < _BIG else {"int": f"{key:x}"}
        case tuple():
            return [_written(item) for item in cast("tuple[object, ...]", key)]
        case frozenset():
            return {"set": sorted(cast("frozenset[int]", key))}
        case _:
            raise TypeError(f"an automaton's key holds a {type(key).__name__}")


def _read_key(value: Any) -> object:
    match value:
        case None | bool() | str() | int():
            return value
        case list():
            return tuple(_read_key(item) for item in cast("list[Any]", value))
        case {"int": str(text)}:
            return int(text, 16)
        case {"set": found} if isinstance(found, list):
            return frozenset(map(int, cast("list[Any]", found)))
        case _:
            raise NoWarmSet("it holds what is no state")


def _read(data: bytes, key: str) -> list[Any]:
    if len(data) > MAX_BYTES:
        raise NoWarmSet("it is too large")
    try:
        body: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NoWarmSet("it is no JSON") from error
    if not isinstance(body, dict) or cast("dict[str, Any]", body).get("format") != FORMAT:
        raise NoWarmSet("it has another format")
    found = cast("dict[str, Any]", body)
    if found.get("key") != key:
        raise NoWarmSet("it is of other rules, of another vocabulary, or of another version")
    states = found.get("states")
    if not isinstance(states, list):
        raise NoWarmSet("it lists no states")
    return cast("list[Any]", states)[-MAX_STATES:]
