"""The adapters of a server's profiles: what each was trained under, held against what it is served under."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policykit.compile.digest import bundle_digest
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.plan.pins import differences, read_pins
from policykit.serving.deployment import Deployment, Serving

_LOG = logging.getLogger("policykit.serving")


@dataclass(slots=True)
class ServedAdapters:
    """``folders`` says where the server's adapters lie, by the names that profiles call them. Differences are logged
    when it is made and when something else is served, and are a note of readiness; nothing depends on them, for what a
    plan enforces, it enforces under any adapter."""

    serving: Serving
    folders: Callable[[], Mapping[str, str]]
    _found: tuple[Diagnostic, ...] = field(default=(), init=False)

    def begin(self) -> None:
        """Raises PolicyError (PK842) for pins that cannot be read or are of other weights: such a server does not
        start."""
        self._found = self._logged(differing(self.serving.deployment, self.folders()))
        self.serving.on_swap(self._swapped)

    def _swapped(self, new: Deployment) -> None:
        try:
            self._found = self._logged(differing(new, self.folders()))
        except PolicyError as error:  # every request with that adapter fails in the engine, with the same words
            self._found = error.diagnostics
            _LOG.error("%s", error)

    def _logged(self, found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
        for one in found:
            _LOG.warning("%s", one)
        return found

    async def note(self) -> str | None:
        return "; ".join(f"{one.code}: {one.message}" for one in self._found) or None


def differing(deployment: Deployment, folders: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """One warning for each profile whose adapter was trained under another bundle, or does not say under which.
    Adapters that the server does not have are left out: their requests fail. Raises PolicyError (PK842)."""
    found: list[Diagnostic] = []
    for profile in deployment.profiles:
        folder = folders.get(profile.adapter) if profile.adapter else None
        if folder is None:
            continue
        digest = bundle_digest(profile.policies, profile.grammar)
        for one in differences(read_pins(Path(folder)), (digest,), profile.policies, Path(folder)):
            message = f"profile `{profile.name}`: {one.message}"
            found.append(Diagnostic(one.code, message, one.place, one.help, one.severity))
    return tuple(found)
