"""The real vLLM with the plugin alone, no guard: whose grammar has no mask reads why, in a 4xx, whatever way it asked,
and a grammar whose masks take ever longer does not hold up what others read."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from threading import Event
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer

from policykit.embedded import tokenizer_path
from policykit.engines import attest
from tests.engines.vllm.plans import PHRASES, plan
from tests.engines.vllm.test_engine import forbidden
from tests.serving.attacks import unguarded
from tests.serving.attacks.unguarded import Attack, Tokens
from tests.serving.pathological import AMBIGUOUS, EXCEEDING, REFUSED, quick
from tests.serving.real_vllm import Server, plain_command, vllm_served

pytestmark = pytest.mark.vllm
BOUNDS = {"POLICYKIT_COMPILE_DEADLINE_S": "6", "POLICYKIT_COMPILE_WAIT_S": "60"}
QUESTION = [{"role": "user", "content": "What returns can I expect?"}]
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": QUESTION, "max_tokens": 12},
    "/v1/completions": {"prompt": "What returns can I expect?", "max_tokens": 12},
    "/v1/responses": {"input": "What returns can I expect?", "max_output_tokens": 12},
    "/inference/v1/generate": {"token_ids": [5, 6], "sampling_params": {"max_tokens": 12, "temperature": 1.0}},
}
N_TWO = {"n": 2, "temperature": 1.0}
GRAMMARS: dict[str, tuple[dict[str, Any], str]] = {
    **{name: (grammar, "PK209: it is not compiled within 6 s") for name, grammar in EXCEEDING.items()},
    "refused": (REFUSED["nested rules"], "PK206: groups are nested deeper than 64"),
    "in conflict with the policy": ({"choice": ["guaranteed returns"]}, "PK307: the policies forbid every text"),
    "no grammar": ({"grammar": 'root ::= "yes'}, "PK210"),
}


def start(port: int, *more: str) -> list[str]:
    ours = ("--structured-outputs-config.backend", "policykit", "--enable-scale-out")
    return plain_command(port, *ours, *more)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("unguarded")
    default = folder / "default.plan.json"
    plan().save(default)
    with vllm_served(folder, variables={attest.DEFAULT_PLAN: str(default), **BOUNDS}, started=start) as found:
        yield found


def body(route: str, grammar: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = ROUTES[route] | more
    if "sampling_params" in made:
        return made | {"sampling_params": made["sampling_params"] | {"structured_outputs": grammar}}
    return made | {"structured_outputs": grammar}


def post(server: Server, route: str, asked: dict[str, Any]) -> httpx.Response:
    return httpx.post(server.url + route, json=asked, timeout=300, trust_env=False)


def test_each_reads_why_whatever_way_it_asks(server: Server) -> None:
    """All at once, and everyday grammars among them."""
    ways = [(route, {"stream": stream}) for route, stream in product(ROUTES, (False, True))]
    ways += [(route, {**N_TWO, "stream": s}) for route in list(ROUTES)[:2] for s in (False, True)]
    asked = [(name, way) for name in GRAMMARS for way in ways]
    with ThreadPoolExecutor(12) as pool:
        refused = [pool.submit(post, server, way[0], body(way[0], GRAMMARS[name][0], **way[1])) for name, way in asked]
        served = [pool.submit(post, server, way[0], body(way[0], quick(n % 3), **way[1])) for n, way in enumerate(ways)]
        for (name, way), one in zip(asked, refused, strict=True):
            answer = one.result()
            assert answer.status_code == 400, (name, way, answer.text)
            error = answer.json()["error"]
            assert GRAMMARS[name][1] in error["message"], (name, way, error)
            assert error["type"] == "BadRequestError"
        for way, one in zip(ways, served, strict=True):
            assert one.result().status_code == 200, (way, one.result().text)
            assert "error" not in one.result().text, way


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_names_a_plan_that_is_not_there(server: Server, stream: bool) -> None:
    missing = attest.MaskRequest("r", "sha256:" + "0" * 64).render()
    for xarg, says in ((missing, "PK741"), ("{}", "PK746")):
        asked = body("/v1/chat/completions", quick(0), vllm_xargs={attest.XARG: xarg}, stream=stream)
        answer = post(server, "/v1/chat/completions", asked)
        assert answer.status_code == 400, answer.text
        assert says in answer.json()["error"]["message"]


def test_nothing_forbidden_is_written_whatever_route_and_field(server: Server) -> None:
    """As plain text; what was cut is given a letter, since a word could have gone on there."""
    tokenizer = Tokenizer.from_file(str(tokenizer_path()))
    tokens = Tokens(lambda text: tokenizer.encode(text, add_special_tokens=False).ids)
    tokens.push(PHRASES)

    def wrong(attack: Attack) -> list[str]:
        answer = post(server, attack.route, attack.body)
        about = f"{attack.name} {attack.route} {attack.body.get('stream')}"
        if answer.status_code >= 500 or (attack.says and answer.status_code != 400):
            return [f"{about}: status {answer.status_code}: {answer.text[:300]}"]
        if answer.status_code != 200:
            said = answer.json()["error"]["message"]
            return [] if len(said.split()) > 3 and attack.says in said else [f"{about}: it does not say why: {said}"]
        found = [f"{about}: {answer.text[:300]}"] if '"error"' in answer.text else []
        known = forbidden(attack.begun)
        for text, is_cut in unguarded.texts(attack.route, answer.content, tokenizer.decode):
            whole = attack.begun + text + "x" * is_cut
            found += [f"{about}: {phrase} in {whole}" for phrase in forbidden(whole) if phrase not in known]
        return found

    attacks = list(unguarded.attacks(tokens))
    assert len(attacks) >= 200
    with ThreadPoolExecutor(12) as pool:
        assert [line for lines in pool.map(wrong, attacks) for line in lines] == []
    assert post(server, "/v1/completions", ROUTES["/v1/completions"]).status_code == 200


def pieces(server: Server, over: Event, came: list[float]) -> None:
    """One everyday stream after the other, and when each of their pieces came."""
    asked = ROUTES["/v1/chat/completions"] | {"stream": True, "max_tokens": 60, "temperature": 1.0}
    while not over.is_set():
        with httpx.stream("POST", server.url + "/v1/chat/completions", json=asked, timeout=300, trust_env=False) as got:
            came += [time.monotonic() for line in got.iter_lines() if line.startswith("data: {")]


def test_an_ambiguous_grammar_does_not_hold_up_others(server: Server) -> None:
    """Each of its masks takes longer: in the end its request fails, in the stream that it has, with the reason."""
    came: list[float] = []
    over = Event()
    asked = body("/v1/completions", {"grammar": AMBIGUOUS}, stream=True, max_tokens=400, temperature=1.0)
    with ThreadPoolExecutor(7) as pool:
        reading = pool.submit(pieces, server, over, came)
        time.sleep(2)
        began = time.monotonic()
        slow = [pool.submit(post, server, "/v1/completions", asked | {"seed": n}) for n in range(3)]
        said = [one.result().text for one in slow]
        ended = time.monotonic()
        time.sleep(1)
        over.set()
        reading.result()
    failed = [text for text in said if "error" in text]
    assert failed, "or the grammar is not ambiguous enough for this test"
    for text in failed:
        error = json.loads(text.split("data: ")[-2])["error"]
        assert error["code"] == 400
        assert "PK209: its masks hold up the engine" in error["message"]
    meanwhile = [at for at in came if began < at < ended]
    gaps = [after - before for before, after in pairwise(meanwhile)]
    print(f"{len(failed)} of {len(said)} failed; {len(meanwhile)} pieces in {ended - began:.1f} s")
    print(f"the longest gap was {max(gaps):.2f} s")
    assert len(meanwhile) > 10
    assert post(server, "/v1/completions", ROUTES["/v1/completions"]).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_of_several_choices_those_without_a_mask_fail_alone(server: Server, stream: bool) -> None:
    """Some say a word and end, others go on into an ambiguous grammar, whose masks take ever longer.

    Each way of asking has a grammar of its own: what the masks of one took is owed by it, for longer than a test."""
    first = '"a" s | "b" s | "c" s | "d" s | "e" s' + ' | "f" s' * stream
    grammar = AMBIGUOUS.replace("start: s", f'start: "We" | "It" | "The" | "No" | {first}')
    more = {"n": 12, "stream": stream, "max_tokens": 400, "temperature": 2.0, "seed": 5}
    answer = post(server, "/v1/completions", body("/v1/completions", {"grammar": grammar}, **more))
    assert answer.status_code == 200, answer.text
    assert '"error"' not in answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines] if stream else [answer.json()]
    ends = [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert sorted(choice["index"] for choice in ends) == list(range(12))
    failed = [choice for choice in ends if choice["finish_reason"] == "content_filter"]
    print(f"{len(failed)} of 12 failed: {failed[0]['stop_reason'] if failed else ''}")
    assert 0 < len(failed) < 12, "or the grammar is not right for this test"
    assert all("PK209: its masks hold up the engine" in choice["stop_reason"] for choice in failed)
    assert {choice["finish_reason"] for choice in ends if choice not in failed} <= {"stop", "length"}
    if not stream:
        assert {"We", "It", "The", "No"} & {choice["text"] for choice in ends if choice not in failed}
