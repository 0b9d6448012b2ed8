"""What people see: every picture below is written by hand, column by column."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len

from policykit.cli.render import diagnostic_text, print_diagnostics, summary, texts
from policykit.cli.streams import console
from policykit.cli.visible import shown_line
from policykit.diagnostics import Diagnostic, Place, Severity


def shown(diagnostic: Diagnostic, width: int = 100, **named: str) -> str:
    return diagnostic_text(diagnostic, texts(**named), width).plain


def test_a_near_miss_is_shown_under_its_place() -> None:
    diagnostic = Diagnostic(
        "PK031", "unknown matcher `emial`", Place("email", 3, 15, 3, 20), help="did you mean `email`?"
    )
    assert shown(diagnostic, email="rules:\n  - id: x\n    transform: {emial: mask}\n") == (
        "email:3:15: PK031: unknown matcher `emial`\n"
        "    3 |     transform: {emial: mask}\n"
        "      |               ^^^^^\n"
        "  help: did you mean `email`?\n"
    )


@pytest.mark.parametrize(
    ("line", "column", "end_column", "picture"),
    [
        pytest.param(
            "\tid:\tx", 6, 7,
            "    1 |     id: x\n"
            "      |         ^\n",
            id="tabs run to the next multiple of four",
        ),
        pytest.param(
            "名前: 値", 5, 6,
            "    1 | 名前: 値\n"
            "      |       ^^\n",
            id="wide characters take two cells",
        ),
        pytest.param(
            "cafe\u0301: x", 8, 9,
            "    1 | cafe\u0301: x\n"
            "      |       ^\n",
            id="combining marks take none",
        ),
        pytest.param(
            "a\u200bb \u202eevil", 2, 3,
            "    1 | a<U+200B>b <U+202E>evil\n"
            "      |  ^^^^^^^^\n",
            id="invisible and direction-changing characters are spelled out",
        ),
        pytest.param(
            "x\x1b[2Jy", 2, 6,
            "    1 | x␛[2Jy\n"
            "      |  ^^^^\n",
            id="escape sequences reach no terminal",
        ),
        pytest.param(
            "name:", 6, 6,
            "    1 | name:\n"
            "      |      ^\n",
            id="a place without extent gets one caret",
        ),
        pytest.param(
            "", 1, 1,
            "    1 |\n"
            "      | ^\n",
            id="an empty line",
        ),
    ],
)  # fmt: skip
def test_the_caret_stands_under_the_place(line: str, column: int, end_column: int, picture: str) -> None:
    place = Place("f", 1, column, 1, end_column)
    if place == Place("f"):
        place = Place("f", 2, column, 2, end_column)
        line, picture = f"first\n{line}", picture.replace("    1 |", "    2 |")
    header, _, rest = shown(Diagnostic("PK001", "m", place), f=line).partition("\n")
    assert header == f"f:{place.line}:{column}: PK001: m"
    assert rest == picture


def test_a_place_over_several_lines_underlines_each() -> None:
    source = "match:\n  phrases:\n    - a\n    - b\nnext"
    diagnostic = Diagnostic("PK001", "m", Place("f", 2, 3, 4, 8))
    assert shown(diagnostic, f=source) == (
        "f:2:3: PK001: m\n"
        "    2 |   phrases:\n"
        "      |   ^^^^^^^^\n"
        "    3 |     - a\n"
        "      |     ^^^\n"
        "    4 |     - b\n"
        "      |     ^^^\n"
    )


def test_a_long_place_leaves_out_its_middle() -> None:
    source = "\n".join(f"line {n}" for n in range(1, 20))
    diagnostic = Diagnostic("PK001", "m", Place("f", 1, 6, 12, 5))
    assert shown(diagnostic, f=source) == (
        "f:1:6: PK001: m\n"
        "    1 | line 1\n"
        "      |      ^\n"
        "    2 | line 2\n"
        "      | ^^^^^^\n"
        "  ...\n"
        "   12 | line 12\n"
        "      | ^^^^\n"
    )


def test_a_conflict_shows_both_places() -> None:
    diagnostic = Diagnostic(
        "PK310",
        "the schema can only be met by a blocked text",
        Place("schema", 1, 2, 1, 9),
        help="change one of the two",
        related=((Place("policy", 2, 3, 2, 5), "this rule blocks it"),),
    )
    assert shown(diagnostic, schema='{"const": "x"}', policy="rules:\n  - id: r\n") == (
        "schema:1:2: PK310: the schema can only be met by a blocked text\n"
        '    1 | {"const": "x"}\n'
        "      |  ^^^^^^^\n"
        "  see: policy:2:3: this rule blocks it\n"
        "    2 |   - id: r\n"
        "      |   --\n"
        "  help: change one of the two\n"
    )


def test_a_warning_says_so_and_a_help_of_two_lines_is_aligned() -> None:
    diagnostic = Diagnostic("PK060", "no tests", Place("gone.yaml"), help="add one\nor two", severity=Severity.WARNING)
    assert shown(diagnostic) == "gone.yaml:1:1: warning: PK060: no tests\n  help: add one\n        or two\n"


def test_a_message_cannot_drive_the_terminal() -> None:
    assert shown(Diagnostic("PK001", "unknown field `\x1b]0;owned\x07`")) == "PK001: unknown field `␛]0;owned␇`\n"


@pytest.mark.parametrize("length", [200, 1_000_000])
@pytest.mark.parametrize("at", [0, 90, -10])
def test_a_very_long_line_is_cut_around_the_place(length: int, at: int) -> None:
    start = at % length
    line = "x" * start + "BAD" + "x" * (length - start - 3)
    part = shown_line(line, start, start + 3, 60)
    assert cell_len(part.text) <= 60
    assert part.text[part.start : part.start + part.length] == "BAD"
    assert part.text.startswith("…") == (start > 40)
    assert part.text.endswith("…") == (start + 60 < length)


def test_wide_characters_are_never_cut_in_half() -> None:
    part = shown_line("名" * 300, 150, 152, 61)
    assert cell_len(part.text) <= 61
    assert part.length == 4


def test_the_summary_counts_by_severity() -> None:
    error, warning = Diagnostic("PK001", "m"), Diagnostic("PK060", "m", severity=Severity.WARNING)
    assert summary([error, warning, warning]) == "1 error, 2 warnings"
    assert summary([warning]) == "1 warning"
    assert summary([]) == "no errors"


def test_files_are_read_from_disk_and_a_byte_order_mark_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbfkind: Policie\r\n")
    out = io.StringIO()
    print_diagnostics(console(out, 100), [Diagnostic("PK002", "m", Place(str(path), 1, 7, 1, 14))])
    assert out.getvalue() == (f"{path}:1:7: PK002: m\n    1 | kind: Policie\n      |       ^^^^^^^\n\n1 error\n")


def test_no_colour_without_a_terminal_and_none_where_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    def printed(file: io.StringIO) -> str:
        print_diagnostics(console(file, 80), [Diagnostic("PK002", "m")])
        return file.getvalue()

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" not in printed(io.StringIO())
    assert "\x1b[1;31m" in printed(Tty())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in printed(Tty())
