"""Models that are not ours: with absolute positions, without padding or an end of text, with templates that say no."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="models are trained with torch")

from policykit.diagnostics import PolicyError  # noqa: E402
from policykit.training.kinds import dpo, kto, rloo, sft  # noqa: E402
from policykit.training.kinds.kind import Kind  # noqa: E402
from policykit.training.session import prepare, train  # noqa: E402

POSITIONS = 64
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: p, version: 1.0.0, owner: a@example.org, why: a test}
rules: [{id: no, match: {phrases: [never ever]}, action: {block: {}}}]
"""
FILE = """\
apiVersion: policykit/v1
kind: Training
name: t
model: %(model)s
policies: [p.policy.yaml]
data: {train: t.jsonl}
run: {folder: run, steps: 1, batch: 2}
%(kind)s: %(section)s
"""
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] != 'user' %}{{ raise_exception('users only') }}{% endif %}"
    "{{ m['content'] }}\n{% endfor %}"
)
SYSTEM = [{"role": "system", "content": "x"}]
SHORT = {"sft": "{maxNewTokens: 8}", "kto": "{beta: 0.1}", "dpo": "{beta: 0.1}"}
SHORT["rloo"] = "{task: 'task.py:f', maxNewTokens: 8, groupSize: 2}"


def model(folder: Path, *, eos: str | None = "<e>", template: str | None = None) -> Path:
    """GPT-2 of one layer over bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_ = Tokenizer(models.BPE(vocab={**{c: i for i, c in enumerate(letters)}, "<e>": 256}, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens(["<e>"])
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=bytes_, **({"eos_token": eos} if eos else {}))
    tokenizer.chat_template = template
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(0)
    size = {"n_positions": POSITIONS, "n_embd": 16, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=257, eos_token_id=256, bos_token_id=256, **size)).save_pretrained(str(folder))
    return folder


def ready(tmp_path: Path, kind: Kind, rows: list[dict[str, Any]], section: str = "", **more: Any) -> Any:
    (tmp_path / "p.policy.yaml").write_text(POLICY)
    (tmp_path / "task.py").write_text(
        "def f(completions, **columns):\n    return [float(len(c)) for c in completions]\n"
    )
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    about = {"model": model(tmp_path / "model", **more), "kind": kind.name, "section": section or SHORT[kind.name]}
    (tmp_path / "c.yaml").write_text(FILE % about)
    return prepare(kind, tmp_path / "c.yaml")


def refused(tmp_path: Path, *about: Any, **more: Any) -> tuple[str, str | None, int | None, str]:
    with pytest.raises(PolicyError) as error:
        ready(tmp_path, *about, **more)
    one = error.value.diagnostics[0]
    return one.code, one.place and Path(one.place.file).name, one.place and one.place.line, one.message


TAUGHT = [{"prompt": "Safe?", "completion": "No."}, {"prompt": "Is it?", "completion": "Maybe so."}]
FLAGS = [{**TAUGHT[0], "desirable": True}, {**TAUGHT[1], "desirable": False}]
PAIRS = [{"prompt": "Safe?", "chosen": "No.", "rejected": "never ever"}]


@pytest.mark.parametrize(
    ("kind", "rows"), [(sft.KIND, TAUGHT), (kto.KIND, FLAGS), (dpo.KIND, PAIRS), (rloo.KIND, TAUGHT)]
)
def test_a_model_without_padding_is_trained(tmp_path: Path, kind: Kind, rows: list[dict[str, Any]]) -> None:
    assert train(ready(tmp_path, kind, rows)).status == "finished"


@pytest.mark.parametrize(("kind", "rows"), [(sft.KIND, TAUGHT), (dpo.KIND, PAIRS), (rloo.KIND, TAUGHT)])
def test_without_an_end_of_text_nothing_is_trained(tmp_path: Path, kind: Kind, rows: list[dict[str, Any]]) -> None:
    found = refused(tmp_path, kind, rows, eos=None)
    assert found == ("PK400", "c.yaml", 4, "the tokenizer names no end of text")


@pytest.mark.parametrize(
    ("kind", "rows"), [(sft.KIND, TAUGHT), (kto.KIND, FLAGS), (dpo.KIND, PAIRS), (rloo.KIND, TAUGHT)]
)
def test_messages_that_the_template_does_not_take_are_told_at_their_row(
    tmp_path: Path, kind: Kind, rows: list[dict[str, Any]]
) -> None:
    found = refused(tmp_path, kind, [*rows, {**rows[0], "prompt": SYSTEM}], template=TEMPLATE)
    assert found[:3] == ("PK781", "t.jsonl", len(rows) + 1)
    assert found[3].endswith("does not take the prompt: users only")


def test_what_the_model_has_no_positions_for_is_refused_before_the_first_step(tmp_path: Path) -> None:
    long, short = "x" * 50, {"prompt": "x", "completion": "y", "desirable": False}
    code, file, line, said = refused(tmp_path, sft.KIND, [*TAUGHT, {"prompt": long, "completion": long}])
    assert (code, file, line) == ("PK782", "t.jsonl", 3)
    assert said == f"the row has 101 tokens, and the model reads {POSITIONS}"
    said = refused(tmp_path, rloo.KIND, [{"prompt": "x" * 57}])[3]
    assert said == f"the row has 57 tokens, and the model reads {POSITIONS} beside `maxNewTokens`, which is 8"
    assert refused(tmp_path, sft.KIND, TAUGHT, "{labelSmoothing: 0.1}")[0] == "PK782", "the free replies have no room"
    both = [{"prompt": long, "completion": "y", "desirable": True}, {**short, "completion": long}]
    assert refused(tmp_path, kto.KIND, both)[:3] == ("PK782", "t.jsonl", 1)
    assert train(ready(tmp_path, kto.KIND, [*both, short])).status == "finished", "another row's completion has room"
