"""The compilers of a server, for grammars that come with requests: one set for the process, as its environment says."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from policykit.diagnostics import PolicyError
from policykit.plan.bounded import DEADLINE_S, MEMORY_MIB, N_PROCESSES, WAIT_S, Bounds, Compilers
from policykit.plan.file import load_plan
from policykit.plan.plan import Plan

DEADLINE = "POLICYKIT_COMPILE_DEADLINE_S"
WAIT = "POLICYKIT_COMPILE_WAIT_S"
MEMORY = "POLICYKIT_COMPILE_MEMORY_MIB"
PROCESSES = "POLICYKIT_COMPILE_PROCESSES"
MAX_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class RequestBounds:
    """What the environment says of compiling grammars of requests."""

    bounds: Bounds
    n_processes: int

    @staticmethod
    def read(variables: Mapping[str, str]) -> "RequestBounds":
        """Raises PolicyError (PK316) with every variable that says nothing that can be used."""
        wrong: list[PolicyError] = []

        def number(name: str, default: float, is_whole: bool = False, most: float = 1e9) -> float:
            text = variables.get(name, "").strip()
            found = _number(text) if text else default
            if not 0 < found <= most or (is_whole and found != int(found)):
                kind = "a whole number" if is_whole else "a number"
                help = f"give {kind} above zero and of at most {most:,.0f}, or leave it out for {default:g}"
                wrong.append(PolicyError.of("PK316", f"`{name}` is `{text}`", help=help))
            return found

        deadline_s, wait_s = number(DEADLINE, DEADLINE_S, most=86_400), number(WAIT, WAIT_S, most=86_400)
        memory_mib = number(MEMORY, MEMORY_MIB, is_whole=True, most=1 << 20)
        n_processes = number(PROCESSES, N_PROCESSES, is_whole=True, most=MAX_PROCESSES)
        if wrong:
            raise PolicyError(diagnostic for error in wrong for diagnostic in error.diagnostics)
        return RequestBounds(Bounds(deadline_s, int(memory_mib), wait_s), int(n_processes))


_making = Lock()


def request_compilers() -> Compilers:
    """The compilers that a server's threads share; nothing is started before they are used. Raises PolicyError (PK316)
    as :meth:`RequestBounds.read`, which servers call when they start."""
    with _making:
        return _compilers()


@cache
def _compilers() -> Compilers:
    found = RequestBounds.read(os.environ)
    return Compilers(found.bounds, found.n_processes)


def load_proved(path: Path) -> Plan:
    """The plan in a file that whoever saved it has compiled: made in a process of :func:`request_compilers`, so that
    this one goes on meanwhile, and here where it is over their bounds. Raises PolicyError as :func:`load_plan`."""
    try:
        return request_compilers().load(path)
    except PolicyError as error:
        if error.diagnostics and error.diagnostics[0].code == "PK209":
            return load_plan(path)
        raise


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan
