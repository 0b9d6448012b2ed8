"""A check that fails, fails the stream: nothing goes out that it was to be asked about, and the verdict is a block."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from policykit.opa import Opa, OpaSettings
from policykit.predicates import TextPredicate
from tests.opa.server import free_port
from tests.vault.test_vault import on_disk
from tests.verify.test_facts import PROMISE, plan, rule

TEXT = "Good day. There are guaranteed returns, and more of them."


def raising(text: str, args: object, context: object) -> bool:
    raise OSError("no model")


def hanging(text: str, args: object, context: object) -> bool:
    time.sleep(3)
    return False


def streamed(checked: pk.Plan, size: int) -> tuple[list[str], str, pk.Verdict]:
    stream = checked.stream()
    assert [wait.name for wait in stream.buffers] == ["x/y#r"]
    shown = [stream.feed(TEXT[i : i + size]) for i in range(0, len(TEXT), size)]
    rest, verdict = stream.close()
    return shown, rest, verdict


def fails_closed(checked: pk.Plan, message: str) -> None:
    for size in (5, len(TEXT)):
        shown, rest, verdict = streamed(checked, size)
        assert "".join(shown) + rest == ""
        assert verdict.decision is pk.Decision.BLOCK
        assert [error.rule for error in verdict.errors] == ["r"]
        assert message in verdict.errors[0].message


@pytest.mark.parametrize(("function", "message"), [(raising, "no model"), (hanging, "0.2")])
def test_a_predicate_that_fails(function: Any, message: str) -> None:
    asked = plan(rule(match={"predicate": "odd"}))
    fails_closed(
        asked.with_resources(pk.Resources(predicates={"odd": TextPredicate(function, "1")}, deadline_s=0.2)), message
    )


def test_an_agent_that_is_down() -> None:
    with Opa(OpaSettings(f"http://127.0.0.1:{free_port()}", backoff_s=0.001)) as opa:
        checked = plan(rule(**PROMISE, when={"rego": "data.rules.deny"})).with_resources(pk.Resources(opa=opa))
        fails_closed(checked, "")


def test_a_vault_that_is_locked(tmp_path: Path) -> None:
    with on_disk(tmp_path, busy_s=0.05) as vault:
        other = sqlite3.connect(tmp_path / "v.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        masks = {"transform": {"mask": {"with": "[{type}_{n}]", "reversible": True, "vault": "v"}}}
        checked = plan(rule(action=masks, **PROMISE)).with_resources(pk.Resources(vaults={"v": vault}, tenant="acme"))
        fails_closed(checked, "locked")
        other.close()
