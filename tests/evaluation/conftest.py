import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

import policykit as pk
from policykit.plan import Plan

PROMISES = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: finance/promises, version: 1.2.0, owner: compliance@example.org, why: no promises of returns}
rules:
  - {id: guarantee, cost: 2.0, match: {phrases: [guaranteed returns]}, action: {block: {message: no}}}
  - {id: account, match: {regex: ['\\bacct \\d{8}\\b']}, action: {transform: {replace: {with: "[account]"}}}}
  - {id: tone, mode: shadow, match: {phrases: [so sorry]}, action: {block: {message: no}}}
tests:
  - {name: one, given: {output: guaranteed returns}, expect: {decision: block, rules: [guarantee]}}
"""
OTHER_WORDS = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: second/promises, version: 0.1.0, owner: audit@example.org, why: the same in other words}
rules:
  - {id: words, match: {regex: ['(?i)guarante', '(?i)cannot lose']}, action: {block: {message: no}}}
tests:
  - {name: one, given: {output: a guarantee}, expect: {decision: block, rules: [words]}}
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str, str], Plan]:
    def compile(name: str, text: str) -> Plan:
        path = tmp_path / f"{name}.policy.yaml"
        path.write_text(text, "utf-8")
        return pk.compile(pk.load_policies(path))

    return compile


@pytest.fixture
def plan(compiled: Callable[[str, str], Plan]) -> Plan:
    return compiled("promises", PROMISES)


@pytest.fixture
def second(compiled: Callable[[str, str], Plan]) -> Plan:
    return compiled("second", OTHER_WORDS)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
