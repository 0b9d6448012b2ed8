"""The real engine on the CPU: what a plan forbids does not come out, whatever a request asks for."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

import policykit as pk
from policykit.diagnostics import InternalError
from policykit.engines import attest, mask_time
from policykit.engines.vllm import plans, refusals
from policykit.engines.vllm.grammars import FREE
from tests.engines.vllm.conftest import PROMPT, Guard
from tests.engines.vllm.plans import PHRASES, POLICIES, plan
from tests.serving.pathological import AMBIGUOUS, EXCEEDING

pytestmark = pytest.mark.vllm
OPENINGS = ("We can offer ", "It is a ", "Our fund is ", "")


def forbidden(text: str) -> list[str]:
    """Plain search, which knows nothing of views, masks or tokens."""
    spaced = " ".join(text.casefold().split())
    return [phrase for phrase in PHRASES if re.search(rf"(?<!\w){phrase}(?!\w)", spaced)]


def texts(vllm: SimpleNamespace, prompts: list[str], **params: Any) -> list[str]:
    """The choices' texts. One that was cut is given a letter: the mask lets a text be cut where a word could go on,
    and what is cut is for the verifier to judge."""
    params = {"max_tokens": 60, "temperature": 1.0, "seed": 7, **params}
    found = vllm.engine.generate(prompts, vllm.params(**params), use_tqdm=False)
    choices = [choice for request in found for choice in request.outputs]
    return [c.text + "x" * (c.finish_reason == "length" or isinstance(c.stop_reason, str)) for c in choices]


def test_the_model_says_it_where_it_may(vllm: SimpleNamespace, guard: Guard, harmless: pk.Plan) -> None:
    begun = ("We can offer guaranteed", "It is a safe", "This fund is risk")
    prompts = [PROMPT + opening for opening in begun] * 20
    said = texts(vllm, prompts, seed=None, max_tokens=20, extra_args=guard.asks(harmless))
    whole = [opening + text for opening, text in zip(begun * 20, said, strict=True)]
    assert sum(bool(forbidden(text)) for text in whole) >= 15, "or the other tests show nothing"


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_requests_that_name_no_plan_are_under_the_default_one(vllm: SimpleNamespace, temperature: float) -> None:
    said = texts(vllm, [PROMPT + opening for opening in OPENINGS] * 15, temperature=temperature, seed=None)
    assert [text for text in said if forbidden(text)] == []
    assert temperature == 2.0 or any("percent" in text or "return" in text for text in said), "it still speaks"


def test_several_choices_are_each_attested(vllm: SimpleNamespace, guard: Guard) -> None:
    guard.heard()
    said = texts(vllm, [PROMPT], n=6, temperature=1.3, extra_args=guard.asks(plan(), request="several"))
    assert len(said) == 6
    assert [text for text in said if forbidden(text)] == []
    heard = [message for message in guard.heard() if message.request == "several"]
    started = [message for message in heard if isinstance(message, attest.Started)]
    finished = [message for message in heard if isinstance(message, attest.Finished)]
    assert len(started) == len(finished) == 6
    assert {message.digest for message in (*started, *finished)} == {plan().digest}
    assert {message.child for message in started} == {message.child for message in finished}
    assert all(message.tokens > 0 and message.steps >= message.tokens for message in finished)


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_prompt_that_ends_inside_a_phrase(vllm: SimpleNamespace, phrase: str) -> None:
    cuts = [phrase[:n] for n in range(1, len(phrase) + 1)]
    said = texts(vllm, [f"{PROMPT}We have {cut}" for cut in cuts], max_tokens=12, temperature=0.7)
    for cut, text in zip(cuts, said, strict=True):
        whole = " ".join(f"We have {cut}{text}".casefold().split())
        assert cut == phrase or phrase not in forbidden(whole), (cut, text)


def test_a_prefill_that_the_guard_names(vllm: SimpleNamespace, guard: Guard) -> None:
    prefix = "We can offer guaranteed ret"
    said = texts(vllm, [PROMPT + prefix] * 20, max_tokens=8, seed=None, extra_args=guard.asks(plan(), prefix))
    assert [text for text in said if forbidden(prefix + text)] == []


@pytest.mark.parametrize("n", range(1, 16))
def test_cut_by_length(vllm: SimpleNamespace, n: int) -> None:
    assert [text for text in texts(vllm, [PROMPT] * 4, max_tokens=n, seed=None) if forbidden(text)] == []


def test_stop_strings_only_shorten(vllm: SimpleNamespace) -> None:
    said = texts(vllm, [PROMPT] * 8, stop=["return", "ris"], include_stop_str_in_output=True, seed=None)
    assert [text for text in said if forbidden(text)] == []


def one(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with one member."""
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}


TAG = {
    "type": "tag",
    "begin": "<a>",
    "content": {"type": "json_schema", "json_schema": {"enum": ["a safe bet", "yes"]}},
    "end": "</a>",
}
FORMS: dict[str, dict[str, Any]] = {
    "json": {"json": one({"enum": ["yes", "a safe bet", "no"]})},
    "free strings": {"json": one({"type": "string", "maxLength": 60})},
    "json_object": {"json_object": True},
    "choice": {"choice": ["a safe bet", "perhaps"]},
    "regex": {"regex": "(It is risk-(free|less)|No)\\."},
    "lark": {"grammar": 'start: "It is a " ("safe bet" | "bet") "."'},
    "gbnf": {"grammar": 'root ::= "It is a " ("safe bet" | "bet") "."'},
    "structural tag": {"structural_tag": json.dumps({"type": "structural_tag", "format": TAG})},
}


@pytest.mark.parametrize("form", FORMS)
def test_output_grammars(vllm: SimpleNamespace, form: str) -> None:
    said = texts(vllm, [PROMPT] * 8, structured_outputs=vllm.outputs(**FORMS[form]), seed=None, max_tokens=80)
    assert [text for text in said if forbidden(text)] == []
    if form == "json":
        assert {json.loads(text)["a"] for text in said} <= {"yes", "no"}
    if form == "choice":
        assert set(said) == {"perhaps"}
    if form == "regex":
        assert set(said) <= {"It is risk-less.", "No."}
    if form in ("lark", "gbnf"):
        assert set(said) == {"It is a bet."}
    if form == "structural tag":
        assert set(said) == {'<a>"yes"</a>'}


def test_a_plan_with_a_grammar_shapes_requests_without_one(vllm: SimpleNamespace, guard: Guard) -> None:
    shaped = pk.compile(POLICIES, pk.Grammar.from_choices(["yes", "no", "risk-free"]))
    assert set(texts(vllm, [PROMPT] * 6, seed=None, extra_args=guard.asks(shaped))) <= {"yes", "no"}
    with pytest.raises(Exception, match="PK315"):
        texts(vllm, [PROMPT], extra_args=guard.asks(shaped), structured_outputs=vllm.outputs(regex="a"))


def test_behind_a_prompt_stands_a_whole_text_of_the_grammar(vllm: SimpleNamespace, guard: Guard) -> None:
    """What the prompt and the grammar together leave no way on for ends as a dead end, and is no answer."""
    shaped = pk.compile(POLICIES, pk.Grammar.from_choices(["returns", "bet", "fee"]))
    dead_end = vllm.engine.get_tokenizer().pad_token_id
    for prefix, may in (("We see a safe ", {"returns", "fee"}), ("guaranteed ", {"bet", "fee"})):
        params = vllm.params(max_tokens=60, temperature=2.0, extra_args=guard.asks(shaped, prefix))
        found = vllm.engine.generate([PROMPT + prefix] * 24, params, use_tqdm=False)
        choices = [choice for request in found for choice in request.outputs]
        ended = {choice.text for choice in choices if choice.stop_reason != dead_end}
        assert ended
        assert ended <= may
        assert {c.text for c in choices if c.stop_reason == dead_end} <= {"returns", "bet", "fee"} - may


REFUSED: dict[str, dict[str, Any]] = {
    "ignore_eos": {"ignore_eos": True},
    "min_tokens": {"min_tokens": 4},
    "bad_words": {"bad_words": ["yes"]},
    "allowed_token_ids": {"allowed_token_ids": [5]},
    "prompt_logprobs": {"prompt_logprobs": 0},
    "PK210": {"structured_outputs": {"grammar": 'root ::= "yes'}},
    "PK30": {"structured_outputs": {"choice": ["guaranteed returns"]}},
    "PK2": {"structured_outputs": {"json": '{"type": "nothing"}'}},
    "PK218": {"structured_outputs": {"grammar": 'start: "a" <|user|>'}},
    "PK746": {"extra_args": {attest.XARG: "{}"}},
    "PK741": {"extra_args": {attest.XARG: attest.MaskRequest("r", "sha256:" + "0" * 64).render()}},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_says_why_and_the_engine_goes_on(vllm: SimpleNamespace, reason: str) -> None:
    params = dict(REFUSED[reason])
    if "structured_outputs" in params:
        params["structured_outputs"] = vllm.outputs(**params["structured_outputs"])
    with pytest.raises(Exception, match=reason):
        texts(vllm, [PROMPT], **params)
    assert texts(vllm, [PROMPT], max_tokens=4)


def test_a_token_that_the_model_does_not_have_fails_the_request_alone(vllm: SimpleNamespace, guard: Guard) -> None:
    """A plan without rules may name tokens, and only the engine knows whether they are there."""
    guard.heard()
    grammars = ('start: "yes" <|usr|>', 'start: "yes" <|user|>', 'start: "yes" <[999999]>', 'start: "yes" <|end|>')
    plans = [pk.compile(None, pk.Grammar.from_lark(source)) for source in grammars]
    params = [vllm.params(max_tokens=12, extra_args=guard.asks(one, request=f"{i}")) for i, one in enumerate(plans)]
    found = [out.outputs[0] for out in vllm.engine.generate([PROMPT] * 4, params, use_tqdm=False)]
    assert [choice.text for choice in found] == ["", "yes", "", ""]
    assert [choice.finish_reason for choice in found] == ["error", "stop", "error", "error"]
    for choice in (found[0], found[2], found[3]):
        assert re.match(r"policykit refuses: plan sha256:\w+:1:14: PK219: `<", choice.stop_reason), choice.stop_reason
    told = {said.request: said.code for said in guard.heard() if isinstance(said, attest.Failed)}
    assert told == {"0": "PK219", "2": "PK219", "3": "PK219"}


def test_a_grammar_that_takes_too_long_fails_its_request_alone(
    vllm: SimpleNamespace, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no front end has looked at it: the engine itself compiles within bounds."""
    monkeypatch.setattr(plans, "CHECK_S", 0.1)
    guard.heard()
    asked = guard.asks(plan(), request="endless")
    outputs = vllm.outputs(**EXCEEDING["optional items"])
    params = vllm.params(max_tokens=12, temperature=1.0, structured_outputs=outputs, extra_args=asked)
    others = vllm.params(max_tokens=12, temperature=1.0)
    found = vllm.engine.generate([PROMPT] * 3, [others, params, others], use_tqdm=False)
    assert [request.outputs[0].finish_reason == "error" for request in found] == [False, True, False]
    failed = found[1].outputs[0]
    assert (failed.text, failed.token_ids) == ("", [])
    assert failed.stop_reason.startswith("policykit refuses: <request>:1:1: PK209: it is not compiled within 20 s")
    assert {m.code for m in guard.heard() if isinstance(m, attest.Failed) and m.request == "endless"} == {"PK209"}


UNSEEN: dict[str, Any] = {
    "ignore_eos": True,
    "min_tokens": 4,
    "allowed_token_ids": [5],
    "bad_words": ["yes"],
    "logprob_token_ids": [5],
}


@pytest.mark.parametrize("name", UNSEEN)
def test_the_engine_refuses_what_no_front_end_has_looked_at(
    vllm: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(vllm.params, "_validate_structured_outputs", lambda *_: None)
    params = [vllm.params(max_tokens=8), vllm.params(max_tokens=8, **{name: UNSEEN[name]})]
    good, bad = (found.outputs[0] for found in vllm.engine.generate([PROMPT] * 2, params, use_tqdm=False))
    assert good.text
    assert (bad.text, bad.finish_reason) == ("", "error")
    assert bad.stop_reason.startswith(f"policykit refuses: PK746: `{name}` is not served under a policy: ")


def test_beam_search_is_refused_by_name(vllm: SimpleNamespace) -> None:
    from vllm.sampling_params import BeamSearchParams

    with pytest.raises(Exception, match="beam search is not served under a policy"):
        vllm.engine.beam_search([{"prompt": PROMPT}], BeamSearchParams(beam_width=2, max_tokens=4))


def test_a_token_that_the_mask_does_not_have_is_not_told(
    vllm: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever drew it: the engine ends the text before it, and says so."""
    accept = pk.State.accept

    def stops(self: pk.State, token_id: int) -> bool:
        return self.n_tokens < 3 and accept(self, token_id)

    monkeypatch.setattr(pk.State, "accept", stops)
    found = vllm.engine.generate([PROMPT], vllm.params(max_tokens=12), use_tqdm=False)[0].outputs[0]
    assert (len(found.token_ids), found.finish_reason) == (3, "error")
    assert found.stop_reason == refusals.NOT_ALLOWED


def test_masks_that_take_long_together_fail_their_text_alone(
    vllm: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ambiguous grammar, whose masks take longer with every token; none of them stands out."""
    monkeypatch.setattr(mask_time, "MAX_OWED_S", 0.3)
    slow = vllm.params(max_tokens=200, temperature=1.0, structured_outputs=vllm.outputs(grammar=AMBIGUOUS), seed=1)
    other = vllm.params(max_tokens=40, temperature=1.0)
    found = vllm.engine.generate([PROMPT] * 3, [other, slow, other], use_tqdm=False)
    assert [request.outputs[0].finish_reason == "error" for request in found] == [False, True, False]
    failed = found[1].outputs[0]
    told = re.search(r"PK209: its masks hold up the engine: by (\S+) s of the processor's time", failed.stop_reason)
    # By how much it is over depends on how long its last mask took on this machine.
    assert told is not None, failed.stop_reason
    assert float(told[1]) >= 0.3, failed.stop_reason
    assert failed.text


def test_reading_how_a_text_begins_is_part_of_its_first_mask(
    vllm: SimpleNamespace, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a beginning in an ambiguous grammar reading it takes long, and the mask behind it does not."""
    backend = vllm.engine.llm_engine.engine_core.engine_core.structured_output_manager.backend
    ambiguous = pk.compile(None, pk.Grammar.from_lark('start: e\ne: "a" | "b" | e e'))
    guard.offer(ambiguous)

    def extra(prefix: str) -> dict[str, str]:
        asked = attest.MaskRequest("b", ambiguous.digest, prefix=prefix, in_grammar=True, own_grammar=True)
        return {attest.XARG: asked.render()}

    backend.mask("b", extra(""), "REGEX", FREE, [])
    assert backend.is_quick(extra(""), "REGEX", FREE)
    assert not backend.is_quick(extra("a"), "REGEX", FREE), "nobody's quick mask waits for it"
    monkeypatch.setattr(mask_time, "MAX_MASK_S", 0.2)
    with pytest.raises(pk.PolicyError, match="one mask of it takes"):
        backend.mask("b", extra("a" * 300), "REGEX", FREE, [])
    assert backend.is_quick(extra(""), "REGEX", FREE), "which says nothing of other texts"


def test_a_dead_end_has_a_name(vllm: SimpleNamespace, guard: Guard) -> None:
    # The string is long enough that the plan claims only a bounded search for ways on, and then completes a phrase.
    schema = one({"type": "string", "pattern": "^(x{300} risk-free|ok)$"})
    shaped, prefix = pk.compile(POLICIES, pk.Grammar.from_json_schema(schema)), '{"a":"' + "x" * 250
    assert shaped.liveness.kind == "bounded"
    guard.heard()
    asked = guard.asks(shaped, prefix, "dead", in_grammar=True)
    found = vllm.engine.generate([PROMPT], vllm.params(max_tokens=99, extra_args=asked), use_tqdm=False)[0].outputs[0]
    finished = [m for m in guard.heard() if isinstance(m, attest.Finished) and m.request == "dead"]
    assert not forbidden(prefix + found.text)
    assert finished[0].dead_end
    tokenizer = vllm.engine.get_tokenizer()
    assert (found.finish_reason, found.stop_reason) == ("stop", tokenizer.pad_token_id)


def test_a_prefill_that_the_grammar_does_not_begin_with_fails(vllm: SimpleNamespace, guard: Guard) -> None:
    shaped = pk.compile(POLICIES, pk.Grammar.from_choices(["yes", "no"]))
    guard.heard()
    asked = guard.asks(shaped, "maybe", "no", in_grammar=True)
    found = vllm.engine.generate([PROMPT], vllm.params(extra_args=asked), use_tqdm=False)
    failed = [m for m in guard.heard() if isinstance(m, attest.Failed)]
    assert found[0].outputs[0].text == ""
    assert found[0].outputs[0].finish_reason == "error"
    assert "prefix" in failed[0].message


def test_the_engine_masks_requests_that_the_front_end_did_not_see(vllm: SimpleNamespace) -> None:
    from vllm.v1.structured_output.request import StructuredOutputRequest

    made = StructuredOutputRequest.from_sampling_params(vllm.params())
    assert made is not None
    assert made.params._backend == "policykit"


def test_another_backend_is_left_alone() -> None:
    """Only an engine that names our backend is changed."""
    from vllm.config import StructuredOutputsConfig

    assert StructuredOutputsConfig(backend="guidance").backend == "guidance"
    with pytest.raises(Exception, match="backend"):
        StructuredOutputsConfig(backend="invented")


def test_an_error_in_a_mask_fails_its_request_alone(
    vllm: SimpleNamespace, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill, n = pk.State.fill, 0

    def fails(self: pk.State, row: Any) -> bool:
        nonlocal n
        n += 1
        if n == 10:
            raise InternalError("the grammar engine failed")
        return fill(self, row)

    monkeypatch.setattr(pk.State, "fill", fails)
    guard.heard()
    asked = guard.asks(plan(), request="failing")
    params = vllm.params(max_tokens=12, temperature=1.0, seed=1, extra_args=asked)
    found = vllm.engine.generate([PROMPT] * 4, params, use_tqdm=False)
    assert sorted(request.outputs[0].finish_reason == "error" for request in found) == [False, False, False, True]
    (broken,) = (request.outputs[0] for request in found if request.outputs[0].finish_reason == "error")
    (other, *_) = (request.outputs[0] for request in found if request.outputs[0].finish_reason != "error")
    assert list(broken.token_ids) == list(other.token_ids)[: len(broken.token_ids)], "no token that no mask has"
    assert broken.stop_reason == f"policykit failed: {refusals.FAULT}"
    (failed,) = (message for message in guard.heard() if isinstance(message, attest.Failed))
    assert (failed.request, failed.code, failed.message) == ("failing", "PK747", "the grammar engine failed")
    assert texts(vllm, [PROMPT], max_tokens=4)
