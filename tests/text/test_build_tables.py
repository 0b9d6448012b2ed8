"""The builder of the Unicode tables: it reproduces the shipped file, and it notices bad input."""

import subprocess
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from policykit.text import UNICODE_VERSION, build_tables

from . import reference as ref

DATABASE = Path("/usr/share/unicode")
SHIPPED = files("policykit.text").joinpath("unicode.npz")
COMBINING = np.array([unicodedata.combining(chr(c)) for c in range(0x110000)], np.uint8)
MARKS = [chr(c) for c in ref.known_points() if COMBINING[c] and not unicodedata.decomposition(chr(c))]


def has_the_shipped_version() -> bool:
    header = DATABASE / "CaseFolding.txt"
    return header.exists() and UNICODE_VERSION in header.open(encoding="utf-8").readline()


needs_database = pytest.mark.skipif(not has_the_shipped_version(), reason="no Unicode database of the shipped version")


@needs_database
def test_the_shipped_file_is_what_the_database_gives(tmp_path: Path):
    out = tmp_path / "unicode.npz"
    build_tables.main([str(DATABASE), str(out)])
    assert out.read_bytes() == SHIPPED.read_bytes()


@needs_database
def test_the_builder_runs_where_no_table_exists_yet(tmp_path: Path):
    alone = tmp_path / "build_tables.py"
    alone.write_text(Path(build_tables.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, str(alone), str(DATABASE), str(tmp_path / "unicode.npz")]
    subprocess.run(command, check=True, cwd=tmp_path, env={}, capture_output=True)
    assert (tmp_path / "unicode.npz").read_bytes() == SHIPPED.read_bytes()


def test_the_shipped_file_is_small():
    assert len(SHIPPED.read_bytes()) < 300_000


def write_headers(folder: Path, versions: dict[str, str]) -> None:
    (folder / "UnicodeData.txt").write_text("0041;LATIN CAPITAL LETTER A;Lu;0;L;;;;;N;;;;0061;\n", encoding="utf-8")
    for name, version in versions.items():
        (folder / f"{name}.txt").write_text(f"# {name}-{version}.txt\n", encoding="utf-8")


NAMES = ("CaseFolding", "DerivedCoreProperties", "PropList", "Scripts")


def test_files_of_different_versions_are_refused(tmp_path: Path):
    write_headers(tmp_path, {name: "16.0.0" if name == "Scripts" else "15.0.0" for name in NAMES})
    with pytest.raises(ValueError, match="different Unicode versions"):
        build_tables.read_database(tmp_path)


def test_a_file_without_a_version_is_refused(tmp_path: Path):
    write_headers(tmp_path, dict.fromkeys(NAMES, "15.0.0"))
    (tmp_path / "PropList.txt").write_text("0020 ; White_Space\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"PropList\.txt"):
        build_tables.read_database(tmp_path)


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        build_tables.read_database(tmp_path)


def test_an_image_that_moves_on_is_refused():
    build_tables.check_fixed_points({0x41: (0x61,)})
    with pytest.raises(ValueError, match=r"U\+0041"):
        build_tables.check_fixed_points({0x41: (0x61,), 0x61: (0x62,)})


@given(st.text(st.sampled_from(["a", "b", *MARKS]), max_size=12))
def test_marks_are_ordered_as_by_nfd(text: str):
    ordered = build_tables.ordered(tuple(map(ord, text)), COMBINING)
    assert "".join(map(chr, ordered)) == unicodedata.normalize("NFD", text)


@given(st.text(st.characters(min_codepoint=0x1100, max_codepoint=0x11FF) | st.sampled_from("가각a"), max_size=12))
def test_jamo_are_composed_as_by_nfc(text: str):
    composed = build_tables.composed_hangul(tuple(map(ord, text)))
    assert "".join(map(chr, composed)) == unicodedata.normalize("NFC", text)
