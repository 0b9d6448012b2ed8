"""Parameters that are refused, requests for masks, and the end of a prompt."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from policykit.constraint import Vocabulary
from policykit.diagnostics import PolicyError
from policykit.engines import attest
from policykit.engines.prompts import tail_of_prompt
from policykit.engines.vllm.requests import asked, dead_end_token, is_named, refused
from tests.engines.vllm.plans import embedded_vocabulary


@dataclass
class Params:
    """Stands for vLLM's, with a field that no version has yet."""

    temperature: float = 1.0
    ignore_eos: bool = False
    min_tokens: int = 0
    bad_words: list[str] | None = None
    allowed_token_ids: list[int] | None = None
    prompt_logprobs: int | None = None
    invented: str = "as ever"
    structured_outputs: object = None
    _private: int = 0
    names: tuple[str, ...] = field(default=(), repr=False)


NAMES = [name for name in Params.__dataclass_fields__ if name != "names"]


@pytest.mark.parametrize(
    "params",
    [
        Params(ignore_eos=True),
        Params(min_tokens=1),
        Params(bad_words=["x"]),
        Params(allowed_token_ids=[1]),
        Params(prompt_logprobs=1),
        Params(prompt_logprobs=0),
        Params(invented="otherwise"),
    ],
)
def test_what_could_touch_the_mask_is_refused(params: Params) -> None:
    assert len(refused(params, Params(), NAMES)) == 1


@pytest.mark.parametrize(
    "params", [Params(), Params(temperature=2.0), Params(structured_outputs="x"), Params(bad_words=[])]
)
def test_what_cannot_is_not(params: Params) -> None:
    assert refused(params, Params(), NAMES) == []


def test_a_request_for_a_mask_is_read() -> None:
    request = attest.MaskRequest("r", "sha256:" + "ab" * 32)
    assert asked({attest.XARG: request.render()}) == request
    assert asked(None) is asked({}) is asked({"other": 1}) is None


@pytest.mark.parametrize(
    "value",
    ["{}", 1, None, attest.MaskRequest("r", "sha256:" + "ab" * 32, special=("<tool>",)).render()],
)
def test_what_the_guard_does_not_write_is_refused(value: object) -> None:
    with pytest.raises(PolicyError, match="PK746"):
        asked({attest.XARG: value})


def test_the_token_of_a_dead_end() -> None:
    assert dead_end_token([1, 2, 3], [1], [None, 3]) == 3
    assert dead_end_token([1, 2, 3], [1], [1, 9]) == 2
    assert dead_end_token([1], [1], [None]) is None


@pytest.mark.parametrize("ascii", [True, False])
def test_a_mark_is_known_however_its_tag_is_written(ascii: bool) -> None:
    tag = json.dumps({"begin": "<｜tool▁call｜>"}, ensure_ascii=ascii)
    assert is_named("<｜tool▁call｜>", tag)
    assert not is_named("<｜tool▁calls｜>", tag)


@settings(deadline=None)
@given(st.lists(st.sampled_from([2, 3, 100, 200, 300, 400]), max_size=12))
def test_the_tail_is_what_stands_after_the_last_special_token(prompt: list[int]) -> None:
    vocabulary: Vocabulary = embedded_vocabulary()
    special = [i for i, token in enumerate(prompt) if token in vocabulary.special_ids]
    after = prompt[special[-1] + 1 :] if special else prompt
    written = vocabulary.decode(after)
    found = tail_of_prompt(prompt, vocabulary.tokens, vocabulary.special_ids)
    assert found.decode("utf-8", "ignore") == written.decode("utf-8", "ignore")
