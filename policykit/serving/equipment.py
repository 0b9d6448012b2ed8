"""What a deployment gives beside its files: keys, vaults, functions, models, approvals, and the facts of requests.

It is Python, named by `FILE.py:NAME` or `module:NAME`: an :class:`Equipment`, or a function without arguments that
makes one, so that a vault is opened when a server starts and not when its module is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import cast

from policykit.compile.facts import CONTEXT, checked
from policykit.compile.resolve import in_scope, sources
from policykit.diagnostics import PolicyError
from policykit.ir.document import Expression, Mode, Rule
from policykit.ir.plan import CompileContext
from policykit.profiles import ProfileSet
from policykit.serving.services import FactsOf, no_facts
from policykit.verify import NONE, Resources

EQUIPMENT = "POLICYKIT_EQUIPMENT"
"""The equipment of a server inside vLLM, as `--equipment` names it."""


_GIVEN = {*CONTEXT, "target", "tool", "args", "json"}


@dataclass(frozen=True, slots=True)
class Equipment:
    """``resources`` are what rules name; ``facts`` says what is known of a request, by the names of conditions."""

    resources: Resources = NONE
    facts: FactsOf = no_facts


@dataclass(frozen=True, slots=True)
class EquipmentSource:
    """Where the equipment is; nowhere, if nothing is named."""

    named: str | None = None

    def load(self) -> Equipment:
        """The equipment, made once a process. Raises PolicyError (PK725) where there is none."""
        return Equipment() if self.named is None else _loaded(self.named)

    def variables(self) -> dict[str, str]:
        """The environment that says the same."""
        return {EQUIPMENT: self.named} if self.named is not None else {}

    @staticmethod
    def read(variables: Mapping[str, str]) -> "EquipmentSource":
        """What the environment says."""
        return EquipmentSource(variables.get(EQUIPMENT) or None)


@cache
def _loaded(named: str) -> Equipment:
    where, _, name = named.rpartition(":")
    if not where or not name:
        raise _unusable(named, "says no name", "write `FILE.py:NAME` or `module:NAME`")
    try:
        found: object = _module(where)
        for part in name.split("."):
            found = getattr(found, part)
        made = cast(Callable[[], object], found)() if callable(found) else found
    except Exception as error:  # whatever the deployment's own code does
        reason = f"cannot be made: {type(error).__name__}: {error}"
        raise _unusable(named, reason, "correct it; nothing is served without it") from error
    if not isinstance(made, Equipment):
        raise _unusable(named, f"is {type(made).__name__}", "give `policykit.serving.Equipment(resources, facts)`")
    return made


def _module(where: str) -> ModuleType:
    if not where.endswith(".py"):
        return import_module(where)
    spec = spec_from_file_location(Path(where).stem, where)
    assert spec is not None, "a file of Python has a loader"
    assert spec.loader is not None, "a file of Python has a loader"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _unusable(named: str, why: str, help: str) -> PolicyError:
    return PolicyError.of("PK725", f"the equipment `{named}` {why}", help=help)


def no_facts_for(profiles: ProfileSet, equipment: Equipment) -> tuple[str, ...]:
    """The enforced rules that read facts of a request, where the deployment gives none: such a condition cannot be
    decided, which blocks, and such an exception is not applied.

    Names that the plan or the judged text itself gives are no facts of a request.
    """
    if equipment.facts is not no_facts:
        return ()
    found = (
        f"{document.name}#{rule.id}"
        for profile in profiles
        for document in profile.policies.documents
        for rule in document.rules
        if rule.mode is Mode.ENFORCE
        and all(in_scope(scope, CompileContext(profile.name)) for scope in (document.scope, rule.scope))
        and _reads_facts(rule)
    )
    return tuple(dict.fromkeys(found))


def without_facts(profiles: ProfileSet, equipment: Equipment) -> str | None:
    """What is told of them when a server starts."""
    unknown = no_facts_for(profiles, equipment)
    if not unknown:
        return None
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    names = f"{', '.join(unknown[:3])}{more}"
    named = f"`--equipment`, `{EQUIPMENT}`"
    return f"nothing gives facts ({named}), so these rules block what they cannot decide: {names}"


def _reads_facts(rule: Rule) -> bool:
    conditions = (rule.when, *(exception.when for exception in rule.exceptions))
    read = {name for when in conditions if isinstance(when, Expression) for name in checked(when, None).reads}
    return bool(read - _GIVEN or sources(rule.matcher))
