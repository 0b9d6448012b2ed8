"""Evaluation of the embedded model: exact numbers against sums by hand, and the command from end to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policykit.plan import Plan

torch = pytest.importorskip("torch", reason="models need torch")
pytest.importorskip("peft", reason="adapters need peft")

from policykit.adapters.loading import LoadedModel, load  # noqa: E402
from policykit.cli.main import main  # noqa: E402
from policykit.engines.sampling import TransformersEngine  # noqa: E402
from policykit.engines.scoring import score  # noqa: E402
from policykit.evaluation import Job, Settings, measure, read_prompts  # noqa: E402
from policykit.evaluation.examples import Example, Pair  # noqa: E402
from policykit.evaluation.writing import margins, seed_of, write  # noqa: E402
from policykit.plan.pins import pins_of, write_pins  # noqa: E402

from .conftest import write_rows  # noqa: E402

torch.set_num_threads(1)
PROMPTS = ["Is the Harbor Bond fund safe?", "Where is my parcel?", "My card is declined."]
NO_WORDS = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: toy/words, version: 1.0.0, owner: me@example.org, why: a ban that the model meets often}
rules:
  - {id: words, match: {phrases: [the, your]}, action: {block: {message: no}}}
tests:
  - {name: one, given: {output: the}, expect: {decision: block, rules: [words]}}
"""


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from peft import LoraConfig, get_peft_model

    from policykit.engines.transformers import load_model

    torch.manual_seed(5)
    model, _ = load_model("embedded")
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    folder = tmp_path_factory.mktemp("adapters") / "tuned"
    peft: Any = get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.mul_(0.2)
    peft.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tuned(adapter: Path) -> LoadedModel:
    return load("embedded", adapter)


def log_softmax(row: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    shifted = row - row.max()
    return shifted - np.log(np.exp(shifted).sum())


def alone(forward: Any, ids: list[int]) -> "np.ndarray[Any, Any]":
    """Logits [T, V] of one row without padding, in doubles."""
    with torch.inference_mode():
        n = len(ids)
        row = torch.tensor([ids])
        return forward(row, torch.ones_like(row), torch.arange(n)[None], n)[0].double().numpy()


def test_kl_and_mask_tax_are_sums_over_the_vocabulary(tuned: LoadedModel, compiled: Callable[[str, str], Plan]) -> None:
    plan = compiled("words", NO_WORDS)
    constraint = plan.constraint(tuned.vocabulary)
    examples = [Example(str(i), prompt) for i, prompt in enumerate(PROMPTS)]
    answers = write(tuned, plan, examples, Settings("mask", 0.8, 12)).answers
    engine = TransformersEngine(tuned.model, tuned.tokenizer, tuned.vocabulary)
    rows = [(engine.encoded(e.prompt), a.token_ids or ()) for e, a in zip(examples, answers, strict=True)]
    base = tuned.base_forward()
    found = score(tuned.model, rows, temperature=0.8, base=base, constraint=constraint, batch_size=2)
    taxed = 0
    for (prompt, written), one in zip(rows, found, strict=True):
        ours, theirs = (alone(forward, [*prompt, *written]) for forward in (tuned.forward(), base))
        state = constraint.start()
        for t, token in enumerate(written):
            p, q = (log_softmax(logits[len(prompt) + t - 1] / 0.8) for logits in (ours, theirs))
            assert one.logps[t] == pytest.approx(p[token], abs=1e-4)
            assert one.kl is not None
            assert one.kl[t] == pytest.approx(float((np.exp(p) * (p - q)).sum()), abs=1e-4)
            mask = np.zeros(-(-tuned.vocabulary.size // 32), np.int32)
            state.fill(mask)
            legal = [i for i in range(tuned.vocabulary.size) if mask[i // 32] >> (i % 32) & 1]
            assert one.log_z is not None
            assert one.log_z[t] == pytest.approx(float(np.log(np.exp(p[legal]).sum())), abs=1e-4)
            taxed += one.log_z[t] < -1e-3
            assert state.accept(token)
    assert taxed > 0
    assert sum(sum(one.kl or ()) for one in found) > 0.01


def test_scores_do_not_depend_on_the_batch(tuned: LoadedModel) -> None:
    rows = [((5, 6, 7), (8, 9)), ((5,), (6, 7, 8, 9, 10)), ((20, 30), (40,))]
    together = score(tuned.model, rows, base=tuned.base_forward())
    for row, one in zip(rows, together, strict=True):
        (single,) = score(tuned.model, [row], base=tuned.base_forward())
        assert one.logps == pytest.approx(single.logps, abs=1e-5)
        assert one.kl == pytest.approx(single.kl, abs=1e-5)


def test_a_model_has_no_distance_from_itself_and_no_margin(tuned: LoadedModel) -> None:
    plain = load("embedded")
    (one,) = score(plain.model, [((5, 6), (7, 8, 9))], base=plain.forward())
    assert max(one.kl or (1.0,)) < 1e-9
    pair = Pair("Is it safe?", "Yes.", "Guaranteed returns")
    assert margins(plain, [pair], 0.1, Settings(), base=plain) == [0.0]
    (there,) = margins(tuned, [pair], 0.1, Settings())
    (back,) = margins(tuned, [Pair(pair.prompt, pair.rejected, pair.chosen)], 0.1, Settings())
    assert there == pytest.approx(-back)
    assert there != 0.0
    (cut,) = margins(tuned, [Pair(pair.prompt, pair.chosen, pair.rejected, None, False)], 0.1, Settings())
    assert cut != there  # the end of text of a text that was cut is no part of it


def test_answers_are_seeded_and_their_batches_are_not_those_of_another_seed(tuned: LoadedModel, plan: Plan) -> None:
    examples = [Example(str(i), PROMPTS[0]) for i in range(4)]
    one, again, other = (
        [a.text for a in write(tuned, plan, examples, Settings(seed=s, max_new_tokens=8, batch_size=2)).answers]
        for s in (0, 0, 1)
    )
    assert one == again != other
    assert one[:2] != one[2:]
    assert len({seed_of(s, i) for s in range(20) for i in range(20)}) == 400


def test_a_strategy_answers_and_says_what_it_drew(tuned: LoadedModel, compiled: Callable[[str, str], Plan]) -> None:
    plan = compiled("words", NO_WORDS)
    examples = [Example(str(i), prompt) for i, prompt in enumerate(PROMPTS)]
    found = write(tuned, plan, examples, Settings("exact", max_new_tokens=10))
    assert found.n_accepted == len([a for a in found.answers if a.text is not None])
    assert found.n_attempts is not None
    assert found.n_attempts >= found.n_accepted
    assert all(plan.verify(answer.text).decision == "allow" for answer in found.answers if answer.text is not None)


def test_free_answers_break_the_plan_and_masked_ones_do_not(
    tuned: LoadedModel, compiled: Callable[[str, str], Plan], tmp_path: Path
) -> None:
    from policykit.evaluation import Made

    plan = compiled("words", NO_WORDS)
    data = read_prompts(write_rows(tmp_path / "p.jsonl", [{"prompt": p} for p in PROMPTS * 4]))
    nothing = Made(None, None, None, None, "", "", 0, {}, {}, 0.0)
    free, masked = (
        measure(Job(plan, data, tuned, Settings(how, max_new_tokens=24, n_masked=4))).results(nothing)
        for how in ("free", "mask")
    )
    assert free.first.whole.k > 6
    assert (masked.first.whole.k, masked.first.accepted.k) == (0, 12)
    assert masked.mask_tax is not None
    assert free.mask_tax is not None
    assert (free.mask_tax.n, masked.mask_tax.n) == (4, 12)
    assert masked.mask_tax.mean.value > 0.5
    assert free.divergence is not None
    assert free.divergence.per_token > 0


def test_the_command_writes_everything_and_keeps_a_limit(
    adapter: Path, tmp_path: Path, plan: Plan, second: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pins(adapter, pins_of(plan))
    prompts = write_rows(tmp_path / "p.jsonl", [{"prompt": p, "reference": "a card"} for p in PROMPTS])
    pairs = write_rows(tmp_path / "pairs.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    flags = [
        "eval",
        "--model",
        "embedded",
        "--adapter",
        str(adapter),
        "--prompts",
        str(prompts),
        "--max-new-tokens",
        "10",
    ]
    flags += ["--policies", str(tmp_path / "promises.policy.yaml"), "--second", str(tmp_path / "second.policy.yaml")]
    flags += ["--pairs", str(pairs), "--masked", "2", "-o", str(tmp_path / "run")]
    assert main([*flags, "--max-violations", "99%"]) == 0
    assert main([*flags, "--max-violations", "1%"]) == 1
    shown = capsys.readouterr()
    assert "limit exceeded: the plan: 0 of 3 texts violate it, at most 70.76%" in shown.out
    assert "PK842" not in shown.err
    results = json.loads((tmp_path / "run" / "results.json").read_text("utf-8"))
    assert results["made"]["adapter_bundle_digest"] == plan.bundle_digest
    assert results["made"]["model_digest"].startswith("sha256:")
    assert results["margins"]["all"]["n"] == 1
    assert {"torch", "peft"} <= set(results["made"]["machine"]["packages"])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"results.json", "outputs.jsonl", "report.md", "report.html", "plots"}
    assert main(["eval", "--compare", str(tmp_path / "run"), str(tmp_path / "run"), "-o", str(tmp_path / "both")]) == 0
    assert "3 are ties" in capsys.readouterr().out
    assert (tmp_path / "both" / "comparison.json").is_file()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--prompts", "p"], "nobody answers"),
        (["--model", "embedded"], "name one file"),
        (["--outputs", "o", "--pairs", "p"], "`--pairs` needs a model"),
        (["--outputs", "o", "--max-violations", "200%"], "no share"),
        (["--compare", "one"], "nothing to be compared"),
        (["--compare", "one", "two", "--outputs", "o"], "leave the other flags out"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *flags]) == 3
    assert why in capsys.readouterr().err


def test_a_base_with_another_vocabulary_is_refused(tuned: LoadedModel) -> None:
    from policykit.diagnostics import PolicyError

    def wide(ids: Any, is_real: Any, positions: Any, keep: int) -> Any:
        return torch.zeros(ids.shape[0], keep, 7)

    with pytest.raises(PolicyError, match="PK841"):
        score(tuned.model, [((5,), (6,))], base=wide)
    with pytest.raises(PolicyError, match="PK841"):
        margins(load("embedded"), [Pair("a", "b", "c")], 0.1, Settings())
