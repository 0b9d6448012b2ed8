"""Whether a server lives, and whether it can serve: each thing that serving needs is asked, within a deadline."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from policykit.diagnostics import PolicyError
from policykit.plan import Plan
from policykit.profiles import check_profiles
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.errors import UpstreamFault
from policykit.serving.upstream import Upstream, UpstreamRequest

_LOG = logging.getLogger(__name__)

DEADLINE_S = 2.0
KEPT_S = 1.0

Check = Callable[[], Awaitable[str | None]]
"""What is wrong, as one line without any text of requests; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """``checks`` says of each what is wrong, or `ok`."""

    ready: bool
    checks: Mapping[str, str]


@dataclass(slots=True)
class Health:
    """Asks all checks at once. An answer is kept for a second, so that probes cost no more than that. ``notes`` are
    told among them, and nothing depends on them."""

    checks: Mapping[str, Check]
    notes: Mapping[str, Check] = field(default_factory=dict[str, Check])
    deadline_s: float = DEADLINE_S
    clock: Callable[[], float] = time.monotonic
    _kept: tuple[float, Readiness] | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self) -> Readiness:
        """Whether requests can be served now. Never raises: a check that fails is not ready."""
        async with self._lock:
            if self._kept is None or self.clock() - self._kept[0] >= KEPT_S:
                asked = {**self.notes, **self.checks}
                found = await asyncio.gather(*(self._asked(check) for check in asked.values()))
                checks = {name: why or "ok" for name, why in zip(asked, found, strict=True)}
                self._kept = self.clock(), Readiness(all(checks[name] == "ok" for name in self.checks), checks)
            return self._kept[1]

    async def _asked(self, check: Check) -> str | None:
        try:
            return await asyncio.wait_for(check(), self.deadline_s)
        except TimeoutError:
            return f"no answer within {self.deadline_s:g} s"
        except Exception as error:
            return f"failed: {type(error).__name__}"


def plans_of(deployment: Deployment) -> list[Plan]:
    """The plans of every profile that every key grants: slow, for they are compiled. Raises PolicyError with all that
    keeps one from being served."""
    broken = [d for d in check_profiles(deployment.profiles) if d.severity.value == "error"]
    if broken:
        raise PolicyError(broken)
    wanted = {
        (name, grant.tenant, grant.locale, grant.jurisdiction)
        for grant in deployment.keys.grants.values()
        for name in grant.profiles
    }
    plans: list[Plan] = []
    for name, tenant, locale, jurisdiction in sorted(wanted, key=str):
        profile = deployment.profiles.get(name)
        if profile is not None:
            plans.append(deployment.plan(profile, tenant, locale=locale, jurisdiction=jurisdiction))
    return plans


class PlansReady:
    """Compiles the plans of what is served, in a thread, and says whether that is done. Then they are warmed, one at a
    time in another thread, which nothing waits for: the first requests are served meanwhile, and cost more. Plans that
    are still to be warmed when others are served are left cold."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._done: Deployment | None = None
        self._problem: str | None = None
        self._again: asyncio.Task[None] | None = None
        self._cold: list[Plan] = []
        self._warming: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Compile now. What does not compile is a problem that the check tells."""
        deployment, plans = self._serving.deployment, list[Plan]()
        problem = None
        try:
            plans = await asyncio.to_thread(plans_of, deployment)
        except PolicyError as error:
            problem = "; ".join(f"{d.code}: {d.message}" for d in error.diagnostics[:3])
        self._done, self._problem, self._cold = deployment, problem, plans[::-1]
        if self._warming is None or self._warming.done():
            self._warming = asyncio.ensure_future(self._warm())

    async def _warm(self) -> None:
        """Warm what is cold, which a reload replaces: no thread is ever left behind with plans that were replaced."""
        while self._cold:
            plan = self._cold.pop()
            try:
                await asyncio.to_thread(plan.warm)
            except PolicyError:
                continue  # it has expired meanwhile, and is compiled again for its next request
            except Exception:  # the plan serves cold as it would warm, and the others are warmed all the same
                _LOG.exception("a plan could not be warmed")

    def close(self) -> None:
        """Warm no more; what a thread has begun it ends."""
        self._cold = []
        if self._warming is not None:
            self._warming.cancel()

    async def check(self) -> str | None:
        """What is served since the last check is compiled too: after a reload it is so already, which is soon seen."""
        if self._done is not None and self._done is not self._serving.deployment:
            if self._again is None or self._again.done():
                self._again = asyncio.ensure_future(self.prepare())
            await asyncio.wait({self._again}, timeout=DEADLINE_S / 2)
        if self._problem:
            return self._problem
        return None if self._done is self._serving.deployment else "plans are being compiled"


def answers(upstream: Upstream) -> Check:
    """Whether the upstream lists its models."""

    async def check() -> str | None:
        try:
            async with upstream.send(UpstreamRequest("GET", "/v1/models")) as response:
                return None if response.status < 400 else f"the upstream answers {response.status}"
        except UpstreamFault as fault:
            return fault.code

    return check
