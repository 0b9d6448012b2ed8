"""Compiling within bounds: what takes too long or too much is refused by name, and whoever asked goes on."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import policykit as pk
from policykit.cli.main import main
from policykit.diagnostics import CATALOGUE, InternalError, Place, PolicyError
from policykit.ir.document import PolicySet
from tests.plan.calls import crashes, fails, grows, panics, process_id, sleeps

ENDLESS = CATALOGUE["PK209"].example
POLICY = """apiVersion: policykit/v1
kind: Policy
metadata: {name: one/rule, version: 1.0.0, owner: a@example.org, why: to see it kept}
rules: [{id: no, match: {phrases: [no such thing]}, action: {block: {}}}]
tests: [{name: t, given: {output: no such thing}, expect: {decision: block}}]
"""


@pytest.fixture(scope="module")
def compilers() -> Iterator[pk.Compilers]:
    made = pk.Compilers(pk.Bounds(deadline_s=20, memory_mib=300), n_processes=1)
    yield made
    made.close()


def test_what_is_made_comes_back(compilers: pk.Compilers) -> None:
    spec = compilers.make(pk.Grammar.from_gbnf, 'root ::= "yes" | "no"')
    assert spec == pk.Grammar.from_gbnf('root ::= "yes" | "no"')
    policies = pk.parse_document(POLICY, "one.yaml")
    plan = compilers.compile(PolicySet((policies,)), spec)
    assert plan.digest == pk.compile(PolicySet((policies,)), spec).digest
    assert compilers.make(process_id) != os.getpid()


def test_refusals_are_the_same(compilers: pk.Compilers) -> None:
    place = Place("there.gbnf", 7)
    for source in ("root ::= [", "root ::= root", "root ::= other"):
        with pytest.raises(PolicyError) as here:
            pk.Grammar.from_gbnf(source, place)
        with pytest.raises(PolicyError) as there:
            compilers.make(pk.Grammar.from_gbnf, source, place)
        assert there.value.diagnostics == here.value.diagnostics


@pytest.mark.parametrize(
    ("function", "says"),
    [(grows, "more than 300 MiB"), (crashes, "SIGSEGV"), (panics, "masking engine fails")],
)
def test_what_exceeds_its_bounds_is_refused_and_the_next_is_served(
    compilers: pk.Compilers, function: object, says: str
) -> None:
    with pytest.raises(PolicyError, match=says) as refused:
        compilers.make(function, place=Place("a.gbnf", 3))  # type: ignore[arg-type]
    found = refused.value.diagnostics[0]
    assert (found.code, found.place) == ("PK209", Place("a.gbnf", 3))
    assert found.help
    assert compilers.make(sleeps, 0) == "slept"


def test_what_fails_otherwise_is_no_refusal(compilers: pk.Compilers) -> None:
    with pytest.raises(InternalError, match="no grammar's fault"):
        compilers.make(fails)
    with pytest.raises(InternalError, match="cannot be sent"):
        compilers.make(lambda: 1)


def test_the_deadline_holds_and_others_go_on() -> None:
    compilers = pk.Compilers(pk.Bounds(deadline_s=5), n_processes=2)
    try:
        compilers.make(sleeps, 0)
        with ThreadPoolExecutor(2) as threads:
            slow = threads.submit(compilers.make, sleeps, 600)
            quick = [compilers.make(sleeps, 0.01) for _ in range(5)]
            begun = time.monotonic()
            with pytest.raises(PolicyError, match=r"PK209.*not compiled within 5 s"):
                slow.result()
        assert quick == ["slept"] * 5
        assert time.monotonic() - begun < 60
        assert compilers.make(sleeps, 0) == "slept"
    finally:
        compilers.close()


def test_a_pathological_grammar_is_declined() -> None:
    """The example of the code."""
    small = pk.Compilers(pk.Bounds(deadline_s=3, memory_mib=512), n_processes=1)
    try:
        with pytest.raises(PolicyError) as refused:
            small.make(pk.Grammar.from_plain_lark, ENDLESS)
        assert refused.value.diagnostics[0].code == "PK209"
    finally:
        small.close()


def test_the_command_line_has_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.policy.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "a.plain.lark").write_text(ENDLESS, "utf-8")
    (tmp_path / "b.gbnf").write_text('root ::= "a"', "utf-8")
    given = ["compile", "--policies", str(tmp_path / "one.policy.yaml"), "--grammar"]
    assert main([*given, str(tmp_path / "a.plain.lark"), "--deadline", "3"]) == 3
    assert "PK209" in capsys.readouterr().err
    assert main([*given, str(tmp_path / "b.gbnf"), "--deadline", "60", "--memory", "1000"]) == 0
