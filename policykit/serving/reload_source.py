"""Hot reload: a bundle is watched, and what is served is swapped as a whole when a better one stands there.

Requests in flight end under the deployment that they began with. A bundle that is not signed as required, is older,
expired, damaged or does not compile changes nothing but what is said about it. One that expires while it is served is
served to no new request.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from policykit.bundle import Opened, PublicKey, open_bundle
from policykit.diagnostics import Diagnostic, Place, PolicyError, Severity
from policykit.profiles import check_keys, check_profiles
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.hooks import AlwaysOpen, Switch, SwitchState

_LOG = logging.getLogger("policykit.serving")


class OnBad(StrEnum):
    """What a bundle that is refused means for serving: go on under the old one, or refuse every request."""

    KEEP = "keep"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Reload:
    """One attempt. ``codes`` say why the bundle was refused; none: ``revision`` is served from now on."""

    revision: str | None
    digest: str | None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BundleSource:
    """Where the bundle stands, and whose signatures count. ``required`` 0 takes unsigned ones: for development."""

    path: Path
    trusted: tuple[PublicKey, ...] = ()
    required: int = 1

    def opened(self, day: date) -> Opened:
        """The bundle, if it may be used on this day. Raises PolicyError."""
        return open_bundle(self.path, self.trusted, self.required, at=day)


def deployed(opened: Opened, before: Deployment) -> Deployment:
    """The deployment with the bundle's profiles, each compiled for every key that may use it.

    Raises PolicyError with whatever keeps a profile from being served, and with keys that grant what there is not.
    """
    new = replace(
        before, profiles=opened.profiles, revision=opened.revision, bundle_digest=opened.digest,
        expires=opened.bundle.manifest.expires,
    )  # fmt: skip
    found: Iterable[Diagnostic] = (*check_profiles(new.profiles), *check_keys(new.keys, new.profiles))
    errors = [diagnostic for diagnostic in found if diagnostic.severity is Severity.ERROR]
    if errors:
        raise PolicyError(errors)
    for grant in new.keys.grants.values():
        for profile in new.profiles:
            if profile.name in grant.profiles:
                new.plan(profile, grant.tenant, locale=grant.locale, jurisdiction=grant.jurisdiction)
    return new


class BundleWatch:
    """Watches one bundle for one `Serving`. It is also the switch that refuses all requests after a bad bundle, where
    ``on_bad`` says so; ``inner`` is the switch of operators.

    ``told`` hears of every attempt; what it raises is logged and changes nothing. ``today`` is the clock.
    """

    def __init__(
        self,
        serving: Serving,
        source: BundleSource,
        *,
        on_bad: OnBad = OnBad.KEEP,
        poll_s: float = 1.0,
        told: Sequence[Callable[[Reload], None]] = (),
        inner: Switch | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._serving = serving
        self._source = source
        self._on_bad = on_bad
        self._poll_s = poll_s
        self._told = told
        self._inner = inner or AlwaysOpen()
        self._today = today
        self._seen: object = None
        self._bad = False
        self._checking = asyncio.Lock()
        self._wake = asyncio.Event()

    @property
    def state(self) -> SwitchState:
        """Refuses all while the newest bundle is a bad one and ``on_bad`` is `refuse`; else what operators say."""
        return SwitchState.REFUSE_ALL if self._bad and self._on_bad is OnBad.REFUSE else self._inner.state

    async def check(self, force: bool = False) -> Reload | None:
        """Look once: None where nothing has changed. Opens, verifies and compiles in a thread."""
        async with self._checking:
            seen = stamp(self._source.path), self._today()
            if seen == self._seen and not force:
                return None
            self._seen = seen
            try:
                new = await asyncio.to_thread(self._loaded, seen[1])
            except PolicyError as error:
                return self._refused(error)
            except Exception as error:  # whatever it is, the bundle was not verified
                _LOG.exception("the bundle could not be opened")
                return self._refused(PolicyError.of("PK640", f"the bundle could not be opened: {error}"))
            self._bad = False
            if new is None:
                return None
            self._serving.swap(new)
            _LOG.info("serving revision %s (%s)", new.revision, new.bundle_digest)
            return self._tell(Reload(new.revision, new.bundle_digest))

    async def run(self, on_hangup: bool = False) -> None:
        """Look again and again until cancelled; with ``on_hangup`` at once after a SIGHUP, changed or not."""
        if on_hangup:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._wake.set)
        try:
            while True:
                woken = self._wake.is_set()
                self._wake.clear()
                await self.check(force=woken)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._poll_s)
        finally:
            if on_hangup:
                asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    def _loaded(self, day: date) -> Deployment | None:
        """What to serve from now on; None where it is served already. Raises PolicyError."""
        opened, before = self._source.opened(day), self._serving.deployment
        if opened.digest == before.bundle_digest:
            return None
        if before.revision is not None and int(opened.revision) <= int(before.revision):
            message = f"the bundle is revision {opened.revision}, and {before.revision} is served"
            help = "build with a higher `--revision`"
            raise PolicyError.of("PK651", message, Place(str(self._source.path)), help)
        new = deployed(opened, before)
        self._serving.check(new)
        return new

    def _refused(self, error: PolicyError) -> Reload:
        self._bad = True
        goes_on = "nothing is served" if self._on_bad is OnBad.REFUSE else "the old one is served on"
        _LOG.error("the bundle is refused, %s (revision %s): %s", goes_on, self._serving.deployment.revision, error)
        return self._tell(Reload(None, None, tuple(dict.fromkeys(found.code for found in error.diagnostics))))

    def _tell(self, reload: Reload) -> Reload:
        for told in self._told:
            try:
                told(reload)
            except Exception:
                _LOG.exception("an observer of reloads failed")
        return reload


def stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
