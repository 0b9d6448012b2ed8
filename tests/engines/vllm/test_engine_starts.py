"""Starts that must fail, speculative decoding, adapters, and what vLLM's source says in each version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from policykit.diagnostics import PolicyError
from policykit.embedded import model_path
from policykit.engines.vllm.contracts import check_source
from tests.engines.vllm.conftest import Guard

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


CONFIGURED = """\
import os, vllm
vllm.__version__ = os.environ.get("POLICYKIT_TEST_VERSION", vllm.__version__)
from vllm.plugins import load_general_plugins
load_general_plugins()
from vllm.config import StructuredOutputsConfig
print("configured", StructuredOutputsConfig(backend="policykit"))
"""


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, ""),
        ({"VLLM_PLUGINS": "none"}, "Input should be"),
        ({"POLICYKIT_TEST_VERSION": "0.99.0"}, "PK744"),
    ],
    ids=["with the plugin", "without it", "an untested version"],
)
def test_without_the_plugin_the_backend_has_no_name(environment: dict[str, str], says: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CONFIGURED],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ("configured" in ran.stdout) == (not environment), ran.stderr
    assert says in ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["drafts", "adapters", "pins"])
def test_engines_of_other_kinds(guard: Guard, name: str, tmp_path: Path) -> None:
    """An engine each, in a process of its own: vLLM cannot start two in one."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.engines.vllm.apart", name, str(tmp_path)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "held" in ran.stdout
