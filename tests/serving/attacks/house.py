"""The profiles that are attacked. No rule of theirs names calls of tools: what no output may say is so there too."""

from pathlib import Path

from policykit.profiles import Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment
from tests.serving.running import HEAD, KEYS, OTHER, POLICIES, PROFILES, SCHEMA


def write(folder: Path) -> None:
    """The profiles of the other tests of the guard, as files."""
    (folder / "house.policy.yaml").write_text(POLICIES, "utf-8")
    (folder / "other.policy.yaml").write_text(OTHER, "utf-8")
    (folder / "record.schema.json").write_text(SCHEMA, "utf-8")
    for name, text in PROFILES.items():
        (folder / f"{name}.profile.yaml").write_text(HEAD % {"name": name} + text, "utf-8")


def attacked(folder: Path) -> Deployment:
    """The same as a deployment."""
    write(folder)
    keys = Keyring({digest_of_key(key): grant for key, grant in KEYS.items()})
    return Deployment(load_profiles(folder), keys, model="base-model")
