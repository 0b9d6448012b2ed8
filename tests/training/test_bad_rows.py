"""Rows that no training takes, each told at its line; and rows that look like it and are fine."""

import json
from pathlib import Path

import pytest

from policykit.diagnostics import Place, PolicyError
from policykit.training.kinds import dpo, kto, rloo, rm, sft
from policykit.training.kinds.kind import Kind
from policykit.training.rows import Rows, load_rows

PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}


def load(tmp_path: Path, kind: Kind, *lines: bytes) -> Rows:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    return load_rows(tmp_path / "rows.jsonl", kind.columns, None, Place("c.yaml"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            b'{"prompt": "a", "completion": "b", "weight": 1' + b"0" * 400 + b"}",
            "`weight` is not a number of 0 or more",
        ),
        (b'{"prompt": "a", "completion": "b", "weight": -1}', "`weight` is not a number of 0 or more"),
        (b'{"prompt": "a", "completion": "b", "weight": NaN}', "`weight` is not a number of 0 or more"),
        (b'{"prompt": "a", "completion": "b", "weight": Infinity}', "`weight` is not a number of 0 or more"),
        (b'{"prompt": "a", "completion": "b \\uD800 c"}', "half of a pair of surrogates"),
        (b'{"prompt": "a \\udfff", "completion": "b"}', "half of a pair of surrogates"),
        (b'{"prompt": "a", "completion": "b", "facts": {"a\\ud801": 1}}', "half of a pair of surrogates"),
        (b'{"prompt": "a", "completion": "b", "completion": "c"}', "`completion` stands twice in one object"),
        (b'{"prompt": "a", "completion": "b", "facts": {"a": 1, "a": 2}}', "`a` stands twice in one object"),
        (b'{"prompt": "a", "completion": "caf\xe9"}', "the line is no JSON"),
        (b'{"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]}', "`completion` is not text"),
    ],
)
def test_a_line_that_no_training_takes_is_told_by_its_number(tmp_path: Path, line: bytes, said: str) -> None:
    good = b'{"prompt": "a", "completion": "b"}'
    with pytest.raises(PolicyError) as refused:
        load(tmp_path, sft.KIND, good, line, good)
    (one,) = refused.value.diagnostics
    assert (one.code, one.place and one.place.line) == ("PK781", 2)
    assert said in one.message
    assert one.help


def test_rows_that_weigh_nothing_together_teach_nothing(tmp_path: Path) -> None:
    row = {"prompt": "a", "completion": "b", "weight": 0}
    with pytest.raises(PolicyError, match="every row has the `weight` 0"):
        load(tmp_path, sft.KIND, *[json.dumps(row).encode()] * 2)
    assert len(load(tmp_path, sft.KIND, json.dumps(row).encode(), b'{"prompt": "a", "completion": "b"}')) == 2


@pytest.mark.parametrize("text", [b"\\uD83D\\uDE00", "😀".encode(), b"a\\u0301 \\u0000", b"C:\\\\udders", b"\\\\ud800"])
def test_texts_of_any_characters_are_rows(tmp_path: Path, text: bytes) -> None:
    assert len(load(tmp_path, sft.KIND, b'\xef\xbb\xbf{"prompt": "a", "completion": "' + text + b'"}')) == 1


@pytest.mark.parametrize(
    ("kind", "row", "help"),
    [
        (kto.KIND, {"prompt": "a", "completion": "b", "label": False}, "call it `desirable`"),
        (dpo.KIND, {**PAIR, "margin": 1.0}, "say `margin` in the training file"),
        (rm.KIND, {**PAIR, "margin": 0}, "say `margin` in the training file"),
        *(
            (rloo.KIND, {"prompt": "a", name: "b"}, "rename it")
            for name in ("prompts", "completions", "completion_ids")
        ),
    ],
)
def test_a_column_that_other_trainers_read_is_not_passed_over(
    tmp_path: Path, kind: Kind, row: dict[str, object], help: str
) -> None:
    (name,) = set(row) - {"prompt", "completion", "chosen", "rejected"} or {"completion"}
    with pytest.raises(PolicyError, match=f"`{name}` is not read") as refused:
        load(tmp_path, kind, json.dumps(row).encode())
    assert (refused.value.diagnostics[0].help or "").startswith(help)
