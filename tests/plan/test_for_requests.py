"""Grammars of requests: their bounds, who waits for whom, and what is known of one that was refused."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import Place, PolicyError
from policykit.engines.vllm.grammars import unread
from policykit.ir.document import PolicySet
from policykit.plan import RequestBounds, request_compilers
from policykit.plan.render import render
from tests.plan.calls import crashes, process_id, sleeps, waits_for
from tests.plan.test_bounded import POLICY

SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}, "required": ["a"]})


def test_bounds_come_from_the_environment() -> None:
    given = {
        "POLICYKIT_COMPILE_DEADLINE_S": "2.5",
        "POLICYKIT_COMPILE_WAIT_S": "7",
        "POLICYKIT_COMPILE_MEMORY_MIB": "300",
        "POLICYKIT_COMPILE_PROCESSES": "4",
    }
    assert RequestBounds.read(given) == RequestBounds(pk.Bounds(2.5, 300, 7), 4)
    assert RequestBounds.read({"POLICYKIT_COMPILE_WAIT_S": ""}) == RequestBounds.read({})


@pytest.mark.parametrize("text", ["0", "-1", "ten", "10s", "nan", "inf", "1e99"])
def test_bounds_that_are_none_are_all_named(text: str) -> None:
    names = ("POLICYKIT_COMPILE_DEADLINE_S", "POLICYKIT_COMPILE_MEMORY_MIB", "POLICYKIT_COMPILE_PROCESSES")
    with pytest.raises(PolicyError) as refused:
        RequestBounds.read(dict.fromkeys(names, text))
    assert [one.code for one in refused.value.diagnostics] == ["PK316"] * 3
    assert all(any(name in one.message for one in refused.value.diagnostics) for name in names)


def test_a_whole_number_is_wanted_where_things_are_counted() -> None:
    with pytest.raises(PolicyError, match="a whole number"):
        RequestBounds.read({"POLICYKIT_COMPILE_PROCESSES": "1.5"})


def test_there_is_one_set_for_a_process() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert len({id(one.result()) for one in [threads.submit(request_compilers) for _ in range(8)]}) == 1


@pytest.mark.parametrize(("option", "source"), [("JSON", SCHEMA), ("GRAMMAR", 'root ::= "a" | "b"'), ("REGEX", "a+b")])
def test_a_plan_that_is_made_elsewhere_is_the_same_plan(option: str, source: str) -> None:
    policies = PolicySet((pk.parse_document(POLICY, "one.yaml"),))
    grammar = unread(option, source)
    assert grammar is not None
    compilers = pk.Compilers(n_processes=1)
    try:
        here = pk.compile(policies, grammar.reads(*grammar.arguments), tenant="acme")
        there = compilers.compile(policies, grammar, tenant="acme")
        base = pk.compile(policies, tenant="acme")
        added = compilers.with_grammar(base, grammar)
        assert render(there.spec) == render(added.spec) == render(here.spec)
        assert there.spec.policies is policies
        with pytest.raises(PolicyError, match="PK315"):
            compilers.with_grammar(here, grammar)
    finally:
        compilers.close()


def test_a_plan_is_loaded_elsewhere(tmp_path: Path) -> None:
    made = pk.compile(PolicySet((pk.parse_document(POLICY, "one.yaml"),)), pk.Grammar.from_json_schema(SCHEMA))
    path = tmp_path / "a.plan.json"
    made.save(path)
    compilers = pk.Compilers(n_processes=1)
    try:
        assert render(compilers.load(path).spec) == render(made.spec)
        path.write_text(path.read_text().replace("no such thing", "no such thong"))
        with pytest.raises(PolicyError, match="PK313"):
            compilers.load(path)
    finally:
        compilers.close()


def test_long_calls_leave_a_process_to_others(tmp_path: Path) -> None:
    """Three of them: one goes on, the others make room, and each comes back when it may."""
    compilers = pk.Compilers(pk.Bounds(deadline_s=60, wait_s=60), n_processes=2)
    compilers.start()
    gate = tmp_path / "gate"
    try:
        with ThreadPoolExecutor(3) as threads:
            slow = [threads.submit(compilers.make, waits_for, str(gate)) for _ in range(3)]
            while len(list(tmp_path.glob("*.begun"))) < 2:
                time.sleep(0.02)
            for _ in range(5):
                assert compilers.make(sleeps, 0) == "slept"
            assert not any(one.done() for one in slow)
            gate.touch()
            assert [one.result() for one in slow] == ["came"] * 3
    finally:
        compilers.close()


def test_a_long_call_waits_for_its_turn_and_no_longer(tmp_path: Path) -> None:
    compilers = pk.Compilers(pk.Bounds(deadline_s=90, wait_s=15), n_processes=2)
    gate = tmp_path / "gate"
    try:
        compilers.start()
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(compilers.make, waits_for, str(gate))
            while not list(tmp_path.glob("*.begun")):
                time.sleep(0.02)
            time.sleep(1.5)  # it is a long one now
            with pytest.raises(PolicyError, match=r"PK209: it was not begun: others"):
                compilers.make(waits_for, str(gate))
            gate.touch()
            assert first.result() == "came"
        assert compilers.make(waits_for, str(gate)) == "came", "being busy is not held against it"
    finally:
        compilers.close()


def test_what_was_refused_is_refused_again_without_a_process() -> None:
    compilers = pk.Compilers(pk.Bounds(deadline_s=30), n_processes=1)
    try:
        for line in (1, 2):
            with pytest.raises(PolicyError, match="SIGSEGV") as refused:
                compilers.make(crashes, place=Place("a.gbnf", line))
            assert refused.value.diagnostics[0].place == Place("a.gbnf", line)
            if line == 1:
                before = compilers.make(process_id)
        assert compilers.make(process_id) == before, "nothing crashed the second time"
    finally:
        compilers.close()


def test_a_process_that_had_to_be_ended_is_replaced_before_it_is_needed() -> None:
    compilers = pk.Compilers(pk.Bounds(deadline_s=30), n_processes=1)
    try:
        compilers.start()
        before = compilers.make(process_id)
        with pytest.raises(PolicyError, match="SIGSEGV"):
            compilers.make(crashes)
        assert compilers.make(process_id) not in (before, os.getpid())
    finally:
        compilers.close()


def test_a_grammar_without_a_first_mask_is_refused() -> None:
    lengths = (7, 11, 13, 17, 19, 23, 29)
    source = "start: A\nA: " + " & ".join(f"/(.{{{n}}})*/" for n in lengths)
    compilers = pk.Compilers(pk.Bounds(deadline_s=5, memory_mib=512), n_processes=1)
    try:
        grammar = unread("GRAMMAR", source)
        with pytest.raises(PolicyError, match="PK209"):
            compilers.compile(None, grammar)
    finally:
        compilers.close()
