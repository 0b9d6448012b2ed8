"""`generate` and `demo` on the real embedded model."""

import json
from pathlib import Path

import pytest

from .conftest import Run

pytestmark = pytest.mark.slow

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: letters, version: 1.0.0, owner: team@example.org, why: a rule that the model breaks at once}
rules:
  - id: no-vowels
    match: {regex: ['[aeiouy]']}
    action: {block: {message: no vowels}}
tests:
  - {name: t, given: {output: a}, expect: {decision: block, rules: [no-vowels]}}
"""


@pytest.fixture
def letters(tmp_path: Path) -> str:
    (tmp_path / "letters.policy.yaml").write_text(POLICY, encoding="utf-8")
    return "letters.policy.yaml"


def test_a_free_model_breaks_the_rule_and_a_held_one_cannot(run: Run, letters: str) -> None:
    flags = ["generate", "--prompt", "Where is my parcel?", "--policies", letters, "--max-new-tokens", "16", "--n", "3"]
    free = run(*flags, "--free", "--format", "json")
    held = run(*flags, "--format", "json")
    assert (free.status, held.status) == (1, 0)
    assert all(text["verdict"]["decision"] == "block" for text in json.loads(free.out)["texts"])
    texts = json.loads(held.out)["texts"]
    assert len(texts) == 3
    assert all(text["verdict"]["decision"] == "allow" for text in texts)
    assert not any(set(text["text"].lower()) & set("aeiouy") for text in texts)


def test_rules_that_read_facts_judge_what_was_written(run: Run, tmp_path: Path) -> None:
    policy = POLICY.replace("    action:", "    when: user.role == 'guest'\n    action:")
    policy = policy.replace("given: {output: a}", "given: {output: a, facts: {user: {role: guest}}}")
    (tmp_path / "guests.policy.yaml").write_text(policy, encoding="utf-8")
    flags = ["generate", "--prompt", "Hi", "--policies", "guests.policy.yaml", "--max-new-tokens", "12"]
    statuses = [run(*flags, "--facts", f'{{"user": {{"role": "{role}"}}}}').status for role in ("guest", "member")]
    assert statuses == [1, 0]
    assert run(*flags).status == 1, "a condition whose facts are missing blocks"


def test_a_grammar_is_written_to_its_end_and_the_same_seed_writes_the_same(run: Run, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"urgent": {"type": "boolean"}}, "required": ["urgent"],
              "additionalProperties": False}  # fmt: skip
    (tmp_path / "urgent.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    flags = ["generate", "--prompt", "Is it urgent?", "--grammar", "urgent.schema.json", "--format", "json"]
    one, two = run(*flags, "--seed", "5"), run(*flags, "--seed", "5")
    assert one.status == 0
    assert one.out == two.out
    (text,) = json.loads(one.out)["texts"]
    assert set(json.loads(text["text"])) == {"urgent"}
    assert text["ended_by"] == "end"


def test_people_see_the_verdict_and_the_text(run: Run, letters: str) -> None:
    done = run("generate", "--prompt", "Hi", "--policies", letters, "--greedy", "--max-new-tokens", "8")
    assert done.status == 0
    assert done.out.startswith("allowed: no violations")
    assert "ended by " in done.out


def test_a_model_that_is_not_there_is_invalid_input(run: Run, letters: str) -> None:
    done = run("generate", "--model", "./no-such-model", "--prompt", "x", "--policies", letters)
    assert done.status == 3
    assert "PK450: " in done.err


def test_the_demo_shows_pairs_plan_step_and_score(run: Run, promises: str) -> None:
    done = run("demo", "--prompts", "2", "--width", "100", "--policies", promises)
    assert done.status == 0, done.err
    assert "2/2 " in done.out
    assert "under the plan" in done.out
    assert "no-guarantees" in done.out
    assert "under the plan 0/2" in done.out
    assert all(len(line) <= 100 for line in done.out.splitlines())
    assert "\x1b[" not in done.out


def test_a_token_that_the_model_does_not_have_is_shown_where_the_grammar_names_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.lark").write_text('start: "a"\n  | <|usr|>\n', encoding="utf-8")
    found = run("generate", "--prompt", "Hi", "--grammar", "a.lark")
    assert found.status == 3
    assert "a.lark:2:5: PK219: `<|usr|>` is no special token of this vocabulary" in found.err
    assert "help: did you mean `<|user|>`?" in found.err
