"""What an adapter was trained under is held against what it is served under: a digest that differs is named."""

import asyncio
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from policykit.diagnostics import PolicyError
from policykit.engines.vllm.adapters import Adapter, AdapterPins
from policykit.plan import Plan
from policykit.plan.pins import FILE, WEIGHTS, pins_of, write_pins
from policykit.profiles import load_profiles
from policykit.serving import Deployment, Serving
from policykit.serving.adapters import ServedAdapters
from tests.serving.running import POLICIES, deployment


def adapter(folder: Path) -> Path:
    """A folder with weights: a safetensors file of one number."""
    folder.mkdir()
    head = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    head += b" " * (-len(head) % 8)
    (folder / WEIGHTS).write_bytes(len(head).to_bytes(8, "little") + head + b"\0\0\0\0")
    return folder


@pytest.fixture
def found(tmp_path: Path) -> Deployment:
    (tmp_path / "profiles").mkdir()
    return deployment(tmp_path / "profiles")


def plan(found: Deployment, name: str = "prompted") -> Plan:
    profile = found.profiles.get(name)
    assert profile is not None
    return found.plan(profile, "acme")


def other(found: Deployment, folder: Path) -> Deployment:
    """The same profiles, with one more phrase."""
    changed = folder / "changed"
    changed.mkdir()
    deployment(changed)
    (changed / "house.policy.yaml").write_text(POLICIES.replace("certain profit", "certain profit, sure thing"))
    return replace(found, profiles=load_profiles(changed))


def note(served: ServedAdapters) -> str | None:
    return asyncio.run(served.note())


def test_an_adapter_of_the_profiles_bundle_fits(found: Deployment, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "kind")
    write_pins(folder, pins_of(plan(found)))
    served = ServedAdapters(Serving(found), lambda: {"kind-adapter": str(folder)})
    served.begin()
    assert note(served) is None


def test_a_digest_that_differs_is_named_at_the_start_and_after_a_reload(
    found: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, new = adapter(tmp_path / "kind"), other(found, tmp_path)
    theirs, ours = plan(new), plan(found)
    write_pins(folder, pins_of(theirs))
    serving = Serving(found)
    served = ServedAdapters(serving, lambda: {"kind-adapter": str(folder)})
    with caplog.at_level(logging.WARNING, "policykit.serving"):
        served.begin()
    for said in (note(served), caplog.text):
        assert said is not None
        assert "PK842: profile `prompted`: the adapter was trained under" in said
        assert theirs.bundle_digest in said
        assert ours.bundle_digest in said
    serving.swap(new)
    assert note(served) is None
    serving.swap(found)
    assert ours.bundle_digest in str(note(served))


def test_an_adapter_that_says_nothing_is_named(found: Deployment, tmp_path: Path) -> None:
    served = ServedAdapters(Serving(found), lambda: {"kind-adapter": str(adapter(tmp_path / "kind"))})
    served.begin()
    assert f"`{FILE}` is missing" in str(note(served))


def test_nothing_starts_with_pins_that_are_not_the_adapters_own(
    found: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, serving = adapter(tmp_path / "kind"), Serving(found)
    write_pins(folder, pins_of(plan(found)))
    served = ServedAdapters(serving, lambda: {"kind-adapter": str(folder)})
    served.begin()
    whole = (folder / FILE).read_text()
    (folder / FILE).write_text(whole.replace(plan(found).bundle_digest, "sha256:" + "0" * 64))
    with pytest.raises(PolicyError, match="PK842: the weights were pinned to the bundle"):
        ServedAdapters(serving, lambda: {"kind-adapter": str(folder)}).begin()
    serving.swap(found)  # what runs goes on, and says so
    assert "the weights were pinned" in str(note(served))
    assert "the weights were pinned" in caplog.text
    (folder / FILE).write_text(whole)
    (folder / WEIGHTS).write_bytes(b"\xff" * 40)
    with pytest.raises(PolicyError, match="PK842: the weights that"):
        ServedAdapters(serving, lambda: {"kind-adapter": str(folder)}).begin()


def test_profiles_whose_adapter_is_elsewhere_are_left_out(found: Deployment, tmp_path: Path) -> None:
    served = ServedAdapters(Serving(found), lambda: {"another": str(adapter(tmp_path / "kind"))})
    served.begin()
    assert note(served) is None


# ---- in the engine, for each request


def test_the_engine_names_each_finding_once(
    found: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, new = adapter(tmp_path / "kind"), other(found, tmp_path)
    write_pins(folder, pins_of(plan(found)))
    pins, named = AdapterPins(), Adapter("kind-adapter", str(folder))
    with caplog.at_level(logging.WARNING, "vllm.policykit"):
        assert pins.check(named, plan(found)) == ()
        assert not caplog.records
        for _ in range(3):
            (said,) = pins.check(named, plan(new))
    assert (said.code, len(caplog.records)) == ("PK842", 1)
    assert "adapter `kind-adapter`" in caplog.text
    assert plan(new).bundle_digest in caplog.text
    assert plan(found).bundle_digest in caplog.text


def test_the_engine_sees_that_an_adapter_was_replaced(found: Deployment, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "kind")
    write_pins(folder, pins_of(plan(found)))
    pins, named = AdapterPins(), Adapter("kind-adapter", str(folder))
    assert pins.check(named, plan(found)) == ()
    (folder / FILE).write_text("{}")
    os.utime(folder / FILE, ns=(1, 1))
    with pytest.raises(PolicyError, match="PK842"):
        pins.check(named, plan(found))
    (folder / FILE).unlink()
    (said,) = pins.check(named, plan(found))
    assert "is missing" in said.message
    (gone,) = pins.check(Adapter("hub", "org/adapter"), plan(found))
    assert "is no folder here" in gone.message


def test_a_grammar_of_the_request_makes_no_other_adapter(found: Deployment, tmp_path: Path) -> None:
    """An adapter that was trained under the policies fits a request that brings a grammar of its own."""
    import policykit as pk

    folder = adapter(tmp_path / "kind")
    alone = plan(found, "open")
    write_pins(folder, pins_of(alone))
    shaped = alone.with_grammar(pk.Grammar.from_choices(["yes", "no"]))
    assert shaped.bundle_digest != alone.bundle_digest
    assert AdapterPins().check(Adapter("kind", str(folder)), shaped) == ()
    write_pins(folder, pins_of(shaped))
    assert AdapterPins().check(Adapter("kind", str(folder)), shaped) == ()
    assert AdapterPins().check(Adapter("kind", str(folder)), alone) != ()
