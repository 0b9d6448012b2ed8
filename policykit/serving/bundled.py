"""A deployment that comes out of a bundle, as options or the environment name it, and what is told of its reloads."""

import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from policykit.bundle import load_public
from policykit.diagnostics import Place, PolicyError
from policykit.profiles import Keyring
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.health import Check
from policykit.serving.hooks import Switch
from policykit.serving.last_served import LastServed
from policykit.serving.reload_source import BundleSource, BundleWatch, OnBad, Reload

BUNDLE = "POLICYKIT_BUNDLE"
"""The bundle to serve, in place of profiles."""
TRUSTED = "POLICYKIT_TRUSTED"
"""Files of the public keys whose signatures count, separated as in PATH."""
REQUIRED = "POLICYKIT_REQUIRED_SIGNATURES"
"""How many of them must have signed; 1 if not said, 0 for development."""
ON_BAD = "POLICYKIT_ON_BAD_BUNDLE"
"""`keep` serves the old bundle on where a new one is refused, `refuse` serves nothing."""


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """What names a bundle and those who may sign it, before any file is read."""

    path: Path
    trusted: tuple[Path, ...] = ()
    required: int = 1
    on_bad: OnBad = OnBad.KEEP

    def source(self) -> BundleSource:
        """Raises PolicyError: PK654 for a file that holds no public key, PK681 for fewer keys than signatures."""
        if self.required > len(self.trusted):
            message = f"{self.required} signatures are asked for, of {len(self.trusted)} trusted keys"
            help = "name the public keys with `--trusted`; `--require 0` takes unsigned bundles, for development"
            raise PolicyError.of("PK681", message, Place(str(self.path)), help)
        return BundleSource(self.path, tuple(map(load_public, self.trusted)), self.required)

    def variables(self) -> dict[str, str]:
        """The environment that says the same."""
        return {BUNDLE: str(self.path), **self.signatures(), ON_BAD: self.on_bad.value}

    def signatures(self) -> dict[str, str]:
        """The part of the environment that says whose signatures count."""
        return {TRUSTED: os.pathsep.join(map(str, self.trusted)), REQUIRED: str(self.required)}

    @staticmethod
    def read(variables: Mapping[str, str]) -> "BundleFiles | None":
        """What the environment says; None where it names no bundle. Raises PolicyError (PK680)."""
        path = variables.get(BUNDLE)
        if not path:
            return None
        on_bad = variables.get(ON_BAD) or OnBad.KEEP.value
        if on_bad not in list(OnBad):
            raise PolicyError.of("PK680", f"`{ON_BAD}` is `{on_bad}`", help="give `keep` or `refuse`")
        return replace(BundleFiles.signed(Path(path), variables), on_bad=OnBad(on_bad))

    @staticmethod
    def signed(path: Path, variables: Mapping[str, str]) -> "BundleFiles":
        """A bundle, signed as the environment asks for. Raises PolicyError (PK680)."""
        required = variables.get(REQUIRED) or "1"
        if not required.isascii() or not required.isdigit():
            raise PolicyError.of("PK680", f"`{REQUIRED}` is `{required}`", help="give a number of signatures")
        trusted = tuple(Path(name) for name in (variables.get(TRUSTED) or "").split(os.pathsep) if name)
        return BundleFiles(path, trusted, int(required))


def today() -> date:
    return datetime.now(UTC).date()


def opened(source: BundleSource, keys: Keyring, model: str | None, run: Path) -> Deployment:
    """What the bundle holds, as a deployment. Raises PolicyError for a bundle that may not be used today, or is older
    than one that was served with this run directory; the latter only where signatures are asked for."""
    found = source.opened(today())
    new = Deployment(
        found.profiles, keys, model=model, revision=found.revision, bundle_digest=found.digest,
        expires=found.bundle.manifest.expires,
    )  # fmt: skip
    if source.required:
        LastServed(run).check(new)
    return new


@dataclass(frozen=True, slots=True)
class Watched:
    """What a server has of the bundle that it watches: nothing, where there is none. ``told`` hears of reloads;
    ``notes`` are told with readiness and do not change it, for the old bundle is served on."""

    switch: Switch
    told: list[Callable[[Reload], None]]
    checks: Mapping[str, Check]
    notes: Mapping[str, Check]
    starting: tuple[Callable[[], Awaitable[None]], ...]

    @staticmethod
    def of(bundle: BundleFiles | None, serving: Serving, switch: Switch, run: Path) -> "Watched":
        """``switch`` is the operators'; the one of the result also refuses after a bad bundle, where that is asked for.

        Raises PolicyError as :meth:`BundleFiles.source` and :meth:`LastServed.admit` do.
        """
        told: list[Callable[[Reload], None]] = []
        if bundle is None:
            return Watched(switch, told, {}, {}, ())
        last = _Last()
        told.append(last.told)
        watch = BundleWatch(serving, bundle.source(), on_bad=bundle.on_bad, told=told, inner=switch)
        if bundle.required:
            LastServed(run).admit(serving.deployment)
            serving.on_swap(LastServed(run).keep)

        async def watched() -> None:
            await watch.run(on_hangup=threading.current_thread() is threading.main_thread())

        said: dict[str, Check] = {"bundle": last.check}
        stops = bundle.on_bad is OnBad.REFUSE
        return Watched(watch, told, said if stops else {}, {} if stops else said, (watched,))


class _Last:
    """What became of the newest bundle, for readiness."""

    def __init__(self) -> None:
        self._refused: tuple[str, ...] = ()

    def told(self, reload: Reload) -> None:
        self._refused = reload.codes

    async def check(self) -> str | None:
        """Whoever rolls a bundle out has to learn that it is refused."""
        return f"the newest bundle is refused: {', '.join(self._refused)}" if self._refused else None
