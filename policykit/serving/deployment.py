"""What is served: an immutable snapshot that is swapped as a whole, so that no request sees half of a new one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from policykit.ir.grammar import GrammarSpec
from policykit.plan import Plan
from policykit.profiles import Keyring, Profile, ProfileSet, plan_for
from policykit.verify import NONE, Resources


@dataclass(frozen=True)
class Deployment:
    """Profiles, keys and resources of one moment. ``model`` is the name of the model that is served where a profile
    names none; ``revision`` and ``bundle_digest`` are of the bundle that it was opened from, if it was."""

    profiles: ProfileSet
    keys: Keyring
    resources: Resources = NONE
    model: str | None = None
    revision: str | None = None
    bundle_digest: str | None = None

    @cached_property
    def digest(self) -> str:
        """Of the bundle, or of the profiles where there is none."""
        return self.bundle_digest or self.profiles.digest

    def plan(
        self,
        profile: Profile,
        tenant: str,
        *,
        locale: str | None = None,
        jurisdiction: str | None = None,
        grammar: GrammarSpec | None = None,
    ) -> Plan:
        """The plan that a tenant's request is judged by, with the deployment's resources. May compile: slow."""
        plan = plan_for(profile, tenant=tenant, locale=locale, jurisdiction=jurisdiction, grammar=grammar)
        return self._equipped(plan, tenant)

    def plan_without_grammar(
        self, profile: Profile, tenant: str, *, locale: str | None = None, jurisdiction: str | None = None
    ) -> Plan:
        """The profile's policies alone: for texts that the output grammar is not about (reasoning, input)."""
        return self.plan(replace(profile, grammar=None), tenant, locale=locale, jurisdiction=jurisdiction)

    def _equipped(self, plan: Plan, tenant: str) -> Plan:
        key = (plan.digest, tenant)
        found = self._plans.get(key)
        if found is None or found.spec is not plan.spec:
            found = self._plans[key] = plan.with_resources(replace(self.resources, tenant=tenant))
        return found

    _plans: dict[tuple[str, str], Plan] = field(
        init=False, repr=False, compare=False, default_factory=dict[tuple[str, str], Plan]
    )
    """Verifiers are compiled once for each."""


class Serving:
    """Holds the deployment that new requests are served under. A request keeps the one that it began with."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._swapped: list[Callable[[Deployment], None]] = []

    @property
    def deployment(self) -> Deployment:
        return self._deployment

    def swap(self, new: Deployment) -> Deployment:
        """Serve ``new`` from now on; what was served before."""
        old, self._deployment = self._deployment, new
        for told in self._swapped:
            told(new)
        return old

    def on_swap(self, told: Callable[[Deployment], None]) -> None:
        """Have a function told of each new deployment."""
        self._swapped.append(told)
