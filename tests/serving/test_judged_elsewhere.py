"""Answers in grammars of requests, and in those of profiles that may take long, are judged where that can be ended: one
that takes too long goes out nowhere, and nobody else waits for it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import openai
import pytest

from policykit.diagnostics import PolicyError
from policykit.engines.server import EngineApp, load_engine
from policykit.plan import Bounds, Compilers, violations
from policykit.profiles import load_profiles, plans
from policykit.serving import Deployment, Guard, Kind, Outcome, Serving, arguments, client_tools
from policykit.serving.arguments import needs_compilers
from policykit.serving.attestor import EngineAttestor
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Say
from tests.serving.running import HEAD, Kept, World, deployment, served, world
from tests.serving.test_attested import attested

BRANCHES: Any = [{"type": "array", "items": {"$ref": "#/$defs/n"}, f"{which}Items": 1} for which in ("min", "max")]
"""A list fits each of two branches, and what does not fit at the bottom is looked for twice at each level."""
DEEP = "[" * 14 + '"x"' + "]" * 14
MANY = 8
"""More than the threads that everybody's texts are judged in."""


def branching(name: str) -> Any:
    """A schema of that name: what is made of one is kept."""
    defs = {"n": {"title": name, "anyOf": [*BRANCHES, {"type": "integer"}]}}
    return {"$defs": defs, "$ref": "#/$defs/n"}


def said(house: World, schema: Any, stream: bool, **more: Any) -> str:
    form: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return answered(house, stream, "key-open", response_format=form, **more)


def answered(house: World, stream: bool, key: str, **more: Any) -> str:
    messages: Any = [{"role": "user", "content": "Say."}]
    client = house.client(key).with_options(timeout=60)
    found: Any = client.chat.completions.create(model="", messages=messages, stream=stream, **more)
    if not stream:
        return found.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)


@pytest.fixture(params=["gateway", "vllm"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[World, Callable[[str], None]]]:
    """A guard before a server of another kind, or before vLLM; and what tells the upstream its answer."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "run").mkdir()
    if request.param == "gateway":
        with world(tmp_path / "profiles") as house:
            yield house, lambda text: setattr(house.peer, "answer", lambda _: Say((text,)))
    else:
        with attested(tmp_path / "profiles", tmp_path / "run") as (house, engine):
            yield house, lambda text: setattr(engine, "say", Say((text,)))


class Slow(Compilers):
    """Where they hold texts, they judge none before they may, and then in vain."""

    def __init__(self) -> None:
        super().__init__(n_processes=1)
        self.holds, self.begun, self.go = False, Event(), Event()

    def make(self, function: Callable[..., Any], *arguments: object, **more: Any) -> Any:
        if function is not violations or not self.holds:
            return super().make(function, *arguments, **more)
        self.begun.set()
        assert self.go.wait(60)
        raise PolicyError.of("PK209", "late")


@pytest.fixture(scope="module")
def processes() -> Iterator[Slow]:
    found = Slow()
    yield found
    found.close()


@pytest.fixture
def slow(processes: Slow, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(plans, "request_compilers", lambda: processes)
    monkeypatch.setattr(arguments, "request_compilers", lambda: processes)
    monkeypatch.setattr(client_tools, "request_compilers", lambda: processes)
    processes.bounds, processes.holds = Bounds(), False
    processes.begun.clear()
    processes.go.clear()
    yield processes
    processes.go.set()


@pytest.mark.parametrize("stream", [False, True])
def test_what_takes_too_long_to_judge_does_not_go_out(
    place: tuple[World, Callable[[str], None]], slow: Slow, stream: bool
) -> None:
    house, tell = place
    schema = branching(f"{stream} {house.url}")
    tell("[[[3]]]")
    assert json.loads(said(house, schema, stream)) == [[[3]]]
    tell('[[["x"]]]')
    begun = "[[[" if stream and house.last.mask == "attested" else "{}"  # what a mask lets through may go out early
    assert said(house, schema, stream) == begun
    assert house.last.outcome is Outcome.FALLBACK
    slow.bounds = Bounds(deadline_s=0.5)
    tell(DEEP)
    with pytest.raises(openai.APIError) as failed:
        said(house, schema, stream)
    assert failed.value.code == "policykit_check_failed"
    assert (house.last.status, house.last.outcome) == (503, Outcome.ERRORED)
    (error,) = house.last.judged[-1].verdict.errors
    assert (error.rule, "PK209" in error.message) == ("grammar", True)
    tell("[[3]]")
    assert json.loads(said(house, schema, stream)) == [[3]], "nothing is left of it"


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_else_waits_for_a_verdict(place: tuple[World, Callable[[str], None]], slow: Slow, stream: bool) -> None:
    house, tell = place
    tell("[[3]]")
    slow.holds = True
    with ThreadPoolExecutor(MANY) as pool:
        waiting = [pool.submit(said, house, branching(f"held {stream}"), stream) for _ in range(MANY)]
        assert slow.begun.wait(30)
        for _ in range(3):
            assert answered(house, stream, "key-acme") == "[[3]]"
        assert not any(one.done() for one in waiting)
        slow.go.set()
        assert {one.exception().code for one in waiting} == {"policykit_check_failed"}  # type: ignore[union-attr]


def test_nobody_else_waits_for_arguments_of_a_tool_of_a_request(slow: Slow, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#"}}, "patternProperties": {"^a": {"$ref": "#"}}}
    slow.holds = True
    mine: Any = {"type": "function", "function": {"name": "mine", "parameters": schema}}
    messages: Any = [{"role": "user", "content": "Say."}]
    with world(tmp_path) as house, ThreadPoolExecutor(MANY) as pool:
        house.peer.answer = lambda body: Say((None,), calls=(("mine", "{}"),)) if "tools" in body else Say(("A",))
        asks = house.client().chat.completions.create
        waiting = [
            pool.submit(asks, model="profile:tooled", messages=messages, tools=[mine], timeout=60) for _ in range(MANY)
        ]
        assert slow.begun.wait(30)
        assert answered(house, False, "key-acme") == "A"
        assert not any(one.done() for one in waiting)
        slow.go.set()
        assert {one.exception().code for one in waiting} == {"policykit_check_failed"}  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_server_over_transformers_judges_so_too(slow: Slow, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the embedded model needs torch")
    (tmp_path / "profiles").mkdir()
    engine, log = load_engine("embedded", tmp_path / "run"), Kept()
    serving = Serving(replace(deployment(tmp_path / "profiles"), model="embedded"))
    upstream, attestor = AppUpstream(EngineApp(engine), kind=Kind.VLLM), EngineAttestor(tmp_path / "run")
    guard = Guard(serving, upstream, log, attestor=attestor)
    schema = branching("transformers")
    try:
        with served(guard) as url:
            house = World(url, None, log, serving, guard)  # type: ignore[arg-type]
            for stream in (False, True):
                slow.holds = False
                json.loads(said(house, schema, stream, max_tokens=60))
                slow.holds = True
                slow.go.set()
                with pytest.raises(openai.APIError) as failed:
                    said(house, schema, stream, max_tokens=60)
                assert failed.value.code == "policykit_check_failed"
    finally:
        engine.close()


# -- grammars of profiles -----------------------------------------------------------------------------------------

LISTS: Any = {"$defs": {"n": {"anyOf": [*BRANCHES, {"type": "integer"}]}}, "$ref": "#/$defs/n"}
TREE: Any = {"$defs": {"n": {"anyOf": [BRANCHES[0], {"type": "integer"}]}}, "$ref": "#/$defs/n"}
CALLED: Any = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": LISTS["$defs"]}
ITS = """\
task: %s
policies: [house.policy.yaml]
%s
fallback: %s
"""
OWN = {
    "lists": ITS % ("extract", "grammar: lists.schema.json", "'3'"),
    "tree": ITS % ("extract", "grammar: tree.schema.json", "'3'"),
    "words": ITS % ("extract", "grammar: words.lark", "a"),
    "caller": ITS % ("agent", f"tools: [{{name: put, arguments: {json.dumps(CALLED)}}}]", "I cannot."),
}


@pytest.fixture
def own(tmp_path: Path, slow: Slow) -> Iterator[World]:
    with world(tmp_path) as found:
        (tmp_path / "lists.schema.json").write_text(json.dumps(LISTS), "utf-8")
        (tmp_path / "tree.schema.json").write_text(json.dumps(TREE), "utf-8")
        (tmp_path / "words.lark").write_text('start: s\ns: s s | "a"\n', "utf-8")
        for name, text in OWN.items():
            (tmp_path / f"{name}.profile.yaml").write_text(HEAD % {"name": name} + text, "utf-8")
        old = found.serving.deployment
        profiles = load_profiles(tmp_path)
        keys = old.keys
        more = {digest: replace(grant, profiles=(*grant.profiles, *OWN)) for digest, grant in keys.grants.items()}
        found.serving.swap(Deployment(profiles, replace(keys, grants=more), model="base-model"))
        yield found


def under(own: World, profile: str, stream: bool = False) -> Any:
    return answered(own, stream, "key-acme", extra_headers={"x-policykit-profile": profile})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("profile", "good", "bad"), [("lists", "[[3]]", '[["x"]]'), ("words", "aaa", "ab")])
def test_what_a_profile_s_own_grammar_takes_too_long_for_does_not_go_out(
    own: World,
    slow: Slow,
    profile: str,
    good: str,
    bad: str,
    stream: bool,
) -> None:
    own.peer.answer = lambda _: Say((good,))
    assert under(own, profile, stream) == good
    own.peer.answer = lambda _: Say((bad,))
    assert under(own, profile, stream) == ("3" if profile == "lists" else "a")
    assert own.last.outcome is Outcome.FALLBACK
    slow.holds = True
    slow.go.set()
    own.peer.answer = lambda _: Say((good,))
    with pytest.raises(openai.APIError) as failed:
        under(own, profile, stream)
    assert failed.value.code == "policykit_check_failed"
    assert (own.last.status, own.last.outcome) == (503, Outcome.ERRORED)
    assert "PK209" in own.last.judged[-1].verdict.errors[0].message


def test_a_hostile_answer_is_given_up(own: World, slow: Slow) -> None:
    slow.bounds = Bounds(deadline_s=0.5)
    own.peer.answer = lambda _: Say((DEEP,))
    with pytest.raises(openai.APIError) as failed:
        under(own, "lists")
    assert failed.value.code == "policykit_check_failed"
    assert under(own, "tree") == "3", "where nothing branches it is found out here, at once"


def test_nobody_waits_for_what_is_judged_by_a_profile_s_own(own: World, slow: Slow) -> None:
    own.peer.answer = lambda body: Say((None,), calls=(("put", '{"n": 3}'),)) if "tools" in body else Say(("[[3]]",))
    slow.holds = True
    with ThreadPoolExecutor(2 * MANY) as pool:
        waiting = [pool.submit(under, own, "lists", n % 2 == 0) for n in range(MANY)]
        tools: Any = [{"type": "function", "function": {"name": "put"}}]
        asks = own.client().chat.completions.create
        messages: Any = [{"role": "user", "content": "Say."}]
        waiting += [
            pool.submit(asks, model="profile:caller", messages=messages, tools=tools, timeout=60) for _ in range(MANY)
        ]
        assert slow.begun.wait(30)
        assert [under(own, "tree") for _ in range(3)] == ["[[3]]"] * 3
        assert not any(one.done() for one in waiting)
        slow.go.set()
        assert {one.exception().code for one in waiting} == {"policykit_check_failed"}  # type: ignore[union-attr]


def test_processes_are_made_ready_for_those_that_need_them(own: World) -> None:
    profiles = own.serving.deployment.profiles
    needs = {profile.name for profile in profiles if needs_compilers(profile)}
    assert needs == {"lists", "words", "caller", "open", "tooled"}
