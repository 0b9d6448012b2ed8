"""Predicates of installed packages, by the entry point group `policykit.predicates`. No code of theirs is imported."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

GROUP = "policykit.predicates"


@dataclass(frozen=True, slots=True)
class Installed:
    """``target`` is `module:object`; ``identity`` names the package, its version and the object."""

    target: str
    version: str
    identity: str


def installed(name: str) -> Installed | None:
    """The installed predicate of a name, or None. Raises ValueError where two packages claim the name."""
    found = list(entry_points(group=GROUP, name=name))
    if len({entry.value for entry in found}) > 1:
        raise ValueError(f"`{name}` is claimed by {' and '.join(sorted(map(_owner, found)))}")
    if not found:
        return None
    entry = found[0]
    version = entry.dist.version if entry.dist else ""
    return Installed(entry.value, version, f"{_owner(entry)}: {entry.value}")


def installed_names() -> tuple[str, ...]:
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
