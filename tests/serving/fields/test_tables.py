"""Every route and field that an API describes is in its table, and nothing else is."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from policykit.serving.fields import ENGINES, Class, load_table
from policykit.serving.routes import chat, completions, responses
from tests.serving.fields.compare import described, differences

KNOWN = {
    "POST /v1/chat/completions": chat.KNOWN,
    "POST /v1/completions": completions.KNOWN,
    "POST /v1/responses": responses.KNOWN,
}
VLLM_ONLY = {
    *("top_k", "min_p", "repetition_penalty", "documents", "structured_outputs"),
    *("continue_final_message", "add_generation_prompt"),
}


@pytest.fixture(scope="module")
def openai() -> dict[str, Any]:
    return described("openai")


def test_the_official_client_knows_nothing_that_the_table_does_not(openai: dict[str, Any]) -> None:
    assert differences(openai, load_table("openai")) == []


def test_what_is_new_or_gone_is_found(openai: dict[str, Any]) -> None:
    """The gate is fed violations on every level."""
    planted = copy.deepcopy(openai)
    routes = planted["routes"]
    routes["POST /v1/new"] = {"request": []}
    fields = routes["POST /v1/chat/completions"]
    fields["request"] += ["shiny", "messages[].content[].shiny", "audio.shiny"]
    fields["request"].remove("seed")
    fields["response"] += ["choices[].message.shiny"]
    planted["headers"] = ["x-shiny"]
    where = "POST /v1/chat/completions"
    assert differences(planted, load_table("openai")) == [
        "header `x-shiny` is in no table",
        "route `POST /v1/new` is in no table",
        f"{where} field `messages[].content[].shiny` is in no table",
        f"{where} field `shiny` is in no table",
        f"{where} field `seed` is in the table and not described",
        f"{where} answer's field `choices[].message.shiny` is in no table",
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_entry_has_a_reason(engine: str) -> None:
    table = load_table(engine)
    entries = [*table.headers.values(), *table.routes.values()]
    for route in table.routes.values():
        entries += [*route.request.values(), *route.response.values()]
    assert len(entries) > 100
    assert all(len(entry.why.split()) >= 2 for entry in entries)
    assert {entry.kind for entry in entries} == set(Class)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("route", KNOWN)
def test_the_guard_reads_what_the_table_lets_through(engine: str, route: str) -> None:
    let_through = {
        path
        for path, entry in load_table(engine).routes[route].request.items()
        if entry.kind is not Class.REFUSED and "." not in path
    }
    unknown = VLLM_ONLY if engine == "openai" else set[str]()
    assert let_through == KNOWN[route] - unknown


def test_all_versions_of_vllm_let_the_same_through() -> None:
    """So that the guard needs not know which one it stands before. One version may describe what another does not."""
    let_through = [
        {
            (name, path, replace(entry, own=False))
            for name, route in load_table(engine).routes.items()
            for path, entry in route.request.items()
            if entry.kind is not Class.REFUSED
        }
        for engine in ("vllm-0.32", "vllm-0.33")
    ]
    assert let_through[0] == let_through[1]


@pytest.mark.parametrize("engine", ["vllm-0.32", "vllm-0.33"])
def test_only_what_the_guard_judges_is_served(engine: str) -> None:
    """Of all routes of the engine."""
    served = [name for name, route in load_table(engine).routes.items() if route.kind is not Class.REFUSED]
    assert sorted(served) == ["GET /health", "GET /ping", "GET /v1/models", *sorted(KNOWN)]
