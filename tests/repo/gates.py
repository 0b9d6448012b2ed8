"""The repository's own rules, as functions from a tree to what breaks them; empty means kept."""

import re
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from policykit.diagnostics import CodeEntry

MAX_LINES = 400
CODE = re.compile(r"\bPK\d{3}\b")

CODE_RANGES = {
    "document": range(1, 100),
    "regex": range(100, 200),
    "chains": range(130, 140),
    "citations": range(140, 150),
    "grammar": range(200, 300),
    "plan": range(300, 400),
    "engine": [*range(400, 500), *range(740, 760)],
    "run": range(500, 600),
    "testing": range(505, 540),
    "analysis": range(700, 720),
    "profiles": range(600, 630),
    "audit": range(660, 680),
    "bundle": range(640, 660),
    "serving": [*range(680, 700), *range(720, 740)],
    "vault": range(190, 200),
    "approvals": range(80, 90),
    "conditions": range(150, 160),
    "opa": range(160, 170),
    "opaque": range(170, 180),
    "rewards": range(760, 780),
    "training": range(780, 800),
    "evaluation": range(840, 860),
}


def _python(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def long_modules(folder: Path, limit: int = MAX_LINES) -> list[str]:
    """Modules of more than ``limit`` lines, with their length."""
    lengths = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in _python(folder))
    return [f"{path.relative_to(folder)}: {n} lines" for path, n in lengths if n > limit]


def duplicate_codes(entries: Iterable[CodeEntry]) -> list[str]:
    """Codes that two entries claim."""
    return [code for code, n in Counter(entry.code for entry in entries).items() if n > 1]


def misplaced_codes(module: str, entries: Iterable[CodeEntry]) -> list[str]:
    """Codes outside the range of the module that defines them, or not of the form PKnnn."""
    allowed = CODE_RANGES[module]
    return [e.code for e in entries if not CODE.fullmatch(e.code) or int(e.code[2:]) not in allowed]


def codes_in(folder: Path, but_not: Path | None = None) -> set[str]:
    """Every PKnnn that Python files of ``folder`` mention."""
    files = (path for path in _python(folder) if but_not is None or but_not not in path.parents)
    return {code for path in files for code in CODE.findall(path.read_text(encoding="utf-8"))}


def untested_codes(codes: Iterable[str], tests: Path, but_not: Path | None = None) -> list[str]:
    """Codes that no test file mentions."""
    return sorted(set(codes) - codes_in(tests, but_not))


def unknown_codes(codes: Iterable[str], source: Path, but_not: Path | None = None) -> list[str]:
    """Codes that the source raises or mentions and the catalogue does not have."""
    return sorted(codes_in(source, but_not) - set(codes))


_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|toml|txt|md))`")
_DOTTED = re.compile(r"`(policykit(?:\.\w+)+)(?:\(\))?`")


def dangling_paths(text: str, root: Path) -> list[str]:
    """Back-quoted paths into the repository (their first part exists) that do not exist themselves."""
    paths = dict.fromkeys(_PATH.findall(text))
    ours = (path for path in paths if "/" not in path or (root / path.split("/")[0]).exists())
    return [path for path in ours if not (root / path).exists()]


def _resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute chain below one."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            value: object = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def dangling_names(text: str) -> list[str]:
    """Back-quoted dotted names of this package that name nothing."""
    return [name for name in dict.fromkeys(_DOTTED.findall(text)) if not _resolves(name)]
