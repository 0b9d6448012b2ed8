"""Attacks as data: `cases/FAMILY.json`, read strictly.

A case has a `name` and either a `body` (JSON), a `raw` body (text) or a `wire` (a whole HTTP request as text). `each`
gives names lists of values: the case is repeated for every combination, with `"$name"` replaced by the value and
`${name}` inside a text by its text. `expect` is `served` (200), `refused` (4xx, with an explanation that holds `says`)
or `either`. A 5xx is never expected.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"
EXPECT = ("served", "refused", "either")


@dataclass(frozen=True, slots=True)
class Case:
    """One request. ``headers`` may repeat a name; `content-type` and the key are sent unless they are given."""

    family: str
    name: str
    route: str
    expect: str
    method: str = "POST"
    key: str | None = "key-acme"
    profile: str | None = None
    body: Any = None
    raw: str | None = None
    wire: str | None = None
    encoding: str = "utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    says: str = ""

    @property
    def id(self) -> str:
        return f"{self.family}: {self.name}"


@dataclass
class _Names:
    seen: set[str] = field(default_factory=set)

    def once(self, name: str) -> str:
        assert name not in self.seen, f"the case `{name}` stands twice"
        self.seen.add(name)
        return name


def load(folder: Path = FOLDER) -> list[Case]:
    """Every case, the families in order."""
    names = _Names()
    return [case for path in sorted(folder.glob("*.json")) for case in _family(path, names)]


def _family(path: Path, names: _Names) -> Iterator[Case]:
    document = json.loads(path.read_text("utf-8"), object_pairs_hook=_once)
    assert set(document) == {"why", "cases"}, f"{path.name}: give `why` and `cases`"
    for item in document["cases"]:
        each = item.pop("each", {})
        for values in itertools.product(*each.values()):
            unnamed = [f" {name}=${{{name}}}" for name in each if f"${{{name}}}" not in item["name"]]
            named = item | {"name": item["name"] + "".join(unnamed)}
            case = _filled(named, dict(zip(each, values, strict=True)))
            case["headers"] = tuple((name, value) for name, value in case.pop("headers", ()))
            made = Case(family=path.stem, **case)
            assert made.expect in EXPECT, f"{made.id}: `{made.expect}`"
            assert (made.body is not None) + (made.raw is not None) + (made.wire is not None) <= 1, made.id
            names.once(made.id)
            yield made


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"a name stands twice: {[name for name, _ in pairs]}"
    return dict(pairs)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_filled(name, values): _filled(item, values) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith("$") and value[1:] in values:
        return values[value[1:]]
    for name, item in values.items():
        if f"${{{name}}}" in value:
            value = value.replace(f"${{{name}}}", item if isinstance(item, str) else json.dumps(item))
    return value
