"""What an attack on the constraint once found, each as the smallest case that showed it."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

import policykit as pk
from policykit import embedded
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec

HEAD = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: attack, version: 1.0.0, owner: a@example.org, why: attacks}
rules:
"""
BYTES = pk.Vocabulary.from_tokens([*(bytes([b]) for b in range(256)), b"<end>"], [256])


def plan(*matches: object, grammar: GrammarSpec | None = None) -> pk.Plan:
    rule = "  - {{id: r{0}, match: {1}, action: {{block: {{message: no}}}}}}\n"
    text = HEAD + "".join(rule.format(i, json.dumps(m)) for i, m in enumerate(matches))
    return pk.compile(PolicySet((pk.parse_document(text, "attack.policy.yaml"),)), grammar)


def accepted(state: pk.State, data: bytes) -> list[bool]:
    return [state.accept(byte) for byte in data]


def row(state: pk.State, size: int) -> list[int]:
    packed = np.zeros(-(-size // 32), np.int32)
    state.fill(packed)
    return np.flatnonzero(np.unpackbits(packed.view(np.uint8), bitorder="little")).tolist()


@pytest.mark.parametrize(
    ("match", "before"),
    [
        ({"regex": [r"a\W"]}, b'"a'),
        ({"regex": ["a[^b]"]}, b'"a'),
        ({"phrases": ["guaranteed returns"]}, b'"guaranteed returns'),
    ],
)
def test_an_escape_is_not_begun_where_every_end_of_it_is_forbidden(match: object, before: bytes) -> None:
    state = plan(match, grammar=pk.Grammar.from_json_schema({"type": "string"})).constraint(BYTES).start()
    assert all(accepted(state, before))
    assert ord("\\") not in row(state, BYTES.size)
    assert not state.accept(ord("\\"))


@pytest.mark.parametrize(
    ("grammar", "regex", "before", "lead"),
    [
        (pk.Grammar.from_regex("[a-z€]+"), "€", b"a", 0xE2),
        (pk.Grammar.from_choices(["é", "b"]), "é", b"", 0xC3),
    ],
)
def test_a_character_is_not_begun_that_only_one_side_can_finish(
    grammar: GrammarSpec, regex: str, before: bytes, lead: int
) -> None:
    state = plan({"regex": [regex]}, grammar=grammar).constraint(BYTES).start()
    assert all(accepted(state, before))
    assert lead not in row(state, BYTES.size)
    assert not state.accept(lead)


def test_rules_that_leave_no_common_character_close_its_first_byte() -> None:
    made = plan({"regex": ["[é-ÿ]"], "views": ["raw"]}, {"regex": ["[À-è]"], "views": ["raw"]})
    state = made.constraint(BYTES).start()
    assert 0xC3 not in row(state, BYTES.size)
    assert not state.accept(0xC3)


@pytest.mark.parametrize("regex", ["^foo", "^[0-9]+$"])
def test_an_absence_that_can_be_too_late_to_mend_is_refused(regex: str) -> None:
    with pytest.raises(pk.PolicyError) as caught:
        plan({"not": {"regex": [regex], "views": ["raw"]}})
    assert [d.code for d in caught.value.diagnostics] == ["PK305"]


def test_a_grammar_may_name_special_tokens() -> None:
    vocabulary = pk.Vocabulary.from_file(embedded.tokenizer_path())
    user = next(i for i, name in vocabulary.special_names.items() if name == b"<|user|>")
    state = pk.compile(None, pk.Grammar.from_lark('start: "a" <|user|> "b"')).constraint(vocabulary).start()
    for token in (vocabulary.tokens.index(b"a"), user, vocabulary.tokens.index(b"b")):
        assert row(state, vocabulary.size) == [token]
        assert state.accept(token)
    assert state.accepting


@pytest.mark.parametrize(
    ("rules", "prefix", "output"),
    [
        (("acme bank", "bank is bad"), b"acme bank is", b" bad."),
        (("guaranteed", "guaranteed returns"), b"guaranteed ", b"returns."),
    ],
)
def test_a_match_inside_the_prefix_hides_no_other(rules: tuple[str, ...], prefix: bytes, output: bytes) -> None:
    state = plan(*({"phrases": [r]} for r in rules)).constraint(BYTES).start(prefix=prefix)
    assert accepted(state, output)[-1] is False


def test_a_long_gap_needs_few_states() -> None:
    made = plan({"phrases": ["profit now"], "before": {"regex": r"\d", "within": 200}})
    assert made.verify("7 per cent, profit now!").rules == ("r0",)
    assert made.verify("profit now! 7 per cent").rules == ()


def test_a_rule_on_the_start_is_refused_where_the_decoder_drops_a_space(tmp_path: Path) -> None:
    words = ["<unk>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "▁foo"]
    tokenizer = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str(), "utf-8")
    vocabulary = pk.Vocabulary.from_file(path)
    with pytest.raises(pk.PolicyError) as caught:
        plan({"regex": ["^foo"]}).constraint(vocabulary)
    assert [d.code for d in caught.value.diagnostics] == ["PK405"]
    assert plan({"regex": ["foo"]}).constraint(vocabulary).vocabulary.strips_start
