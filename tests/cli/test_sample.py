"""`sample` on the real embedded model."""

import json
from pathlib import Path

import pytest

from .conftest import Run
from .test_generate import POLICY

NO_E = POLICY.replace("[aeiouy]", r"(?i)\b(?:sorry|thank|we)\b").replace("output: a}", "output: Sorry}")
PROMPT = "Where is my parcel?"
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


@pytest.mark.slow
def test_what_is_sampled_passes_and_leaves_pairs_and_texts_for_training(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words.policy.yaml").write_text(NO_E, encoding="utf-8")
    flags = ["sample", "--prompt", PROMPT, "--policies", "words.policy.yaml", "--max-new-tokens", "24", "--n", "3"]
    flags += ["--pairs", "pairs.jsonl", "--accepted", "accepted.jsonl", "--format", "json"]
    found = {}
    for name in ("reject", "exact", "block", "auto", "mask", "weighted"):
        done = run(*flags, "--strategy", name)
        assert done.status == 0, done.err
        data = json.loads(done.out)
        (found[name],) = data["samples"]
        assert len(found[name]["answers"]) == 3
        assert found[name]["ending"] == "accepted"
        for line in (tmp_path / "pairs.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            assert row["plan_digest"] == data["digest"]
            assert row["chosen"] in [answer["raw"] for answer in found[name]["answers"]]
        assert len((tmp_path / "accepted.jsonl").read_text("utf-8").splitlines()) <= 3
        assert run(*flags, "--strategy", name).out == done.out
    assert found["reject"]["reasons"] == {"letters#no-vowels": len(found["reject"]["attempts"]) - 3}
    assert found["mask"]["acceptance_rate"] == 1.0


@pytest.mark.slow
def test_where_nothing_good_can_be_drawn_the_outcome_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letters.policy.yaml").write_text(POLICY, encoding="utf-8")
    flags = ["sample", "--prompt", PROMPT, "--policies", "letters.policy.yaml", "--max-new-tokens", "24"]
    done = run(*flags, "--budget-tokens", "40", "--strategy", "reject")
    assert done.status == 1
    assert done.out.splitlines()[-1].startswith(("out_of_tokens: at most", "no_legal_mass: at most"))
    assert run(*flags, "--strategy", "blocks").status == 3


@pytest.mark.vllm
def test_vllm_leaves_the_same_by_products(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "words.policy.yaml").write_text(NO_E, encoding="utf-8")
    flags = ["sample", "--engine", "vllm", "--prompt", PROMPT, "--policies", "words.policy.yaml", "--n", "3"]
    flags += ["--max-new-tokens", "24", "--pairs", "pairs.jsonl", "--accepted", "accepted.jsonl", "--format", "json"]
    done = run(*flags)
    assert done.status == 0, done.err
    data = json.loads(done.out)
    (found,) = data["samples"]
    assert len(found["answers"]) == 3
    assert found["n_requests"] >= 3
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert found["reasons"]["letters#no-vowels"] >= len(pairs) > 0
    for row in pairs:
        assert row["plan_digest"] == data["digest"]
        assert row["chosen"] in [answer["raw"] for answer in found["answers"]]
    assert len((tmp_path / "accepted.jsonl").read_text("utf-8").splitlines()) == 3


def test_a_reward_model_chooses_among_answers_and_nothing_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words.policy.yaml").write_text(NO_E, encoding="utf-8")
    flags = ["sample", "--prompt", PROMPT, "--policies", "words.policy.yaml", "--reward-model", "."]
    for more, said in ([], "has no effect without `--best-of`"), (["--best-of", "2"], "PK786"):
        done = run(*flags, *more)
        assert done.status == 3
        assert said in done.err
