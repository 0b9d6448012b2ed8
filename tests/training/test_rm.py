"""Reward models: the loss by hand, small trainings, what is left of them, and their use as rewards of others."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

import policykit as pk
from policykit.adapters.reward import FILE, read_reward_file, reward_digest
from policykit.adapters.reward_model import RewardModel, Text
from policykit.decoding import Answer, Finish
from policykit.diagnostics import PolicyError
from policykit.engines.encoding import encode
from policykit.plan.pins import read_pins
from policykit.training.kinds import rm
from policykit.training.preferences import bradley_terry_loss
from policykit.training.session import prepare, train
from tests.rewards.test_rewards import PLAN, blocked, policies

from .offline import HEAD, metrics, routed, write_training

GOOD, BAD, RISKY = "It may fall in value.", "It has guaranteed returns.", "It is risk free."
PAIR = {"prompt": "Is it safe?", "chosen": GOOD, "rejected": BAD}


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_loss_by_hand() -> None:
    assert bradley_terry_loss(t(3), t(1)).item() == pytest.approx(-math.log(sigmoid(2)))
    assert bradley_terry_loss(t(3), t(1), margin=t(2)).item() == pytest.approx(math.log(2))
    smooth = -0.9 * math.log(sigmoid(2)) - 0.1 * math.log(sigmoid(-2))
    assert bradley_terry_loss(t(3), t(1), label_smoothing=0.1).item() == pytest.approx(smooth)
    assert bradley_terry_loss(t(3), t(1), centre=0.5).item() == pytest.approx(-math.log(sigmoid(2)) + 8)
    tie = bradley_terry_loss(t(2, -1), t(2, 1), label_smoothing=t(0.5, 0.5))
    assert tie.tolist() == pytest.approx([math.log(2), -(math.log(sigmoid(2)) + math.log(sigmoid(-2))) / 2])


def test_its_gradients_are_finite_differences() -> None:
    chosen, rejected = t(0.3, -2.0, 4.0).requires_grad_(), t(-0.2, 1.0, 4.0).requires_grad_()
    more: Any = {"margin": t(0.0, 1.5, 0.2), "label_smoothing": t(0.0, 0.5, 0.1), "centre": 0.05}
    assert torch.autograd.gradcheck(lambda a, b: bradley_terry_loss(a, b, **more), (chosen, rejected))


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-20, 20))
def test_a_level_matters_to_the_centre_alone(chosen: float, rejected: float, level: float) -> None:
    plain = bradley_terry_loss(t(chosen), t(rejected)).item()
    assert bradley_terry_loss(t(chosen + level), t(rejected + level)).item() == pytest.approx(plain, abs=1e-9)
    centred = bradley_terry_loss(t(chosen + level), t(rejected + level), centre=2.0).item()
    assert centred == pytest.approx(plain + 2 * (chosen + rejected + 2 * level) ** 2, abs=1e-6)


def styled(n: int, seed: int) -> list[dict[str, Any]]:
    """Answers in a form that the model does not know, preferred to its own manner."""
    rejected = "I do not know who is to be asked."
    return [{"prompt": r["prompt"], "chosen": r["completion"], "rejected": rejected} for r in routed(n, seed)]


def promised(n: int, seed: int) -> list[dict[str, Any]]:
    """Answers that keep the plan, preferred to answers that break one rule of it or the other."""
    return [
        {"prompt": row["prompt"], "chosen": GOOD, "rejected": (BAD, RISKY)[i % 2]}
        for i, row in enumerate(routed(n, seed))
    ]


def under_plan(folder: Path, more: str, rows: Any, held_out: Any, plan: pk.Plan = PLAN) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    plan.save(folder / "plan.json")
    return write_training(folder, f"{HEAD}plan: plan.json\n{more}", rows, held_out)


def test_it_learns_what_is_preferred_and_says_how_sure_it_is(tmp_path: Path) -> None:
    text = HEAD.replace("rate: 0.005", "rate: 0.002").replace("steps: 6, batch: 8", "steps: 8, batch: 4")
    train(prepare(rm.KIND, write_training(tmp_path, text, styled(32, 1), styled(24, 2))))
    first, _, last = (line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut")
    assert (first["accuracy"], first["loss"]) == (0.5, pytest.approx(math.log(2)))  # every reward is 0
    assert last["accuracy"] > 0.9
    assert last["pairs"] == 24
    assert {"calibration/error", "calibration/error calibrated", "calibration/temperature"} <= set(last)
    assert "<svg" in (tmp_path / "run" / "plots" / "reliability.svg").read_text()
    assert "plots/reliability.svg" in (tmp_path / "run" / "summary.md").read_text()
    model = RewardModel.load(tmp_path / "run" / "reward-model")
    assert model.file.is_calibrated
    row = styled(1, 3)[0]
    good, bad = model.rewards([Text(row["prompt"], row["chosen"]), Text(row["prompt"], row["rejected"])])
    assert good > bad


def test_a_saved_model_rewards_as_the_trained_one_did(tmp_path: Path) -> None:
    """And as transformers' own class does, which is another computation of the head."""
    from transformers import AutoModelForSequenceClassification

    text = HEAD.replace("lora: {rank: 4}\n", "rm: {weights: full, centre: 0.1}\n").replace("steps: 6", "steps: 3")
    train(prepare(rm.KIND, write_training(tmp_path, text, styled(16, 1), styled(6, 2))))

    folder = tmp_path / "run" / "reward-model"
    model = RewardModel.load(folder)
    assert model.file.is_full
    theirs: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    last = [line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut"][-2]
    sides: dict[str, list[float]] = {"chosen": [], "rejected": []}
    for row in styled(6, 2):
        for side in sides:
            (ours,) = model.rewards([Text(row["prompt"], row[side])])
            ids = torch.tensor([encode(model.tokenizer, row["prompt"], row[side]).token_ids])
            with torch.no_grad():
                assert theirs(input_ids=ids).logits.item() == pytest.approx(ours * model.file.temperature, abs=1e-4)
            sides[side].append(ours * model.file.temperature)
    for side, rewards in sides.items():
        assert sum(rewards) / 6 == pytest.approx(last[side], abs=1e-3)
    _check_tokenizer(folder)


def _check_tokenizer(folder: Path) -> None:
    """Under another tokenizer rewards are others: the digest is another, and one with too many tokens is refused."""
    before, path = reward_digest(folder), folder / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    data["added_tokens"].append({**data["added_tokens"][-1], "id": 1 << 20, "content": "<|another|>"})
    data["model"]["vocab"]["<|another|>"] = 1 << 20
    path.write_text(json.dumps(data), "utf-8")
    assert reward_digest(folder) != before
    with pytest.raises(PolicyError, match=r"PK786.*its tokenizer one of the number 1048576"):
        RewardModel.load(folder)


def test_a_batch_is_the_same_in_one_piece_and_in_eight(tmp_path: Path) -> None:
    rows, more = promised(8, 1), "rm: {features: costs, margin: 1, bothBad: keep}\n"
    train(prepare(rm.KIND, under_plan(tmp_path / "whole", more, rows, rows[:3])))
    file = under_plan(tmp_path / "parts", more, rows, rows[:3])
    file.write_text(file.read_text().replace("batch: 8", "batch: 8, microBatch: 1"))
    train(prepare(rm.KIND, file))
    for one, other in zip(metrics(tmp_path / "whole" / "run"), metrics(tmp_path / "parts" / "run"), strict=True):
        assert one.pop("phase") == other.pop("phase")
        assert one == pytest.approx(other, rel=5e-3, abs=1e-3)


def test_a_run_that_goes_on_is_the_one_that_never_stopped(tmp_path: Path) -> None:
    rows, more = promised(16, 1), "rm: {features: verdicts}\n"
    for name in ("whole", "cut"):
        train(prepare(rm.KIND, under_plan(tmp_path / name, more, rows, rows[:3])))
    cut = tmp_path / "cut"
    (last,) = (cut / "run" / "checkpoints").glob("step-00000006")
    last.rename(tmp_path / "gone")
    (cut / "run" / "reward-model").rename(tmp_path / "gone-too")
    train(prepare(rm.KIND, cut / "file.yaml"), resume=True)
    assert metrics(tmp_path / "whole" / "run") == metrics(cut / "run")
    for name in ("adapter_model.safetensors", FILE):
        assert (tmp_path / "whole/run/reward-model" / name).read_bytes() == (
            cut / "run/reward-model" / name
        ).read_bytes()


@pytest.fixture(scope="module")
def featured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model with a weight for each rule of the plan."""
    folder = tmp_path_factory.mktemp("featured")
    train(prepare(rm.KIND, under_plan(folder, "rm: {features: verdicts}\n", promised(16, 1), promised(6, 2))))
    return folder / "run" / "reward-model"


def test_what_a_rule_costs_can_be_read(featured: Path) -> None:
    file = read_reward_file(featured)
    assert set(file.weights) == {"guarantees", "risk"}
    assert all(weight < 0 for weight in file.weights.values())
    assert file.evaluation["policy/agreement/guarantees"] == 1.0
    assert file.evaluation["policy/agreement/risk/pairs"] == 3.0
    assert (file.bundle_digest, file.plan_digest) == (PLAN.bundle_digest, PLAN.digest)
    pins, card = read_pins(featured), (featured / "README.md").read_text()
    assert pins is not None
    assert pins.policies == ("promises@1.0.0",)
    assert [one.name for one in pins.data] == ["train.jsonl", "heldOut.jsonl"]
    for said in (
        reward_digest(featured),
        "promises@1.0.0",
        PLAN.bundle_digest,
        pins.data[0].digest,
        "| guarantees | -",
        "reliability.svg",
    ):
        assert said in card
    model, zero = RewardModel.load(featured, PLAN), {"guarantees": 0.0, "risk": 0.0}
    clean = model.rewards([Text("?", GOOD, costs=zero)])[0]
    priced = model.rewards([Text("?", GOOD, costs={**zero, "risk": 0.25})])[0]
    assert priced - clean == pytest.approx(file.weights["risk"] / file.temperature, rel=1e-4)


def test_another_digest_is_refused(featured: Path, tmp_path: Path) -> None:
    other = pk.compile(policies(blocked("guarantees", "guaranteed returns"), name="others"))
    same_bundle = pk.compile(PLAN.spec.policies, locale="de")
    assert same_bundle.bundle_digest == PLAN.bundle_digest
    for plan, said in ((other, other.bundle_digest), (same_bundle, same_bundle.digest), (None, "there is none")):
        with pytest.raises(PolicyError) as error:
            RewardModel.load(featured, plan)
        assert [d.code for d in error.value.diagnostics] == ["PK786"]
        assert said in str(error.value)
    rows = [{**row, "bundle_digest": PLAN.bundle_digest} for row in promised(2, 1)]
    with pytest.raises(PolicyError, match="PK762"):
        prepare(rm.KIND, under_plan(tmp_path, "", rows, rows, other))


def test_a_folder_that_holds_no_reward_model_is_refused(tmp_path: Path, featured: Path) -> None:
    changes = ["{", '{"format": "x"}', (featured / FILE).read_text().replace("verdicts", "none")]
    for i, text in enumerate([None, *changes, (featured / FILE).read_text()]):
        folder = tmp_path / str(i)
        folder.mkdir()
        if text is not None:
            (folder / FILE).write_text(text)
        with pytest.raises(PolicyError, match="PK786"):
            RewardModel.load(folder, PLAN)


def test_it_is_a_term_of_rewards(featured: Path) -> None:
    model = RewardModel.load(featured, PLAN)
    asked, said = ["Is it safe?"] * 2, [GOOD, BAD]
    found = model.term()(prompts=asked, completions=said)
    ended, cut = (model.term([1])(prompts=asked, completions=said, completion_ids=[[5, x], [5, x]]) for x in (1, 5))
    assert found == pytest.approx(ended, rel=1e-5)
    assert found != pytest.approx(cut, rel=1e-3)
    assert found[0] > found[1]
    messages = [[{"role": "assistant", "content": text}] for text in said]
    assert model.term()(prompts=asked, completions=messages) == pytest.approx(found, rel=1e-5)
    assert model.term()(prompts=asked, completions=said, facts=[None, {"a": 1}]) == pytest.approx(found, rel=1e-5)
    answers = [Answer(text, text, (), Finish.END, None, None, None, PLAN.verify(text)) for text in said]
    assert [model.best()("Is it safe?", answer) for answer in answers] == pytest.approx(found, rel=1e-5)
    assert model.of_answers("Is it safe?", answers) == pytest.approx(found, rel=1e-5)
    strange = replace(answers[0], verdict=pk.compile(policies(blocked("x", "x"), name="z")).verify(GOOD))
    with pytest.raises(PolicyError, match="PK762"):
        model.best()("Is it safe?", strange)


def test_a_check_that_fails_has_no_reward(featured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = RewardModel.load(featured, PLAN)
    verify = pk.Plan.verify

    def fails_once(plan: pk.Plan, text: Any, facts: Any = None) -> Any:
        from policykit.ir.verdict import CheckError

        verdict = verify(plan, text, facts)
        return replace(verdict, errors=(CheckError("risk", "no answer"),)) if text == BAD else verdict

    monkeypatch.setattr(pk.Plan, "verify", fails_once)
    first, second = model.term()(prompts=["?", "?"], completions=[GOOD, BAD])
    assert isinstance(first, float)
    assert second is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rloo", "ppo"])
def test_other_kinds_learn_from_it(featured: Path, tmp_path: Path, kind: str) -> None:
    from policykit.training.kinds import KINDS

    one = next(k for k in KINDS if k.name == kind)
    text = HEAD.replace("steps: 6, batch: 8", "steps: 1, batch: 2")
    section = f"{kind}: {{rewardModel: {featured}, rewardModelWeight: 0.5, maxNewTokens: 8}}\n"
    rows = [{"prompt": row["prompt"]} for row in routed(2, 1)]
    PLAN.save(tmp_path / "plan.json")
    ready = prepare(one, write_training(tmp_path, f"{text}plan: plan.json\n{section}", rows, rows))
    assert str(ready.job.settings["rewardModel"]).startswith("sha256:")
    train(ready)
    assert all(line["task"] != 0.0 for line in metrics(tmp_path / "run") if line["phase"] == "heldOut")


BAD_FILES = [
    pytest.param("rm: {loss: hinge}\n", PAIR, "PK023", "unknown value `hinge`", id="an unknown loss"),
    pytest.param("rm: {margin: 1}\n", PAIR, "PK780", "no effect without costs", id="a margin without costs"),
    pytest.param("rm: {features: costs}\n", PAIR, "PK780", "those of a plan", id="features without a plan"),
    pytest.param("rm: {weights: full}\n", PAIR, "PK780", "`lora` has no effect", id="an adapter for all weights"),
    pytest.param("rm: {headRate: 0}\n", PAIR, "PK026", "headRate", id="a head that does not move"),
    pytest.param("", {"chosen": GOOD, "rejected": BAD}, "PK781", "no column `prompt`", id="a missing column"),
    pytest.param("", {"prompt": "?", "chosen": GOOD}, "PK781", "the row has `chosen`", id="half a pair"),
    pytest.param("", {**PAIR, "rejected": GOOD}, "PK781", "the same text", id="one text twice"),
    pytest.param("", {**PAIR, "tie": True}, "PK781", "no pair is left", id="nothing left"),
]


@pytest.mark.parametrize(("more", "row", "code", "said"), BAD_FILES)
def test_bad_pairs_and_settings_are_refused(
    tmp_path: Path, more: str, row: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(PolicyError) as error:
        prepare(rm.KIND, write_training(tmp_path, f"{HEAD}{more}", [row], [PAIR]))
    assert {d.code for d in error.value.diagnostics} == {code}
    assert said in str(error.value)


def test_ties_and_bad_pairs_come_to_what_they_do_elsewhere(tmp_path: Path) -> None:
    rows = [PAIR, {**PAIR, "rejected": "It may rise.", "tie": True}, {**PAIR, "chosen": RISKY}]
    dropped = prepare(rm.KIND, under_plan(tmp_path / "a", "", rows, [PAIR])).job.facts
    assert (dropped["pairs"], dropped["tie (all rows)"], dropped["both bad (all rows)"]) == (1, 1, 1)
    kept = under_plan(tmp_path / "b", "rm: {ties: half, bothBad: keep}\n", rows, [PAIR])
    assert prepare(rm.KIND, kept).job.facts["pairs"] == 3


def test_without_held_out_pairs_nothing_is_called_calibrated(tmp_path: Path) -> None:
    file = write_training(tmp_path, HEAD.replace(", heldOut: heldOut.jsonl", ""), styled(8, 1), [])
    train(prepare(rm.KIND, file))
    found = json.loads((tmp_path / "run" / "reward-model" / FILE).read_text())
    assert (found["is_calibrated"], found["temperature"], found["evaluation"]) == (False, 1.0, {})


def test_pairs_of_one_prompt_calibrate_together(tmp_path: Path) -> None:
    """In two halves they would score each other, and the error would look smaller than it is."""
    rows = [{"prompt": prompt, "chosen": GOOD, "rejected": bad} for prompt in "abcd" for bad in (BAD, RISKY)]
    made = prepare(rm.KIND, under_plan(tmp_path, "", rows, rows))
    pairs = made.job.run.__self__.held_out  # type: ignore[attr-defined]
    assert [pair.half for pair in pairs] == [0, 0, 1, 1, 0, 0, 1, 1]
