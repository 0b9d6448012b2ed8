"""A file of this package's kinds as checked content: the same strict YAML reader as for policies."""

from collections.abc import Iterator, Mapping as Table
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from policykit.diagnostics import Diagnostic, Place
from policykit.policy.checked import Entries, Leaf
from policykit.policy.files import read_text_file
from policykit.policy.nodes import Mapping, compose
from policykit.policy.reader import read
from policykit.policy.shapes import Record, Ref


@dataclass(frozen=True, slots=True)
class Naming:
    """How files of one kind are named; ``nearly`` are endings that a directory would silently leave out."""

    suffix: str
    nearly: tuple[str, ...]
    noun: str


def checked(
    text: str, file: str, root: str, records: Table[str, Record], diagnostics: list[Diagnostic]
) -> Entries | None:
    """The content of ``text`` by the table; None, and diagnostics, where anything is wrong with its form."""
    found: list[Diagnostic] = []
    node = compose(text, file, found)
    entries = None
    if node is not None:
        key = node.entries[0].key.place if isinstance(node, Mapping) and node.entries else Place(file)
        entries = read(node, Ref(root), "", key, found, records)
    diagnostics.extend(found)
    return entries if isinstance(entries, Entries) and not found else None


def holds(path: Path, naming: Naming) -> bool:
    """Whether a path is a file of the kind, or a directory with one (or with one that is nearly named so)."""
    if not path.is_dir():
        return path.name.endswith(naming.suffix)
    return any(file.name.endswith(naming.suffix) or _nearly(file.name, naming) for file in path.rglob("*"))


def files_of(paths: tuple[str | Path, ...], naming: Naming, diagnostics: list[Diagnostic]) -> Iterator[Path]:
    """Every file once, in the order of the arguments, those of a directory sorted."""
    seen: set[Path] = set()
    for given in map(Path, paths):
        found = [given]
        if given.is_dir():
            found = sorted(path for path in given.rglob(f"*{naming.suffix}") if path.is_file())
            others = sorted(path for path in given.rglob("*") if _nearly(path.name, naming))
            diagnostics.extend(_left_out(path, naming) for path in others)
            if not found and not others:
                message = f"there is no `*{naming.suffix}` in the directory"
                diagnostics.append(Diagnostic("PK600", message, Place(str(given)), "check the path"))
        for path in found:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _nearly(name: str, naming: Naming) -> bool:
    lower = name.lower()
    return lower.endswith(naming.nearly) or (lower.endswith(naming.suffix) and not name.endswith(naming.suffix))


def _left_out(path: Path, naming: Naming) -> Diagnostic:
    message = f"the name does not end in `{naming.suffix}`, so the directory would load without the {naming.noun}"
    return Diagnostic("PK601", message, Place(str(path)), f"rename it to `*{naming.suffix}`")


def beside(leaf: Leaf, folder: Path, diagnostics: list[Diagnostic]) -> Path | None:
    """The path that a file names from its own folder, if there is something at it."""
    named = str(leaf.value)
    pure = PurePosixPath(named)
    if pure.is_absolute() or "\\" in named or pure.parts[:1] == ("~",):
        help = "write the path from this file, with `/`: `../policies/privacy.policy.yaml`"
        diagnostics.append(Diagnostic("PK603", f"`{named}` is no path from this file", leaf.place, help))
        return None
    path = folder / pure
    if not path.exists():
        diagnostics.append(Diagnostic("PK001", f"there is no `{named}` beside this file", leaf.place, "check the path"))
        return None
    return path


def text_beside(leaf: Leaf, folder: Path, diagnostics: list[Diagnostic]) -> str | None:
    """The text of a file that another one names."""
    path = beside(leaf, folder, diagnostics)
    return None if path is None else read_text_file(path, diagnostics, leaf.place)
