"""What a table and a description of an API do not agree on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from policykit.serving.fields import Class, Entry, Route, Table

DESCRIBE = Path(__file__).parent / "describe.py"


def described(api: str, source: Path | None = None) -> dict[str, Any]:
    """What `describe.py` says of an API; ``source``: the folder that its package is imported from."""
    environment = dict(os.environ, VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")
    environment["PYTHONPATH"] = str(source) if source else ""
    command = [sys.executable, str(DESCRIBE), api]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


def differences(found: Mapping[str, Any], table: Table) -> list[str]:
    """One line for everything that is described and not in the table, or in the table and not described."""
    lines: list[str] = []
    lines += _named("header", found["headers"], {name: e for name, e in table.headers.items() if not e.own})
    routes: Mapping[str, Mapping[str, Any]] = found["routes"]
    lines += _named("route", routes, {name: route for name, route in table.routes.items() if not route.own})
    for name, route in table.routes.items():
        if name in routes:
            lines += _of_route(name, routes[name], route)
    return lines


def _of_route(name: str, found: Mapping[str, Any], route: Route) -> list[str]:
    if route.kind is Class.REFUSED:
        return _named(f"{name} field", found["request"], route.names)
    lines = _fields(f"{name} field", found["request"], route.request)
    return lines + _fields(f"{name} answer's field", found.get("response", ()), route.response)


def _fields(what: str, found: Iterable[str], known: Mapping[str, Entry]) -> list[str]:
    closed = tuple(f"{path}{mark}" for path, e in known.items() if e.kind is Class.REFUSED or e.open for mark in ".[")
    wanted = [path for path in found if path in known or not path.startswith(closed)]
    return _named(what, wanted, [path for path, entry in known.items() if not entry.own])


def _named(what: str, found: Iterable[str], known: Iterable[str]) -> list[str]:
    found, known = set(found), set(known)
    return [f"{what} `{name}` is in no table" for name in sorted(found - known)] + [
        f"{what} `{name}` is in the table and not described" for name in sorted(known - found)
    ]
