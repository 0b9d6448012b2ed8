"""What vLLM's source says of its tool parsers, read without importing it."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAID = ("structural_tag_model", "supports_required_and_named")


@dataclass(frozen=True)
class Parser:
    """One parser as it is registered. ``forced_by``: a structural tag's model, `json` or `nothing`."""

    module: str
    name: str
    forced_by: str


def parsers(package: Path) -> dict[str, Parser]:
    """The parsers of vLLM's source, by the names that servers are started with."""
    classes = _classes(package)
    tree = ast.parse((package / "tool_parsers" / "__init__.py").read_text("utf-8"))
    (registered,) = (node.value for node in tree.body if _assigns(node) == "_TOOL_PARSERS_TO_REGISTER")
    found = ast.literal_eval(registered)
    return {name: Parser(module, made, _forced_by(classes, made)) for name, (module, made) in found.items()}


def _assigns(node: ast.stmt) -> str | None:
    return node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else None


def _classes(package: Path) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Bases of each class, and what it says of SAID."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for path in (*(package / "tool_parsers").glob("*.py"), *(package / "parser").rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base) for base in node.bases]
                found[node.name] = bases, dict(_said(node))
    return found


def _said(node: ast.ClassDef) -> Any:
    for line in node.body:
        target = line.target if isinstance(line, ast.AnnAssign) else getattr(line, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id in SAID and isinstance(line, ast.Assign | ast.AnnAssign):
            yield target.id, ast.literal_eval(line.value) if line.value is not None else None


def _forced_by(classes: dict[str, tuple[list[str], dict[str, Any]]], name: str) -> str:
    tag, supports = (_inherited(classes, name, said) for said in SAID)
    return tag or ("nothing" if supports is False else "json")


def _inherited(classes: dict[str, tuple[list[str], dict[str, Any]]], name: str, said: str) -> Any:
    if name not in classes:
        return None
    bases, says = classes[name]
    if said in says:
        return says[said]
    return next((found for base in bases if (found := _inherited(classes, base, said)) is not None), None)
