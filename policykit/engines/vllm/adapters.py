"""What is said of the adapters that requests name: what each was trained under, held against the plan of the request.

Whatever way an adapter came into the engine (at the start, by a route, by a resolver, in a call from Python), it is
looked at where the first mask for it is made, and again when its files or the plan change. No vLLM is imported.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from policykit.compile.digest import bundle_digest
from policykit.diagnostics import Diagnostic, Place, Severity
from policykit.engines.vllm.plans import Kept
from policykit.plan import Plan
from policykit.plan.pins import FILE, WEIGHTS, differences, read_pins

MAX_KEPT = 1_000
_LOG = logging.getLogger("vllm.policykit")
_Stamps = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter as the engine knows it. ``path`` is its folder, where it has one here."""

    name: str
    path: str


class AdapterPins:
    """Looks adapters up, and says each finding once. Safe for threads."""

    def __init__(self) -> None:
        self._found: Kept[tuple[Adapter, str, _Stamps], tuple[Diagnostic, ...]] = Kept(MAX_KEPT)
        self._told: set[tuple[Adapter, str]] = set()
        self._lock = Lock()

    def check(self, adapter: Adapter, plan: Plan) -> tuple[Diagnostic, ...]:
        """What differs, logged the first time. Raises PolicyError (PK842) for pins that are of other weights, or that
        cannot be read: nothing is decoded with such an adapter.

        A plan with an output grammar, which a request may have brought, is also taken for one of its policies alone.
        """
        folder = Path(adapter.path)
        stamps = tuple(_stamp(folder / name) for name in (FILE, WEIGHTS))
        found = self._found.get((adapter, plan.digest, stamps), lambda: found_in(folder, plan))
        for one in found:
            self._tell(adapter, one)
        return found

    def _tell(self, adapter: Adapter, found: Diagnostic) -> None:
        with self._lock:
            if (adapter, found.message) in self._told:
                return
            if len(self._told) >= MAX_KEPT:
                self._told.clear()
            self._told.add((adapter, found.message))
        _LOG.warning("adapter `%s`: %s", adapter.name, found)


def found_in(folder: Path, plan: Plan) -> tuple[Diagnostic, ...]:
    """The warnings about an adapter of a folder under a plan. Raises PolicyError (PK842)."""
    if not folder.is_dir():
        message = f"what the adapter was trained under cannot be seen: `{folder}` is no folder here"
        return (Diagnostic("PK842", message, Place(str(folder)), "load it from a folder", Severity.WARNING),)
    policies = plan.spec.policies
    return differences(read_pins(folder), (plan.bundle_digest, bundle_digest(policies, None)), policies, folder)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
