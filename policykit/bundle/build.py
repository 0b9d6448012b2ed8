"""Packing folders: what belongs to policies and profiles, and nothing else."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from policykit.bundle.archive import MAX_FILES, Member, twice, unsafe
from policykit.bundle.bundle import Bundle
from policykit.bundle.contents import load, policy_entry, profile_entries
from policykit.bundle.manifest import FileEntry, Manifest
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.policy.nodes import MAX_BYTES as MAX_FILE_BYTES

SUFFIXES = (
    ".policy.yaml",
    ".profile.yaml",
    ".tests.yaml",
    ".csv",
    ".tsv",
    ".json",
    ".lark",
    ".regex",
    ".txt",
    ".md",
    ".rego",
)
"""What is packed from a folder: policies, their tests and lists, grammars and schemas, profiles, prompts."""


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle, and the files of its folders that are not in it (keys, hidden files, other kinds)."""

    bundle: Bundle
    left_out: tuple[str, ...]


def build(paths: Sequence[str | Path], revision: int, *, expires: date | None = None, at: date | None = None) -> Built:
    """The bundle of files and folders; the same bytes for the same files, wherever they are.

    Names in the bundle are relative to the deepest folder that holds all of ``paths``. ``at`` is the day for which the
    plans' digests are put down.

    Raises:
        PolicyError: everything that is wrong with the policies and profiles; PK641, PK642, PK643, PK644 for files that
            cannot be packed; PK655 for one that a packed profile names and that is not packed; PK656 for nothing.
    """
    given = [Path(os.path.normpath(Path(path).absolute())) for path in paths]
    root = _root(given)
    found: list[Diagnostic] = []
    members: dict[str, Member] = {}
    left_out: list[str] = []
    for path in dict.fromkeys(file for each in given for file in _files(each, found)):
        name = path.relative_to(root).as_posix()
        if not _belongs(path, given):
            left_out.append(name)
        elif (member := _member(path, name, found)) is not None:
            members[name] = member
    _check_names(members, root, found)
    if not found and not any(name.endswith(SUFFIXES[:2]) for name in members):
        help = "name a folder with `*.policy.yaml` or `*.profile.yaml`"
        found.append(Diagnostic("PK656", "there is nothing to pack", Place(str(root)), help))
    if found:
        raise PolicyError(found)
    files = tuple(members[name] for name in sorted(members))
    return Built(_bundle(files, root, revision, expires, at), tuple(sorted(left_out)))


def _bundle(files: tuple[Member, ...], root: Path, revision: int, expires: date | None, at: date | None) -> Bundle:
    """Reads the files as they will be read from the bundle, so that what is missing shows now."""
    try:
        policies, profiles = load(files, str(root))
    except PolicyError as error:
        raise PolicyError([_explained(diagnostic, root) for diagnostic in error.diagnostics]) from None
    entries = tuple(FileEntry.of(member.name, member.data) for member in files)
    return Bundle(
        Manifest(revision, entries, policy_entry(policies), profile_entries(profiles, at), expires, at), files
    )


def _explained(found: Diagnostic, root: Path) -> Diagnostic:
    """A file that is there, but not in the bundle, is a mistake of packing."""
    if found.code != "PK001":
        return found
    message = f"what stands here is not in the bundle: {found.message}"
    help = f"name the folder that holds it as well (packed so far: `{root}`), or correct the path"
    return Diagnostic("PK655", message, found.place, help)


def _root(given: Sequence[Path]) -> Path:
    folders = [path if path.is_dir() else path.parent for path in given]
    return Path(os.path.commonpath(folders)) if folders else Path.cwd()


def _files(path: Path, found: list[Diagnostic]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        for name in [name for name in folders if (Path(folder) / name).is_symlink()]:
            found.append(_linked(Path(folder) / name))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        yield from (Path(folder) / name for name in sorted(names))


def _belongs(path: Path, given: Sequence[Path]) -> bool:
    """Whether a file is packed: it was named, or is of a kind that policies and profiles consist of."""
    return path in given or (not path.name.startswith(".") and path.name.endswith(SUFFIXES))


def _linked(path: Path) -> Diagnostic:
    help = "put the file itself there: a link may lead elsewhere tomorrow"
    return Diagnostic("PK643", "it is a link", Place(str(path)), help)


def _member(path: Path, name: str, found: list[Diagnostic]) -> Member | None:
    place = Place(str(path))
    if path.is_symlink():
        found.append(_linked(path))
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 4)
    except OSError as error:
        message = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        found.append(Diagnostic("PK001", message, place, "check the path"))
        return None
    if len(data) > MAX_FILE_BYTES + 3:
        found.append(Diagnostic("PK641", f"the file has more than {MAX_FILE_BYTES} bytes", place, "split it"))
    return Member(name, data)


def _check_names(members: Iterable[str], root: Path, found: list[Diagnostic]) -> None:
    names = list(members)
    for name in names:
        if why := unsafe(name):
            found.append(Diagnostic("PK642", f"`{name}`: {why}", Place(str(root)), "rename it"))
    for name in twice(names):
        message = f"two files are called `{name}`, but for the case"
        found.append(Diagnostic("PK644", message, Place(str(root)), "rename one of the two"))
    if len(names) > MAX_FILES:
        found.append(Diagnostic("PK641", f"there are more than {MAX_FILES} files", Place(str(root)), "split it"))
