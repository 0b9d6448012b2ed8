"""Schemas with instances as cases, and where in its text an invalid instance goes wrong."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

Case = dict[str, Any]
META = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def read_data(path: Path) -> list[Case]:
    """A case a line, gzipped or not."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def read_suite(path: Path, drafts: Sequence[str]) -> list[Case]:
    """The groups of the official suite's required tests; a schema that names no dialect is given its draft's."""
    cases: list[Case] = []
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        members = sorted(archive.getmembers(), key=lambda m: m.name)
        remotes: Case = {}
        for member in members:
            if "remotes" in Path(member.name).parts and (file := archive.extractfile(member)) is not None:
                _, _, name = member.name.partition("remotes/")
                remotes[f"http://localhost:1234/{name}"] = json.load(file)
        for member in members:
            parts = Path(member.name).parts
            if not member.name.endswith(".json") or len(parts) < 3 or parts[-2] not in drafts or "remotes" in parts:
                continue
            file = archive.extractfile(member)
            assert file is not None
            for group in json.load(file):
                schema = group["schema"]
                if isinstance(schema, dict):
                    schema = {"$schema": META[parts[-2]], **schema}
                name = f"{parts[-2]}/{Path(parts[-1]).stem}: {group['description']}"
                cases.append({"name": name, "schema": schema, "tests": group["tests"], "documents": remotes})
    return cases


def end_of_first_fault(schema: Any, value: Any) -> tuple[str, int] | None:
    """The keyword that is broken first, and the character of the compact text at which the value that breaks it ends.

    None where the validator finds no fault, or cannot read the schema.
    """
    errors = faults(schema, value)
    found = [(end_of(value, list(error.instance_path)), error.kind.name) for error in errors]
    if not found:
        return None
    end, keyword = min(found)
    return keyword, end


def broken_keywords(schema: Any, value: Any) -> list[list[str]]:
    """The pointers (RFC 6901) of each keyword that a value breaks, behind those of the keywords that led to it."""
    return [on_the_way(schema, list(error.evaluation_path)) for error in faults(schema, value)]


def faults(schema: Any, value: Any) -> list[jsonschema_rs.ValidationError]:
    """What a validator that asserts formats finds; nothing where it cannot read the schema."""
    try:
        return list(jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors(value))
    except (ValueError, jsonschema_rs.ReferencingError):
        return []


def on_the_way(root: Any, evaluation_path: Sequence[str | int]) -> list[str]:
    """The keywords of a path that goes through references, by where they stand. References that are not local are not
    followed: what stands behind one counts as its own.

    >>> on_the_way({"$ref": "#/$defs/d", "$defs": {"d": {"type": "null"}}}, ["$ref", "type"])
    ['/$ref', '/$defs/d', '/$defs/d/type']
    """
    pointer, node, found = "", root, list[str]()
    for step in evaluation_path:
        pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
        found.append(pointer)
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            break
        if step == "$ref" and isinstance(node, str) and (target := target_of(root, node)) is not None:
            pointer, node = unquote(node).removeprefix("#"), target
            found.append(pointer)
    return found


def target_of(root: Any, reference: str) -> Any:
    """What a reference to a place in the same document leads to; None where it leads nowhere, or elsewhere."""
    found = root
    for step in unquote(reference).removeprefix("#").split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return found if reference.startswith("#") else None


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def end_of(value: Any, path: Sequence[str | int]) -> int:
    """The character at which the value at a path ends in the compact text.

    >>> end_of({"a": 1, "bc": [10, 20]}, ["bc", 0]), len('{"a":1,"bc":[10')
    (15, 15)
    """
    if not path:
        return len(written(value))
    step, *rest = path
    at = 1
    items = value.items() if isinstance(value, dict) else ((i, item) for i, item in enumerate(value))
    for key, item in items:
        at += len(written(key)) + 1 if isinstance(value, dict) else 0
        if key == step:
            return at + end_of(item, rest)
        at += len(written(item)) + 1
    return len(written(value))


def end_tokens(offsets: Sequence[tuple[int, int]], end: int) -> int:
    """How many tokens are written when the text's first ``end`` characters are."""
    return sum(begin < end for begin, _ in offsets)


def canonical(root: Any, value: Any) -> Any:
    """The same instance in canonical form: names in the order in which the schema defines them, 75 for 75.0."""
    return _Canonical(root).of([root], value)


class _Canonical:
    def __init__(self, root: Any) -> None:
        self._root = root
        dialect = str(root.get("$schema", "")) if isinstance(root, dict) else ""
        self._ref_stands_alone = any(f"draft-0{n}" in dialect for n in (4, 6, 7))

    def of(self, schemas: Sequence[Any], value: Any) -> Any:
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
            return int(value)
        if not isinstance(value, dict | list):
            return value
        atoms: list[Case] = []
        for schema in schemas:
            self._collect(schema, value, atoms, 0)
        for atom in atoms:
            for member in (*([atom["const"]] if "const" in atom else []), *atom.get("enum", ())):
                if self._sorted(member) == self._sorted(value):
                    return self.of([], member)  # as the schema writes it
        if isinstance(value, list):
            return [self.of(list(_items(atoms, i)), item) for i, item in enumerate(value)]
        names = [name for atom in atoms for name in (*atom.get("properties", ()), *_demanded(atom))]
        place = {name: i for i, name in reversed(list(enumerate(names)))}
        ordered = sorted(value, key=lambda name: place.get(name, len(names)))
        return {name: self.of(list(_under(atoms, name)), value[name]) for name in ordered}

    def _sorted(self, value: Any) -> str:
        return json.dumps(self.of([], value), sort_keys=True)

    def _collect(self, schema: Any, value: Any, atoms: list[Case], depth: int) -> None:
        """The subschemas that judge the value, in the order of the schema's keywords."""
        if not isinstance(schema, dict) or depth > 32:
            return
        if "$ref" in schema and self._ref_stands_alone:
            schema = {"$ref": schema["$ref"]}
        if "properties" not in schema:
            atoms.append(schema)
        for keyword, inside in schema.items():
            if keyword == "properties":
                atoms.append(schema)  # names come in the order of the keywords
            elif keyword == "$ref" and isinstance(inside, str):
                self._collect(target_of(self._root, inside), value, atoms, depth + 1)
            elif keyword == "allOf":
                for branch in inside:
                    self._collect(branch, value, atoms, depth + 1)
            elif keyword in ("anyOf", "oneOf", "then", "else"):  # a condition (`if`) defines no names
                for branch in inside if isinstance(inside, list) else [inside]:
                    if self._admits(branch, value):
                        self._collect(branch, value, atoms, depth + 1)

    def _admits(self, branch: Any, value: Any) -> bool:
        kept = {word: self._root[word] for word in ("$schema", "$defs", "definitions") if word in self._root}
        try:
            return jsonschema_rs.validator_for({**kept, "allOf": [branch]}).is_valid(value)
        except (ValueError, jsonschema_rs.ReferencingError):
            return True


def _demanded(atom: Case) -> Iterator[str]:
    """Names that a subschema mentions without defining them, in its order."""
    for keyword in ("dependentRequired", "dependencies"):
        for name, needs in atom.get(keyword, {}).items():
            yield from [name, *needs] if isinstance(needs, list) else ()


def _under(atoms: Sequence[Case], name: str) -> Iterator[Any]:
    for atom in atoms:
        if name in atom.get("properties", ()):
            yield atom["properties"][name]
        else:
            yield atom.get("additionalProperties")
        yield from (inside for pattern, inside in atom.get("patternProperties", {}).items() if _found(pattern, name))


def _found(pattern: str, name: str) -> bool:
    try:
        return jsonschema_rs.validator_for({"pattern": pattern}).is_valid(name)
    except ValueError:
        return False


def _items(atoms: Sequence[Case], index: int) -> Iterator[Any]:
    for atom in atoms:
        listed = atom.get("items") if isinstance(atom.get("items"), list) else atom.get("prefixItems", [])
        rest = atom.get("additionalItems") if isinstance(atom.get("items"), list) else atom.get("items")
        yield listed[index] if index < len(listed) else rest
