"""Calls of tools whose marks are special tokens, on a tokenizer as Hermes' and Qwen's are: made here, and asked how it
writes a call."""

import json
import random
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.constraint import State
from policykit.grammar import GrammarValidator
from policykit.ir.document import PolicySet
from tests.engines.vllm.plans import PHRASES

tokenizers = pytest.importorskip("tokenizers", reason="the tokenizer is a real one")
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

MARKS = ("<tool_call>", "</tool_call>", "<arg>", "</arg>", "[TOOL_CALLS]")
END, OTHER = "<|im_end|>", "<|im_start|>"
CALL = '{"name": "order", "arguments": '
ARGUMENTS = {"properties": {"what": {"type": "string"}}, "required": ["what"], "additionalProperties": False}
JSON = {"type": "json_schema", "json_schema": {"type": "object", **ARGUMENTS}}
HERMES = {"type": "tag", "begin": f"<tool_call>\n{CALL}", "content": JSON, "end": "}\n</tool_call>"}
FREE = {"type": "tag", "begin": "<arg>", "content": {"type": "any_text"}, "end": "</arg>"}
XML = {"type": "tag", "begin": "<tool_call>order", "content": FREE, "end": "</tool_call>"}
FORMS: dict[str, dict[str, Any]] = {
    "hermes, auto": {"type": "triggered_tags", "triggers": ["<tool_call>"], "tags": [HERMES]},
    "hermes, required": {"type": "tags_with_separator", "tags": [HERMES], "separator": "", "at_least_one": True},
    "parameters, auto": {"type": "triggered_tags", "triggers": ["<tool_call>"], "tags": [XML]},
    "a mark alone": {
        "type": "triggered_tags",
        "triggers": ["[TOOL_CALLS]"],
        "tags": [{"type": "tag", "begin": "[TOOL_CALLS]", "content": JSON, "end": ""}],
    },
}
CALLS = {
    "hermes, auto": f'I will order.<tool_call>\n{CALL}{{"what":"tea"}}}}\n</tool_call>',
    "hermes, required": f'<tool_call>\n{CALL}{{"what":"tea"}}}}\n</tool_call>',
    "parameters, auto": "Fine: <tool_call>order<arg>tea</arg></tool_call> and more",
    "a mark alone": 'Well [TOOL_CALLS]{"what":"tea"}',
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [END, OTHER, *MARKS]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([*PHRASES, *CALLS.values(), "guaranteed returns, a safe bet and risk-free"] * 3, trainer)
    return made


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> pk.Vocabulary:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return pk.Vocabulary.from_file(path, eos_token=END)


def plan(form: str) -> pk.Plan:
    source = {"type": "structural_tag", "format": FORMS[form]}
    policy = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "demo", "version": "1.0.0", "owner": "tests", "why": "marks"},
        "rules": [{"id": "no", "match": {"phrases": [*PHRASES, "order now"]}, "action": {"block": {}}}],
    }
    policies = PolicySet((pk.parse_document(json.dumps(policy), "demo.policy.yaml"),))
    return pk.compile(policies, pk.Grammar.from_structural_tag(source))


def opened(state: State, size: int) -> list[int]:
    row = np.zeros(-(-size // 32), np.int32)
    state.fill(row)
    found: list[int] = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist()
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_call_is_written_as_the_tokenizer_writes_it(
    form: str, tokenizer: Tokenizer, vocabulary: pk.Vocabulary
) -> None:
    ids = tokenizer.encode(CALLS[form]).ids
    marks = [i for i in ids if i in vocabulary.special_ids]
    assert len(marks) >= 1, "or this shows nothing"
    shown = vocabulary.showing_special()
    constraint = plan(form).constraint(shown)
    state = constraint.start()
    for token in ids:
        assert token in opened(state, shown.size)
        assert state.accept(token)
    assert state.accepting
    assert shown.decode(ids) == CALLS[form].encode()
    state.rollback(len(ids))
    assert all(map(state.accept, ids)), "rollback is replay"
    begun = constraint.start(CALLS[form].encode(), prefix_in_grammar=True)
    assert begun.accepting, "and may stand before the output"


@pytest.mark.parametrize("form", FORMS)
def test_where_they_are_not_shown_marks_are_spelled_out(
    form: str, tokenizer: Tokenizer, vocabulary: pk.Vocabulary
) -> None:
    state = plan(form).constraint(vocabulary).start()
    ids = tokenizer.encode(CALLS[form]).ids
    first = next(at for at, i in enumerate(ids) if i in vocabulary.special_ids)
    assert [state.accept(i) for i in ids[: first + 1]] == [True] * first + [False]
    assert vocabulary.decode(ids) != CALLS[form].encode()
    bytewise = plan(form).constraint(vocabulary).start()
    assert all(bytewise.accept(vocabulary.tokens.index(bytes([b]))) for b in CALLS[form].encode())
    assert bytewise.accepting


@pytest.mark.parametrize("form", FORMS)
def test_marks_stand_nowhere_else(form: str, tokenizer: Tokenizer, vocabulary: pk.Vocabulary) -> None:
    """At every place of the call each special token is tried: what is open is what the tokenizer wrote there, or what
    begins another call; and the marks of other forms, or of none, never are."""
    state = plan(form).constraint(vocabulary.showing_special()).start()
    ids = tokenizer.encode(CALLS[form]).ids
    first = next(i for i in ids if i in vocabulary.special_ids)
    open_at: list[set[int]] = []
    for token in [*ids, None]:
        open_at.append({i for i in vocabulary.marks if i in opened(state, vocabulary.size)})
        if token is None:
            break
        assert open_at[-1] <= {token, first, *(i for i in ids if vocabulary.special_names.get(i) == b"</arg>")}
        assert token not in vocabulary.marks or token in open_at[-1]
        assert state.accept(token)
    inside = [
        at for at, token in enumerate(ids) if vocabulary.tokens[token] == b"tea"[:1] or b'"' in vocabulary.tokens[token]
    ]
    assert all(first not in open_at[at] for at in inside), "no call within the arguments of a call"


@pytest.mark.parametrize("text", ["This is risk-free", "a safe bet", "We promise a return"])
def test_what_is_said_before_a_call_ends_there(text: str, tokenizer: Tokenizer, vocabulary: pk.Vocabulary) -> None:
    """A client is shown it alone, so that a phrase is complete at the mark, however that reads on."""
    state = plan("hermes, auto").constraint(vocabulary.showing_special()).start()
    assert all(map(state.accept, tokenizer.encode(text).ids))
    mark = tokenizer.token_to_id("<tool_call>")
    assert mark not in opened(state, vocabulary.size)
    assert state.blocked_by(mark) == ("demo#no",)
    assert not state.accept(mark)
    assert state.accept(tokenizer.encode("ish").ids[0]), "another word may still follow"


@pytest.mark.parametrize("form", FORMS)
def test_random_walks_hold_calls_and_no_phrases(form: str, vocabulary: pk.Vocabulary) -> None:
    """Whatever is drawn under the mask: read as the client's parser reads it, it is of the tag, its marks are special
    tokens, and neither what stands before the first mark nor all of it holds a phrase."""
    shown, drawing = vocabulary.showing_special(), random.Random(form)
    made = plan(form)
    constraint, validator = made.constraint(shown), GrammarValidator(made.spec.grammar)  # type: ignore[arg-type]
    n_calls, free = 0, pk.compile(made.spec.policies)
    for _ in range(12):
        state, ids = constraint.start(), list[int]()
        while not state.finished and len(ids) < 90:
            found = opened(state, shown.size)
            assert found, "no dead end"
            better = [i for i in found if i in shown.marks or i in shown.eos_ids]
            token = drawing.choice(better if better and drawing.random() < 0.3 else found)
            assert state.accept(token)
            ids.append(token)
        text = shown.decode(ids).decode("utf-8", "ignore")
        names = [shown.special_names[i].decode() for i in ids if i in shown.marks]
        n_calls += "<tool_call>" in names or "[TOOL_CALLS]" in names
        if state.finished and state.outcome == "finished":
            assert validator.check(text) == []
            assert free.verify(text).decision is pk.Decision.ALLOW
        if names:
            assert free.verify(text[: text.index(names[0])]).decision is pk.Decision.ALLOW
    assert n_calls > 3, "or this shows nothing"


def test_a_vocabulary_that_shows_its_special_tokens_is_another(vocabulary: pk.Vocabulary) -> None:
    shown = vocabulary.showing_special()
    assert shown.digest != vocabulary.digest
    assert shown.showing_special() is shown
    assert vocabulary.showing_special() is shown, "and is made once"
    assert shown.table is vocabulary.table
    free = pk.compile(plan("hermes, auto").spec.policies).constraint(shown).start()
    assert not any(map(free.accept, shown.marks)), "without a grammar no special token has a place"
