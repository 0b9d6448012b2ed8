"""Learning from pairs and labels: what a pair comes to, losses at the first step, and small trainings."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from policykit.diagnostics import PolicyError
from policykit.training.dpo import Settings, kl_along, pair_losses
from policykit.training.kinds import Kind, dpo, kto
from policykit.training.pairs import Outcome, pairs_of, preference
from policykit.training.runs.guards import Diverged
from policykit.training.session import prepare, train
from tests.rewards.test_rewards import PLAN

from .offline import HEAD, metrics, routed, write_training

GOOD, BAD = "It may fall in value.", "It has guaranteed returns."
PAIR = {"prompt": "Is it safe?", "chosen": GOOD, "rejected": BAD}


@pytest.mark.parametrize(
    ("costs", "is_tie", "outcome", "gap"),
    [
        pytest.param((None, None), False, Outcome.ORDERED, 0, id="nobody judged"),
        pytest.param((None, None), True, Outcome.TIE, 0, id="a tie that nobody judged"),
        pytest.param((0, 0), False, Outcome.ORDERED, 0, id="both clean"),
        pytest.param((0, 0), True, Outcome.TIE, 0, id="a clean tie"),
        pytest.param((0, 0.7), False, Outcome.ORDERED, 0.7, id="the rejected one is worse"),
        pytest.param((0, 0.7), True, Outcome.ORDERED, 0.7, id="a tie that the verifier decides"),
        pytest.param((0.7, 0), True, Outcome.SWAPPED, 0.7, id="a tie that it decides otherwise"),
        pytest.param((0.7, 0), False, Outcome.CONTRADICTION, 0, id="the chosen one is worse"),
        pytest.param((0.2, 0.7), False, Outcome.BOTH_BAD, 0.5, id="both bad"),
        pytest.param((0.7, 0.2), True, Outcome.BOTH_BAD, 0, id="both bad, a tie"),
    ],
)
def test_what_a_pair_comes_to(costs: Any, is_tie: bool, outcome: Outcome, gap: float) -> None:
    found = preference(*costs, is_tie=is_tie)
    assert (found.outcome, found.gap) == (outcome, pytest.approx(gap))


def test_relabelling_mirrors_a_pair() -> None:
    for one, other in product((0.0, 0.3, 1.0), repeat=2):
        there, back = preference(one, other, relabels=True), preference(other, one, relabels=True)
        decided = {Outcome.ORDERED, Outcome.SWAPPED}
        if (one > 0) != (other > 0):
            assert {there.outcome, back.outcome} == decided
            assert there.gap == back.gap == abs(one - other)
        else:
            assert there.outcome is back.outcome


def test_candidates_make_pairs_with_the_cheapest() -> None:
    assert pairs_of([1.0, 0.0, 0.5]) == [(1, 0), (1, 2)]
    assert pairs_of([0.5, 0.5]) == pairs_of([0.0]) == pairs_of([]) == []


def tensors(*values: float) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor([value], dtype=torch.float64) for value in values)


def test_losses_by_hand() -> None:
    (zero,) = tensors(0)
    none: Any = {"margin": zero, "smoothing": zero}
    found = pair_losses(Settings(beta=0.5), *tensors(-1, -3, -2, -2), margin=tensors(3)[0], smoothing=zero)
    assert found.item() == pytest.approx(math.log1p(math.exp(2)))  # βΔ − m = 1 − 3
    tie = Settings(beta=0.5)
    half = tensors(0.5)[0]
    assert pair_losses(tie, *tensors(-2, -2, -2, -2), margin=zero, smoothing=half).item() == pytest.approx(math.log(2))
    away = pair_losses(tie, *tensors(-1, -3, -2, -2), margin=zero, smoothing=half).item()
    assert away == pytest.approx((math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2)
    assert pair_losses(Settings("ipo", 0.25), *tensors(-1, -3, -2, -2), **none).item() == pytest.approx(0)
    simpo = Settings("simpo", 2.0, gamma=1.0)
    assert pair_losses(simpo, *tensors(-1, -1.5, 0, 0), **none).item() == pytest.approx(math.log(2))
    orpo = pair_losses(Settings("orpo", 0.5), *tensors(math.log(0.5), math.log(0.25), 0, 0), **none).item()
    assert orpo == pytest.approx(math.log(2) - 0.5 * math.log(0.75))


def test_the_kl_along_a_completion_by_hand() -> None:
    logits = torch.tensor([[[math.log(3), 0.0], [9.0, -4.0]]])
    even = torch.zeros(1, 2, 2)
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl_along(logits, even, torch.tensor([[True, False]])).item() == pytest.approx(by_hand, rel=1e-5)


def pairs(n: int, seed: int) -> list[dict[str, Any]]:
    """The right routing, and the same with another team."""
    rows = routed(n, seed)
    wrong = {"billing": "returns", "returns": "care", "care": "billing"}
    for row in rows:
        row["chosen"] = row.pop("completion")
        fields = json.loads(row["chosen"])
        row["rejected"] = json.dumps({**fields, "team": wrong[fields["team"]]})
    return rows


def labelled(n: int, seed: int) -> list[dict[str, Any]]:
    found = [(row, i % 2 == 0) for i, row in enumerate(pairs(n, seed))]
    return [
        {"prompt": row["prompt"], "completion": row["chosen" if good else "rejected"], "desirable": good}
        for row, good in found
    ]


def test_the_first_step_is_at_the_reference(tmp_path: Path) -> None:
    text = HEAD.replace("steps: 6", "steps: 1")
    rows = [{**row, "rejected_cost": 1.0, "chosen_cost": 0.0} for row in pairs(8, 1)]
    train(prepare(dpo.KIND, write_training(tmp_path / "plain", text, rows, pairs(4, 2))))
    first = metrics(tmp_path / "plain" / "run")[0]
    assert (first["loss"], first["kl"]) == (pytest.approx(math.log(2), rel=1e-6), pytest.approx(0, abs=1e-5))
    train(prepare(dpo.KIND, write_training(tmp_path / "margin", f"{text}dpo: {{margin: 2}}\n", rows, rows[:4])))
    assert metrics(tmp_path / "margin" / "run")[0]["loss"] == pytest.approx(math.log1p(math.exp(2)), rel=1e-6)
    train(prepare(kto.KIND, write_training(tmp_path / "kto", text, labelled(8, 1), labelled(4, 2))))
    assert metrics(tmp_path / "kto" / "run")[0]["loss"] == pytest.approx(0.5, rel=1e-6)  # 1 − σ(0)


@pytest.mark.parametrize("kind", [dpo.KIND, kto.KIND], ids=lambda kind: kind.name)
def test_a_batch_is_the_same_in_one_piece_and_in_eight(tmp_path: Path, kind: Kind) -> None:
    rows = pairs(8, 1)
    text = HEAD.replace("steps: 6", "steps: 3")
    train(prepare(kind, write_training(tmp_path / "whole", text, rows, rows[:3])))
    parts = text.replace("batch: 8", "batch: 8, microBatch: 1")
    train(prepare(kind, write_training(tmp_path / "parts", parts, rows, rows[:3])))
    for one, other in zip(metrics(tmp_path / "whole" / "run"), metrics(tmp_path / "parts" / "run"), strict=True):
        assert one.pop("phase") == other.pop("phase")
        assert one == pytest.approx(other, rel=2e-3, abs=1e-4)


def test_a_plan_decides_what_labels_leave_open(tmp_path: Path) -> None:
    PLAN.save(tmp_path / "plan.json")
    head = f"{HEAD}plan: ../plan.json\n"
    rows = [
        PAIR, {**PAIR, "tie": True, "chosen": BAD, "rejected": GOOD}, {**PAIR, "rejected": "It may rise.", "tie": True},
        {**PAIR, "chosen": "It is risk free.", "rejected": BAD},
        {"prompt": "Is it safe?", "candidates": [BAD, GOOD, "It is risk free."]},
        {"prompt": "Is it safe?", "candidates": [GOOD, "It may rise."]},
    ]  # fmt: skip
    facts = prepare(dpo.KIND, write_training(tmp_path / "a", head, rows, [PAIR])).job.facts
    told = {name.removesuffix(" (all rows)"): n for name, n in facts.items()}
    assert (told["pairs"], told["ordered"], told["swapped"], told["tie"], told["both bad"]) == (4, 4, 1, 2, 1)
    kept = f"{head}dpo: {{ties: half, bothBad: keep}}\n"
    assert prepare(dpo.KIND, write_training(tmp_path / "b", kept, rows, [PAIR])).job.facts["pairs"] == 6
    swapped = [{**PAIR, "chosen": BAD, "rejected": GOOD}]
    with pytest.raises(PolicyError) as error:
        prepare(dpo.KIND, write_training(tmp_path / "c", head, swapped, [PAIR]))
    assert "relabel: true" in str(error.value)
    made = prepare(dpo.KIND, write_training(tmp_path / "d", f"{head}dpo: {{relabel: true}}\n", swapped, [PAIR]))
    assert made.job.facts["swapped (all rows)"] == 1
    labels = [{"prompt": "?", "completion": text} for text in (GOOD, BAD, "It is risk free.")]
    facts = prepare(kto.KIND, write_training(tmp_path / "e", head, labels, labels)).job.facts
    assert (facts["desirable"], facts["undesirable"]) == (1, 2)


CITED = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: cited, version: 1.0.0, owner: a@example.org, why: no claim without a source}
rules:
  - id: cite
    require: {citations: {per: text, sources: retrieved.ids}}
    action: {block: {}}
"""


def test_rows_bring_the_facts_that_their_rules_read(tmp_path: Path) -> None:
    """One text is right for one row, and cites what another does not list."""
    (tmp_path / "cited.policy.yaml").write_text(CITED)
    head = f"{HEAD}policies: [../cited.policy.yaml]\n"
    first, second = "It may fall [K1].", "It may fall [K2]."
    texts = {"prompt": "Is it safe?", "chosen": first, "rejected": second}
    facts = {"retrieved": {"ids": ["K1"]}}
    made = prepare(
        dpo.KIND, write_training(tmp_path / "a", head, [{**texts, "facts": facts}], [{**texts, "facts": facts}])
    )
    assert made.job.facts["ordered (all rows)"] == 2
    other = {**texts, "facts": {"retrieved": {"ids": ["K2"]}}}
    relabelled = f"{head}dpo: {{relabel: true}}\n"
    made = prepare(dpo.KIND, write_training(tmp_path / "b", relabelled, [other], [{**texts, "facts": facts}]))
    assert (made.job.facts["swapped (all rows)"], made.job.facts["ordered (all rows)"]) == (1, 1)
    labels = [{"prompt": "?", "completion": first, "facts": {"retrieved": {"ids": [name]}}} for name in ("K1", "K2")]
    found = prepare(kto.KIND, write_training(tmp_path / "c", head, labels, labels)).job.facts
    assert (found["desirable"], found["undesirable"]) == (1, 1)
    with pytest.raises(PolicyError, match="give the row the `facts`") as error:
        prepare(dpo.KIND, write_training(tmp_path / "d", head, [texts], [texts]))
    assert {d.code for d in error.value.diagnostics} == {"PK781"}


BAD_FILES = [
    pytest.param("dpo: {loss: kto_pair}\n", PAIR, "PK023", "unknown value `kto_pair`", id="an unknown loss"),
    pytest.param("dpo: {loss: ipo, margin: 1}\n", PAIR, "PK780", "no effect on the loss `ipo`", id="no such margin"),
    pytest.param("dpo: {gamma: 1}\n", PAIR, "PK780", "use `simpo`", id="a gamma without simpo"),
    pytest.param("dpo: {margin: 1}\n", PAIR, "PK780", "no effect without costs", id="a margin without costs"),
    pytest.param("dpo: {relabel: true}\n", PAIR, "PK780", "no effect without costs", id="labels without costs"),
    pytest.param("", {**PAIR, "rejected": GOOD}, "PK781", "the same text", id="one text twice"),
    pytest.param("", {"prompt": "?", "chosen": GOOD}, "PK781", "the row has `chosen`", id="half a pair"),
    pytest.param("", {"prompt": "?", "candidates": [GOOD, BAD]}, "PK781", "a plan that judges", id="no judge"),
    pytest.param("", {**PAIR, "tie": True}, "PK781", "no pair is left", id="nothing left"),
]


@pytest.mark.parametrize(("more", "row", "code", "said"), BAD_FILES)
def test_bad_pairs_and_settings_are_refused(
    tmp_path: Path, more: str, row: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(PolicyError) as error:
        prepare(dpo.KIND, write_training(tmp_path, f"{HEAD}{more}", [row], [PAIR]))
    assert {d.code for d in error.value.diagnostics} == {code}
    assert said in str(error.value)


def test_bad_labels_are_refused(tmp_path: Path) -> None:
    PLAN.save(tmp_path / "plan.json")
    row = {"prompt": "?", "completion": GOOD}
    bad = [
        ("", [row], "nothing says whether"),
        ("", [{"prompt": "?"}], "no completion"),
        ("", [{**row, "desirable": True}], "give some of each"),
        ("plan: ../plan.json\n", [{**row, "completion": BAD, "desirable": True}], "breaks the plan"),
    ]
    for i, (more, rows, said) in enumerate(bad):
        with pytest.raises(PolicyError) as error:
            prepare(kto.KIND, write_training(tmp_path / str(i), f"{HEAD}{more}", rows, [{**row, "desirable": False}]))
        assert {d.code for d in error.value.diagnostics} == {"PK781"}
        assert said in str(error.value)


def test_a_run_that_leaves_its_reference_stops(tmp_path: Path) -> None:
    text = HEAD.replace("steps: 6", "steps: 30").replace("rate: 0.005", "rate: 0.05") + "guards: {maxKl: 3}\n"
    with pytest.raises(Diverged) as stop:
        train(prepare(dpo.KIND, write_training(tmp_path, text, pairs(16, 1), pairs(4, 2))))
    assert "nat per completion" in stop.value.diagnostic.message
    assert stop.value.diagnostic.place is not None
    assert len(metrics(tmp_path / "run")) < 20


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "orpo", "simpo", "kto"])
def test_each_loss_learns_what_is_preferred(tmp_path: Path, loss: str) -> None:
    text = HEAD.replace("steps: 6", "steps: 25").replace("rate: 0.005", "rate: 0.001")
    kind = kto.KIND if loss == "kto" else dpo.KIND
    text += "" if loss == "kto" else f"dpo: {{loss: {loss}}}\n"
    style = [
        {"prompt": row["prompt"], "chosen": row["completion"], "rejected": "I do not know who is to be asked."}
        for row in routed(96, 1)
    ]
    train(prepare(kind, write_training(tmp_path, text, style[:64], style[64:])))
    first, last = (line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut")
    assert last["loss"] < 0.8 * first["loss"]
    assert last["accuracy"] > 0.9
