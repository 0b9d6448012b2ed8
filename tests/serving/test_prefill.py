"""Answers that go on with the client's last message: what is forbidden is so where the two meet."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest

from policykit.engines.server import EngineApp, load_engine
from policykit.serving import Guard, Kind, Outcome, Serving
from policykit.serving.attestor import EngineAttestor
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Say
from tests.serving.running import Kept, World, deployment, served
from tests.serving.test_attested import Engine, attested
from tests.serving.test_calls import TOOL

GO_ON: dict[str, Any] = {"continue_final_message": True, "add_generation_prompt": False}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Engine]]:
    with attested(tmp_path_factory.mktemp("profiles"), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.fixture
def house(pair: tuple[World, Engine]) -> World:
    return pair[0]


@pytest.fixture
def engine(pair: tuple[World, Engine]) -> Engine:
    pair[1].say, pair[1].says = Say(("Hello, and good day.",)), ["started", "finished"]
    return pair[1]


def asked(client: openai.OpenAI, begun: Any, stream: bool = False, **more: Any) -> str:
    """Everything that is said, of streams too."""
    messages: Any = [{"role": "user", "content": "What is it?"}]
    messages.append(begun if isinstance(begun, dict) else {"role": "assistant", "content": begun})
    more.setdefault("extra_body", GO_ON)
    answer = client.chat.completions.create(model="", messages=messages, stream=stream, **more)
    parts = [c.choices[0].delta for c in answer if c.choices] if stream else [answer.choices[0].message]
    told = [(part.content or "", getattr(part, "reasoning_content", None) or "") for part in parts]
    return "".join(reasoning for _, reasoning in told) + "".join(content for content, _ in told)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("channel", ["content", "reasoning"])
@pytest.mark.parametrize(
    ("begun", "said", "expected"),
    [
        ("We promise guaran", "teed returns.", "Please ask a colleague."),
        ("guaranteed\n", " RETURNS", "Please ask a colleague."),
        ("The code", " 1234 it is", "Please ask a colleague."),  # what has gone out already is changed no more
        ("We promise guaran", "tees.", "tees."),
        ("It has guaranteed returns", " as said", " as said"),  # the client said it
    ],
)
def test_message_and_answer_are_judged_as_one(
    house: World, engine: Engine, stream: bool, channel: str, begun: str, said: str, expected: str
) -> None:
    engine.say = Say((said,)) if channel == "content" else Say(("",), reasoning=said)
    found = asked(house.client(), begun, stream)
    assert found == expected
    assert asked(house.client(), begun, stream, extra_body={}) == said, "an answer of its own"
    assert (engine.asked[-2].prefix, engine.asked[-2].continues) == (begun, True)
    assert (engine.asked[-1].prefix, engine.asked[-1].continues) == ("", False)
    bodies = house.peer.bodies
    assert (bodies[-2]["continue_final_message"], bodies[-2]["add_generation_prompt"]) == (True, False)
    assert "continue_final_message" not in bodies[-1]


def test_a_message_that_rules_change_is_continued_as_it_is_sent(house: World, engine: Engine) -> None:
    asked(house.client(), "Your number is 123456")
    assert house.peer.bodies[-1]["messages"][-1]["content"] == "Your number is [NUMBER]"
    assert engine.asked[-1].prefix == "Your number is [NUMBER]"


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_does_not_end_with_the_message_is_the_clients_fault(
    house: World, engine: Engine, stream: bool
) -> None:
    engine.says, engine.code = ["failed"], "PK748"
    with pytest.raises(openai.BadRequestError) as refused:
        asked(house.client(), "Trimmed ", stream)
    assert refused.value.code == "policykit_prefill_refused"
    assert house.last.outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("begun", "more", "param"),
    [
        ({"role": "user", "content": "x"}, {}, "continue_final_message"),
        ("", {}, "continue_final_message"),
        ("x", {"extra_body": {"continue_final_message": True, "add_generation_prompt": True}}, "add_generation_prompt"),
        ("x", {"extra_body": {"add_generation_prompt": False}}, "add_generation_prompt"),
        ("x", {"extra_body": {"continue_final_message": "yes"}}, "continue_final_message"),
        ("x", {"extra_body": {**GO_ON, "echo": True}}, "echo"),
        ("x", {"model": "profile:agent", "tools": [TOOL]}, "continue_final_message"),
    ],
)
def test_what_cannot_be_continued_is_refused(house: World, begun: Any, more: dict[str, Any], param: str) -> None:
    client = house.client()
    model = more.pop("model", "")
    messages: Any = [{"role": "assistant", "content": begun} if isinstance(begun, str) else begun]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=model, messages=messages, **({"extra_body": GO_ON} | more))
    assert refused.value.param == param


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    run = tmp_path_factory.mktemp("masked")
    engine = load_engine("embedded", run)
    house = replace(deployment(tmp_path_factory.mktemp("house")), model=engine.name)
    upstream = AppUpstream(EngineApp(engine), kind=Kind.VLLM)
    guard = Guard(Serving(house), upstream, Kept(), attestor=EngineAttestor(run))
    with served(guard) as url:
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0, timeout=60)
    engine.close()


@pytest.mark.parametrize("n", range(3, len("We promise guaranteed returns"), 3))
def test_the_embedded_model_never_completes_what_was_begun(embedded: openai.OpenAI, n: int) -> None:
    begun = "We promise guaranteed returns"[:n]
    for stream in (False, True):
        text = begun + asked(embedded, begun, stream, temperature=1.0, max_tokens=20, seed=n)
        assert not re.search(r"\bguaranteed\s+returns\b", text, re.I)


def test_the_embedded_model_goes_on_with_no_message_that_holds_special_tokens(embedded: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        asked(embedded, "We promise <|user|> guaranteed")
    assert refused.value.code == "policykit_prefill_refused"
