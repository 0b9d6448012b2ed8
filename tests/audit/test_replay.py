"""A recorded answer is replayed: what was permitted is found by brute force, too."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import policykit as pk
from policykit.audit import (
    Judgement,
    LogError,
    MaskReport,
    Record,
    ReplayData,
    open_log,
    rejudge,
    replay_masks,
)
from policykit.cli.main import main
from policykit.ir.verdict import Decision
from tests.audit.records import plain

TOKENIZER = Path(pk.__file__).parent / "embedded" / "model" / "tokenizer.json"
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: promises, version: 1.0.0, owner: a@example.org, why: test}
rules:
  - {id: no-cures, match: {phrases: [sure thing]}, action: {block: {message: no}}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> pk.Plan:
    (tmp_path / "promises.policy.yaml").write_text(POLICY)
    made = pk.compile(pk.load_policies(tmp_path / "promises.policy.yaml"))
    made.save(tmp_path / "plan.json")
    return made


def recorded(plan: pk.Plan, text: str, closed: dict[str, int] | None = None) -> Record:
    tokens = tuple(Tokenizer.from_file(str(TOKENIZER)).encode(text, add_special_tokens=False).ids)
    of = pk.Vocabulary.from_file(TOKENIZER)
    data = ReplayData(0, 1, plan.digest, of.digest, of.size, of.eos_ids, "", tokens)
    masks = () if closed is None else (MaskReport(0, plan.digest, len(tokens), tuple(closed.items()), attempt=1),)
    decision = Decision.BLOCK if re.search(r"\bsure thing\b", text, re.IGNORECASE) else Decision.ALLOW
    said = Judgement("content", 0, 1, True, decision, plan.digest, text=text)
    return plain(replay=(data,), masks=masks, judgements=(said,))


def closing_places(tokens: tuple[int, ...]) -> list[bool]:
    """At each place of a text, by brute force: whether some token makes it one that holds the phrase,
    which it does when the word has ended."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    pieces = [tokenizer.decode([i]) for i in range(tokenizer.get_vocab_size())]
    found = []
    for n in range(len(tokens) + 1):
        before = tokenizer.decode(list(tokens[:n]))
        found.append(any(re.search(r"\bsure thing\W", before + piece, re.IGNORECASE) for piece in pieces))
    return found


TEXT = "We are sure things go well."


def test_steps_are_permitted_and_counted_as_brute_force_says(plan: pk.Plan) -> None:
    record = recorded(plan, TEXT)
    (found,) = replay_masks(record, plan, TOKENIZER)
    assert found.permitted
    assert [step.token_id for step in found.steps] == list(record.replay[0].token_ids)
    places = closing_places(record.replay[0].token_ids)
    (rule,) = found.closed
    assert rule.endswith("no-cures")
    assert [bool(step.closers) for step in found.steps] == places[:-1]
    assert found.closed[rule] == sum(places) > 0
    assert found.agrees is None
    size = Tokenizer.from_file(str(TOKENIZER)).get_vocab_size()
    assert all(0 < step.n_allowed <= size for step in found.steps)


def test_the_report_of_the_engine_is_compared(plan: pk.Plan) -> None:
    (found,) = replay_masks(recorded(plan, TEXT), plan, TOKENIZER)
    ((rule, n),) = found.closed.items()
    assert replay_masks(recorded(plan, TEXT, {rule: n}), plan, TOKENIZER)[0].agrees is True
    assert replay_masks(recorded(plan, TEXT, {rule: n + 1}), plan, TOKENIZER)[0].agrees is False
    of_another = recorded(plan, TEXT, {rule: n + 1})
    of_another = replace(of_another, masks=(replace(of_another.masks[0], attempt=2),))
    assert replay_masks(of_another, plan, TOKENIZER)[0].agrees is None


def test_a_token_that_was_not_permitted_is_named(plan: pk.Plan) -> None:
    (found,) = replay_masks(recorded(plan, "It is a sure thing, always."), plan, TOKENIZER)
    assert not found.permitted
    assert found.steps[-1].blocked_by[0].endswith("no-cures")


def test_texts_are_judged_again(plan: pk.Plan) -> None:
    record = recorded(plan, TEXT)
    assert [one.agrees for one in rejudge(record, plan)] == [True]
    lied = replace(record, judgements=(replace(record.judgements[0], decision=Decision.BLOCK),))
    assert [one.agrees for one in rejudge(lied, plan)] == [False]


@pytest.mark.parametrize("changed", ["no tokens", "another plan", "another tokenizer", "other ends", "another size"])
def test_what_does_not_belong_together_is_refused(plan: pk.Plan, changed: str) -> None:
    record = recorded(plan, TEXT)
    (data,) = record.replay
    other = f"sha256:{'0' * 64}"
    record = {
        "no tokens": replace(record, replay=()),
        "another plan": replace(record, replay=(replace(data, plan_digest=other),)),
        "another tokenizer": replace(record, replay=(replace(data, vocabulary_digest=other),)),
        "other ends": replace(record, replay=(replace(data, eos_ids=(1, 2)),)),
        "another size": replace(record, replay=(replace(data, vocabulary_size=data.vocabulary_size + 64),)),
    }[changed]
    with pytest.raises(LogError) as caught:
        replay_masks(record, plan, TOKENIZER)
    assert [d.code for d in caught.value.diagnostics] == ["PK671"]


def test_the_command_says_it(plan: pk.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(tmp_path / "log")
    log.append(recorded(plan, TEXT))
    log.append(replace(recorded(plan, "A sure thing."), request="bad"))
    log.close()
    given = [str(tmp_path / "log"), "--plan", str(tmp_path / "plan.json"), "--tokenizer", str(TOKENIZER)]
    assert main(["audit", "replay", *given, "--request", "r0"]) == 0
    out = capsys.readouterr().out
    assert "every token was permitted; the record has no report of it" in out
    assert "text of choice 0: allow, again allow" in out
    assert main(["audit", "replay", *given, "--request", "bad", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [step["allowed"] for step in found["choices"][0]["steps"]][-1] is False
    assert main(["audit", "replay", *given, "--request", "nobody"]) == 3
