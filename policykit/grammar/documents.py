"""Documents that a JSON Schema may refer to: given by URI, in a folder, or the dialects' own. Nothing is fetched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias, cast
from urllib.parse import unquote

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.grammar import uri
from policykit.grammar.strict_json import JsonFault, parse, plain
from policykit.grammar.values import Json

Documents: TypeAlias = Mapping[str, Json]
"""Schemas by the URI under which references name them; a text is JSON that is not read yet."""

NO_DOCUMENTS: Final[Documents] = {}
MAX_FILES: Final = 2_000
MAX_FILE_BYTES: Final = 4_000_000


def document_at(documents: Documents, wanted: str, place: Place) -> Json:
    """The document that a URI names, or the meta-schema of that URI; None where there is neither.

    Raises:
        PolicyError: PK201 (the document is not JSON).
    """
    found = documents.get(wanted, documents.get(f"{wanted}#"))
    if found is None:
        return meta_schemas().get(wanted)
    return _read(found, f"`{wanted}`", place) if isinstance(found, str) else found


@cache
def meta_schemas() -> Mapping[str, Json]:
    """The meta-schemas of all dialects, by URI."""
    # Importing it reads some twenty files, and most schemas refer to none of them.
    from jsonschema_specifications import REGISTRY  # pyright: ignore[reportMissingTypeStubs]

    return {uri.defragment(name)[0]: cast(Json, REGISTRY.contents(name)) for name in REGISTRY}


def _read(text: str, name: str, place: Place) -> Json:
    value = parse(text)
    if isinstance(value, JsonFault):
        raise PolicyError.of("PK201", f"the document {name} is not JSON: {value.message}", place)
    return plain(value)


def folder_documents(folder: str | Path) -> dict[str, Json]:
    """Every `.json` file of a folder and the folders in it, under its `$id` and under its path from the folder.

    Raises:
        PolicyError: PK201 (a file is not JSON), PK206 (too many files, or one is too large), PK215 (cannot be read).
    """
    root = Path(folder)
    if not root.is_dir():
        raise PolicyError.of("PK215", f"`{root}` is no folder", Place(str(root)), "name the folder of the documents")
    paths = sorted(path for path in root.rglob("*.json") if path.is_file())
    if len(paths) > MAX_FILES:
        message = f"`{root}` holds {len(paths):,} `.json` files, the limit is {MAX_FILES:,}"
        raise PolicyError.of("PK206", message, Place(str(root)), "name a folder that holds schemas only")
    found: dict[str, Json] = {}
    faults: list[Diagnostic] = []
    for path in paths:
        try:
            document = _file(path)
        except PolicyError as error:
            faults += error.diagnostics
            continue
        relative = path.relative_to(root).as_posix()
        found.setdefault(relative, document)
        identifier = identifier_of(document)
        if identifier:
            found.setdefault(uri.defragment(uri.resolve(relative, identifier))[0], document)
    if faults:
        raise PolicyError(faults)
    return found


def identifier_of(document: Json) -> str | None:
    """How a document names itself, in any dialect."""
    if not isinstance(document, dict):
        return None
    named = document.get("$id", document.get("id"))
    return named if isinstance(named, str) else None


def _file(path: Path) -> Json:
    place = Place(str(path))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PolicyError.of("PK206", f"`{path}` is over {MAX_FILE_BYTES:,} bytes", place)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise PolicyError.of("PK215", f"`{path}` cannot be read: {why[:1].lower()}{why[1:]}", place) from error
    return _read(text, f"`{path}`", place)


@dataclass(frozen=True, slots=True)
class Beside(Mapping[str, Json]):
    """The files beside a schema file and in folders below it, each read when it is asked for.

    A relative reference names one by its path. Where the schema file has an `$id`, the folder stands for the folder of
    that URI. Nothing outside the folder is read, whatever a path or a link says. What is ``given`` comes first.
    """

    folder: Path
    identifier: str = ""
    given: Documents = field(default_factory=dict[str, Json])
    _seen: dict[str, Json] = field(default_factory=dict[str, Json], repr=False, compare=False)

    def __getitem__(self, wanted: str) -> Json:
        if wanted in self.given:
            return self.given[wanted]
        if wanted not in self._seen:
            path = self._path(wanted)
            if path is None:
                raise KeyError(wanted)
            document = _file(path)
            named = identifier_of(document)
            if self.identifier and named and uri.defragment(uri.resolve(wanted, named))[0] != wanted:
                raise KeyError(wanted)  # it says itself that it is another document
            self._seen[wanted] = document
        return self._seen[wanted]

    def _path(self, wanted: str) -> Path | None:
        above = self.identifier.rpartition("/")[0] + "/" if "/" in self.identifier else ""
        if not wanted.startswith(above):
            return None
        relative = PurePosixPath(unquote(wanted[len(above) :]))
        if relative.is_absolute() or ".." in relative.parts or "\0" in str(relative):
            return None
        path = self.folder / relative
        try:
            is_inside = path.is_file() and path.resolve().is_relative_to(self.folder.resolve())
        except (OSError, ValueError):
            return None
        return path if is_inside else None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were read."""
        return tuple(path for wanted in self._seen if (path := self._path(wanted)) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.given, *self._seen)))

    def __len__(self) -> int:
        return sum(1 for _ in self)
