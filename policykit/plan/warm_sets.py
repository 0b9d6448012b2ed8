"""Warm sets in a folder: what texts have met under some rules over some vocabulary, from one process to the next.

The states of the rules' automata are the same whatever the grammar is, so there is one file for all plans that have the
same rules. Which states were met says what parts of the rules' patterns texts have held, and nothing else of the texts.
"""

import hashlib
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from policykit.compile.digest import bundle_digest, plan_digest
from policykit.constraint import Constraint, NoWarmSet, PolicyMachine, meet_states, written_states
from policykit.ir.plan import Level
from policykit.plan.plan import Plan

FOLDER: Final = "POLICYKIT_WARM"
"""The environment variable that names the folder of an engine's warm sets."""
MEET_S: Final = 2.0
"""So long the first text of a process may wait for the states of those before it."""
EVERY_S: Final = 60.0
FEWEST_NEW: Final = 16
"""Masks that were worked out since a set was written, before it is written again."""
_LOG = logging.getLogger("policykit")


class WarmSets:
    """The folder of one process. Nothing depends on it but time: what cannot be read or written is logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._kept: weakref.WeakKeyDictionary[PolicyMachine, tuple[str, int]] = weakref.WeakKeyDictionary()
        self._thread: threading.Thread | None = None

    @staticmethod
    def of_environment(environment: Mapping[str, str] = os.environ) -> "WarmSets | None":
        """Those of the folder that the environment names, if it does. The folder is made where there is none.

        Raises OSError where it cannot be made.
        """
        found = environment.get(FOLDER)
        if not found:
            return None
        Path(found).mkdir(parents=True, exist_ok=True)
        return WarmSets(Path(found))

    def meet(self, plan: Plan, constraint: Constraint, seconds: float = MEET_S) -> int:
        """Work out the masks of states that were met before, once for all plans with the same rules.

        Returns how many there were; 0 without rules, without a file, or where it is of no use.
        """
        machine = constraint.machine
        with self._lock:
            if machine in self._kept or not machine.program.units:
                return 0
            key = key_of(plan, constraint)
            self._kept[machine] = key, machine.rows.misses
        path, met = self.path(key), 0
        try:
            met = meet_states(machine, path.read_bytes(), key, seconds)
        except FileNotFoundError:
            pass
        except (OSError, NoWarmSet) as error:
            _LOG.warning("warm set `%s` is not used: %s", path.name, error)
        self._note(machine, key, machine.rows.misses)
        return met

    def _note(self, machine: PolicyMachine, key: str, misses: int) -> None:
        with self._lock:
            self._kept[machine] = key, misses

    def path(self, key: str) -> Path:
        """The file of some rules and vocabulary."""
        return self.folder / f"{key[:32]}.warm.json"

    def keep(self) -> int:
        """Write the sets of all rules under which enough was met since. Returns how many were written."""
        n = 0
        with self._lock:
            kept = list(self._kept.items())
        for machine, (key, misses) in kept:
            if machine.rows.misses - misses < FEWEST_NEW:
                continue
            path, now = self.path(key), machine.rows.misses
            beside = path.with_suffix(f".{os.getpid()}")
            try:
                beside.write_bytes(written_states(machine, key))
                beside.replace(path)
            except OSError as error:
                _LOG.warning("warm set `%s` is not written: %s", path.name, error)
                beside.unlink(missing_ok=True)
                continue
            self._note(machine, key, now)
            n += 1
        return n

    def keep_on(self, every_s: float = EVERY_S) -> None:
        """Write in a thread of its own from now on, as long as the process lives. Once is enough."""
        with self._lock:
            if self._thread is None:
                name = "policykit-warm"
                self._thread = threading.Thread(target=self._run, args=(every_s,), daemon=True, name=name)
                self._thread.start()

    def _run(self, every_s: float) -> None:
        while True:
            time.sleep(every_s)
            try:
                self.keep()
            except Exception:  # the next process begins cold, and whoever reads the log knows why
                _LOG.exception("warm sets are not written")


def key_of(plan: Plan, constraint: Constraint) -> str:
    """Of the rules that the mask enforces, of how they read the output, of the vocabulary and of this version: sets of
    another key are of no use."""
    rules = [rule for rule in plan.spec.rules if rule.level == Level.DECODE]
    spec = plan.spec
    resolved = plan_digest(bundle_digest(spec.policies, None), None, spec.context, rules)
    units = [
        [unit.view, unit.within.value, unit.joined, unit.forbids, unit.admits, unit.unescape]
        for unit in constraint.machine.program.units
    ]
    body = [resolved, units, constraint.vocabulary.digest, version("policykit")]
    return hashlib.sha256(json.dumps(body).encode("ascii")).hexdigest()
