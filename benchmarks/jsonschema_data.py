"""Schemas with instances as cases, and where in its text an invalid instance goes wrong."""

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
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
                cases.append({"name": name, "schema": schema, "tests": group["tests"]})
    return cases


def end_of_first_fault(schema: Any, value: Any) -> tuple[str, int] | None:
    """The keyword that is broken first, and the character of the compact text at which the value that breaks it ends.

    None where the validator finds no fault, or cannot read the schema.
    """
    try:
        errors = list(jsonschema_rs.validator_for(schema).iter_errors(value))
    except (ValueError, jsonschema_rs.ReferencingError):
        return None
    found = [(end_of(value, list(error.instance_path)), error.kind.name) for error in errors]
    if not found:
        return None
    end, keyword = min(found)
    return keyword, end


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
