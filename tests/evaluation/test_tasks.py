"""Task metrics by hand, in the cases that SQuAD's definition decides."""

import json
from pathlib import Path

import pytest

import policykit as pk
from policykit.cli.main import main
from policykit.diagnostics import PolicyError
from policykit.evaluation import citations_by
from policykit.evaluation.tasks import Cited, cited, exact_match, f1, normalised


@pytest.mark.parametrize(
    ("text", "wanted", "em", "score"),
    [
        ("The Norman Conquest!", "norman conquest", 1.0, 1.0),
        ("in 1066 or so", "1066", 0.0, 2 * 1 / (4 + 1)),
        ("red red fox", "red fox fox", 0.0, 2 * 2 / 6),  # words count as often as they stand on both sides
        ("", "", 1.0, 1.0),
        ("", "something", 0.0, 0.0),
        ("the", "a", 1.0, 1.0),  # nothing is left of either
        ("an-answer", "ananswer", 1.0, 1.0),  # punctuation goes, and leaves no space
        ("theory", "ory", 0.0, 0.0),  # articles are words
    ],
)
def test_exact_match_and_f1(text: str, wanted: str, em: float, score: float) -> None:
    assert exact_match(text, [wanted]) == em
    assert f1(text, [wanted]) == pytest.approx(score)


def test_the_best_reference_counts() -> None:
    assert exact_match("b", ["x", "b"]) == 1.0
    assert f1("b c", ["x", "b", "b c d"]) == pytest.approx(0.8)
    assert f1("b", []) == 0.0


def test_normalisation_is_that_of_squad() -> None:
    assert normalised(" An  apple,\nthe pear & a U.S. state ") == "apple pear us state"


def test_citations_are_found_by_their_first_group() -> None:
    find = citations_by(r"\[(K[0-9]+)\]")
    text = "It is so [K1], really [K1][K7]. See [L2]."
    assert list(find(text)) == ["K1", "K1", "K7"]
    assert cited(find(text), ["K1", "K2", "K3"]) == Cited(n_cited=2, n_right=1, n_wanted=3)
    assert list(citations_by("K[0-9]+")("K1 K2")) == ["K1", "K2"]
    assert list(citations_by("({id})")("So (K1), or (not this) [K3] (K-2).")) == ["K1", "K-2"]


CITED = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: cited, version: 1.0.0, owner: a@b.c, why: what is said has a source}
rules:
  - id: cites
    require: {citations: {format: "({id})", id: "K[0-9]+", per: sentence, sources: retrieved.ids}}
    action: {block: {}}
"""


def test_citations_are_found_as_the_plan_s_rules_demand_them(tmp_path: Path) -> None:
    (tmp_path / "cited.policy.yaml").write_text(CITED)
    plan, text = pk.compile(pk.load_policies(tmp_path)), "So (K1), and (not this) (K22)."
    for pattern in (None, "({id})"):
        assert list(citations_by(pattern, plan)(text)) == ["K1", "K22"]
    assert list(citations_by("({id})")("(this) (K2)")) == ["this", "K2"], "without a plan any id"
    assert list(citations_by("[{id}]", plan)("[L2] (K1)")) == ["L2"], "another form than the plan's"
    for listed, is_block in ((["K1", "K22"], False), (["K1"], True), (["K22"], True)):
        verdict = plan.verify(text, {"retrieved": {"ids": listed}})
        assert (verdict.decision.value == "block") == is_block, "the verifier finds the same ones"
    with pytest.raises(PolicyError, match=r"PK845.*nothing says"):
        citations_by(None, pk.compile(None, pk.Grammar.from_regex("a")))
    answered = {"prompt": "Is it so?", "output": text, "citations": ["K1"], "facts": {"retrieved": {"ids": ["K1"]}}}
    (tmp_path / "answered.jsonl").write_text(json.dumps(answered) + "\n")
    asked = ["eval", "--outputs", str(tmp_path / "answered.jsonl"), "--policies", str(tmp_path), "--citations"]
    assert main([*asked, "-o", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())["task"]["citations"]
    assert (found["n_cited"], found["n_right"], found["n_wanted"]) == (2, 1, 1)


def test_a_pattern_that_cannot_run_in_linear_time_is_refused() -> None:
    with pytest.raises(PolicyError, match="PK845"):
        citations_by(r"(?<=K)\d+")
