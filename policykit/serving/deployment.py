"""What is served: an immutable snapshot that is swapped as a whole, so that no request sees half of a new one."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from threading import Lock

from policykit.ir.grammar import GrammarSpec
from policykit.plan import Plan, Unread
from policykit.profiles import Keyring, Profile, ProfileSet, plan_for
from policykit.serving.arguments import Arguments, judging_elsewhere
from policykit.verify import NONE, Resources

MAX_PLANS = 512
"""Plans that are kept ready: a request may bring a grammar of its own."""


@dataclass(frozen=True)
class Deployment:
    """Profiles, keys and resources of one moment. ``model`` is the name of the model that is served where a profile
    names none; ``revision`` and ``bundle_digest`` are of the bundle that it was opened from, if it was, and
    ``expires`` is the first day on which that is not to be used."""

    profiles: ProfileSet
    keys: Keyring
    resources: Resources = NONE
    model: str | None = None
    revision: str | None = None
    bundle_digest: str | None = None
    expires: date | None = None

    def has_expired(self, day: date) -> bool:
        """Whether nothing may be served out of it on this day."""
        return self.expires is not None and day >= self.expires

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
        grammar: GrammarSpec | Unread | None = None,
    ) -> Plan:
        """The plan that a tenant's request is judged by, with the deployment's resources. May compile: slow."""
        plan = plan_for(profile, tenant=tenant, locale=locale, jurisdiction=jurisdiction, grammar=grammar)
        return self._equipped(plan, tenant)

    def plan_without_grammar(
        self, profile: Profile, tenant: str, *, locale: str | None = None, jurisdiction: str | None = None
    ) -> Plan:
        """The profile's policies alone: for texts that the output grammar is not about (reasoning, input)."""
        return self.plan(replace(profile, grammar=None), tenant, locale=locale, jurisdiction=jurisdiction)

    def validators(self, profile: Profile) -> Mapping[str, Arguments]:
        """What judges the arguments of a profile's tools."""
        return self._compiled.validators(profile)

    def _equipped(self, plan: Plan, tenant: str) -> Plan:
        return self._compiled.equipped(plan, tenant, self.resources)

    _compiled: "_Compiled" = field(init=False, repr=False, compare=False, default_factory=lambda: _Compiled())


class _Compiled:
    """What a deployment has compiled, the least recently used forgotten first. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._plans: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        self._validators: dict[str, Mapping[str, Arguments]] = {}

    def equipped(self, plan: Plan, tenant: str, resources: Resources) -> Plan:
        """The plan with the tenant's resources, always the same one, so that it is made ready once."""
        key = (plan.digest, tenant)
        with self._lock:
            found = self._plans.get(key)
            if found is None or found.spec is not plan.spec:
                with_all = plan.with_resources(replace(resources, tenant=tenant))
                found = self._plans[key] = judging_elsewhere(with_all)
            self._plans.move_to_end(key)
            if len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
            return found

    def validators(self, profile: Profile) -> Mapping[str, Arguments]:
        with self._lock:
            found = self._validators.get(profile.digest)
            if found is None:
                found = {tool.name: Arguments(tool.grammar) for tool in profile.tools}
                self._validators[profile.digest] = found
            return found


class Serving:
    """Holds the deployment that new requests are served under. A request keeps the one that it began with."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._swapped: list[Callable[[Deployment], None]] = []
        self._checks: list[Callable[[Deployment], None]] = []

    @property
    def deployment(self) -> Deployment:
        return self._deployment

    def before_swap(self, check: Callable[[Deployment], None]) -> None:
        """Have a function look at each new deployment before it is served. It raises PolicyError for one that cannot
        be."""
        self._checks.append(check)

    def check(self, new: Deployment) -> None:
        """Raises PolicyError where this server cannot serve ``new``. May be slow."""
        for check in self._checks:
            check(new)

    def swap(self, new: Deployment) -> Deployment:
        """Serve ``new`` from now on; what was served before."""
        old, self._deployment = self._deployment, new
        for told in self._swapped:
            told(new)
        return old

    def on_swap(self, told: Callable[[Deployment], None]) -> None:
        """Have a function told of each new deployment."""
        self._swapped.append(told)
