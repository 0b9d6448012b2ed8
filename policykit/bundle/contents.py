"""What a bundle holds, as policies and profiles: read from a private folder that is removed again."""

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, cast

from policykit.bundle.archive import Member
from policykit.bundle.bundle import Bundle, Trust, check, read
from policykit.bundle.manifest import PolicyEntry, ProfileEntry
from policykit.bundle.signatures import PublicKey, Signature
from policykit.compile.digest import bundle_digest
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.ir.document import PolicySet
from policykit.ir.later import Later
from policykit.policy import load_policies
from policykit.policy.load import SUFFIX as POLICY
from policykit.profiles import ProfileSet, load_profiles, plan_for
from policykit.profiles.load import SUFFIX as PROFILE

_NO_POLICIES = PolicySet(())


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that may be used. Places in it are `BUNDLE/path`. ``signers`` are the trusted keys that signed it."""

    bundle: Bundle
    policies: PolicySet
    profiles: ProfileSet
    signers: tuple[PublicKey, ...] = ()

    @property
    def revision(self) -> str:
        return str(self.bundle.manifest.revision)

    @property
    def digest(self) -> str:
        return self.bundle.manifest.digest


def open_bundle(
    path: str | Path,
    trusted: Iterable[PublicKey] = (),
    required: bool | int = True,
    *,
    min_revision: int | None = None,
    at: date | None = None,
    detached: Iterable[Signature] = (),
) -> Opened:
    """Policies and profiles of a bundle, if every byte of it is as it was signed.

    ``required`` is how many of the trusted keys must have signed it; False takes an unsigned one. ``at`` is the day on
    which it must not have expired.

    Raises:
        PolicyError: everything that is wrong with the bundle (PK640-PK652), or with what it holds (PK653 and others).
    """
    bundle = read(Path(path))
    trust = Trust(tuple(trusted), int(required), min_revision, at)
    signers = check(bundle, trust, str(path), detached)
    return replace(loaded(bundle, str(path)), signers=signers)


def loaded(bundle: Bundle, file: str) -> Opened:
    """The content of a bundle. Raises PolicyError: PK653 where it is not what its manifest says, and the loader's."""
    policies, profiles = load(bundle.files, file)
    manifest = bundle.manifest
    now = (policy_entry(policies), profile_entries(profiles, manifest.at))
    if now != (manifest.policies, manifest.profiles):
        message = "this version of policykit reads other policies from the bundle than its manifest names"
        raise PolicyError.of("PK653", message, Place(file), "build it again with this version")
    return Opened(bundle, policies, profiles)


def load(files: Sequence[Member], file: str) -> tuple[PolicySet, ProfileSet]:
    """Policies and profiles among files, with places below ``file``. Raises PolicyError as their loaders do."""
    with _unpacked(files) as folder:

        def relocated(value: Any) -> Any:
            return _relocated(value, lambda name: _renamed(name, str(folder), file), {})

        def names(suffix: str) -> list[Path]:
            return [folder / member.name for member in files if member.name.endswith(suffix)]

        try:
            policies = load_policies(*names(POLICY)) if names(POLICY) else _NO_POLICIES
            profiles = load_profiles(*names(PROFILE)) if names(PROFILE) else ProfileSet(())
        except PolicyError as error:
            raise PolicyError(cast(list[Diagnostic], [relocated(found) for found in error.diagnostics])) from None
        return relocated(policies), relocated(profiles)


def policy_entry(policies: PolicySet) -> PolicyEntry | None:
    """What a manifest says of policies."""
    if not policies.documents:
        return None
    names = tuple(sorted(document.name for document in policies.documents))
    return PolicyEntry(bundle_digest(policies, None), names, sum(len(d.rules) for d in policies.documents))


def profile_entries(profiles: ProfileSet, at: date | None) -> tuple[ProfileEntry, ...]:
    """What a manifest says of profiles; with the plans' digests on the day ``at``, where there is one."""
    entries = (ProfileEntry(p.name, p.version, p.digest, plan_for(p, at=at).digest if at else None) for p in profiles)
    return tuple(sorted(entries, key=lambda entry: entry.name))


@contextmanager
def _unpacked(files: Sequence[Member]) -> Generator[Path]:
    """A folder that only this user can enter, with the files, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="policykit-bundle-") as made:
        folder = Path(made).resolve()
        for member in files:
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(member.data)
        yield folder


def _renamed(name: str, folder: str, file: str) -> str:
    return file + name[len(folder) :] if name == folder or name.startswith(folder + os.sep) else name


def _relocated(value: Any, rename: Callable[[str], str], seen: dict[int, tuple[Any, Any]]) -> Any:
    """The value with other files in its places; what has no places in it stays the same object."""
    if isinstance(value, Place):
        return replace(value, file=rename(value.file))
    if isinstance(value, tuple | Later) or (is_dataclass(value) and not isinstance(value, type)):
        known = cast(object, value)
        if id(known) not in seen:
            seen[id(known)] = (known, _rebuilt(known, rename, seen))
        return seen[id(known)][1]
    return value


def _rebuilt(value: Any, rename: Callable[[str], str], seen: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(value, Later):
        return Later(lambda: _relocated(cast("Later[Any]", value)(), rename, {}))
    if isinstance(value, tuple):
        items = [_relocated(item, rename, seen) for item in cast(tuple[Any, ...], value)]
        same = all(new is old for new, old in zip(items, cast(tuple[Any, ...], value), strict=True))
        return cast(Any, value) if same else tuple(items)
    changed: dict[str, Any] = {}
    for field in fields(value):
        old = getattr(value, field.name)
        new = tuple(map(rename, old)) if field.name == "files" else _relocated(old, rename, seen)
        if new is not old and field.init:
            changed[field.name] = new
    return replace(value, **changed) if changed else value
