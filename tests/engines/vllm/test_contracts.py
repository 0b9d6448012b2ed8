"""Each place of vLLM that is relied on, taken away from a small tree that has it: the check names it."""

from pathlib import Path

import pytest

from policykit.diagnostics import PolicyError
from policykit.engines.vllm.contracts import ALLOW_UNTESTED, CONTRACTS, Contract, check_source, check_version

SOURCE = """\
class Manager:
    def __init__(self, config):
        self.backend = None
    def create(self, request, extra=None):
        return self.backend.compile(request)
"""
CONTRACT = Contract(
    "compilation", "v1/manager.py", "Manager.create", ("self", "request"), ("self.backend.compile(",), "why"
)


def problem(tmp_path: Path, source: str) -> str:
    path = tmp_path / CONTRACT.module
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    with pytest.raises(PolicyError, match="PK745") as caught:
        check_source(tmp_path, [CONTRACT])
    return str(caught.value)


def test_what_stands_there_passes(tmp_path: Path) -> None:
    path = tmp_path / CONTRACT.module
    path.parent.mkdir()
    path.write_text(SOURCE)
    check_source(tmp_path, [CONTRACT])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def create", "def make", "has no `Manager.create`"),
        ("self, request, extra=None", "self, extra, request=None", "takes self, extra, request"),
        ("self.backend.compile(request)", "None", "no longer says"),
        ("class Manager:", "class Manager", "cannot be read"),
    ],
)
def test_what_has_changed_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert says in problem(tmp_path, SOURCE.replace(old, new))


def test_a_module_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        check_source(tmp_path, [CONTRACT])


def test_each_contract_says_why_and_has_its_own_name() -> None:
    assert all(contract.why and (contract.says or contract.args) for contract in CONTRACTS)
    assert len({contract.name for contract in CONTRACTS}) == len(CONTRACTS)


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    check_version("0.32.0+cpu")
    check_version("0.33.1")
    for version in ("0.31.0", "0.34.0", "1.0", "0.320.0"):
        with pytest.raises(PolicyError, match="PK744"):
            check_version(version)
    monkeypatch.setenv(ALLOW_UNTESTED, "1")
    check_version("0.34.0")
