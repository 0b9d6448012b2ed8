"""A reward model's digest covers all that rewards depend on, whatever other libraries find to read in the folder."""

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.adapters.reward import FILE, PLOT, RewardModelFile, reward_digest, write_reward_file
from policykit.diagnostics import PolicyError
from tests.serving.rewarding import made, named_only

torch = pytest.importorskip("torch", reason="a reward model needs torch")
pytest.importorskip("peft", reason="adapters need peft")

ABOUT = ("README.md", PLOT, "lambda.svg", "policykit.json")
NAMES = st.text("ab. -_", min_size=1, max_size=4).filter(lambda name: set(name) != {"."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.sampled_from([b"", b"a", b"ab"]), max_size=4).filter(
    lambda tree: not any(other.startswith(f"{one}/") for one in tree for other in tree)
)


def by_hand(tree: dict[str, bytes]) -> str:
    """The digest of files by path and content."""
    lines = [f"{path} {sha256(tree[path]).hexdigest()}\n" for path in sorted(tree, key=lambda path: path.split("/"))]
    return "sha256:" + sha256("".join(lines).encode()).hexdigest()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TREES, TREES)
def test_it_is_of_all_files_by_path_and_content(tmp_path: Path, one: dict[str, bytes], other: dict[str, bytes]) -> None:
    digests: list[str] = []
    for tree in (one, other):
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        named_only(tmp_path / "model")
        for path, content in tree.items():
            (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "model" / path).write_bytes(content)
        own = {name: (tmp_path / "model" / name).read_bytes() for name in (FILE, "adapter_model.safetensors")}
        digests.append(reward_digest(tmp_path / "model"))
        assert digests[-1] == by_hand({**own, **tree})
        for name in ABOUT:
            (tmp_path / "model" / name).write_text("what is said of it")
        assert reward_digest(tmp_path / "model") == digests[-1]
    assert (digests[0] == digests[1]) == (one == other)


def test_a_link_to_a_file_is_that_file_and_what_a_folder_below_has_is_no_card(tmp_path: Path) -> None:
    before, model = named_only(tmp_path / "model"), tmp_path / "model"
    (tmp_path / "outside").write_text("a")
    (model / "vocab.json").symlink_to(tmp_path / "outside")
    linked = reward_digest(model)
    (tmp_path / "outside").write_text("b")
    assert len({before, linked, reward_digest(model)}) == 3
    before = reward_digest(model)
    (model / "below").mkdir()
    (model / "below" / "README.md").write_text("a")
    assert reward_digest(model) != before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda model: (model / "additional_chat_templates").symlink_to(model.parent),
        lambda model: (model / "model.bin").symlink_to(model / "nowhere"),
        lambda model: os.mkfifo(model / "tokenizer.json"),
        lambda model: (model / "a b\nc").touch(),
        lambda model: (model / "adapter_model.safetensors").unlink(),
        lambda model: (model / FILE).unlink(),
    ],
    ids=["a folder by link", "a link to nothing", "no file", "a name of two lines", "no weights", "no reward model"],
)
def test_what_no_digest_covers_is_refused(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    named_only(tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(PolicyError, match="PK786"):
        reward_digest(tmp_path / "model")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "whole"
    made(folder)
    return folder


def changed(whole: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of a whole model without its weights; and those, with another head."""
    from safetensors.torch import load_file

    shutil.copytree(whole, folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    return folder, {**weights, "score.weight": weights["score.weight"] * 3}


@pytest.mark.parametrize("is_sharded", [False, True])
def test_weights_under_another_name_are_refused(whole: Path, tmp_path: Path, is_sharded: bool) -> None:
    """transformers would take them."""
    from safetensors.torch import save_file

    from policykit.adapters.reward_model import RewardModel

    folder, weights = changed(whole, tmp_path / "model")
    if is_sharded:
        save_file(weights, folder / "a.safetensors", {"format": "pt"})
        index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "a.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        torch.save(weights, folder / "pytorch_model.bin")
    for read in (reward_digest, RewardModel.load):
        with pytest.raises(PolicyError, match=r"PK786.*`model.safetensors` is missing"):
            read(folder)


def test_a_whole_model_with_an_adapter_beside_it_is_refused(whole: Path, tmp_path: Path) -> None:
    """transformers would take the model that the adapter names."""
    from policykit.adapters.reward_model import RewardModel

    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "another"}')
    for read in (reward_digest, RewardModel.load):
        with pytest.raises(PolicyError, match=r"PK786.*an adapter of another model"):
            read(folder)


def test_another_way_to_write_messages_is_another_model(whole: Path, tmp_path: Path) -> None:
    from policykit.adapters.reward_model import RewardModel, Text

    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    asked = [Text([{"role": "user", "content": "Is it safe?"}], "It is.")]
    before = reward_digest(folder), RewardModel.load(folder).rewards(asked)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "default.jinja").write_text("{{ messages[0]['content'] }} Well?")
    after = reward_digest(folder), RewardModel.load(folder).rewards(asked)
    assert before[1] != after[1]
    assert before[0] != after[0]


def test_weights_of_an_adapter_count_whatever_lies_beside_them(tmp_path: Path) -> None:
    model = tmp_path / "model"
    named_only(model)
    (model / "model.safetensors").write_bytes(b"those of something else")
    before = reward_digest(model)
    (model / "adapter_model.safetensors").write_bytes(b"a")
    assert reward_digest(model) != before
    write_reward_file(model, RewardModelFile("embedded", (), True, None, None))
    assert reward_digest(model) != before
