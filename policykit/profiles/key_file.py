"""Reading key files, and checking them against the profiles that they grant."""

import re
from collections.abc import Iterator
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.policy.checked import Entries, Leaf
from policykit.policy.files import read_text_file
from policykit.profiles.documents import Naming, checked, files_of
from policykit.profiles.keys import Admin, Grant, Keyring
from policykit.profiles.profile import ProfileSet
from policykit.profiles.table import KEY_RECORDS

SUFFIX = ".keys.yaml"
NAMING = Naming(SUFFIX, (".keys.yml", ".keys.json", ".key.yaml", ".key.yml"), "keys")
_SHA256 = re.compile("[0-9a-fA-F]{64}")


def load_keys(*paths: str | Path) -> Keyring:
    """The keys of all files, and of all `**/*.keys.yaml` of directories.

    Raises:
        PolicyError: everything that is wrong with any of them.
    """
    diagnostics: list[Diagnostic] = []
    entries = [found for path in files_of(paths, NAMING, diagnostics) if (found := _file(path, diagnostics))]
    keys = [key for file in entries for key in file.records("keys")]
    admins = [admin for file in entries for admin in file.records("admins")]
    _check_twice((*keys, *admins), diagnostics)
    grants = {_digest(key): _grant(key, diagnostics) for key in keys}
    operators = {_digest(admin): Admin(admin.text("id") or "", admin.day("expires")) for admin in admins}
    if diagnostics:
        raise PolicyError(diagnostics)
    return Keyring(grants, operators)


def check_keys(keyring: Keyring, profiles: ProfileSet) -> tuple[Diagnostic, ...]:
    """What keys grant that there is not: profiles that do not exist, or that do not admit the key's tenant."""
    found: list[Diagnostic] = []
    for grant in keyring.grants.values():
        for name in grant.profiles:
            profile = profiles.get(name)
            if profile is None:
                help = did_you_mean(name, profiles.names) or f"known profiles: {', '.join(profiles.names)}"
                message = f"the key `{grant.key_id}` grants `{name}`, and there is no such profile"
                found.append(Diagnostic("PK610", message, grant.place, help))
            elif not profile.admits(grant.tenant):
                message = f"the profile `{name}` is not for the tenant `{grant.tenant}` of the key `{grant.key_id}`"
                help = "add the tenant to the profile, or take the profile from the key"
                related = ((profile.place, "the profile"),)
                found.append(Diagnostic("PK611", message, grant.place, help, related=related))
    return tuple(found)


def _file(path: Path, diagnostics: list[Diagnostic]) -> Entries | None:
    text = read_text_file(path, diagnostics)
    return None if text is None else checked(text, str(path), "keys", KEY_RECORDS, diagnostics)


def _digest(entries: Entries) -> str:
    return (entries.text("sha256") or "").lower()


def _grant(entries: Entries, diagnostics: list[Diagnostic]) -> Grant:
    profiles = tuple(dict.fromkeys(str(leaf.value) for leaf in entries.leaves("profiles")))
    default = entries.leaf("default")
    chosen = str(default.value) if default else profiles[0] if profiles else ""
    place = entries.fields["id"].place
    if default is None and len(profiles) > 1:
        message = "the key grants several profiles and no default"
        help = "name the one for requests that name none: `default: ...`"
        diagnostics.append(Diagnostic("PK612", message, entries.keys["profiles"], help))
    if default is not None and chosen not in profiles:
        help = did_you_mean(chosen, profiles) or f"it grants: {', '.join(profiles)}"
        message = f"the default `{chosen}` is not granted"
        diagnostics.append(Diagnostic("PK612", message, default.place, help))
    return Grant(
        entries.text("id") or "",
        entries.text("tenant") or "",
        profiles,
        chosen,
        entries.text("locale"),
        entries.text("jurisdiction"),
        entries.day("expires"),
        place,
    )


def _check_twice(keys: tuple[Entries, ...], diagnostics: list[Diagnostic]) -> None:
    """Names and digests are each used once, by clients and operators together; digests have their form."""
    first: dict[str, Place] = {}
    for leaf in _identities(keys, "id"):
        _once(leaf, f"duplicate key id `{leaf.value}`", "rename one of the two", first, diagnostics)
    first = {}
    for leaf in _identities(keys, "sha256"):
        if _SHA256.fullmatch(str(leaf.value)):
            _once(leaf, "two entries have the same key", "give each a key of its own", first, diagnostics)
        else:
            help = "`policykit keys new` makes a key and prints its line; write the key itself nowhere"
            diagnostics.append(Diagnostic("PK614", "not a SHA-256 of 64 hexadecimal digits", leaf.place, help))


def _identities(keys: tuple[Entries, ...], name: str) -> Iterator[Leaf]:
    return (leaf for key in keys if (leaf := key.leaf(name)))


def _once(leaf: Leaf, message: str, help: str, first: dict[str, Place], diagnostics: list[Diagnostic]) -> None:
    value = str(leaf.value).lower()
    if value in first:
        related = ((first[value], "the first one"),)
        diagnostics.append(Diagnostic("PK613", message, leaf.place, help, related=related))
    first.setdefault(value, leaf.place)
