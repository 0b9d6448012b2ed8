"""The repository keeps its own rules; and each rule is shown to fail on one planted violation."""

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from policykit.diagnostics import CATALOGUE, CodeEntry

from . import gates

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "policykit"
TESTS = ROOT / "tests"
HERE = Path(__file__).parent


def entries_of(module: str) -> tuple[CodeEntry, ...]:
    return import_module(f"policykit.diagnostics.codes.{module}").CODES


@pytest.mark.parametrize("folder", ["policykit", "tests", "scripts", "benchmarks"])
def test_no_module_is_too_long(folder: str) -> None:
    assert gates.long_modules(ROOT / folder) == []


def test_a_module_that_is_too_long_is_listed(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("pass\n" * 401)
    (tmp_path / "fits.py").write_text("pass\n" * 400)
    assert gates.long_modules(tmp_path) == ["long.py: 401 lines"]


def test_every_code_is_defined_once_and_in_its_range() -> None:
    assert gates.duplicate_codes(entry for module in gates.CODE_RANGES for entry in entries_of(module)) == []
    assert {m: found for m in gates.CODE_RANGES if (found := gates.misplaced_codes(m, entries_of(m)))} == {}


def test_every_module_of_codes_is_known_here() -> None:
    modules = {path.stem for path in (PACKAGE / "diagnostics" / "codes").glob("*.py")} - {"__init__", "entry"}
    assert modules == set(gates.CODE_RANGES)
    assert len(CATALOGUE) == sum(len(entries_of(module)) for module in modules)


def test_a_duplicate_and_a_misplaced_code_are_found() -> None:
    entries = [CodeEntry("PK001", "a", "a"), CodeEntry("PK250", "b", "b"), CodeEntry("PK001", "c", "c")]
    assert gates.duplicate_codes(entries) == ["PK001"]
    assert gates.misplaced_codes("document", entries) == ["PK250"]
    assert gates.misplaced_codes("document", [CodeEntry("PK1", "a", "a")]) == ["PK1"]


def test_every_code_has_a_test() -> None:
    assert gates.untested_codes(CATALOGUE, TESTS, but_not=HERE) == []


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    assert gates.unknown_codes(CATALOGUE, PACKAGE, but_not=PACKAGE / "diagnostics" / "codes") == []


def test_an_untested_and_an_unknown_code_are_found(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text('assert error.code == "PK001"')
    assert gates.untested_codes(["PK001", "PK002"], tmp_path) == ["PK002"]
    assert gates.unknown_codes(["PK002"], tmp_path) == ["PK001"]


def test_every_entry_explains_itself() -> None:
    for entry in CATALOGUE.values():
        assert entry.title, entry.code
        assert not entry.title.endswith("."), entry.code
        assert len(entry.explanation) > 20, entry.code


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {program}", "--no-cache"],
        cwd=root, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "policykit", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "line", "complaint"),
    [
        pytest.param("text/planted.py", "import policykit.policy", "data flows one way", id="upwards"),
        pytest.param("policy/planted.py", "import policykit.grammar", "data flows one way", id="sideways"),
        pytest.param("plan/planted.py", "import torch", "heavy packages stay in leaf adapters", id="heavy"),
        pytest.param(
            "embedded/planted.py",
            "import transformers",
            "heavy packages stay in leaf adapters",
            id="heavy beside a model",
        ),
        pytest.param("utils/__init__.py", "", "not listed as layers: - policykit.utils", id="a stray package"),
    ],
)
def test_a_planted_import_breaks_the_layers(copy: Path, path: str, line: str, complaint: str) -> None:
    planted = copy / "policykit" / path
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(f"{line}\n")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert complaint in " ".join((done.stdout + done.stderr).split())


def test_the_layers_hold(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr
