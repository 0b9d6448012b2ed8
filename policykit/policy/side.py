"""Tests in a file of their own, `x.tests.yaml`, beside the policy that they are about, `x.policy.yaml`."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, did_you_mean
from policykit.ir.document import Document, Expect, Given, Target, TestCase
from policykit.policy.checked import Entries, Items
from policykit.policy.checks import check_expected, check_tests
from policykit.policy.classifiers import asked_by, check_scores
from policykit.policy.files import read_text_file
from policykit.policy.lower import circumstances, expected_rules, lower_test, need, variants
from policykit.policy.nodes import Entry, Mapping, Node, Scalar, Sequence as SequenceNode, compose
from policykit.policy.reader import read
from policykit.policy.rules import DEFAULT_RULE
from policykit.policy.shapes import Ref
from policykit.policy.table import RECORDS

SUFFIX = ".tests.yaml"
MAX_CASES = 20_000
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_NONE = "-"


@dataclass(frozen=True, slots=True)
class SideTests:
    """A file of tests that names the document ``about``, which may be another than the one beside it."""

    about: str
    place: Place
    tests: tuple[Entries, ...]
    tables: tuple[Entries, ...]


def read_side(text: str, file: str, diagnostics: list[Diagnostic]) -> SideTests | None:
    """The tests in ``text``, as far as they have the right form; their meaning depends on the document."""
    found: list[Diagnostic] = []
    root = compose(text, file, found)
    checked = None
    if root is not None:
        key = root.entries[0].key.place if isinstance(root, Mapping) and root.entries else Place(file)
        checked = read(root, Ref("tests"), "tests", key, found)
    if isinstance(checked, Entries) and not found:
        for table in checked.records("tables"):
            _read_file(table, Path(file).parent, found)
    diagnostics.extend(found)
    if not isinstance(checked, Entries) or found:
        return None
    about = need(checked.leaf("document"))
    return SideTests(str(about.value), about.place, checked.records("tests"), checked.records("tables"))


def attach(side: SideTests, document: Document, diagnostics: list[Diagnostic]) -> tuple[TestCase, ...]:
    """The tests, if they are about this document and fit it; else nothing but diagnostics."""
    found: list[Diagnostic] = []
    if side.about != document.name:
        message = f"the tests are about `{side.about}`, but the policy beside them is `{document.name}`"
        found.append(Diagnostic("PK505", message, side.place, did_you_mean(side.about, [document.name])))
    rules = [rule.id for rule in document.rules] + ([DEFAULT_RULE] if document.blocks_by_default else [])
    exceptions = [exception.id for rule in document.rules for exception in rule.exceptions]
    if not found:
        check_tests(side.tests, rules, exceptions, found)
        check_scores((*side.tests, *side.tables), asked_by(document.rules), found)
        for table in side.tables:
            for case in table.records("cases"):
                check_expected(case, "rule", "rules", rules, found)
    tests = (*map(lower_test, side.tests), *(case for table in side.tables for case in _cases(table)))
    first = {test.name: test.place for test in document.tests}
    for test in tests:
        if test.name in first:
            related = ((first[test.name], "the first one"),)
            message = f"duplicate test name `{test.name}`"
            found.append(Diagnostic("PK052", message, test.place, "rename one of the two", related=related))
        first.setdefault(test.name, test.place)
    diagnostics.extend(found)
    return () if found else tests


def _cases(table: Entries) -> Iterator[TestCase]:
    given = table.entries("given")
    target = Target(table.text("target") or Target.OUTPUT)
    for number, case in enumerate(table.records("cases"), 1):
        text, own_name = need(case.leaf("text")), case.text("name")
        shared = circumstances(given or Entries("circumstances", {}, {}, table.place))
        yield TestCase(
            name=f"{table.text('name')}: {own_name}" if own_name else f"{table.text('name')} {number}",
            given=Given(str(text.value), target, **shared),
            expect=Expect(need(case.text("decision")), expected_rules(case), case.text("output")),
            place=text.place,
            variants=variants(table),
        )


# -- files of cases -----------------------------------------------------------------------------------------------


def _read_file(table: Entries, folder: Path, diagnostics: list[Diagnostic]) -> None:
    """Put the cases of the table's file after those that stand in the table."""
    named = table.leaf("file")
    if named is None:
        return
    path = folder / str(named.value)
    separator = _SEPARATORS.get(path.suffix.lower())
    if separator is None:
        message = f"`{named.value}` is neither a CSV nor a TSV file"
        diagnostics.append(Diagnostic("PK507", message, named.place, "name a file that ends in `.csv` or `.tsv`"))
        return
    text = read_text_file(path, diagnostics, named.place)
    nodes = [] if text is None else _lines(text.removeprefix("\ufeff"), str(path), separator, diagnostics)
    read_cases = [read(node, Ref("case"), "case", node.place, diagnostics) for node in nodes]
    items = (*table.items("cases"), *(case for case in read_cases if case is not None))
    table.fields["cases"] = Items(items, named.place)


def _lines(text: str, file: str, separator: str, diagnostics: list[Diagnostic]) -> list[Node]:
    """One mapping per line; its values stand at the start of the line."""
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    nodes: list[Node] = []
    columns: list[str] = []
    start = 1
    try:
        for cells in lines:
            place, start = Place(file, start, 1, start, 1), lines.line_num + 1
            if not cells:
                continue
            if not columns:
                columns = cells
                if not _columns_fit(columns, place, diagnostics):
                    return []
            elif len(cells) != len(columns):
                message = f"{len(cells)} values under {len(columns)} columns"
                diagnostics.append(Diagnostic("PK507", message, place, "put quotes around text that holds a separator"))
            else:
                nodes.append(_node(columns, cells, place))
    except csv.Error as error:
        diagnostics.append(
            Diagnostic("PK507", f"not a table: {error}", Place(file, start, 1, start, 1), "check quotes")
        )
    if len(nodes) > MAX_CASES:
        diagnostics.append(
            Diagnostic("PK507", f"more than {MAX_CASES} cases", nodes[MAX_CASES].place, "split the file")
        )
    return nodes[:MAX_CASES]


def _columns_fit(columns: Sequence[str], place: Place, diagnostics: list[Diagnostic]) -> bool:
    known = RECORDS["case"].names
    wrong = next((name for name in columns if name not in known or columns.count(name) > 1), None)
    if wrong is not None:
        near = did_you_mean(wrong, known) if wrong not in known else None
        help = near or f"known columns: {', '.join(known)}"
        diagnostics.append(Diagnostic("PK507", f"`{wrong}` is no column, or one twice", place, help))
    return wrong is None


def _node(columns: Sequence[str], cells: Sequence[str], place: Place) -> Mapping:
    entries: list[Entry] = []
    for name, cell in zip(columns, cells, strict=True):
        if not cell and name != "text":
            continue
        value: Node = Scalar(cell, False, place, place)
        if name == "rules":
            ids = [] if cell.strip() == _NONE else cell.split()
            value = SequenceNode(tuple(Scalar(rule, False, place, place) for rule in ids), place)
        entries.append(Entry(Scalar(name, True, place, place), value))
    return Mapping(tuple(entries), place)
