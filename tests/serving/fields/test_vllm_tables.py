"""Every route and field of vLLM is in the table of its version, and nothing else is.

0.32 is the one that is installed; 0.33 is the source that the environment names, with the installed one's compiled
modules in place of its own, which are for a GPU.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from policykit.serving.fields import load_table
from tests.serving.fields.compare import described, differences

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """What each version describes. Both are imported at once, by a process each."""
    import vllm

    package = tmp_path_factory.mktemp("other") / "vllm"
    package.mkdir()
    for source, is_compiled in (
        (Path(os.environ["POLICYKIT_VLLM_033"]) / "vllm", False),
        (Path(vllm.__path__[0]), True),
    ):
        for path in source.iterdir():
            if (path.suffix == ".so") is is_compiled:
                (package / path.name).symlink_to(path)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(described, "vllm", package.parent)
        yield {"0.32": pool.submit(described, "vllm"), "0.33": other}


@pytest.mark.parametrize("version", ["0.32", "0.33"])
def test_a_version_has_nothing_that_its_table_has_not(
    versions: dict[str, Future[dict[str, Any]]], version: str
) -> None:
    found = versions[version].result()
    assert found["version"].startswith(f"{version}.")
    assert differences(found, load_table(f"vllm-{version}")) == []
