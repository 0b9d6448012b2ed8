"""What users of phrase bans ask for, on transformers: back far enough, nothing taken back. The number of phrases has no
cap there, either: `tests/decoding/test_phrase_bans.py`."""

import pytest

pytest.importorskip("torch")

from policykit.engines.sampling import TransformersEngine
from policykit.engines.transformers import load_model
from tests.engines import bans


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("listed")
    bans.listed_llama.write(folder, bans.PIECES, seed=bans.SEED)
    return TransformersEngine.of(*load_model(str(folder)), chat=False)


def test_where_nothing_good_can_follow_it_goes_back_far_enough(engine: TransformersEngine) -> None:
    bans.check_far_back(engine)


def test_what_is_shown_is_never_taken_back(engine: TransformersEngine) -> None:
    bans.check_takes_nothing_back(engine)
