"""What an adapter says about its training travels with it, and is compared when it is loaded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.plan import Plan
from policykit.plan.pins import (
    DataPin,
    Weight,
    check_pins,
    pin_diagnostics,
    pins_of,
    read_pins,
    write_pins,
)

torch = pytest.importorskip("torch", reason="adapters need torch")
pytest.importorskip("peft", reason="adapters need peft")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from policykit.adapters.compose import compose  # noqa: E402
from policykit.adapters.loading import load  # noqa: E402

from .test_compose import adapter  # noqa: E402

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {{name: finance/promises, version: {version}, owner: compliance@example.org, why: no promises of returns}}
rules:
  - {{id: guarantee, match: {{phrases: [{phrase}]}}, action: {{block: {{message: no}}}}}}
tests:
  - {{name: one, given: {{output: {phrase}}}, expect: {{decision: block, rules: [guarantee]}}}}
"""


def plan(folder: Path, version: str = "1.0.0", phrase: str = "guaranteed returns") -> Plan:
    path = folder / f"{version}-{len(phrase)}.policy.yaml"
    path.write_text(POLICY.format(version=version, phrase=phrase), "utf-8")
    return pk.compile(pk.load_policies(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return adapter(tmp_path / "tuned", 1, target_modules=["q_proj"])


def test_pins_are_read_as_they_were_written_and_weights_stay(folder: Path, tmp_path: Path) -> None:
    before = load_file(folder / "adapter_model.safetensors")
    made = pins_of(plan(tmp_path), [DataPin("train.jsonl", "sha256:1", 7)], ["sft", "rloo"])
    more = replace(made, weights=(Weight(1, "guarantee", 0.5),), evaluation={"violations": 0.01, "texts": 300})
    full = replace(more, parents=(("base", "sha256:2"),))
    for pins in (made, full):
        write_pins(folder, pins)
        assert read_pins(folder) == pins
    assert made.policies == ("finance/promises@1.0.0",)
    after = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before | after)
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "policykit.bundle_digest": made.bundle_digest}


def test_pins_are_of_the_adapter_where_a_whole_model_lies_beside_it(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "tuned" / "model.safetensors"
    whole.write_bytes(b"those of something else")
    made = pins_of(plan(tmp_path))
    write_pins(folder, made)
    assert read_pins(folder) == made
    assert whole.read_bytes() == b"those of something else"


def test_a_digest_that_differs_is_named_when_loading(folder: Path, tmp_path: Path) -> None:
    trained, served = plan(tmp_path), plan(tmp_path, "1.1.0", "risk free")
    (missing,) = load("embedded", folder, trained).warnings
    assert missing.code == "PK842"
    assert "`policykit.json` is missing" in missing.message
    write_pins(folder, pins_of(trained))
    assert load("embedded", folder, trained).warnings == ()
    (other,) = load("embedded", folder, served).warnings
    assert trained.bundle_digest in other.message
    assert served.bundle_digest in other.message
    assert other.help == "only the adapter: finance/promises@1.0.0; only the plan: finance/promises@1.1.0"
    (same_name,) = pin_diagnostics(read_pins(folder), plan(tmp_path, "1.0.0", "risk free"), folder)
    assert same_name.help == "the same policies by name and version, with other content"
    with pytest.raises(PolicyError, match="PK842"):
        check_pins(read_pins(folder), served, folder)
    check_pins(read_pins(folder), trained, folder)


def test_pins_of_other_weights_and_broken_pins_are_refused(folder: Path, tmp_path: Path) -> None:
    write_pins(folder, pins_of(plan(tmp_path)))
    taken = tmp_path / "taken"
    shutil.copytree(folder, taken)
    write_pins(taken, pins_of(plan(tmp_path, "1.1.0", "risk free")))
    shutil.copy(folder / "policykit.json", taken / "policykit.json")
    with pytest.raises(PolicyError, match="the weights were pinned to the bundle"):
        read_pins(taken)
    for broken in ("{", "[]", json.dumps({"format": "policykit.pins/v9"}), json.dumps({"format": "policykit.pins/v1"})):
        (folder / "policykit.json").write_text(broken)
        with pytest.raises(PolicyError, match="PK842"):
            load("embedded", folder)


def test_a_composed_adapter_has_the_pins_of_its_parts(tmp_path: Path) -> None:
    under, other = plan(tmp_path), plan(tmp_path, "1.1.0", "risk free")
    folders = [adapter(tmp_path / name, seed, target_modules=["q_proj"]) for name, seed in (("base", 1), ("tenant", 2))]
    write_pins(folders[0], pins_of(under, [DataPin("a", "sha256:a")]))
    assert compose(folders, tmp_path / "half").pins is None
    write_pins(folders[1], pins_of(under, [DataPin("b", "sha256:b")]))
    pins = compose(folders, tmp_path / "both").pins
    assert pins is not None
    assert pins == read_pins(tmp_path / "both")
    assert [one.name for one in pins.data] == ["a", "b"]
    assert pins.parents == (("base", under.bundle_digest), ("tenant", under.bundle_digest))
    write_pins(folders[1], pins_of(other))
    with pytest.raises(PolicyError, match="several bundles"):
        compose(folders, tmp_path / "mixed")


def test_a_folder_with_an_adapter_stands_for_its_model(folder: Path) -> None:
    found = load(folder)
    assert found.peft is not None
    assert found.base_forward() is not None
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": None}))
    with pytest.raises(PolicyError, match="which model it belongs to"):
        load(folder)


def test_an_adapter_of_another_model_is_refused(folder: Path) -> None:
    tensors = {name: torch.zeros(3, 5) for name in load_file(folder / "adapter_model.safetensors")}
    from safetensors.torch import save_file

    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(PolicyError, match="PK843"):
        load("embedded", folder)
