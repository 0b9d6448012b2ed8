"""A composed adapter is the sum of its parts: against PEFT with several adapters at once, and against products of
matrices; everything that is no sum is refused with its reason."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from policykit.diagnostics import PolicyError

torch = pytest.importorskip("torch", reason="adapters need torch")
peft = pytest.importorskip("peft", reason="adapters need peft")

from safetensors.torch import load_file, save_file  # noqa: E402

from policykit.adapters.compose import WRONG, Composed, compose, max_lora_rank  # noqa: E402
from policykit.engines.transformers import load_model  # noqa: E402

torch.set_num_threads(1)
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IDS = [[5, 60, 71, 9, 200, 33, 8]]


def adapter(folder: Path, seed: int, **settings: Any) -> Path:
    torch.manual_seed(seed)
    model, _ = load_model("embedded")
    settings = {"r": 4, "target_modules": LAYERS, "task_type": "CAUSAL_LM", **settings}
    made: Any = peft.get_peft_model(model, peft.LoraConfig(init_lora_weights=False, **settings))
    made.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Of several ranks, scales and layers: with patterns, with rank-stabilised scaling, and on few layers only."""
    root = tmp_path_factory.mktemp("parts")
    patterns = {"rank_pattern": {"v_proj": 2, "layers.0.self_attn.q_proj": 7}, "alpha_pattern": {"o_proj": 3}}
    return (
        adapter(root / "enterprise", 1, r=4, lora_alpha=8, **patterns),
        adapter(root / "tenant", 2, r=9, lora_alpha=5, use_rslora=True),
        adapter(root / "locale", 3, r=2, lora_alpha=2, target_modules=["down_proj", "embed_tokens"]),
    )


def with_adapters(folders: Sequence[Path], active: Sequence[str] | None = None) -> Any:
    model, _ = load_model("embedded")
    first, *others = folders
    wrapped: Any = peft.PeftModel.from_pretrained(model, str(first), adapter_name=first.name)
    for other in others:
        wrapped.load_adapter(str(other), adapter_name=other.name)
    wrapped.base_model.set_adapter(list(active or [folder.name for folder in folders]))
    return wrapped.eval()


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(input_ids=torch.tensor(IDS)).logits


def test_the_composed_adapter_does_what_all_do_together(parts: tuple[Path, ...], tmp_path: Path) -> None:
    made = compose(parts, tmp_path / "all")
    assert (made.rank, made.max_lora_rank) == (7 + 9 + 2, 32)
    together, one = with_adapters(parts), with_adapters([made.folder])
    wanted, found = logits(together), logits(one)
    scale = wanted.abs().max()
    assert (found - wanted).abs().max() / scale < 1e-5
    plain, _ = load_model("embedded")
    assert (logits(plain) - wanted).abs().max() / scale > 0.1  # there is something to be equal to


def test_every_layer_changes_by_the_sum_of_the_changes(parts: tuple[Path, ...], tmp_path: Path) -> None:
    weights = (1.0, -0.5, 2.0)
    made = compose(parts, tmp_path / "all", weights=weights)
    wanted: dict[str, Any] = {}
    for folder, weight in zip(parts, weights, strict=True):
        wrapped = with_adapters([folder])
        for name, module in wrapped.named_modules():
            if hasattr(module, "get_delta_weight") and folder.name in {*module.lora_A, *module.lora_embedding_A}:
                change = weight * module.get_delta_weight(folder.name).double()
                wanted[name] = wanted.get(name, 0.0) + change
    one = with_adapters([made.folder])
    found = {n: m.get_delta_weight("all") for n, m in one.named_modules() if hasattr(m, "get_delta_weight")}
    assert set(found) == set(wanted)
    for name, change in wanted.items():
        assert (found[name] - change).abs().max() <= 1e-5 * change.abs().max(), name


def test_it_is_what_peft_makes_by_cat_where_peft_is_right(tmp_path: Path) -> None:
    folders = [adapter(tmp_path / name, seed, r=3, lora_alpha=6) for name, seed in (("a", 1), ("b", 2))]
    made = compose(folders, tmp_path / "ours")
    wrapped = with_adapters(folders)
    wrapped.add_weighted_adapter(["a", "b"], [1.0, 1.0], "theirs", combination_type="cat")
    wrapped.base_model.set_adapter(["theirs"])
    assert (logits(wrapped) - logits(with_adapters([made.folder]))).abs().max() < 1e-4
    stabilised = [adapter(tmp_path / f"rs{name}", seed, r=4, use_rslora=True) for name, seed in (("a", 1), ("b", 2))]
    wrapped = with_adapters(stabilised)
    together = logits(wrapped)
    ours = logits(with_adapters([compose(stabilised, tmp_path / "rs").folder]))
    wrapped.add_weighted_adapter([f.name for f in stabilised], [1.0, 1.0], "theirs", combination_type="cat")
    wrapped.base_model.set_adapter(["theirs"])
    scale = together.abs().max()
    assert (ours - together).abs().max() / scale < 1e-5
    assert (logits(wrapped) - together).abs().max() / scale > 0.05  # scaled by the root of the rank too much


@pytest.mark.parametrize("method", ["linear", "svd"])
def test_the_refused_combinations_are_wrong_indeed(method: str, tmp_path: Path) -> None:
    folders = [adapter(tmp_path / name, seed, r=4, lora_alpha=8) for name, seed in (("a", 1), ("b", 2))]
    wrapped = with_adapters(folders)
    together = logits(wrapped)
    wrapped.add_weighted_adapter(["a", "b"], [1.0, 1.0], "theirs", combination_type=method)
    wrapped.base_model.set_adapter(["theirs"])
    assert (logits(wrapped) - together).abs().max() / together.abs().max() > 0.05


@pytest.mark.parametrize(("method", "why"), [*WRONG.items(), ("kat", "did you mean `cat`")])
def test_every_other_combination_is_refused_by_name_and_reason(method: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="PK843") as caught:
        compose([tmp_path], tmp_path / "out", method=method)
    assert method in str(caught.value)
    assert why in str(caught.value)


def test_peft_knows_no_combination_that_is_not_named_here() -> None:
    import typing

    made = peft.LoraModel.add_weighted_adapter
    known = typing.get_args(typing.get_type_hints(made)["combination_type"])
    assert set(known) == {"cat", *WRONG}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True, "target_modules": ["q_proj"]}, "DoRA"),
        ({"bias": "lora_only"}, "biases"),
        ({"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]}, "modules_to_save"),
        ({"trainable_token_indices": [5], "target_modules": ["q_proj"]}, "trainable_token_indices"),
    ],
)
def test_what_is_no_sum_is_refused(settings: dict[str, Any], why: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "strange", 1, **settings)
    with pytest.raises(PolicyError, match="PK843") as caught:
        compose([folder], tmp_path / "out")
    assert why in str(caught.value)
    assert not (tmp_path / "out").exists()


def changed(folder: Path, target: Path, **settings: object) -> Path:
    target.mkdir()
    config = json.loads((folder / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps({**config, **settings}))
    save_file(load_file(folder / "adapter_model.safetensors"), target / "adapter_model.safetensors")
    return target


def test_adapters_that_do_not_belong_together_are_refused(parts: tuple[Path, ...], tmp_path: Path) -> None:
    other = changed(parts[0], tmp_path / "other", base_model_name_or_path="another/model")
    pissa = changed(parts[0], tmp_path / "pissa", init_lora_weights="pissa_niter_4")
    for folders, why in (
        ([parts[1], other], "`base_model_name_or_path` is `another/model`"),
        ([pissa], "changed the base model"),
        ([tmp_path / "nothing"], "no adapter can be read"),
        ([], "0 weights for 0 adapters"),
    ):
        with pytest.raises(PolicyError, match="PK843") as caught:
            compose(folders, tmp_path / "out")
        assert why in str(caught.value)
    with pytest.raises(PolicyError, match="1 weights for 2"):
        compose(parts[:2], tmp_path / "out", weights=[1.0])


def test_the_rank_that_vllm_needs() -> None:
    assert [max_lora_rank(rank) for rank in (1, 2, 8, 9, 64, 512)] == [1, 8, 8, 16, 64, 512]
    with pytest.raises(PolicyError, match="none above 512"):
        max_lora_rank(513)


def test_composition_is_associative_up_to_the_order_of_ranks(parts: tuple[Path, ...], tmp_path: Path) -> None:
    def sums(made: Composed) -> Any:
        return logits(with_adapters([made.folder]))

    first = compose(parts[:2], tmp_path / "ab")
    nested = sums(compose([first.folder, parts[2]], tmp_path / "ab-c"))
    flat = sums(compose(parts, tmp_path / "abc"))
    assert (nested - flat).abs().max() / flat.abs().max() < 1e-5
