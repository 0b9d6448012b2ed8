"""Starts that must fail, speculative decoding, adapters, and what vLLM's source says in each version."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from policykit.diagnostics import PolicyError
from policykit.embedded import model_path
from policykit.engines.vllm.contracts import check_source
from tests.engines.vllm.conftest import Guard
from tests.serving.real_vllm import importer

pytestmark = pytest.mark.vllm


def test_the_installed_source_says_what_is_relied_on() -> None:
    import vllm

    check_source(Path(vllm.__file__).parent)


def test_the_other_version_says_it_too() -> None:
    """The source of vLLM 0.33, unpacked from its wheel into the folder that the environment names."""
    check_source(Path(os.environ["POLICYKIT_VLLM_033"]) / "vllm")


def test_an_engine_without_tokenizer_does_not_start(start: object) -> None:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.structured_output import StructuredOutputManager

    args = EngineArgs(
        model=str(model_path()), skip_tokenizer_init=True, structured_outputs_config={"backend": "policykit"}
    )
    with pytest.raises(PolicyError, match="PK747"):
        StructuredOutputManager(args.create_engine_config())


def ran(folder: Path, environment: Mapping[str, str], name: str, *arguments: str) -> tuple[int, list[str]]:
    """The exit status and the lines of a program beside this one."""
    command, said = (sys.executable, "-m", f"tests.engines.vllm.{name}", *arguments), folder / "said.txt"
    with said.open("wb") as output:
        process = importer().start(command, {**os.environ, **environment}, output)
    try:
        return process.wait(300), said.read_text("utf-8", "replace").splitlines()
    finally:
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, ""),
        ({"VLLM_PLUGINS": "none"}, "Input should be"),
        ({"POLICYKIT_TEST_VERSION": "0.99.0"}, "PK744"),
    ],
    ids=["with the plugin", "without it", "an untested version"],
)
def test_without_the_plugin_the_backend_has_no_name(environment: dict[str, str], says: str, tmp_path: Path) -> None:
    status, lines = ran(tmp_path, environment, "configured")
    said = "\n".join(lines)
    assert (status == 0, any(line.startswith("configured") for line in lines)) == (not environment,) * 2, said
    assert says in said


@pytest.mark.parametrize("name", ["drafts", "adapters", "pins"])
def test_engines_of_other_kinds(guard: Guard, name: str, tmp_path: Path) -> None:
    """An engine each, in a process of its own: vLLM cannot start two in one."""
    status, lines = ran(tmp_path, {}, "apart", name, str(tmp_path))
    assert status == 0, "\n".join(lines)[-3000:]
    assert "held" in lines
