"""Strategies that go back before a vLLM that knows nothing of policykit: no plugin, no backend of ours, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import policykit as pk
from policykit.embedded import model_path
from policykit.profiles import load_profiles
from policykit.serving import Deployment, Guard, Serving
from policykit.serving.run import gateway
from tests.serving import drawn
from tests.serving.real_vllm import Server, plain_command, vllm_served
from tests.serving.running import Kept, served
from tests.serving.test_plain_drawing import NAMES, House
from tests.serving.test_real_vllm_strategies import OWN

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plain")
    with vllm_served(folder, OWN, variables={"VLLM_PLUGINS": ""}, started=plain_command) as found:
        yield found


@pytest.fixture(scope="module")
def house(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("profiles")
    drawn.write(folder)
    log, found = Kept(), gateway(server.url, None, "embedded", Path(model_path()))
    serving = Serving(Deployment(load_profiles(folder), drawn.keys(), model="embedded"))
    with served(Guard(serving, found.upstream, log, drawing=found.drawing)) as url:
        yield House(url, log, None)  # type: ignore[arg-type] (the model is not of this process)


@pytest.mark.parametrize("name", NAMES)
def test_answers_hold_the_plan_and_the_record_says_what_they_cost(house: House, name: str) -> None:
    drawn.check_answers(house.client(), name, house.last)


@pytest.mark.parametrize("name", NAMES)
def test_less_legal_mass_than_the_profile_asks_for_ends_early(house: House, name: str) -> None:
    drawn.check_least(house.client(), name, house.last)


def test_what_nobody_asks_for_is_not_taken_from_the_model_s_folder(house: House) -> None:
    """The gateway has found out that the server is a vLLM, and says what that would take from there."""
    for name in ("masked", "reject"):
        assert len({drawn.said(house.client(), name, seed=seed, max_tokens=2)[0] for seed in range(8)}) > 1


def test_a_tokenizer_of_another_model_is_refused_by_name(server: Server, tmp_path: Path) -> None:
    """The same tokens in another order."""
    import json

    data = json.loads((Path(model_path()) / "tokenizer.json").read_text("utf-8"))
    vocabulary = data["model"]["vocab"]
    letters = sorted((piece for piece in vocabulary if len(piece) > 1), key=lambda piece: vocabulary[piece])
    ids = [vocabulary[piece] for piece in letters]
    vocabulary.update(zip(letters, ids[1:] + ids[:1], strict=True))
    (tmp_path / "tokenizer.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(pk.PolicyError, match=r"PK722.*another one to the tokenizer"):
        gateway(server.url, None, "embedded", tmp_path)
