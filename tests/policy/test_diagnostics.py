"""Every code of documents and expressions, by a mistake that shows it: where it points and how it helps."""

from pathlib import Path

import pytest

from policykit.diagnostics import CATALOGUE, PolicyError, Severity
from policykit.policy import load_policies, parse_document
from tests.policy.cases import BASE, CASES, Case


def _expected_place(marked: str) -> tuple[int, int, str]:
    """Line and column of the mark, counted from 1, and the marked text."""
    start = marked.index("«")
    line = marked.count("\n", 0, start) + 1
    return line, start - (marked.rfind("\n", 0, start) + 1) + 1, marked[start + 1 : marked.index("»")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_told_at_its_place(case: Case) -> None:
    text = case.text.replace("«", "").replace("»", "")
    with pytest.raises(PolicyError) as caught:
        parse_document(text, "x.policy.yaml")
    found = [diagnostic for diagnostic in caught.value.diagnostics if diagnostic.code == case.code]
    assert found, str(caught.value)
    assert len(caught.value.diagnostics) == 1, str(caught.value)
    place = found[0].place
    assert place is not None
    if "«" in case.new:
        line, column, underlined = _expected_place(case.text)
        assert (place.file, place.line, place.column) == ("x.policy.yaml", line, column)
        assert place.end_line == line
        assert text.split("\n")[line - 1][column - 1 : place.end_column - 1] == underlined
    assert case.help in (found[0].help or "")
    assert found[0].severity is Severity.ERROR
    assert found[0].message[0] == found[0].message[0].lower()
    assert not found[0].message.endswith(".")


def test_the_unchanged_policy_is_valid() -> None:
    assert parse_document(BASE, "x").name == "finance/x"


def test_all_mistakes_are_collected_and_sorted() -> None:
    text = BASE.replace("high", "hihg").replace("2.0", "-1").replace("[guaranteed returns]", "[]").replace("a@b.c", "7")
    with pytest.raises(PolicyError) as caught:
        parse_document(text, "x")
    assert [d.code for d in caught.value.diagnostics] == ["PK024", "PK023", "PK026", "PK028"]


def test_all_mistakes_of_one_expression_are_collected() -> None:
    text = BASE.replace("phrases: [guaranteed returns]", r"regex: ['(?=a)\1\Z(?x)']")
    with pytest.raises(PolicyError) as caught:
        parse_document(text, "x")
    assert [d.code for d in caught.value.diagnostics] == ["PK101", "PK102", "PK105", "PK107"]
    assert [d.place and d.place.column for d in caught.value.diagnostics] == [22, 27, 29, 31]


@pytest.mark.parametrize(
    "marked",
    [
        "a«(?=»b)",
        '"a«(?=»b)"',
        "'a«(?=»b)'",
        '«"\\x61(?=b)"»',  # an escape: the scalar as a whole
        "«'it''s(?=b)'»",
    ],
)
def test_places_inside_an_expression(marked: str) -> None:
    text = BASE.replace("match: {phrases: [guaranteed returns]}", f"match:\n      regex: {marked}")
    with pytest.raises(PolicyError) as caught:
        parse_document(text.replace("«", "").replace("»", ""), "x")
    place = caught.value.diagnostics[0].place
    line, column, underlined = _expected_place(text)
    assert place is not None
    assert (place.line, place.column, place.end_column) == (line, column, column + len(underlined))


def test_an_expression_on_several_lines_is_named_as_a_whole() -> None:
    text = BASE.replace("match: {phrases: [guaranteed returns]}", "match:\n      regex: |-\n        a(?=b)\n        c")
    with pytest.raises(PolicyError) as caught:
        parse_document(text, "x")
    place = caught.value.diagnostics[0].place
    assert place is not None
    assert (place.line, place.column, place.end_line, place.end_column) == (11, 14, 13, 10)


def _load_missing(folder: Path) -> None:
    load_policies(folder / "missing.policy.yaml")


def _load_empty_folder(folder: Path) -> None:
    load_policies(folder)


def _load_other_name(folder: Path) -> None:
    (folder / "a.policy.yaml").write_text(BASE)
    (folder / "b.policy.yml").write_text(BASE)
    load_policies(folder)


def _load_latin(folder: Path) -> None:
    (folder / "a.policy.yaml").write_bytes(BASE.replace("because", "für").encode("latin-1"))
    load_policies(folder)


def _load_utf16(folder: Path) -> None:
    (folder / "a.policy.yaml").write_bytes(BASE.encode("utf-16"))
    load_policies(folder)


def _load_long(folder: Path) -> None:
    (folder / "a.policy.yaml").write_bytes(b"#" * ((1 << 20) + 9))
    load_policies(folder)


def _parse_long(_: Path) -> None:
    parse_document("#" + "é" * (1 << 19), "x")


def _parse_deep(_: Path) -> None:
    parse_document("[" * 100_000, "x")


def _parse_deep_block(_: Path) -> None:
    parse_document("".join(" " * depth + "a:\n" for depth in range(200)), "x")


def _parse_many(_: Path) -> None:
    parse_document("- a\n" * 60_000, "x")


def _parse_nothing(_: Path) -> None:
    parse_document("", "x")


def _parse_comments(_: Path) -> None:
    parse_document("# later\n\n", "x")


def _load_names(folder: Path) -> None:
    (folder / "a.policy.yaml").write_text(BASE)
    (folder / "b.policy.yaml").write_text(BASE)
    load_policies(folder)


def _load_side_tests(folder: Path) -> None:
    (folder / "a.policy.yaml").write_text(BASE)
    (folder / "a.policy.tests.yaml").write_text("tests: []")
    load_policies(folder)


FILES = (
    ("PK001", _load_missing),
    ("PK002", _load_empty_folder),
    ("PK003", _load_other_name),
    ("PK004", _load_latin),
    ("PK004", _load_utf16),
    ("PK005", _load_long),
    ("PK005", _parse_long),
    ("PK005", _parse_deep),
    ("PK005", _parse_deep_block),
    ("PK005", _parse_many),
    ("PK007", _parse_nothing),
    ("PK007", _parse_comments),
    ("PK003", _load_side_tests),
    ("PK051", _load_names),
)


@pytest.mark.parametrize(("code", "load"), FILES, ids=lambda value: getattr(value, "__name__", value))
def test_a_bad_file_is_an_error_and_never_a_crash(code, load, tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert caught.value.diagnostics[0].help
    assert caught.value.diagnostics[0].place


def test_a_wrong_byte_is_told_with_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        _load_latin(tmp_path)
    place = caught.value.diagnostics[0].place
    assert place is not None
    assert (place.line, place.column) == (3, 1 + BASE.split("\n")[2].index("because") + 1)


def test_both_places_of_a_duplicate_are_told(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        _load_names(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.place is not None
    assert found.place.file.endswith("b.policy.yaml")
    assert found.related[0][0].file.endswith("a.policy.yaml")


def test_a_document_without_tests_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.policy.yaml").write_text(BASE[: BASE.index("tests:")])
    policies = load_policies(tmp_path)
    (warning,) = policies.warnings
    assert (warning.code, warning.severity) == ("PK060", Severity.WARNING)
    assert warning.place.line == 3


def test_every_code_has_a_case() -> None:
    shown = {case.code for case in CASES} | {code for code, _ in FILES} | {"PK060", "PK071"}
    elsewhere = {code for code in CATALOGUE if code[2:4] in ("08", "19")}  # approvals and vaults are no documents
    elsewhere |= {"PK161", "PK162", "PK163"}  # nor is the OPA of a deployment
    elsewhere |= {f"PK17{n}" for n in (0, 1, 2, 4, 5, 6)}  # nor what is installed there
    elsewhere |= {"PK093", "PK134"}  # nor is an installed extension or library
    ours = {code for code in CATALOGUE if code < "PK200"} - elsewhere
    assert ours == shown


def test_mistakes_of_all_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.policy.yaml").write_text(BASE.replace("high", "hihg"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.policy.yaml").write_text(BASE.replace("because", "12"))
    with pytest.raises(PolicyError) as caught:
        load_policies(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["PK023", "PK024"]
