"""Supervised fine-tuning: losses and weights by hand, and small trainings of the embedded model."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import policykit as pk
from policykit import Grammar
from policykit.automata.regex_syntax import parse
from policykit.diagnostics import Place, PolicyError
from policykit.engines.encoding import encode
from policykit.ir.citations import Mark
from policykit.ir.document import PolicySet
from policykit.policy.checked import Entries, Json
from policykit.training.citations import Citations, citations_from
from policykit.training.config import Optimizer
from policykit.training.kinds.sft import KIND
from policykit.training.likelihood import token_nll, unlikelihood, weighted_sums
from policykit.training.offline import batch_at, rate_at
from policykit.training.rows import Row
from policykit.training.runs.run import Run
from policykit.training.segments import Segment, character_weights, json_spans, regex_spans, segments_from, token_means
from policykit.training.session import Ready, prepare, train
from policykit.training.sft import Settings, example_of
from policykit.verify.json_fields import steps

from .offline import HEAD, metrics, routed, weights, write_training

PLACE = Place("rows.jsonl", 1)


def test_token_losses_by_hand() -> None:
    # probabilities 1/2, 1/4, 1/4
    logits = torch.tensor([[[math.log(2), 0.0, 0.0]]])
    first = torch.tensor([[0]])
    assert token_nll(logits, first).item() == pytest.approx(math.log(2))
    mean = (math.log(2) + 2 * math.log(4)) / 3
    found = token_nll(logits, first, label_smoothing=0.3).item()
    assert found == pytest.approx(0.7 * math.log(2) + 0.3 * mean)
    official = torch.nn.functional.cross_entropy(logits[0], first[0], label_smoothing=0.3)
    assert found == pytest.approx(official.item())
    assert unlikelihood(torch.tensor([math.log(0.25)])).item() == pytest.approx(-math.log(0.75))
    assert torch.isfinite(unlikelihood(torch.tensor([0.0, -200.0]))).all()
    terms = torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 3.0]])
    assert weighted_sums(*terms, torch.tensor([[1.0, 0.5]]), torch.tensor([[0.0, 2.0]])).tolist() == [8.0]


def test_gradients_of_token_losses_are_finite_differences() -> None:
    logp = torch.tensor([-0.1, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unlikelihood, (logp,))


def test_rates_by_hand() -> None:
    linear = Optimizer(rate=1.0, schedule="linear", warmup=2)
    assert [rate_at(linear, step, 6) for step in range(1, 7)] == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])
    cosine = Optimizer(rate=1.0, schedule="cosine")
    assert [rate_at(cosine, step, 4) for step in (1, 3)] == pytest.approx([1.0, 0.5])
    assert rate_at(Optimizer(rate=0.3, schedule="constant"), 99, 100) == 0.3


def test_every_epoch_takes_each_row_once_in_its_own_order() -> None:
    drawn = [row for step in range(1, 16) for row in batch_at(step, 4, 20, seed=5)]
    epochs = [drawn[:20], drawn[20:40], drawn[40:]]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert batch_at(3, 4, 20, seed=5) == drawn[8:12] != batch_at(3, 4, 20, seed=6)


TEXT = '{"id": 7, "lines": [{"sum": 12}, {"sum": "x"}]}'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("id", ["7"]),
        ("lines.*.sum", ["12", '"x"']),
        ("**.sum", ["12", '"x"']),
        ("/lines/0", ['{"sum": 12}']),
        ("nothing", []),
    ],
)
def test_paths_find_the_parts_of_json(path: str, found: list[str]) -> None:
    assert [TEXT[a:b] for a, b in json_spans(TEXT, steps(path))] == found


def entries_of(*segments: dict[str, Json]) -> Any:
    from policykit.profiles.documents import checked
    from policykit.training.table import records_for

    section = f"sft: {{segments: {json.dumps(segments)}}}"
    found: list[Any] = []
    entries = checked(f"{HEAD}{section}\n", "f.yaml", "training", records_for("sft", KIND.records), found)
    assert entries is not None, found
    return entries.entries("sft").records("segments")


def test_names_of_a_grammar_find_their_parts() -> None:
    grammar = Grammar.from_lark('start: sentence+\n?sentence: WORD+ cite "."\ncite: "[" /[0-9]/ "]"\nWORD: /[a-z]+ /\n')
    found: list[Any] = []
    named = segments_from(
        entries_of({"weight": 3, "grammar": "cite"}, {"weight": 0, "grammar": "WORD"}), grammar, found
    )
    assert found == []
    text = "it is [1].so [2]."
    assert [[text[a:b] for a, b in segment.spans(text)] for segment in named] == [["[1]", "[2]"], ["it ", "is ", "so "]]
    assert character_weights("so [2].", named, PLACE) == [0, 0, 0, 3, 3, 3, 1]
    with pytest.raises(PolicyError) as error:
        character_weights("so.", named, PLACE)
    assert error.value.diagnostics[0].code == "PK781"


def test_segments_that_cannot_be_found_are_refused() -> None:
    found: list[Any] = []
    grammar = Grammar.from_lark('start: "a" cite\ncite: "[1]"\n')
    bad = entries_of(
        {"weight": 1, "grammar": "sight"}, {"weight": 1, "regex": "("}, {"weight": 1, "regex": "a", "json": "b"}
    )
    assert segments_from(bad, grammar, found) == []
    assert [(d.code, d.place.line) for d in found] == [("PK780", 9)] * 3
    assert "it has a, cite, start" in found[0].message.lower()
    segments_from(entries_of({"weight": 1, "grammar": "cite"}), None, found)
    assert "no Lark grammar" in found[-1].message


def test_a_later_segment_takes_what_is_in_common() -> None:
    segments = [Segment(2.0, regex_spans("b+")), Segment(5.0, regex_spans("bc"))]
    weights = character_weights("abbc", segments, PLACE)
    assert weights == [1, 2, 5, 5]
    assert token_means(weights, [(0, 2), (2, 4), (4, 4)], 1.0) == [1.5, 5, 1]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from policykit.engines.transformers import load_model

    return load_model("embedded")[1]


def test_citations_are_weighed_by_the_sources(tokenizer: Any) -> None:
    text = "See (K7), (K8)."
    row = Row({"prompt": "?", "completion": text, "sources": ["K7"], "weight": 2.0}, PLACE)
    encoded = encode(tokenizer, "?", text)
    assert encoded.completion_ids[-1] == tokenizer.eos_token_id
    assert encoded.token_ids[0] == tokenizer.convert_tokens_to_ids("<|user|>")
    mark = Mark("({id})", parse("K[0-9]", PLACE).regex, "K[0-9]")
    settings = Settings(citations=Citations((mark,), weight=3.0, unsupported=0.5))
    example = example_of(row, encoded, settings, [])
    for weight, against, (start, end) in zip(example.weights, example.against, encoded.spans, strict=True):
        by_hand = [6.0 if 4 <= i < 8 else 0.0 if 10 <= i < 14 else 2.0 for i in range(start, end)] or [2.0]
        hard = [1.0 if 10 <= i < 14 else 0.0 for i in range(start, end)] or [0.0]
        assert weight == pytest.approx(sum(by_hand) / len(by_hand))
        assert against == pytest.approx(sum(hard) / len(hard))
    with pytest.raises(PolicyError) as error:
        example_of(Row({"completion": text}, PLACE), encoded, settings, [])
    assert error.value.diagnostics[0].code == "PK781"


def ready(folder: Path, text: str = HEAD, n: int = 24) -> Ready:
    return prepare(KIND, write_training(folder, text, routed(n, 1), routed(12, 2)))


def test_a_batch_is_the_same_in_one_piece_and_in_eight(tmp_path: Path) -> None:
    train(ready(tmp_path / "whole"))
    train(ready(tmp_path / "parts", HEAD.replace("batch: 8", "batch: 8, microBatch: 1")))
    for one, other in zip(metrics(tmp_path / "whole" / "run"), metrics(tmp_path / "parts" / "run"), strict=True):
        assert one.pop("phase") == other.pop("phase")
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
    whole, parts = weights(tmp_path / "whole" / "run"), weights(tmp_path / "parts" / "run")
    # What rounding differs by, AdamW's first steps make a sign of where a gradient is next to nothing.
    differences = torch.cat([(whole[name] - parts[name]).abs().flatten() for name in whole])
    assert differences.mean() < 2e-4


class Killed(BaseException):
    pass


def test_a_run_that_was_killed_ends_bit_for_bit_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HEAD.replace("rank: 4", "rank: 4, dropout: 0.2")
    train(ready(tmp_path / "whole", text))
    log = Run.log

    def killing(self: Run, step: int, values: dict[str, float]) -> None:
        log(self, step, values)
        if step == 5:
            raise Killed

    monkeypatch.setattr(Run, "log", killing)
    with pytest.raises(Killed):
        train(ready(tmp_path / "killed", text))
    monkeypatch.setattr(Run, "log", log)
    train(ready(tmp_path / "killed", text), resume=True)
    assert metrics(tmp_path / "killed" / "run") == metrics(tmp_path / "whole" / "run")
    whole, killed = weights(tmp_path / "whole" / "run"), weights(tmp_path / "killed" / "run")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


GRAMMAR = "grammar: form.lark\n"
FORM = 'start: "{\\"team\\": \\"" TEAM "\\", \\"n\\": " /[0-9]/ "}"\nTEAM: "billing" | "returns" | "care"\n'


def test_the_schema_penalty_is_the_mass_outside_the_masks(tmp_path: Path) -> None:
    text = f"{HEAD}{GRAMMAR}sft: {{schemaPenalty: 0.5, segments: [{{grammar: TEAM, weight: 3}}]}}\n"
    file = write_training(tmp_path, text, routed(16, 1), routed(4, 2))
    (tmp_path / "form.lark").write_text(FORM)
    made = prepare(KIND, file)
    train(made)
    first, *_, last = [line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut"]
    assert last["mask_tax"] < 0.8 * first["mask_tax"]
    assert first["mask_tax"] == pytest.approx(_tax_by_hand(made), rel=1e-4)


def _tax_by_hand(made: Ready) -> float:
    """−Σ log of the allowed mass, token by token from the constraint's own rows, in numpy."""
    from policykit.constraint import Vocabulary
    from policykit.engines.transformers import load_model

    model, tokenizer = load_model("embedded")
    anything: Any = tokenizer
    assert made.start.plan is not None
    constraint = made.start.plan.constraint(Vocabulary.from_tokenizer(anything))
    total = 0.0
    for row in made.start.held_out:
        encoded = encode(tokenizer, row.values["prompt"], row.text("completion"))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([encoded.token_ids])).logits[0].double().numpy()
        state, bits = constraint.start(), np.zeros(-(-constraint.vocabulary.size // 32), dtype=np.int32)
        for i, token in enumerate(encoded.completion_ids):
            scores = np.exp(logits[encoded.n_prompt + i - 1])
            state.fill(bits)
            allowed = [bool(bits[t // 32] >> (t % 32) & 1) for t in range(constraint.vocabulary.size)]
            total -= math.log(scores[: len(allowed)][allowed].sum() / scores.sum())
            assert state.accept(token)
    return total / len(made.start.held_out)


CITED = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: cited, version: 1.0.0, owner: a@example.org, why: no claim without a source}
rules:
  - id: cite
    require: {citations: {per: text, id: "K[0-9]+", sources: retrieved.ids}}
    action: {block: {}}
"""

CITED_PLAN = pk.compile(PolicySet((pk.parse_document(CITED, "cited.policy.yaml"),)))
THE_RULE_S = citations_from(Entries("citations", {}, {}, PLACE), CITED_PLAN, [])


@given(st.text(alphabet="[]K019 \n(.a", max_size=40), st.sets(st.sampled_from(["K0", "K1", "K19", "K9"])))
def test_what_training_calls_unsupported_the_rule_refuses_and_nothing_else(text: str, ids: set[str]) -> None:
    """One form for both: the places are those of the verifier's own violations, and of the form as an expression."""
    found = [(start, end, source) for start, end, source in THE_RULE_S.spans(text) if source not in ids]
    verdict = CITED_PLAN.verify(text, {"retrieved": {"ids": sorted(ids)}})
    refused = [(v.start, v.end) for v in verdict.violations if v.rule == "cite-sources"]
    assert [(start, end) for start, end, _ in found] == refused
    by_hand = [match for match in re.finditer(r"\[(K[0-9]+)\]", text) if match.group(1) not in ids]
    assert found == [(*match.span(), match.group(1)) for match in by_hand]


def test_a_training_file_takes_the_form_from_the_rule(tmp_path: Path) -> None:
    rows = [{"prompt": "Is it safe?", "completion": f"It may fall [K{n}].", "sources": ["K1"]} for n in (1, 2)]
    text = f"{HEAD}policies: [cited.policy.yaml]\nsft: {{replies: 0, citations: {{weight: 3, unsupported: 2}}}}\n"
    file = write_training(tmp_path, text, rows, rows)
    (tmp_path / "cited.policy.yaml").write_text(CITED)
    made = prepare(KIND, file)
    assert made.job.settings["citations"] == {
        "marks": [{"format": "[{id}]", "id": "K[0-9]+"}], "weight": 3.0, "unsupported": 2.0,
    }  # fmt: skip


BAD = [
    pytest.param("sft: {schemaPenalty: 0.1}\n", "PK780", "no effect without a plan", id="a penalty without a plan"),
    pytest.param("sft: {citations: {format: '[{id}]', id: 'K['}}\n", "PK100", "", id="no expression"),
    pytest.param("sft: {citations: {format: 'K{id}'}}\n", "PK140", "set an id apart", id="a form without an end"),
    pytest.param("sft: {citations: {weight: 2}}\n", "PK780", "nothing says how a citation", id="no form"),
    pytest.param("sft: {citations: {format: '[{id}]'}}\n", "PK781", "no column `sources`", id="no sources"),
    pytest.param(
        "policies: [cited.policy.yaml]\nsft: {replies: 0, citations: {format: '({id})'}}\n",
        "PK780",
        "demand other citations: `[{id}]`",
        id="not the plan's form",
    ),
    pytest.param("sft: {segments: [{json: a, weight: 1}]}\n", "PK781", "Expecting", id="no JSON"),
    pytest.param(
        f"{GRAMMAR}sft: {{schemaPenalty: 1, violations: keep}}\n", "PK781", "does not admit", id="outside the grammar"
    ),
    pytest.param("adapters: [nowhere]\n", "PK785", "holds no adapter", id="no adapter"),
    pytest.param("sft: {labelSmoothing: 0.7}\n", "PK026", "0.5", id="too smooth"),
]


@pytest.mark.parametrize(("more", "code", "said"), BAD)
def test_bad_settings_are_refused_before_the_first_step(tmp_path: Path, more: str, code: str, said: str) -> None:
    row = {"prompt": "Is it safe?", "completion": "It may fall, see K1."}
    file = write_training(tmp_path, f"{HEAD}{more}", [row], [row])
    (tmp_path / "form.lark").write_text(FORM)
    (tmp_path / "cited.policy.yaml").write_text(CITED)
    with pytest.raises(PolicyError) as error:
        prepare(KIND, file)
    assert {d.code for d in error.value.diagnostics} == {code}
    assert said in str(error.value)
    assert all(d.place is not None for d in error.value.diagnostics)


def test_lora_names_layers_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as error:
        ready(tmp_path, HEAD.replace("rank: 4", "modules: [q_proj, vproj]"))
    assert [d.code for d in error.value.diagnostics] == ["PK785"]
    assert "`vproj`" in str(error.value)


def test_rows_that_are_too_long_are_refused_or_counted(tmp_path: Path) -> None:
    long = {"prompt": "Is it safe?", "completion": "It may fall. " * 40}
    text = HEAD.replace("heldOut.jsonl}", "heldOut.jsonl, maxTokens: 90}")
    for rows, dropped in (([*routed(3, 1), long], 1), ([long], None)):
        with pytest.raises(PolicyError) as error:
            prepare(KIND, write_training(tmp_path, text, rows, routed(2, 2)))
        assert [d.code for d in error.value.diagnostics] == ["PK782"]
        drop = text.replace("maxTokens: 90", "maxTokens: 90, tooLong: drop")
        file = write_training(tmp_path, drop, rows, routed(2, 2))
        if dropped is None:
            with pytest.raises(PolicyError):
                prepare(KIND, file)
        else:
            assert prepare(KIND, file).job.facts["rows that were dropped"] == dropped


def test_an_adapter_is_merged_and_gone_on_from(tmp_path: Path) -> None:
    train(ready(tmp_path / "first"))
    last = metrics(tmp_path / "first" / "run")[-1]
    second = ready(tmp_path / "second", f"{HEAD}adapters: [../first/run/adapter]\n")
    train(second)
    first = metrics(tmp_path / "second" / "run")[0]
    assert (last["phase"], first["phase"], first["step"]) == ("heldOut", "heldOut", 0)
    assert first["nll"] == pytest.approx(last["nll"], rel=1e-4)
    other = tmp_path / "first" / "run" / "adapter" / "adapter_model.safetensors"
    other.write_bytes(other.read_bytes()[:-4] + bytes(4))  # another adapter in its place
    with pytest.raises(PolicyError, match="began with another `adapters`") as error:
        train(ready(tmp_path / "second", f"{HEAD}adapters: [../first/run/adapter]\n"), resume=True)
    assert error.value.diagnostics[0].code == "PK784"


@pytest.mark.slow
def test_it_learns_a_form_that_the_model_does_not_know(tmp_path: Path) -> None:
    text = HEAD.replace("steps: 6", "steps: 60")
    train(ready(tmp_path, text, n=128))
    first, last = (line for line in metrics(tmp_path / "run") if line["phase"] == "heldOut")
    assert last["nll"] < 0.3 * first["nll"]
    assert last["accuracy"] > 0.8 > first["accuracy"]
