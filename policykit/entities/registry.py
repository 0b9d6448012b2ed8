"""All entity types: ours in one tuple, others through the entry point group `policykit.entities`.

An entry point names an :class:`EntityType` or a tuple of them.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import cast

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.entities import americas, asia_pacific, contact, credentials, europe, finance, personal
from policykit.entities.entity import EntityType

GROUP = "policykit.entities"
ENTITY_TYPES: tuple[EntityType, ...] = (
    *finance.TYPES,
    *contact.TYPES,
    *personal.TYPES,
    *credentials.TYPES,
    *americas.TYPES,
    *europe.TYPES,
    *asia_pacific.TYPES,
)
_OURS = {entity.name: entity for entity in ENTITY_TYPES}


@cache
def _others() -> dict[str, EntityType]:
    """The types of installed extensions. Raises PolicyError (PK093) for one that cannot be used."""
    found: dict[str, EntityType] = {}
    for entry in entry_points(group=GROUP):
        try:
            loaded: object = entry.load()
        except Exception as error:
            raise _unusable(entry.value, f"{type(error).__name__}: {error}") from error
        types = cast(tuple[object, ...], loaded) if isinstance(loaded, tuple) else (loaded,)
        for one in types:
            if not isinstance(one, EntityType):
                raise _unusable(entry.value, "is no entity type")
            if one.name in _OURS or one.name in found:
                raise _unusable(entry.value, f"`{one.name}` exists already")
            found[one.name] = one
    return found


def _unusable(name: str, why: str) -> PolicyError:
    text = f"the extension `{name}` of entity types cannot be used: {why}"
    return PolicyError([Diagnostic("PK093", text, Place(name), "mend or uninstall the package that provides it")])


def entity_type(name: str) -> EntityType:
    """The type of that name. Raises KeyError, and PolicyError (PK093) where an extension cannot be used."""
    return _OURS[name] if name in _OURS else _others()[name]


def type_names() -> tuple[str, ...]:
    """Names of all types. Raises PolicyError (PK093)."""
    return (*_OURS, *_others())


def fingerprint(name: str) -> tuple[str, ...]:
    """What decides the finds of a type, the version of the package that validates included."""
    found = entity_type(name)
    package = found.check.package if found.check else None
    return (*found.fingerprint, f"{package} {_version(package)}") if package else found.fingerprint


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
