"""`policykit serve` as a process: the embedded model under profiles, operators' routes, the switch, and a clean end."""

import hmac
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from policykit.audit import open_reader, parse, verify_log
from policykit.cli.main import main
from policykit.diagnostics import PolicyError
from policykit.profiles import digest_of_key
from policykit.serving import SwitchState
from policykit.serving.openapi import description
from policykit.serving.run import Files, application, check_address, gateway
from policykit.serving.switch import FileSwitch
from tests.serving.peer import Peer
from tests.serving.real_vllm import free_port
from tests.serving.running import deployment as write_profiles, served

KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys:
  - {{id: k1, sha256: {digest_of_key("key-acme")}, tenant: acme, profiles: [plain, records], default: plain}}
admins:
  - {{id: ops, sha256: {digest_of_key("key-ops")}}}
"""


class Listed(Peer):
    """A peer that lists its models, as any server does."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        await super().__call__(scope, receive, send)


CLIENT, OPERATOR = {"authorization": "Bearer key-acme"}, {"authorization": "Bearer key-ops"}


def files(folder: Path, switch: bool = True) -> Files:
    profiles = folder / "profiles"
    profiles.mkdir()
    write_profiles(profiles)
    (folder / "test.keys.yaml").write_text(KEYS)
    at = (folder / "log", folder / "run", folder / "switch.txt" if switch else None)
    return Files((profiles,), (folder / "test.keys.yaml",), *at)


@dataclass
class Process:
    url: str
    folder: Path
    process: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("serve")
    asked = files(folder)
    (folder / "span.key").write_text("5a" * 32)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "import sys; from policykit.cli.main import main; sys.exit(main())", "serve"),
            *("--engine", "transformers", "--port", "0"),
            *("--profiles", str(asked.profiles[0]), "--keys", str(asked.keys[0]), "--log", str(asked.log)),
            *("--run", str(asked.run), "--switch", str(asked.switch)),
            *("--log-spans", "hashed", "--log-key", "span.key", "--log-replay"),
        ],
        stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        found = re.search(r"serving \d+ profiles at (http\S+)/v1", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it never waits to be read
            yield Process(found[1], folder, process)
            break
    else:
        pytest.fail(f"it did not start: {said}")
    if process.poll() is None:
        process.kill()
    process.wait(10)


def ask(serving: Process, **more: Any) -> Any:
    client = openai.OpenAI(base_url=f"{serving.url}/v1", api_key="key-acme", max_retries=0, timeout=60)
    message: Any = {"role": "user", "content": "What returns can I expect?"}
    return client.chat.completions.create(model="profile:plain", messages=[message], max_tokens=30, **more)


def test_the_embedded_model_answers_under_a_profile(serving: Process) -> None:
    answer = ask(serving)
    assert answer.choices[0].message.content
    about = answer.model_extra["policykit"]
    assert (about["profile"], about["mask"]) == ("plain", "attested")
    pieces = [event.choices[0].delta.content or "" for event in ask(serving, stream=True) if event.choices]
    assert len(pieces) > 1
    record = next(r for r in _records(serving) if r.request == about["record"])
    assert (record.engine, record.tenant, record.mask) == ("transformers", "acme", "attested")


def test_the_log_keeps_what_the_options_say(serving: Process) -> None:
    message: Any = {"role": "user", "content": "Is 123456 my number?"}
    client = openai.OpenAI(base_url=f"{serving.url}/v1", api_key="key-acme", max_retries=0, timeout=60)
    answer = client.chat.completions.create(model="profile:plain", messages=[message], max_tokens=5)
    record = next(r for r in _records(serving) if r.request == answer.model_extra["policykit"]["record"])
    assert [one.choice for one in record.replay] == [0]
    assert record.judgements[0].text == message["content"]
    (span,) = (span for rule in record.judgements[0].rules for span in rule.spans)
    assert span.value == hmac.digest(bytes.fromhex("5a" * 32), b"123456", "sha256").hex()


def _records(serving: Process) -> list[Any]:
    return [parse(row.record) for row in open_reader(serving.folder / "log").rows()]


def test_operators_routes_want_an_operator_s_key(serving: Process) -> None:
    for route in ("/ready", "/metrics", "/switch"):
        assert httpx.get(serving.url + route).status_code == 401
        assert httpx.get(serving.url + route, headers=CLIENT).status_code == 401
        assert httpx.get(serving.url + route, headers=OPERATOR).status_code == 200
    assert httpx.put(serving.url + "/switch", json={"state": "open"}, headers=CLIENT).status_code == 401
    assert httpx.get(serving.url + "/health").json() == {"status": "alive"}


def test_another_method_is_told_to_operators(serving: Process) -> None:
    for method, route, known in (("POST", "/switch", "GET, PUT"), ("PUT", "/metrics", "GET")):
        answer = httpx.request(method, serving.url + route, json={"state": "open"}, headers=OPERATOR)
        assert (answer.status_code, answer.headers["allow"]) == (405, known)
        assert answer.json()["error"]["message"] == f"`{route}` takes {known.replace(', ', ' and ')}"
        assert httpx.request(method, serving.url + route, headers={"authorization": "Bearer x"}).status_code == 401
        assert httpx.request(method, serving.url + route, headers=CLIENT).status_code == 404


def test_it_is_ready_when_its_plans_stand(serving: Process) -> None:
    until = time.monotonic() + 60
    while not (found := httpx.get(serving.url + "/ready", headers=OPERATOR).json())["ready"]:
        assert time.monotonic() < until, found
        time.sleep(0.2)
    assert set(found["checks"].values()) == {"ok"}


def test_metrics_count_by_tenant_and_profile_and_hold_no_text(serving: Process) -> None:
    ask(serving)
    text = httpx.get(serving.url + "/metrics", headers=OPERATOR).text
    pattern = r'policykit_requests_total\{[^}]*outcome="\w+",profile="plain",[^}]*tenant="acme"\} (\d+)'
    assert sum(int(n) for n in re.findall(pattern, text)) >= 1
    assert 'policykit_masks_total{mask="attested",profile="plain",tenant="acme"}' in text
    assert "returns" not in text


@pytest.mark.parametrize("by_file", [True, False], ids=["by its file", "by an operator"])
def test_the_switch_takes_effect_within_a_second(serving: Process, by_file: bool) -> None:
    def switch(state: str) -> None:
        if by_file:
            (serving.folder / "switch.txt").write_text(state)
        else:
            httpx.put(serving.url + "/switch", json={"state": state}, headers=OPERATOR).raise_for_status()

    def within_a_second(is_met: Any) -> bool:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            if is_met():
                return True
        return False

    try:
        switch("refuse_all")
        assert within_a_second(lambda: _post(serving).status_code == 503)
        switch("fallback_only")
        assert within_a_second(lambda: _post(serving).status_code == 200)
        answer = _post(serving).json()
        assert answer["choices"][0]["message"]["content"] == "Please ask a colleague."
    finally:
        switch("open")
    assert within_a_second(lambda: httpx.get(serving.url + "/switch", headers=OPERATOR).json()["state"] == "open")


def _post(serving: Process) -> httpx.Response:
    body = {"model": "profile:plain", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
    return httpx.post(f"{serving.url}/v1/chat/completions", json=body, headers=CLIENT, timeout=30)


@pytest.mark.parametrize("body", [{"state": "shut"}, {}, {"state": "open", "more": 1}, {"state": 1}])
def test_the_switch_takes_known_words_only(serving: Process, body: object) -> None:
    answer = httpx.put(serving.url + "/switch", json=body, headers=OPERATOR)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "state")


def test_it_describes_itself(serving: Process) -> None:
    described = httpx.get(serving.url + "/openapi.json").json()
    assert described == description()
    assert {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models"} <= set(described["paths"])


def test_a_server_that_is_told_to_stop_answers_first(serving: Process) -> None:
    """The last test of this server."""
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(ask(serving, n=2)))
    asking.start()
    in_flight = 'policykit_requests_in_flight{profile="plain",tenant="acme"} 1.0'
    until = time.monotonic() + 30
    while in_flight not in httpx.get(serving.url + "/metrics", headers=OPERATOR).text:
        assert time.monotonic() < until, "the request never came in"
    serving.process.send_signal(signal.SIGTERM)
    asking.join(60)
    assert serving.process.wait(60) in (0, -signal.SIGTERM)
    assert len(answers) == 1
    assert answers[0].choices[0].message.content
    assert verify_log(open_reader(serving.folder / "log")).fault is None
    assert answers[0].model_extra["policykit"]["record"] in {record.request for record in _records(serving)}


def test_a_gateway_before_another_server(tmp_path: Path) -> None:
    with served(Listed()) as upstream:
        app = application(files(tmp_path), gateway(upstream, "upstream-key", "base-model"))
        with served(app) as url:
            body = {"model": "profile:plain", "messages": [{"role": "user", "content": "x"}]}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=CLIENT, timeout=30)
            assert answer.status_code == 200
            assert answer.json()["policykit"]["mask"] == "none"
            until = time.monotonic() + 30
            while not (found := httpx.get(f"{url}/ready", headers=OPERATOR).json())["ready"]:
                assert time.monotonic() < until, found
                time.sleep(0.1)


def test_a_switch_that_cannot_be_read_refuses(tmp_path: Path) -> None:
    path = tmp_path / "switch"
    switch = FileSwitch(path)
    assert switch.state is SwitchState.OPEN
    path.write_text("shut down everything")
    time.sleep(0.6)
    assert switch.state is SwitchState.REFUSE_ALL
    assert "another word" in str(switch.problem)


WRONG: dict[str, tuple[list[str], str]] = {
    "no model": ([], "PK721"),
    "two models": (["--upstream", "http://127.0.0.1:1", "--engine", "transformers"], "PK721"),
    "a tokenizer of no upstream": (["--engine", "transformers", "--upstream-tokenizer", "t"], "PK721"),
    "a tokenizer that is not there": (
        ["--upstream", "http://127.0.0.1:1", "--model", "m", "--upstream-tokenizer", "t"],
        "PK404",
    ),
    "no key": (["--upstream", "http://127.0.0.1:1", "--upstream-key-env", "NO_SUCH_VARIABLE"], "PK721"),
    "no vllm": (["--model", "m"], "PK555"),
    "no vllm, and arguments for it": (["--model", "m", "--vllm", "--dtype=auto", "--max-model-len", "512"], "PK555"),
    "an exporter that is not there": (["--upstream", "http://127.0.0.1:1"], "PK720"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_served_is_told_before_it_listens(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more, code = WRONG[name]
    asked = files(tmp_path)
    monkeypatch.chdir(tmp_path)
    if code == "PK720":
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nowhere")
    given = ["--profiles", str(asked.profiles[0]), "--keys", str(asked.keys[0]), "--port", "0"]
    status = main(["serve", *given, *more])
    assert status != 0
    assert code in capsys.readouterr().err


@pytest.mark.parametrize("engine", [["--upstream", "http://127.0.0.1:1"], ["--engine", "transformers"]])
def test_a_port_that_another_server_has_is_told_before_anything_else(
    tmp_path: Path, engine: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = files(tmp_path)
    monkeypatch.chdir(tmp_path)
    given = ["serve", "--profiles", str(asked.profiles[0]), "--keys", str(asked.keys[0]), *engine]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status = main([*given, "--port", port])
    said = capsys.readouterr().err
    assert (status, f"cannot listen at `127.0.0.1:{port}`: address already in use" in said) == (3, True)
    assert "PK726" in said
    assert "help: name another `--port`" in said
    assert not (tmp_path / "decisions").exists()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("192.0.2.1", 0)])
def test_an_address_that_is_none_of_ours(host: str, port: int) -> None:
    with pytest.raises(PolicyError, match="PK726"):
        check_address(host, port)


def test_an_address_that_is_free() -> None:
    for host in ("127.0.0.1", "localhost", "0.0.0.0"):
        check_address(host, 0)
    check_address("127.0.0.1", free_port())


@pytest.mark.slow
def test_nothing_undocumented_answers_with_an_error_of_the_server(tmp_path: Path) -> None:
    """Schemathesis against the description: whatever it makes up, no status is undocumented and none is a crash."""
    with served(Listed()) as upstream:
        app = application(files(tmp_path), gateway(upstream, None, "base-model"))
        with served(app) as url:
            (tmp_path / "schemathesis.toml").write_text("")
            ran = subprocess.run(
                [
                    *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
                    *("--header", "Authorization: Bearer key-acme", "--max-examples", "40", "--seed", "1"),
                    *("--checks", "not_a_server_error,status_code_conformance", "--max-time", "60"),
                ],
                capture_output=True, text=True, cwd=tmp_path, timeout=180,
            )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
