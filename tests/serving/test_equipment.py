"""What a deployment gives beside its files, named to `policykit serve` and to a server inside vLLM."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from policykit.diagnostics import PolicyError
from policykit.profiles import digest_of_key, load_profiles
from policykit.serving import Equipment
from policykit.serving.environment import Environment
from policykit.serving.equipment import EquipmentSource, no_facts_for
from policykit.serving.middleware import Middleware
from policykit.serving.run import Files, application, gateway
from tests.serving.peer import Peer, Say
from tests.serving.running import served

PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: plain, version: 1.0.0, owner: a@b.c, why: because}
task: answer
policies: [sold.policy.yaml]
fallback: I cannot say.
"""
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: sold, version: 1.0.0, owner: a@b.c, why: because}
rules:
  - id: only-advisers
    match: {phrases: [good day]}
    when: user.role != "adviser"
    action: {block: {message: An adviser will call you.}}
  - id: names
    match: {phrases: [Hello]}
    action: {transform: {hash: {key: salt}}}
"""
KEYS = """\
apiVersion: policykit/v1
kind: Keys
keys:
  - {id: k1, sha256: SHA1, tenant: acme, profiles: [plain]}
  - {id: k2, sha256: SHA2, tenant: acme, profiles: [plain]}
"""
GIVEN = """\
from policykit.serving import Equipment
from policykit.verify import Resources

def facts(about):
    return {"user": {"role": "adviser" if about.key_id == "k1" else "clerk"}}

def made():
    return Equipment(Resources(keys={"salt": b"k" * 32}), facts)

keys = Equipment(Resources(keys={"salt": b"k" * 32}))
wrong = Resources()
def broken():
    raise KeyError("VAULT_KEY")
"""


def files(folder: Path, named: str | None) -> Files:
    (folder / "x.profile.yaml").write_text(PROFILE)
    (folder / "sold.policy.yaml").write_text(POLICY)
    shas = {"SHA1": digest_of_key("key-1"), "SHA2": digest_of_key("key-2")}
    text = KEYS
    for name, sha in shas.items():
        text = text.replace(name, sha)
    (folder / "x.keys.yaml").write_text(text)
    (folder / "given.py").write_text(dedent(GIVEN))
    asked = Files((folder / "x.profile.yaml",), (folder / "x.keys.yaml",), folder / "log", folder / "run")
    return replace(asked, equipment=EquipmentSource(named and f"{folder}/{named}"))


def said(url: str, key: str) -> Any:
    body = {"model": "profile:plain", "messages": [{"role": "user", "content": "Hi"}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}).json()


@pytest.fixture
def upstream() -> Iterator[str]:
    with served(Peer(lambda body: Say(("Hello, and good day.",)))) as url:
        yield url


def test_rules_are_served_with_the_facts_and_keys_of_the_deployment(tmp_path: Path, upstream: str) -> None:
    with served(application(files(tmp_path, "given.py:made"), gateway(upstream, None, "m"))) as url:
        content = said(url, "key-1")["choices"][0]["message"]["content"]
        assert content.startswith("h:")
        assert content.endswith(", and good day.")
        assert said(url, "key-2")["choices"][0]["message"]["content"] == "An adviser will call you."


def test_without_facts_nothing_passes(tmp_path: Path, upstream: str) -> None:
    with served(application(files(tmp_path, "given.py:keys"), gateway(upstream, None, "m"))) as url:
        assert said(url, "key-1")["error"]["code"] == "policykit_check_failed"


def test_without_a_key_that_rules_name_nothing_is_served(tmp_path: Path, upstream: str) -> None:
    with pytest.raises(PolicyError, match="PK199"):
        application(files(tmp_path, None), gateway(upstream, None, "m"))


WRONG = {
    "given.py:maed": "AttributeError", "given.py:wrong": "is Resources", "given.py:broken": "KeyError: 'VAULT_KEY'",
    "gone.py:made": "FileNotFoundError", "given.py:": "says no name", "given.py": "says no name",
}  # fmt: skip


@pytest.mark.parametrize("named", WRONG)
def test_what_cannot_be_used_starts_no_server(tmp_path: Path, named: str) -> None:
    with pytest.raises(PolicyError, match="PK725") as caught:
        application(files(tmp_path, named), gateway("http://127.0.0.1:1", None, "m"))
    assert WRONG[named] in str(caught.value)
    assert not (tmp_path / "log").exists()


def test_rules_that_read_facts_which_nobody_gives_are_named(tmp_path: Path) -> None:
    profiles = load_profiles(files(tmp_path, None).profiles[0])
    assert no_facts_for(profiles, Equipment()) == ("sold#only-advisers",)
    assert no_facts_for(profiles, EquipmentSource(f"{tmp_path}/given.py:made").load()) == ()
    policy = tmp_path / "sold.policy.yaml"
    policy.write_text(POLICY.replace('user.role != "adviser"', 'tenant == "acme"'))
    assert no_facts_for(load_profiles(tmp_path), Equipment()) == ()


@pytest.mark.parametrize("named", [None, "given.py:keys", "given.py:made"])
def test_they_are_named_again_when_others_are_served(
    tmp_path: Path, named: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """As a new bundle has them: what nobody has read at the start is read by nobody else."""
    policy = tmp_path / "sold.policy.yaml"
    asked = files(tmp_path, named)
    policy.write_text(POLICY[: POLICY.index("  - id: names")])
    app = application(asked, gateway("http://127.0.0.1:1", None, "m"))
    caplog.clear()
    policy.write_text(policy.read_text().replace("only-advisers", "for-advisers"))
    app.serving.swap(replace(app.serving.deployment, profiles=load_profiles(tmp_path)))
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [one.rpartition(": ")[2] for one in told] == ([] if named == "given.py:made" else ["sold#for-advisers"])


@pytest.mark.parametrize("named", [None, "given.py:keys", "given.py:made"])
def test_a_server_inside_vllm_names_them_in_its_log(
    tmp_path: Path, named: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = files(tmp_path, named)
    policy = tmp_path / "sold.policy.yaml"
    policy.write_text(POLICY[: POLICY.index("  - id: names")])
    said = {"PROFILES": tmp_path / "x.profile.yaml", "KEYS": tmp_path / "x.keys.yaml", "LOG": tmp_path / "log"}
    for name, value in {**said, "RUN": tmp_path / "run", "EQUIPMENT": asked.equipment.named or ""}.items():
        monkeypatch.setenv(f"POLICYKIT_{name}", str(value))

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    async def live() -> None:
        await Middleware(inner)._close()

    asyncio.run(live())
    told = [record.getMessage().rpartition(": ")[2] for record in caplog.records if record.levelname == "WARNING"]
    assert told == ([] if named == "given.py:made" else ["sold#only-advisers"])


def test_a_module_is_named_as_python_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files(tmp_path, None)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    assert isinstance(EquipmentSource("given:made").load(), Equipment)
    assert EquipmentSource().load() == Equipment()


def test_the_environment_says_the_same(tmp_path: Path) -> None:
    source = EquipmentSource("given.py:made")
    wanted = {f"POLICYKIT_{name}": str(tmp_path) for name in ("PROFILES", "KEYS", "LOG", "RUN")}
    assert Environment.read({**wanted, **source.variables()}).equipment == source
    assert Environment.read(wanted).equipment == EquipmentSource()
