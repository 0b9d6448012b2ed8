"""Calls of tools through the official client: what no output may say is in no argument either."""

import json
from typing import Any

import openai
import pytest

from policykit.serving import Outcome
from tests.serving.peer import Say
from tests.serving.running import World
from tests.serving.test_chat import ask, says, streamed

NAMES = ("order", "certain_profit", "code_1234", "note", "pay", "pick")
TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in NAMES]
TOOL = TOOLS[0]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_tools_pass_with_the_profiles_schema(house: World, stream: bool) -> None:
    says(house, Say((None,), calls=(("order", '{"what": "tea"}'),), finish="tool_calls"))
    answer = ask(house, model="profile:agent", tools=[TOOL], stream=stream)
    if stream:
        chunks = list(answer)
        calls = [call for c in chunks if c.choices for call in c.choices[0].delta.tool_calls or []]
        reason = next(c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason)
    else:
        calls, reason = answer.choices[0].message.tool_calls, answer.choices[0].finish_reason
    assert [(call.function.name, call.function.arguments) for call in calls] == [("order", '{"what": "tea"}')]
    assert reason == "tool_calls"
    sent = house.peer.bodies[-1]["tools"][0]["function"]
    assert sent["parameters"]["required"] == ["what"]
    assert sent["description"] == "Orders something."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("call", "content", "outcome"),
    [
        (("order", '{"what": "gold bars"}'), "I cannot order that.", Outcome.BLOCKED),
        (("order", '{"what": 1}'), "I cannot do that.", Outcome.FALLBACK),
        (("order", '{"what": "Guaranteed-returns, please"}'), "I cannot do that.", Outcome.FALLBACK),
        (("order", r'{"what": "\u0067uaranteed returns"}'), "I cannot do that.", Outcome.FALLBACK),
        (("order", r'{"what": "Project\nAurora"}'), "I cannot speak about that.", Outcome.BLOCKED),
        (("order", '{"what": "a", "what": "b"}'), "I cannot do that.", Outcome.FALLBACK),
        (("certain_profit", "{}"), "I cannot do that.", Outcome.FALLBACK),
        (("code_1234", "{}"), "I cannot do that.", Outcome.FALLBACK),
        (("order", "no json"), "I cannot do that.", Outcome.FALLBACK),
        (("delete_all", "{}"), "I cannot do that.", Outcome.FALLBACK),
    ],
)
def test_calls_that_are_not_allowed_do_not_go_out(
    house: World, stream: bool, call: tuple[str, str], content: str, outcome: Outcome
) -> None:
    says(house, Say((None,), calls=(call,), finish="tool_calls"))
    if stream:
        found = streamed(house, model="profile:agent", tools=TOOLS)
        text, chunks = found[0], found[2]
        assert not any(c.choices[0].delta.tool_calls for c in chunks if c.choices)
    else:
        message = ask(house, model="profile:agent", tools=TOOLS).choices[0].message
        text = message.content
        assert not message.tool_calls
    assert text == content
    assert house.last.outcome is outcome


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("order", r'{"what": "use \u0063ode  1234"}', {"what": "use [CODE]"}),
        ("note", '{"what": "code 1234, guaranteed returns"}', {"what": "code 1234, guaranteed returns"}),
        ("pay", '{"what": "code 1234"}', {"what": "code 1234"}),
    ],
)
def test_what_outputs_are_changed_to_is_so_in_arguments(
    house: World, stream: bool, name: str, arguments: str, expected: object
) -> None:
    says(house, Say((None,), calls=((name, arguments),), finish="tool_calls"))
    answer = ask(house, model="profile:agent", tools=TOOLS, stream=stream)
    deltas = [c.choices[0].delta for c in answer if c.choices] if stream else [answer.choices[0].message]
    (call,) = (call for delta in deltas for call in delta.tool_calls or ())
    assert json.loads(call.function.arguments) == expected
    assert house.last.outcome is (Outcome.SERVED if name in ("note", "pay") else Outcome.TRANSFORMED)
    assert house.last.rules == (() if name in ("note", "pay") else ("mask-codes",))


def test_a_tool_that_acts_is_still_not_told_what_no_output_may_say(house: World) -> None:
    says(house, Say((None,), calls=(("pay", '{"what": "guaranteed returns, code 1234"}'),), finish="tool_calls"))
    assert not ask(house, model="profile:agent", tools=TOOLS).choices[0].message.tool_calls
    assert house.last.outcome is Outcome.FALLBACK


def test_arguments_that_no_longer_fit_after_a_change_do_not_go_out(house: World) -> None:
    says(house, Say((None,), calls=(("pick", '"code 1234"'),), finish="tool_calls"))
    with pytest.raises(openai.InternalServerError) as refused:
        ask(house, model="profile:agent", tools=TOOLS)
    assert refused.value.code == "policykit_check_failed"


def test_tools_outside_the_profile_are_refused(house: World) -> None:
    tool = {"type": "function", "function": {"name": "delete_all"}}
    with pytest.raises(openai.BadRequestError):
        ask(house, model="profile:agent", tools=[tool])
    with pytest.raises(openai.BadRequestError):
        ask(house, tools=[TOOL])
