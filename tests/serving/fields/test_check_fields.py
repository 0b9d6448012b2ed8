"""What no table lets through is refused, on every level, with its name and what to do."""

from typing import Any

import pytest

from policykit.diagnostics import suggest
from policykit.serving.fields import ENGINES, MAX_REFUSALS, Class, check_fields, load_table

CHAT = "/v1/chat/completions"
MESSAGE = {"role": "user", "content": "Hello"}
KNOWN_HOLES = (
    *("ignore_eos", "use_beam_search", "prompt_logprobs", "echo", "skip_special_tokens", "chat_template", "n_best"),
    *("include_stop_str_in_output", "min_tokens", "logit_bias"),
    *("truncate_prompt_tokens", "vllm_xargs", "cache_salt", "priority", "request_id", "kv_transfer_params"),
    *("logprobs", "allowed_token_ids", "bad_words", "stop_token_ids", "return_token_ids"),
    *("best_of", "guided_json", "guided_regex", "extra_body", "policykit"),
)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", KNOWN_HOLES)
@pytest.mark.parametrize("value", [True, 1, "x", [1], {"a": 1}])
def test_known_holes_are_refused(engine: str, name: str, value: object) -> None:
    (found,) = check_fields(CHAT, {"messages": [MESSAGE], name: value}, engine)
    assert found.param == name
    assert ";" in found.why


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"messages": [{**MESSAGE, "shiny": 1}]}, ["messages[0].?"]),
        ({"guaranteed_returns": 1, "GUARANTEED_TOKENS": 1, "min_max_tokens": 1}, ["?", "?", "min_max_tokens"]),
        ({"messages": [MESSAGE, {"role": "function", "content": "x"}]}, ["messages[1].role"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            ["messages[0].content[0].type", "messages[0].content[0].image_url"],
        ),
        ({"messages": [{"role": "user", "content": {"text": "x", "a": 1}}]}, ["messages[0].content.text"] * 1),
        ({"messages[].role": "user"}, ["?"]),
        ({"messages": {"role": "user"}}, ["messages.role"]),
        (
            {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
            ["stream_options.continuous_usage_stats"],
        ),
        (
            {"response_format": {"type": "grammar", "format": {}, "grammar": ""}},
            ["response_format.type", "response_format.grammar"],
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"anything": [1]}, "x": 1}}},
            ["response_format.json_schema.?"],
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"any": 1}, "x": 1}}]},
            ["tools[0].function.?"],
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, ["tools[0].type", "tools[0].custom"]),
        ({"stop": ["a", {"b": 1}]}, ["stop[1].?"]),
        (
            {"MESSAGES": [], "Ignore_eos": True, "ignore_eos ": True, "ｉgnore_eos": True},
            ["MESSAGES", "Ignore_eos", "?", "?"],
        ),
        ({"": 1, "messages.": 1}, ["?", "?"]),
    ],
)
@pytest.mark.parametrize("engine", ["vllm-0.32", "vllm-0.33"])
def test_what_is_refused_below_the_top(engine: str, body: dict[str, Any], params: list[str]) -> None:
    found = [refusal.param for refusal in check_fields(CHAT, body, engine)]
    assert found[: len(params)] == params


def test_a_null_is_nothing_unless_nobody_knows_the_name() -> None:
    assert check_fields(CHAT, {"messages": [MESSAGE], "logprobs": None, "audio": None}) == ()
    assert [found.param for found in check_fields(CHAT, {"shiny": None})] == ["?"]


@pytest.mark.parametrize("nothing", [[], {}])
def test_an_empty_list_or_object_is_nothing_unless_nobody_knows_the_name(nothing: object) -> None:
    assert check_fields(CHAT, {"messages": [MESSAGE], "logit_bias": nothing, "functions": nothing}) == ()
    assert [found.param for found in check_fields(CHAT, {"shiny": nothing})] == ["?"]


def test_what_every_client_sends_is_let_through() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "order", "arguments": "{}"}}
    body: dict[str, object] = {
        "model": "profile:answer",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "assistant", "content": None, "tool_calls": [call], "policykit": {"decision": "allow"}},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "order", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "order"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"x": {"y": [1]}}}},
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ["a"],
        "n": 2,
        "temperature": 0.5,
    }
    for engine in ENGINES:
        assert check_fields(CHAT, body, engine) == ()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_route_that_is_not_known_or_is_refused_takes_nothing(engine: str) -> None:
    for route in ("/v1/tokenize", "/tokenize", "/v1/load_lora_adapter", "/v1/embeddings", "/nowhere", ""):
        (found,) = check_fields(route, {}, engine)
        assert found.param == route
        assert found.why.startswith("the route is not served: ")


def test_every_refused_field_is_refused_where_it_stands() -> None:
    """Bodies are built from the table's paths; what is said of each is looked up in the answer by its own path."""
    n = 0
    for engine in ENGINES:
        for name, route in load_table(engine).routes.items():
            for path, entry in route.request.items():
                if entry.kind is Class.REFUSED and route.kind is Class.ATTACKED:
                    body = _body(path.split("."))
                    params = [found.param for found in check_fields(name.removeprefix("POST "), body, engine)]
                    assert path.replace("[]", "[0]").replace("{}", "any") in params, (engine, name, path)
                    n += 1
    assert n > 400


def _body(path: list[str]) -> dict[str, Any]:
    name, inner = path[0], (_body(path[1:]) if len(path) > 1 else "x")
    while name.endswith("[]"):
        name, inner = name.removesuffix("[]"), [inner]
    return {name.replace("{}", "any"): inner}


def test_one_error_names_so_many_fields_and_no_more() -> None:
    assert len(check_fields(CHAT, {f"x{at}": 1 for at in range(1000)})) == MAX_REFUSALS


def test_an_engine_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no table for `vllm-0\.34`"):
        check_fields(CHAT, {}, "vllm-0.34")


def test_a_name_that_is_nearly_one_is_told_the_one() -> None:
    """And is not quoted: what a client writes may be what a rule forbids, with underscores between its words."""
    (found,) = check_fields(CHAT, {"messages": [MESSAGE], "temprature": 1})
    assert (found.param, found.why) == ("?", "is not known; did you mean `temperature`?")
    (found,) = check_fields(CHAT, {"messages": [MESSAGE], "guaranteed_returns": 1})
    assert (found.param, found.why) == ("?", "is not known; leave it out")


def test_a_long_name_is_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing takes as long as the name is, for each field that there is, and a name may be the whole of a body."""
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(suggest, "_distance", lambda a, b: compared.append((a, b)) or 9)
    check_fields(CHAT, {"messages": [MESSAGE], "x y" * 100_000: 1, "temprature": 1})
    assert compared
    assert all(abs(len(a) - len(b)) <= suggest.MAX_DISTANCE for a, b in compared)
