"""Reading policy files: one pass that finds everything that is wrong with all of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, PolicyError, Severity
from policykit.ir.document import Document, PolicySet
from policykit.policy.apostrophes import warn_of_apostrophes
from policykit.policy.checked import Entries
from policykit.policy.checks import check
from policykit.policy.facts import inline_facts
from policykit.policy.files import read_text_file
from policykit.policy.lists import inline_lists
from policykit.policy.lower import lower
from policykit.policy.nodes import Mapping, Node, compose
from policykit.policy.reader import read
from policykit.policy.shapes import Ref
from policykit.policy.side import SUFFIX as TESTS_SUFFIX, SideTests, attach, read_side

SUFFIX = ".policy.yaml"
_NEARLY = (".policy.yml", ".policy.json", ".policies.yaml", ".policies.yml")
_TESTS = (".policy.test.yaml", ".policy.tests.yaml", ".policy_test.yaml", ".policy.test.yml", ".policy.tests.yml")
_NEARLY_TESTS = (*_TESTS, ".tests.yml", ".test.yaml", ".test.yml", ".tests.json")


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
        text = read_text_file(path, diagnostics)
        document = None if text is None else _document(text, str(path), diagnostics)
        side = _side_tests(path, diagnostics)
        if document is not None:
            more = attach(side, document, diagnostics) if side else ()
            documents.append(replace(document, tests=(*document.tests, *more)))
    _check_names(documents, diagnostics)
    if diagnostics:
        raise PolicyError(diagnostics)
    warnings = [_untested(document) for document in documents if not document.tests]
    warnings += [warning for document in documents for warning in warn_of_apostrophes(document)]
    return PolicySet(tuple(documents), tuple(dict.fromkeys(warnings)))


def tree_of(text: str, file: str) -> Mapping:
    """The nodes of a policy file. Raises PolicyError where it is no mapping."""
    diagnostics: list[Diagnostic] = []
    root = compose(text, file, diagnostics)
    if diagnostics or not isinstance(root, Mapping):
        raise PolicyError(diagnostics or [Diagnostic("PK021", "not a mapping", Place(file), "a policy is a mapping")])
    return root


def document_of(root: Node, file: str) -> Document:
    """The document that nodes describe. Raises PolicyError with everything that is wrong with it."""
    diagnostics: list[Diagnostic] = []
    document = _from_nodes(root, file, diagnostics)
    if document is None or diagnostics:
        raise PolicyError(diagnostics)
    return document


def _document(text: str, file: str, diagnostics: list[Diagnostic]) -> Document | None:
    found: list[Diagnostic] = []
    document = _from_nodes(compose(text, file, found), file, found)
    diagnostics.extend(found)
    return None if found else document


def _from_nodes(root: Node | None, file: str, found: list[Diagnostic]) -> Document | None:
    if root is not None:
        key = root.entries[0].key.place if isinstance(root, Mapping) and root.entries else Place(file)
        checked = read(root, Ref("document"), "", key, found)
        if isinstance(checked, Entries):
            inline_facts(checked, Path(file).parent, found)
            inline_lists(checked, Path(file).parent, found)
            check(checked, found)
            if not found:
                return lower(checked)
    return None


def _side_tests(path: Path, diagnostics: list[Diagnostic]) -> SideTests | None:
    """What stands in the file of tests beside a policy, if there is one."""
    if not path.name.endswith(SUFFIX):
        return None
    beside = path.with_name(path.name.removesuffix(SUFFIX) + TESTS_SUFFIX)
    text = read_text_file(beside, diagnostics) if beside.exists() else None
    return None if text is None else read_side(text, str(beside), diagnostics)


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
        if name.endswith(_NEARLY_TESTS) or (name.endswith(TESTS_SUFFIX) and not path.name.endswith(TESTS_SUFFIX)):
            message = f"the name does not end as `x{TESTS_SUFFIX}` does beside `x{SUFFIX}`, so the tests would not run"
            diagnostics.append(Diagnostic("PK003", message, Place(str(path)), f"rename it to `x{TESTS_SUFFIX}`"))
        elif name.endswith(TESTS_SUFFIX):
            policy = path.name.removesuffix(TESTS_SUFFIX) + SUFFIX
            if not path.with_name(policy).exists():
                message = f"there is no `{policy}` beside these tests, so they would not run"
                diagnostics.append(Diagnostic("PK516", message, Place(str(path)), "give both the same name"))
        elif name.endswith(_NEARLY) or (name.endswith(SUFFIX) and not path.name.endswith(SUFFIX)):
            message = f"the name does not end in `{SUFFIX}`, so the directory would load without the file"
            diagnostics.append(Diagnostic("PK003", message, Place(str(path)), f"rename it to `*{SUFFIX}`"))


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
