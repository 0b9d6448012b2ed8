"""Reading policy files: one pass that finds everything that is wrong with all of them."""

from collections.abc import Iterator
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, PolicyError, Severity
from policykit.ir.document import Document, PolicySet
from policykit.policy.checked import Entries
from policykit.policy.checks import check
from policykit.policy.facts import inline_facts
from policykit.policy.lower import lower
from policykit.policy.nodes import MAX_BYTES, Mapping, compose
from policykit.policy.reader import read
from policykit.policy.shapes import Ref

SUFFIX = ".policy.yaml"
_NEARLY = (".policy.yml", ".policy.json", ".policies.yaml", ".policies.yml")
_TESTS = (".policy.test.yaml", ".policy.tests.yaml", ".policy_test.yaml", ".policy.test.yml", ".policy.tests.yml")


def parse_document(text: str, file: str) -> Document:
    """The document that ``text`` describes; ``file`` is the name that diagnostics give.

    Raises:
        PolicyError: everything that is wrong with it.
    """
    diagnostics: list[Diagnostic] = []
    document = _document(text, file, diagnostics)
    if document is None or diagnostics:
        raise PolicyError(diagnostics)
    return document


def load_policies(*paths: str | Path) -> PolicySet:
    """The documents of all files, and of all `**/*.policy.yaml` of directories, sorted by path.

    Raises:
        PolicyError: everything that is wrong with any of them.
    """
    diagnostics: list[Diagnostic] = []
    documents: list[Document] = []
    for path in _files(paths, diagnostics):
        text = _read(path, diagnostics)
        document = None if text is None else _document(text, str(path), diagnostics)
        if document is not None:
            documents.append(document)
    _check_names(documents, diagnostics)
    if diagnostics:
        raise PolicyError(diagnostics)
    warnings = tuple(_untested(document) for document in documents if not document.tests)
    return PolicySet(tuple(documents), warnings)


def _document(text: str, file: str, diagnostics: list[Diagnostic]) -> Document | None:
    found: list[Diagnostic] = []
    root = compose(text, file, found)
    if root is not None:
        key = root.entries[0].key.place if isinstance(root, Mapping) and root.entries else Place(file)
        checked = read(root, Ref("document"), "", key, found)
        if isinstance(checked, Entries):
            inline_facts(checked, Path(file).parent, found)
            check(checked, found)
            if not found:
                return lower(checked)
    diagnostics.extend(found)
    return None


def _files(paths: tuple[str | Path, ...], diagnostics: list[Diagnostic]) -> Iterator[Path]:
    """Every file once, in the order of the arguments, those of a directory sorted."""
    seen: set[Path] = set()
    for given in map(Path, paths):
        if not given.is_dir():
            found = [given]
        else:
            found = sorted(path for path in given.rglob(f"*{SUFFIX}") if path.is_file())
            _complain_about_others(given, diagnostics)
            if not found:
                message = f"there is no `*{SUFFIX}` in the directory"
                diagnostics.append(Diagnostic("PK002", message, Place(str(given)), "check the path"))
        for path in found:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _complain_about_others(directory: Path, diagnostics: list[Diagnostic]) -> None:
    for path in sorted(directory.rglob("*.y*ml")) + sorted(directory.rglob("*.policy.json")):
        name = path.name.lower()
        if name.endswith(_TESTS):
            message = "tests in a file of their own are not implemented in this version"
            diagnostics.append(Diagnostic("PK040", message, Place(str(path)), "move them under `tests:` of the policy"))
        elif name.endswith(_NEARLY) or (name.endswith(SUFFIX) and not path.name.endswith(SUFFIX)):
            message = f"the name does not end in `{SUFFIX}`, so the directory would load without the file"
            diagnostics.append(Diagnostic("PK003", message, Place(str(path)), f"rename it to `*{SUFFIX}`"))


def _read(path: Path, diagnostics: list[Diagnostic]) -> str | None:
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 4)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        diagnostics.append(Diagnostic("PK001", f"the file cannot be read: {reason}", place, "check the path"))
        return None
    if len(data) > MAX_BYTES + 3:  # a byte order mark does not count
        diagnostics.append(
            Diagnostic("PK005", f"the file has more than {MAX_BYTES} bytes", place, "split the document")
        )
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        diagnostics.append(_not_utf8(data, error.start, str(path)))
        return None


def _not_utf8(data: bytes, at: int, file: str) -> Diagnostic:
    head = data[:at].decode("utf-8")
    line = head.count("\n") + 1
    column = len(head) - (head.rfind("\n") + 1) + 1
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    message = "the file is UTF-16" if utf16 else f"the byte {data[at]:02X} is not UTF-8"
    return Diagnostic("PK004", message, Place(file, line, column, line, column + 1), "save the file as UTF-8")


def _check_names(documents: list[Document], diagnostics: list[Diagnostic]) -> None:
    first: dict[str, Place] = {}
    for document in documents:
        if document.name in first:
            related = ((first[document.name], "the first one"),)
            message = f"duplicate document name `{document.name}`"
            diagnostics.append(Diagnostic("PK051", message, document.place, "rename one of the two", related=related))
        first.setdefault(document.name, document.place)


def _untested(document: Document) -> Diagnostic:
    return Diagnostic(
        "PK060",
        f"`{document.name}` has no tests",
        document.place,
        "add `tests:` with one text that it must stop and one that it must let pass",
        Severity.WARNING,
    )
