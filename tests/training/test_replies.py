"""What `sft` tells of the model's own replies: shares of violations before and after, against replies drawn by hand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from policykit.diagnostics import PolicyError
from policykit.training.kinds.sft import KIND
from policykit.training.rl.rollouts import Prompt, Sampler
from policykit.training.session import prepare, train

from .offline import HEAD, metrics, routed, write_training

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from policykit.constraint import Vocabulary  # noqa: E402
from policykit.engines.encoding import prompt_ids  # noqa: E402
from policykit.engines.transformers import load_model  # noqa: E402
from policykit.training.replies import SEED  # noqa: E402

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: words, version: 1.0.0, owner: a@example.org, why: words that the model likes to write}
rules:
  - {id: no-thanks, cost: 0, match: {phrases: [thank you, thanks]}, action: {block: {}}}
  - {id: no-you, match: {phrases: [you, your]}, action: {block: {}}}
  - {id: no-us, match: {phrases: [we]}, when: user.role == "guest", action: {block: {}}}
"""
RULES = {
    "no-thanks": re.compile(r"(?i)\b(?:thank you|thanks)\b"),
    "no-you": re.compile(r"(?i)\byour?\b"),
    "no-us": re.compile(r"(?i)\bwe\b"),
}
FILE = f"{HEAD}policies: [words.policy.yaml]\n".replace("steps: 6", "steps: 12")
N, LENGTH = 16, 24


def written(folder: Path, text: str, n_held_out: int = N, **columns: Any) -> Path:
    held_out = [{**row, **columns} for row in routed(n_held_out, 2)]
    file = write_training(folder, text, routed(24, 1), held_out)
    (folder / "words.policy.yaml").write_text(POLICY)
    return file


def rates(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if "violation" in name or "judged" in name}


def by_hand(prompts: list[str], adapter: Path | None) -> dict[str, float]:
    """Rates of the embedded model, or of it with an adapter: drawn by the sampler, judged by Python's `re`."""
    model, tokenizer = load_model("embedded")
    anything: Any = tokenizer
    if adapter is not None:
        model = peft.PeftModel.from_pretrained(model, str(adapter)).eval()
    asked = [Prompt(text, tuple(prompt_ids(tokenizer, text)), {}) for text in prompts]
    torch.manual_seed(SEED)
    texts = Sampler(Vocabulary.from_tokenizer(anything), LENGTH).roll(model, asked, 1).texts
    found = {name: sum(bool(rule.search(text)) for text in texts) / len(texts) for name, rule in RULES.items()}
    any_rule = sum(any(rule.search(text) for rule in RULES.values()) for text in texts) / len(texts)
    told = {f"policy/violation_rate/{name}": share for name, share in found.items()}
    return {"policy/judged": float(len(texts)), "violation_rate": any_rule, **told}


def test_rates_are_those_of_the_model_before_and_of_the_adapter_after(tmp_path: Path) -> None:
    text = f"{FILE}sft: {{replies: {N}, maxNewTokens: {LENGTH}}}\n"
    ready = prepare(KIND, written(tmp_path, text, N + 4, facts={"user": {"role": "guest"}}))
    summary = train(ready)
    first, last = (line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut")
    asked = [row["prompt"] for row in routed(N + 4, 2)]
    distinct = list(dict.fromkeys(asked))[:N]
    assert rates(first) == pytest.approx(by_hand(distinct, None))
    assert rates(last) == pytest.approx(by_hand(distinct, tmp_path / "run" / "adapter"))
    # It has learned to write JSON in place of kind words; a rule without a cost is counted as any other.
    assert first["violation_rate"] > 0.5 > last["violation_rate"]
    assert first["policy/violation_rate/no-thanks"] > 0
    assert summary.first["heldOut/violation_rate"] == first["violation_rate"]
    assert (tmp_path / "run" / "plots" / "violations.svg").is_file()


def test_replies_without_their_facts_are_in_no_rate_and_counted(tmp_path: Path) -> None:
    file = written(
        tmp_path, f"{FILE.replace('steps: 12', 'steps: 1')}sft: {{replies: 4, maxNewTokens: 8, violations: keep}}\n"
    )
    (tmp_path / "words.policy.yaml").write_text(POLICY.replace("{phrases: [we]}", "{regex: ['[a-z]']}"))
    train(prepare(KIND, file))
    held_out = [line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut"]
    assert [rates(line) for line in held_out] == [{"policy/judged": 0.0}] * 2


def test_without_held_out_rows_the_first_prompts_are_asked_and_nothing_where_it_is_not_wanted(tmp_path: Path) -> None:
    text = FILE.replace("steps: 12", "steps: 1").replace(", heldOut: heldOut.jsonl", "")
    train(prepare(KIND, written(tmp_path / "asked", f"{text}sft: {{replies: 4, maxNewTokens: 8}}\n")))
    found = [line for line in metrics(tmp_path / "asked" / "run") if line["phase"] == "heldOut"]
    assert [line["step"] for line in found] == [0, 1]
    assert all("loss" not in line and "policy/judged" in line for line in found)
    train(prepare(KIND, written(tmp_path / "unasked", f"{text}sft: {{replies: 0}}\n")))
    assert {line["phase"] for line in metrics(tmp_path / "unasked" / "run")} == {"train"}


def test_a_grammar_is_a_rule_too_and_settings_are_in_the_record(tmp_path: Path) -> None:
    text = FILE.replace("steps: 12", "steps: 1").replace("policies: [words.policy.yaml]", "grammar: form.lark")
    file = written(tmp_path, f"{text}sft: {{maxNewTokens: 8, violations: keep}}\n", 4)
    (tmp_path / "form.lark").write_text('start: "{" /[a-z]+/ "}"\n')
    ready = prepare(KIND, file)
    assert (ready.job.settings["replies"], ready.job.settings["max_new_tokens"]) == (64, 8)
    train(ready)
    first, _ = (line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut")
    assert rates(first) == {"policy/judged": 4.0, "violation_rate": 1.0, "policy/violation_rate/grammar": 1.0}


def test_replies_without_a_plan_are_refused(tmp_path: Path) -> None:
    file = write_training(tmp_path, f"{HEAD}sft: {{replies: 4}}\n", routed(4, 1), routed(4, 2))
    with pytest.raises(PolicyError, match="`replies` has no effect without a plan") as error:
        prepare(KIND, file)
    assert json.dumps(str(error.value.diagnostics[0].place)).count("file.yaml") == 1


def test_a_model_in_parts_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policykit.training.offline._is_sharded", lambda accelerator: True)
    with pytest.raises(PolicyError, match="cannot be asked for replies") as error:
        train(prepare(KIND, written(tmp_path, FILE, 4)))
    assert error.value.diagnostics[0].help == "say `replies: 0`, and evaluate the adapter afterwards"
