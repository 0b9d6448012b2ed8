"""The manifest: what a bundle holds, in one canonical form, which is what signatures are made of."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, cast

from policykit.diagnostics import Place, PolicyError

FORMAT = 1
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_KNOWN = ("at", "expires", "files", "format", "policies", "profiles", "revision")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One packed file: its path, its size in bytes and the SHA-256 of its bytes."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str, data: bytes) -> "FileEntry":
        return cls(path, len(data), digest_of(data))


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """All policies of the bundle: `bundle_digest` of their content, names and the number of rules."""

    digest: str
    documents: tuple[str, ...]
    n_rules: int


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """One profile. ``plan`` is the digest of its plan without a tenant on the day ``at``, if a day was named."""

    name: str
    version: str
    digest: str
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds. ``revision`` grows; ``expires`` is the first day (UTC) on which it is not to be used."""

    revision: int
    files: tuple[FileEntry, ...]
    policies: PolicyEntry | None = None
    profiles: tuple[ProfileEntry, ...] = ()
    expires: date | None = None
    at: date | None = None

    @property
    def digest(self) -> str:
        """Of the whole content: the same for two bundles that differ in signatures only."""
        return digest_of(self.render())

    def render(self) -> bytes:
        """Canonical JSON, ASCII, with sorted keys."""
        content = asdict(self) | {
            "format": FORMAT,
            "expires": self.expires and self.expires.isoformat(),
            "at": self.at and self.at.isoformat(),
        }
        return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def digest_of(data: bytes) -> str:
    """``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse(data: bytes, file: str) -> Manifest:
    """The manifest that `render` has written; anything else is refused. Raises PolicyError (PK648)."""
    try:
        content: Any = json.loads(data)
        if content["format"] != FORMAT:
            raise _bad(file, f"its format is {content['format']!r}, and this version of policykit reads {FORMAT}")
        manifest = _manifest(content)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _bad(file, "it is not what `policykit bundle build` writes") from error
    if manifest.render() != data:
        raise _bad(file, "it is not in its canonical form")
    return manifest


def _bad(file: str, why: str) -> PolicyError:
    return PolicyError.of("PK648", f"the manifest cannot be used: {why}", Place(file), "build the bundle again")


def _manifest(content: dict[str, Any]) -> Manifest:
    if sorted(content) != list(_KNOWN):
        raise ValueError("other fields")
    policies, revision = content["policies"], content["revision"]
    if type(revision) is not int or revision < 0:
        raise ValueError("a revision is a whole number")
    paths = [entry["path"] for entry in content["files"]]
    if paths != sorted(set(paths)):
        raise ValueError("each file once, by its path")
    return Manifest(
        revision,
        tuple(_file(entry) for entry in content["files"]),
        policies and PolicyEntry(policies["digest"], tuple(policies["documents"]), policies["n_rules"]),
        tuple(ProfileEntry(**entry) for entry in content["profiles"]),
        _day(content["expires"]),
        _day(content["at"]),
    )


def _file(entry: dict[str, Any]) -> FileEntry:
    found = FileEntry(**entry)
    if not _DIGEST.fullmatch(found.sha256) or type(found.size) is not int:
        raise ValueError("no digest")
    return found


def _day(value: object) -> date | None:
    return None if value is None else date.fromisoformat(cast(str, value))
