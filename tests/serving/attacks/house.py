"""The profiles that are attacked: what is forbidden is so in texts and in the arguments of tools."""

from pathlib import Path

from policykit.profiles import Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment
from tests.serving.running import HEAD, KEYS, OTHER, POLICIES, PROFILES, SCHEMA

ARGUMENTS = """\
  - id: no-promises-in-orders
    severity: high
    cost: 1.0
    why: what is not said is not ordered
    target: tool_call
    match: {phrases: [guaranteed returns, certain profit, project aurora, code 1234]}
    action: {block: {message: I cannot order that.}}
"""


def write(folder: Path) -> None:
    """The profiles of the other tests of the guard, with a rule more, as files."""
    (folder / "house.policy.yaml").write_text(POLICIES + ARGUMENTS, "utf-8")
    (folder / "other.policy.yaml").write_text(OTHER, "utf-8")
    (folder / "record.schema.json").write_text(SCHEMA, "utf-8")
    for name, text in PROFILES.items():
        (folder / f"{name}.profile.yaml").write_text(HEAD % {"name": name} + text, "utf-8")


def attacked(folder: Path) -> Deployment:
    """The same as a deployment."""
    write(folder)
    keys = Keyring({digest_of_key(key): grant for key, grant in KEYS.items()})
    return Deployment(load_profiles(folder), keys, model="base-model")
