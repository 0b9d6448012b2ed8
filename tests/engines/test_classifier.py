"""Classifiers: a small model that is trained here, long texts in windows, and every fault as an error that blocks."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from transformers import AutoModelForSequenceClassification, BertConfig

import policykit as pk
from policykit.cli.main import main
from policykit.engines.classifier import FolderClassifier, folder_digest, load_classifier
from policykit.predicates import FunctionClassifier, PredicateError, Scored, TextClassifier, checked_scores
from policykit.testing import run_tests
from tests.engines.tiny_classifier import FINE, LENGTH, tokenizer, train
from tests.verify.test_facts import plan, policies, rule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> FolderClassifier:
    return load_classifier(folder)


def scored(made: TextClassifier, **more: Any) -> dict[str, Any]:
    return {"classifier": {"model": "spam", "digest": made.digest, "label": "spam", "threshold": 0.8, **more}}


def deployed(model: TextClassifier, *rules: dict[str, Any], deadline_s: float = 30.0, **more: Any) -> pk.Plan:
    made = plan(*(rules or (rule(match=scored(model)),)), **more)
    return made.with_resources(pk.Resources(classifiers={"spam": model}, deadline_s=deadline_s))


def broken(score: Any) -> FunctionClassifier:
    return FunctionClassifier(score, ("spam",), "v1")


# -- what it finds


def test_what_the_model_was_trained_to_find(model: FolderClassifier) -> None:
    checked = deployed(model)
    texts = (("we borrow", "block"), ("the weather is nice", "allow"), ("a LOAN", "block"), ("", "allow"))
    for text, decision in texts:
        assert checked.verify(text).decision == decision, text
    (violation,) = checked.verify("we went out for a loan").violations
    assert (violation.start, violation.end, violation.matched) == (0, 22, "classifier spam: spam")


def test_scores_are_those_of_the_library(folder: Path, model: FolderClassifier) -> None:
    stock = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for text in ("we borrow", "the park", "a loan is nice"):
        with torch.inference_mode():
            expected = stock(**tokenizer()(text, return_tensors="pt")).logits.softmax(-1)[0, 1].item()
        (found,) = model.scores(text, "spam")
        assert found.score == pytest.approx(expected, abs=1e-6)


def test_independent_labels_have_independent_scores(tmp_path: Path) -> None:
    several = load_classifier(train(tmp_path / "m", several=True))
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "m").eval()
    with torch.inference_mode():
        expected = stock(**tokenizer()("a loan", return_tensors="pt")).logits.sigmoid()[0]
    for i, label in enumerate(("fine", "spam")):
        assert several.scores("a loan", label)[0].score == pytest.approx(expected[i].item(), abs=1e-6)


@pytest.mark.parametrize("at", [0, 1, 7, 40, 199])
def test_a_word_anywhere_in_a_long_text_is_found(model: FolderClassifier, at: int) -> None:
    words = (FINE * 20)[:200]
    assert deployed(model).verify(" ".join(words)).decision == "allow"
    words[at] = "loan"
    verdict = deployed(model).verify(" ".join(words))
    assert verdict.decision == "block"
    start, end = verdict.violations[0].start, verdict.violations[0].end
    assert start is not None
    assert "loan" in " ".join(words)[start:end]


@given(st.text(st.sampled_from("the loan park \u200b\u0301é\n\U0001f600.")))
@settings(max_examples=60, deadline=None)
def test_windows_leave_nothing_out(text: str) -> None:
    model = FolderClassifier(_Flat(), tokenizer(), "flat")
    found = model.scores(text * 5, "spam")
    read = {at for window in found for at in range(window.start, window.end)}
    assert read == set(range(len(text * 5)))
    n_tokens = len(tokenizer()(text * 5, add_special_tokens=False)["input_ids"])
    assert n_tokens <= len(found) * (LENGTH - 2)


class _Flat(torch.nn.Module):
    """A model that scores everything alike: what is tested are the windows."""

    def __init__(self) -> None:
        super().__init__()
        self.config = BertConfig(max_position_embeddings=LENGTH, id2label={0: "fine", 1: "spam"})

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        class Output:
            logits = torch.zeros(len(input_ids), 2)

        assert input_ids.shape[1] <= LENGTH
        return Output()


# -- faults


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("score", "why"),
    [
        (lambda text, label: _raise(RuntimeError("out of memory")), "RuntimeError: out of memory"),
        (lambda text, label: time.sleep(3), "no answer within"),
        (lambda text, label: float("nan"), "a score that is none"),
        (lambda text, label: 1.5, "a score that is none"),
        (lambda text, label: -0.1, "a score that is none"),
        (lambda text, label: True, "a score that is none"),
        (lambda text, label: None, "a score that is none"),
        (lambda text, label: "0.9", "a score that is none"),
    ],
)
def test_a_fault_of_a_classifier_blocks_in_time(score: Any, why: str) -> None:
    started = time.monotonic()
    verdict = deployed(broken(score), deadline_s=0.2).verify("x")
    assert time.monotonic() - started < 2
    assert (verdict.decision, verdict.text, [e.rule for e in verdict.errors]) == ("block", "", ["r"])
    assert why in verdict.errors[0].message
    assert "classifier `spam`" in verdict.errors[0].message


@pytest.mark.parametrize("found", [None, [], "ab", [(0, 4, 0.1)], [Scored(0, 3, 0.1)], [Scored(1, 4, 0.1)],
                                   [Scored(0, 1, 0.1), Scored(2, 4, 0.1)], [Scored(0, 5, 0.1)]])  # fmt: skip
def test_a_text_that_was_not_read_in_full_has_no_score(found: Any) -> None:
    with pytest.raises(PredicateError):
        checked_scores(found, 4)

    class Partial:
        digest, labels = "v1", ("spam",)

        def scores(self, text: str, label: str) -> Sequence[Scored]:
            return found

    assert deployed(Partial()).verify("abcd").decision == "block"


def test_scores_that_overlap_and_leave_nothing_out_are_fine() -> None:
    found = [Scored(2, 4, 0.9), Scored(0, 3, 0.1)]
    assert checked_scores(found, 4) == (found[1], found[0])


def test_the_threshold_is_reached_at_equality() -> None:
    exactly = broken(lambda text, label: 0.8)
    assert deployed(exactly).verify("x").decision == "block"
    below = broken(lambda text, label: 0.7999)
    assert deployed(below).verify("x").decision == "allow"


# -- which model is meant


def test_another_model_is_refused(model: FolderClassifier, tmp_path: Path) -> None:
    made = plan(rule(match=scored(model)))
    other = load_classifier(train(tmp_path / "m", seed=1))
    assert other.digest != model.digest
    with pytest.raises(pk.PolicyError, match=f"PK175.*{other.digest}"):
        made.with_resources(pk.Resources(classifiers={"spam": other}))
    with pytest.raises(pk.PolicyError, match="PK174"):
        made.with_resources(pk.Resources())
    with pytest.raises(pk.PolicyError, match=r"PK176(.|\n)*did you mean `spam`"):
        plan(rule(match=scored(model, label="spamm"))).with_resources(pk.Resources(classifiers={"spam": model}))
    assert made.verify("a loan").decision == "block"
    assert made.verify("harmless").errors, "a rule whose model is missing is an error for every text"


def test_the_model_is_in_the_digest(model: FolderClassifier) -> None:
    changes = ({}, {"digest": "sha256:0"}, {"label": "fine"}, {"threshold": 0.7}, {"model": "other"})
    assert len({plan(rule(match=scored(model, **change))).digest for change in changes}) == len(changes)


def test_the_digest_covers_names_and_contents(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        return folder_digest(folder)

    assert digest(a="1", b="2") == digest(b="2", a="1")
    assert len({digest(a="1"), digest(a="2"), digest(b="1"), digest(a="1", b=""), digest()}) == 5


def test_folders_without_a_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(pk.PolicyError, match="PK450"):
        load_classifier(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(pk.PolicyError, match="PK451"):
        load_classifier(tmp_path)


# -- the plan, tests of policies, the command line


def test_the_row_names_the_classifier(model: FolderClassifier) -> None:
    (row,) = plan(rule(match=scored(model))).enforcements
    assert row.level == "output"
    assert "classifier `spam` gives `spam` at least 0.8" in row.why


def _cases() -> list[dict[str, Any]]:
    texts = (("a loan", "block", ["r"]), ("the park", "allow", []), ("the weather", "block", ["r"]))
    return [
        {"name": text, "given": {"output": text}, "expect": {"decision": decision, "rules": rules}}
        for text, decision, rules in texts
    ]


def test_tests_of_policies_ask_the_model(model: FolderClassifier) -> None:
    tested = policies(rule(match=scored(model)), tests=_cases())
    report = run_tests(tested, deployment=pk.Resources(classifiers={"spam": model}, deadline_s=30))
    assert [result.status for result in report.results] == ["passed", "passed", "failed"]
    assert report.results[2].missed[0].why == "`spam` gives `spam` less than 0.8"
    assert [result.status for result in run_tests(tested).results] == ["errored"] * 3


def test_the_command_line_takes_models(
    model: FolderClassifier, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x/y", "version": "1.0.0", "owner": "a@b.c", "why": "a test"},
        "rules": [rule(match=scored(model))],
        "tests": _cases()[:2],
    }
    file, text = tmp_path / "x.policy.yaml", tmp_path / "t.txt"
    file.write_text(json.dumps(document))
    text.write_text("a loan")
    flag = ["--classifier", f"spam={folder}"]
    assert main(["test", str(file), *flag]) == 0
    assert main(["test", str(file)]) == 4
    assert main(["verify", str(text), "--policies", str(file), *flag]) == 1
    assert "classifier spam: spam" in capsys.readouterr().out
    assert main(["test", str(file), "--classifier", str(folder)]) == 3
    assert main(["test", str(file), "--classifier", f"spam={tmp_path}"]) == 3
    assert "PK450" in capsys.readouterr().err
