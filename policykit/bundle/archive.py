"""The archive of a bundle: one form of bytes for one content, so that any other bytes are refused.

A POSIX ustar archive (IEEE Std 1003.1-2017, pax, section "ustar Interchange Format") without compression: the manifest,
the files by name, the signatures by name; every time, owner and mode is the same. `tar -xf` unpacks it.
"""

import tarfile
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from policykit.diagnostics import Diagnostic, Place, PolicyError

MANIFEST = "policykit-bundle.json"
CONTENT = "content/"
SIGNATURES = "signatures/"
MAX_BYTES = 64 << 20
MAX_FILES = 10_000
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_REBUILD = "take the file from where it was built, or build it again"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    data: bytes


def render(members: Iterable[Member]) -> bytes:
    """The archive of these members in this order. Raises PolicyError (PK642) for a name that does not fit."""
    parts: list[bytes] = []
    for member in members:
        parts += [_header(member), member.data, bytes(-len(member.data) % _BLOCK)]
    return b"".join(parts) + _END


def parse(data: bytes, file: str) -> tuple[Member, ...]:
    """The members of an archive that `render` has written, and of nothing else.

    Raises:
        PolicyError: PK640 (no such archive), PK641 (too large), PK642 (a name that leads elsewhere), PK643 (a link or
            another thing that is no file), PK644 (two files of one name).
    """
    place = Place(file)
    if len(data) > MAX_BYTES:
        help = "leave out what is no part of the policies"
        raise PolicyError.of("PK641", f"the bundle has more than {MAX_BYTES} bytes", place, help)
    members = tuple(_members(data, place))
    names = [member.name for member in members]
    found = [Diagnostic("PK642", f"`{name}`: {why}", place, _REBUILD) for name in names if (why := unsafe(name))]
    found += [Diagnostic("PK644", f"two files are called `{name}`", place, _REBUILD) for name in twice(names)]
    if found:
        raise PolicyError(found)
    if render(members) != data:
        message = "the archive is not in the form in which bundles are written"
        raise PolicyError.of("PK640", message, place, _REBUILD)
    return members


def unsafe(name: str) -> str | None:
    """Why a name must not be a file's, or None. What is safe means the same file on every system."""
    parts = name.split("/")
    if name.startswith("/") or ":" in parts[0] or "\\" in name:
        return "it is not a relative path with `/`"
    if any(part in ("", ".", "..") for part in parts):
        return "it leads out of the bundle, or has empty parts"
    if any(part != part.rstrip(". ") for part in parts):
        return "a part ends in a dot or a space, which some systems drop"
    if unicodedata.normalize("NFC", name) != name or not name.isprintable():
        return "it is not in Unicode's form NFC, or has characters that cannot be seen"
    return None


def twice(names: Iterable[str]) -> list[str]:
    """Names that a system without regard to case would take for an earlier one."""
    seen: set[str] = set()
    found: list[str] = []
    for name in names:
        key = unicodedata.normalize("NFC", name.casefold())
        if key in seen:
            found.append(name)
        seen.add(key)
    return found


def is_content(name: str) -> bool:
    """Whether a member is one of the files that were packed."""
    return name.startswith(CONTENT) and PurePosixPath(name) != PurePosixPath(CONTENT)


def _header(member: Member) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.size = len(member.data)
    info.mode = 0o644
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError as error:
        message = f"`{member.name}`: the path is too long for an archive"
        raise PolicyError.of("PK642", message, None, "shorten it: 100 bytes for a name, 155 for its folder") from error


def _members(data: bytes, place: Place) -> Iterator[Member]:
    at = 0
    for _ in range(MAX_FILES + 1):
        block = data[at : at + _BLOCK]
        if block == bytes(_BLOCK):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            message = "the file is no bundle, or a part of one"
            raise PolicyError.of("PK640", message, place, "`policykit bundle build` writes bundles") from error
        if info.type != tarfile.REGTYPE:
            what = "a link" if info.issym() or info.islnk() else "no plain file"
            raise PolicyError.of("PK643", f"`{info.name}` is {what}", place, _REBUILD)
        at += _BLOCK
        if not 0 <= info.size <= len(data) - at:
            raise PolicyError.of("PK640", f"`{info.name}` is cut off", place, _REBUILD)
        yield Member(info.name, data[at : at + info.size])
        at += info.size + -info.size % _BLOCK
    raise PolicyError.of("PK641", f"the bundle has more than {MAX_FILES} files", place, "split it")
