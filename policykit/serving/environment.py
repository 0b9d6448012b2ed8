"""What a server inside vLLM is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policykit.diagnostics import PolicyError
from policykit.engines.attest import RUN_DIRECTORY
from policykit.plan import RequestBounds
from policykit.serving.bundled import BUNDLE, BundleFiles
from policykit.serving.equipment import EquipmentSource
from policykit.serving.keeping import KeepingFiles
from policykit.serving.lifetime import Lifetime
from policykit.serving.rewards import RewardFiles
from policykit.serving.shadow_source import ShadowFiles
from policykit.serving.waits import Waits

PROFILES = "POLICYKIT_PROFILES"
"""Profiles to serve, where no bundle is: files and directories, separated as in PATH."""
KEYS = "POLICYKIT_KEYS"
"""Files of keys, separated as in PATH."""
LOG = "POLICYKIT_LOG"
"""The decision log: a directory, or `postgresql://…`."""
MODEL = "POLICYKIT_MODEL"
"""The served model's name, for profiles that name none."""
SWITCH = "POLICYKIT_SWITCH"
"""The file of the incident switch."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says. But for model, switch and what the log keeps everything is needed: a guard without a
    log or keys would be none."""

    profiles: tuple[Path, ...]
    keys: tuple[Path, ...]
    log: str
    run: Path
    model: str | None
    switch: Path | None
    keeping: KeepingFiles = field(default_factory=KeepingFiles)
    bundle: BundleFiles | None = None
    shadow: ShadowFiles | None = None
    lifetime: Lifetime = field(default_factory=Lifetime)
    waits: Waits = field(default_factory=Waits)
    rewards: RewardFiles = field(default_factory=RewardFiles)
    equipment: EquipmentSource = field(default_factory=EquipmentSource)

    @staticmethod
    def read(variables: Mapping[str, str]) -> "Environment":
        """Raises PolicyError (PK680) with every variable that is missing, or for one that says nothing; PK316 for
        bounds on compiling, which those read who compile; PK721 for reward models that are named wrongly."""
        RequestBounds.read(variables)
        bundle = BundleFiles.read(variables)
        wanted = (*(() if bundle else (PROFILES,)), KEYS, LOG, RUN_DIRECTORY)
        missing = [name for name in wanted if not variables.get(name)]
        if missing:
            message = f"the guard is not configured: {', '.join(missing)} not set"
            raise PolicyError.of("PK680", message, help="set them, or start with `policykit serve`, which does")
        if bundle and variables.get(PROFILES):
            raise PolicyError.of("PK680", f"both {PROFILES} and {BUNDLE} are set", help="set one of the two")
        profiles, keys = (
            tuple(Path(p) for p in variables.get(name, "").split(os.pathsep) if p) for name in (PROFILES, KEYS)
        )
        switch = variables.get(SWITCH)
        return Environment(
            profiles,
            keys,
            variables[LOG],
            Path(variables[RUN_DIRECTORY]),
            variables.get(MODEL) or None,
            Path(switch) if switch else None,
            KeepingFiles.read(variables),
            bundle,
            ShadowFiles.read(variables),
            Lifetime.read(variables),
            Waits.read(variables),
            RewardFiles.read(variables),
            EquipmentSource.read(variables),
        )
