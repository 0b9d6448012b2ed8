"""Every route and field of vLLM is in the table of its version, and nothing else is.

0.32 is the one that is installed; 0.33 is the source that the environment names, with the installed one's compiled
modules in place of its own, which are for a GPU.
"""

import os
from pathlib import Path

import pytest

from policykit.serving.fields import load_table
from tests.serving.fields.compare import described, differences

pytestmark = pytest.mark.vllm


def test_the_installed_vllm_has_nothing_that_the_table_has_not() -> None:
    found = described("vllm")
    assert found["version"].startswith("0.32.")
    assert differences(found, load_table("vllm-0.32")) == []


def test_the_other_version_has_nothing_that_its_table_has_not(tmp_path: Path) -> None:
    import vllm

    package = tmp_path / "vllm"
    package.mkdir()
    for source, is_compiled in (
        (Path(os.environ["POLICYKIT_VLLM_033"]) / "vllm", False),
        (Path(vllm.__path__[0]), True),
    ):
        for path in source.iterdir():
            if (path.suffix == ".so") is is_compiled:
                (package / path.name).symlink_to(path)
    found = described("vllm", tmp_path)
    assert found["version"].startswith("0.33.")
    assert differences(found, load_table("vllm-0.33")) == []
