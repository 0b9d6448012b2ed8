"""Where a candidate bundle comes from, and what it may use: nothing by which it could change what is served."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from policykit.audit import Keeping
from policykit.audit.shadow import ShadowStore
from policykit.diagnostics import PolicyError
from policykit.predicates import Workers
from policykit.serving.bundled import BundleFiles, today
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.reload_source import BundleSource, Reload, deployed, stamp
from policykit.serving.shadow import Found, Shadow
from policykit.verify import Resources
from policykit.verify.resources import Tokeniser

_LOG = logging.getLogger("policykit.serving")
SHADOW_BUNDLE = "POLICYKIT_SHADOW_BUNDLE"
"""The candidate bundle, signed as the one that is served has to be."""
SHADOW_LOG = "POLICYKIT_SHADOW_LOG"
"""The file of what it says."""
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class ShadowFiles:
    """What names a candidate, and where what it says is kept."""

    bundle: BundleFiles
    store: Path

    def variables(self) -> dict[str, str]:
        """The environment that says the same, beside what :meth:`BundleFiles.variables` says of signatures."""
        return {**self.bundle.signatures(), SHADOW_BUNDLE: str(self.bundle.path), SHADOW_LOG: str(self.store)}

    @staticmethod
    def read(variables: Mapping[str, str]) -> "ShadowFiles | None":
        """What the environment says; None where it names no candidate. Raises PolicyError (PK680)."""
        path, store = variables.get(SHADOW_BUNDLE), variables.get(SHADOW_LOG)
        if not path and not store:
            return None
        if not path or not store:
            raise PolicyError.of("PK680", f"one of {SHADOW_BUNDLE} and {SHADOW_LOG} is not set", help="set both")
        return ShadowFiles(BundleFiles.signed(Path(path), variables), Path(store))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate that is asked. ``watch`` runs while it is served beside."""

    shadow: Shadow
    watch: "CandidateWatch"

    @staticmethod
    def of(files: ShadowFiles, live: Deployment, keeping: Keeping) -> "Candidate":
        """Opens and compiles: slow. Raises PolicyError for a bundle that could not be served, and LogError."""
        source = files.bundle.source()
        serving = Serving(candidate(source, live))
        return Candidate(Shadow(serving, ShadowStore(files.store), keeping), CandidateWatch(serving, source))

    def tell(self, listener: "Listener") -> None:
        """Have somebody told of findings and reloads from now on."""
        self.shadow.told.append(listener.on_found)
        self.watch.told.append(listener.on_reload)


class Listener(Protocol):
    """Hears what a candidate says, in the thread that asks it, and what became of new ones."""

    def on_found(self, found: Found) -> None: ...

    def on_reload(self, reload: Reload) -> None: ...


def candidate(source: BundleSource, live: Deployment) -> Deployment:
    """What a bundle would serve in the place of ``live``. Raises PolicyError where it could not."""
    return deployed(source.opened(today()), replace(live, resources=harmless(live.resources)))


def harmless(resources: Resources) -> Resources:
    """Keys, predicates and classifiers as they are, in threads of their own; vaults that keep nothing; no approvals
    that could be used up, and no Open Policy Agent that could be asked too often: rules that need one are not judged.
    """
    vaults: dict[str, Tokeniser] = {name: _Nothing(vault) for name, vault in resources.vaults.items()}
    return replace(resources, vaults=vaults, approvals=None, opa=None, workers=Workers())


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A vault in which nothing is kept: its tokens name no value."""

    vault: Tokeniser

    def tokenise(self, tenant: str, kind: str, value: str, *, template: str, avoid: str) -> str:
        return template.replace("{type}", kind).replace("{n}", "0")

    def marks(self, text: str, tenant: str) -> tuple[tuple[int, int], ...]:
        return self.vault.marks(text, tenant)


@dataclass(slots=True)
class CandidateWatch:
    """Watches a candidate, of any revision. One that is refused changes nothing: the old one is asked on."""

    serving: Serving
    source: BundleSource
    told: list[Callable[[Reload], None]] = field(default_factory=list[Callable[[Reload], None]])
    _seen: object = field(default=None, init=False)

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(POLL_S)

    async def check(self) -> Reload | None:
        """Look once: None where nothing has changed."""
        seen = stamp(self.source.path), today()
        if seen == self._seen:
            return None
        self._seen = seen
        before = self.serving.deployment
        try:
            new = await asyncio.to_thread(candidate, self.source, before)
        except Exception as error:  # whatever it is, the candidate was not verified
            codes = [found.code for found in error.diagnostics] if isinstance(error, PolicyError) else ["PK640"]
            _LOG.error("the candidate bundle is refused, and the old one is asked on: %s", error)
            reload = Reload(None, None, tuple(dict.fromkeys(codes)))
        else:
            if new.digest == before.digest:
                return None
            self.serving.swap(new)
            reload = Reload(new.revision, new.bundle_digest)
        for told in self.told:
            told(reload)
        return reload
