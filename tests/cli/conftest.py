"""A folder to work in, and the command line as a function."""

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from policykit.cli.main import main

PROMISES = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: finance/promises, version: 1.0.0, owner: compliance@example.org, why: no promises of returns}
rules:
  - id: no-guarantees
    severity: high
    cost: 2.0
    match: {phrases: [guaranteed returns]}
    action: {block: {message: We can't promise outcomes.}}
  - id: mask-accounts
    match: {regex: ['\\bacct \\d{8}\\b']}
    action: {transform: {replace: {with: "[account]"}}}
tests:
  - name: blocks a guarantee
    given: {output: "Sure, guaranteed returns of 8%!"}
    expect: {decision: block, rules: [no-guarantees]}
  - name: hides an account number
    given: {output: pay acct 12345678 today}
    expect: {decision: transform, output: "pay [account] today"}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in ``tmp_path`` with ``stdin`` as its bytes; a wide screen, so that no line is cut."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run_command(*argv: str | os.PathLike[str], stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        status = main([os.fspath(arg) for arg in argv])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run_command


@pytest.fixture
def promises(tmp_path: Path) -> str:
    """A policy file that loads, with two rules and two tests; its name, relative to the folder that commands run in."""
    (tmp_path / "promises.policy.yaml").write_text(PROMISES, encoding="utf-8")
    return "promises.policy.yaml"
