"""What users of phrase bans ask for, on the real engine: back far enough, nothing taken back, as many as they like."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policykit.engines import attest
from policykit.engines.vllm.sampling import BLOCK, MODE, VllmEngine
from tests.decoding.test_phrase_bans import check_ten_thousand
from tests.engines import bans

pytestmark = pytest.mark.vllm
FIXED: dict[str, Any] = {"enforce_eager": True, "dtype": "float32", "distributed_executor_backend": "uni"}


@pytest.fixture(scope="module", autouse=True)
def attempting(guard: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(attest.ATTEMPTS, "1")
        yield


@pytest.fixture(scope="module")
def small(attempting: None, tmp_path_factory: pytest.TempPathFactory) -> VllmEngine:
    """The model whose every text can be listed."""
    folder: Path = tmp_path_factory.mktemp("listed")
    bans.listed_llama.write(folder, bans.PIECES, seed=bans.SEED)
    return VllmEngine.load(str(folder), max_model_len=64, **FIXED)


def test_where_nothing_good_can_follow_it_goes_back_far_enough(small: VllmEngine) -> None:
    bans.check_far_back(small)


def test_what_is_shown_is_never_taken_back(small: VllmEngine) -> None:
    bans.check_takes_nothing_back(small)


def test_ten_thousand_phrases_are_held(start: Any, attempting: None) -> None:
    check_ten_thousand(VllmEngine.of(start(logprobs_mode=MODE, block_size=BLOCK)))
