"""`check --analyse` on real files."""

import json
from pathlib import Path

from .conftest import PROMISES, Run

MORE = """\
  - id: no-lunch
    match: {phrases: [no guaranteed returns here]}
    action: {escalate: {queue: advisers}}
  - id: never
    match: {all: [{phrases: [fee]}, {not: {regex: ['e']}}]}
    action: {block: {}}
tests:
"""


def test_what_never_matters_is_a_warning_with_both_places(run: Run, tmp_path: Path, promises: str) -> None:
    assert run("check", promises, "--analyse", "--max-warnings", "0").status == 0
    text = PROMISES.replace("[guaranteed returns]", "[guaranteed returns, our guaranteed returns]")
    (tmp_path / "more.policy.yaml").write_text(text.replace("tests:\n", MORE), encoding="utf-8")
    done = run("check", "more.policy.yaml", "--analyse", "--max-warnings", "0")
    assert done.status == 2
    printed = done.out + done.err
    assert "PK704: `our guaranteed returns` of `finance/promises#no-guarantees` adds nothing to its list" in printed
    assert "PK703: `finance/promises#no-lunch` never changes a decision" in printed
    assert "`finance/promises#no-guarantees` finds something there too" in printed
    assert "PK702: `finance/promises#never` finds nothing in any text" in printed
    assert run("check", "more.policy.yaml", "--max-warnings", "0").status == 0
    report = json.loads(run("check", "more.policy.yaml", "--analyse", "--format", "sarif").out)
    found = report["runs"][0]["results"]
    assert sorted(result["ruleId"] for result in found) == ["PK702", "PK703", "PK704"]


def test_what_is_not_known_is_said(run: Run, tmp_path: Path) -> None:
    text = PROMISES.replace("{phrases: [guaranteed returns]}", "{entities: [iban]}")
    (tmp_path / "e.policy.yaml").write_text(text, encoding="utf-8")
    done = run("check", "e.policy.yaml", "--analyse", "--max-states", "3")
    assert done.status == 0
    assert "not analysed: finance/promises#no-guarantees: validates entities" in done.err
    assert "not analysed: finance/promises#mask-accounts: not proven within 3 states" in done.err


CONDITIONS = """\
  - id: large
    target: tool_call
    tool: refund
    when: args.amount > 500 && args.amount > 100
    action: {block: {}}
    except:
      - {id: EX-1, when: args.amount >= 10, approvedBy: o, reason: r, expires: 2999-01-01}
      - {id: EX-2, when: args.amount < limits.low, approvedBy: o, reason: r, expires: 2999-01-01}
      - {id: EX-3, when: args.amount < 10, approvedBy: o, reason: r, expires: 2999-01-01}
tests:
"""


def test_conditions_that_never_change_are_warnings(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.policy.yaml").write_text(PROMISES.replace("tests:\n", CONDITIONS), encoding="utf-8")
    done = run("check", "c.policy.yaml", "--analyse", "--max-warnings", "0")
    assert done.status == 2
    printed = done.out + done.err
    assert "PK705: the condition of exception `EX-1` of `finance/promises#large` is always true" in printed
    assert "PK706: the condition of exception `EX-3` of `finance/promises#large` is never true" in printed
    assert "PK707: `args.amount > 100` changes nothing in the condition of `finance/promises#large`" in printed
    assert "#large, exception EX-2: in its condition, `args.amount < limits.low` may be anything" in printed
    assert len("args.amount > 100") in [line.count("^") for line in printed.splitlines()]
    assert run("check", "c.policy.yaml", "--max-warnings", "0").status == 0
