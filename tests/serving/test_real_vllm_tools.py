"""The real vLLM with a parser of calls in XML, and with a chat template that changes what it is given."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import openai
import pytest

from policykit.audit import open_reader, verify_log
from tests.serving.attacks.cases import load
from tests.serving.attacks.house import write
from tests.serving.attacks.oracle import forbidden_in
from tests.serving.attacks.sending import send, wrong_with
from tests.serving.attacks.test_real_vllm import write_keys
from tests.serving.real_vllm import Server, vllm_served

pytestmark = pytest.mark.vllm
TEMPLATE = """\
{% for message in messages %}<|{{ message['role'] }}|>\
{% if message['role'] == 'assistant' %}\
{{ message['content'] | trim | replace('  ', ' ') | replace('Dear', 'dear') }}<|end|>\
{% else %}{{ message['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""
ORDER: Any = {"type": "function", "function": {"name": "order", "parameters": {"type": "object"}}}
CHOICES: tuple[Any, ...] = ("required", {"type": "function", "function": {"name": "order"}})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tools")
    write(folder)
    write_keys(folder)
    (folder / "trims.jinja").write_text(TEMPLATE)
    more = ("--enable-auto-tool-choice", "--tool-call-parser", "qwen3_coder")
    with vllm_served(folder, (*more, "--chat-template", str(folder / "trims.jinja"))) as found:
        yield found


def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="key-acme", max_retries=0, timeout=120)


def test_what_is_written_in_xml_holds_nothing_forbidden(server: Server) -> None:
    cases = [case for case in load() if case.family in ("tools", "choices")]
    with ThreadPoolExecutor(8) as pool:
        wrong = list(pool.map(lambda case: wrong_with(case, send(server.url, case)), cases))
    assert [f"{case.id}: {line}" for case, lines in zip(cases, wrong, strict=True) for line in lines] == []
    assert server.is_healthy


@pytest.mark.parametrize("choice", CHOICES, ids=["required", "named"])
def test_a_call_that_is_asked_for_comes_or_the_fallback_does(server: Server, choice: Any) -> None:
    """A tiny model fills the parameters of its calls with anything: what the schema refuses does not go out."""
    made, instead = 0, 0
    for seed in range(10):
        asked: Any = {
            "model": "profile:agent",
            "tools": [ORDER],
            "tool_choice": choice,
            "seed": seed,
            "max_tokens": 100,
        }
        question: Any = {"role": "user", "content": "Order something."}
        answer: Any = client(server).chat.completions.create(messages=[question], temperature=1.0, **asked)
        chosen = answer.choices[0]
        for call in chosen.message.tool_calls or ():
            assert call.function.name == "order"
            assert json.loads(call.function.arguments).keys() == {"what"}
            assert not forbidden_in(call.function.arguments)
            made += 1
        if not chosen.message.tool_calls:
            assert (chosen.finish_reason, chosen.message.content) == ("content_filter", "I cannot do that.")
            instead += 1
        assert answer.model_extra["policykit"]["mask"] == "attested"
    assert made + instead == 10


CUTS = ("We promise guaranteed ", "We promise  guaranteed", "\n guaranteed", "Dear guaranteed", "guaranteed ret")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cut", CUTS)
def test_a_template_that_changes_what_is_continued_is_noticed(server: Server, cut: str, stream: bool) -> None:
    messages: Any = [{"role": "user", "content": "What returns?"}, {"role": "assistant", "content": cut}]
    more = {"continue_final_message": True, "add_generation_prompt": False}
    asked: Any = {"model": "profile:plain", "messages": messages, "max_tokens": 12, "extra_body": more}
    if cut == "guaranteed ret":  # as it is
        answer: Any = client(server).chat.completions.create(**asked)
        assert not forbidden_in(cut + str(answer.choices[0].message.content) + "x")
        return
    with pytest.raises(openai.BadRequestError) as refused:
        client(server).chat.completions.create(**asked, stream=stream)
    assert refused.value.code in ("policykit_prefill_refused", "policykit_upstream_refused")


def test_nothing_is_left_behind(server: Server) -> None:
    assert server.is_healthy
    assert verify_log(open_reader(server.folder / "log")).fault is None
    good = next(case for case in load() if case.family == "tools")
    assert (
        send(server.url, replace(good, profile="plain", body={"messages": [{"role": "user", "content": "Hi"}]})).status
        == 200
    )
