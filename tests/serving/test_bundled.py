"""Serving out of a bundle, as options and the environment name it: signed, watched, and refused by name."""

import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, strategies as st
from starlette.applications import Starlette

from policykit.audit import Record, open_reader, parse
from policykit.cli.main import main
from policykit.diagnostics import PolicyError
from policykit.profiles import digest_of_key
from policykit.serving.app import App
from policykit.serving.bundled import BUNDLE, ON_BAD, REQUIRED, BundleFiles
from policykit.serving.environment import Environment
from policykit.serving.middleware import Middleware
from policykit.serving.reload_source import OnBad
from policykit.serving.run import Files, application, gateway
from tests.serving.peer import Say
from tests.serving.running import served
from tests.serving.test_reload import EVERY_WORD, Place
from tests.serving.test_serve import Listed

KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys:
  - {{id: k1, sha256: {digest_of_key("key")}, tenant: acme, profiles: [plain], default: plain}}
admins:
  - {{id: ops, sha256: {digest_of_key("key-ops")}}}
"""
OPERATOR = {"authorization": "Bearer key-ops"}
PATHS = st.from_regex(r"[a-z/]{1,9}", fullmatch=True).map(Path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "acme.keys.yaml").write_text(KEYS)
    return Place(tmp_path)


def files(place: Place, **more: Any) -> Files:
    at = place.folder
    named: dict[str, Any] = {"trusted": (at / "key.pub",), **more}
    return Files((), (at / "acme.keys.yaml",), at / "log", at / "run", bundle=BundleFiles(place.path, **named))


@contextmanager
def house(place: Place, **more: Any) -> Generator[str]:
    with served(Listed(answer=lambda body: Say((EVERY_WORD,)))) as upstream:
        app: App = application(files(place, **more), gateway(upstream, "upstream-key", "base"))
        with served(app) as url:
            yield url


def ask(url: str) -> tuple[str | None, str]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=30)
    said: Any = [{"role": "user", "content": "Hello?"}]
    answer = client.chat.completions.create(model="profile:plain", messages=said)
    assert answer.model_extra is not None
    return answer.choices[0].message.content, answer.model_extra["policykit"]["record"]


def ready(url: str) -> dict[str, str]:
    return httpx.get(f"{url}/ready", headers=OPERATOR, timeout=30).json()["checks"]


def until(holds: Any) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.05)


def test_a_new_bundle_is_served_and_each_record_says_which_one_judged(place: Place) -> None:
    place.put(1)
    with house(place) as url:
        text, first = ask(url)
        assert text == "Revision 1 says no."
        place.put(2)
        until(lambda: ask(url)[0] == "Revision 2 says no.")
        _, last = ask(url)
        until(lambda: set(ready(url).values()) == {"ok"})
        metrics = httpx.get(f"{url}/metrics", headers=OPERATOR).text
        assert 'policykit_bundle_reloads_total{result="served"} 1.0' in metrics
        assert 'revision="2"' in metrics
    reader = open_reader(place.folder / "log")
    kept = {r.request: r.revision for row in reader.rows() if isinstance(r := parse(row.record), Record)}
    reader.close()
    assert (kept[first], kept[last]) == ("1", "2")


def test_a_bundle_that_nobody_signed_is_told_to_operators_and_not_served(place: Place) -> None:
    place.put(1)
    with house(place) as url:
        ask(url)
        place.put(2, signed=False)
        until(lambda: ready(url)["bundle"] != "ok")
        assert ready(url)["bundle"] == "the newest bundle is refused: PK649"
        until(
            lambda: httpx.get(f"{url}/ready", headers=OPERATOR, timeout=30).status_code == 200
        )  # the old one is served
        assert ask(url)[0] == "Revision 1 says no."
        assert 'policykit_bundle_reloads_total{result="PK649"} 1.0' in (
            httpx.get(f"{url}/metrics", headers=OPERATOR).text
        )
        place.put(3)
        until(lambda: ask(url)[0] == "Revision 3 says no.")
        until(lambda: ready(url)["bundle"] == "ok")


def test_where_it_is_asked_for_a_bad_bundle_ends_serving(place: Place) -> None:
    place.put(1)
    with house(place, on_bad=OnBad.REFUSE) as url:
        assert ask(url)[0] == "Revision 1 says no."
        place.put_bytes(place.path.read_bytes().replace(b"word 1", b"word 7"))
        until(lambda: ready(url)["bundle"] == "the newest bundle is refused: PK645")
        assert httpx.get(f"{url}/ready", headers=OPERATOR, timeout=30).status_code == 503
        with pytest.raises(openai.InternalServerError) as refused:
            ask(url)
        assert refused.value.code == "policykit_switched_off"


def test_a_bundle_that_expires_while_it_is_served_answers_nothing_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(1, expires=date(2999, 1, 1))
    with house(place) as url:
        assert ask(url)[0] == "Revision 1 says no."
        monkeypatch.setattr("policykit.serving.request.today", lambda: date(2999, 1, 1))
        with pytest.raises(openai.InternalServerError) as refused:
            ask(url)
        assert refused.value.code == "policykit_bundle_expired"
        place.put(2)
        until(lambda: _says(url, "Revision 2 says no."))


def _says(url: str, text: str) -> bool:
    try:
        return ask(url)[0] == text
    except openai.InternalServerError:
        return False


@pytest.mark.parametrize("how", ["older", "other content", "the same", "newer", "damaged", "development"])
def test_a_restart_takes_no_older_bundle_than_was_served(place: Place, how: str) -> None:
    place.put(2)
    with house(place):
        place.put(3)  # served by a reload
        last = place.folder / "run" / "bundle.json"
        until(lambda: json.loads(last.read_text())["revision"] == 3)
    more: dict[str, Any] = {}
    code = None
    match how:
        case "older":
            place.put(2)
            code = "PK651"
        case "other content":
            place.put(3, content=7)
            code = "PK651"
        case "newer":
            place.put(4)
        case "damaged":
            last.write_text("{")
            code = "PK680"
        case "development":
            place.put(2, signed=False)
            more = {"trusted": (), "required": 0}
        case _:
            pass
    if code is None:
        with house(place, **more) as url:
            assert ask(url)[0]
        return
    with pytest.raises(PolicyError) as refused:
        application(files(place, **more), gateway("http://127.0.0.1:9", None, "base"))
    assert {found.code for found in refused.value.diagnostics} == {code}


@pytest.mark.parametrize(
    ("name", "code"),
    [("unsigned", "PK649"), ("another key", "PK649"), ("altered", "PK645"), ("gone", "PK640"), ("few keys", "PK681")],
)
def test_nothing_starts_under_a_bundle_that_may_not_be_used(place: Place, name: str, code: str) -> None:
    place.put(1, signed=name != "unsigned")
    more: dict[str, Any] = {}
    match name:
        case "another key":
            (place.folder / "other").mkdir()
            Place(place.folder / "other")
            more = {"trusted": (place.folder / "other" / "key.pub",)}
        case "altered":
            place.put_bytes(place.path.read_bytes().replace(b"word 1", b"word 7"))
        case "gone":
            place.path.unlink()
        case "few keys":
            more = {"required": 2}
        case _:
            pass
    with pytest.raises(PolicyError) as refused:
        application(files(place, **more), gateway("http://127.0.0.1:9", None, "base"))
    assert code in {found.code for found in refused.value.diagnostics}


def test_an_unsigned_bundle_is_served_where_no_signature_is_asked_for(place: Place) -> None:
    place.put(1, signed=False)
    with house(place, trusted=(), required=0) as url:
        assert ask(url)[0] == "Revision 1 says no."


@given(st.builds(BundleFiles, PATHS, st.lists(PATHS, max_size=3).map(tuple), st.integers(0, 9), st.sampled_from(OnBad)))
def test_the_environment_says_what_was_configured(named: BundleFiles) -> None:
    assert BundleFiles.read(named.variables()) == named


@pytest.mark.parametrize(
    "variables", [{REQUIRED: "two"}, {REQUIRED: "-1"}, {ON_BAD: "go on"}, {"POLICYKIT_PROFILES": "p"}]
)
def test_an_environment_that_says_something_else_is_refused(variables: dict[str, str], tmp_path: Path) -> None:
    wanted = {"POLICYKIT_KEYS": "k", "POLICYKIT_LOG": "l", "POLICYKIT_RUN": str(tmp_path), BUNDLE: "b", **variables}
    with pytest.raises(PolicyError) as refused:
        Environment.read(wanted)
    assert [found.code for found in refused.value.diagnostics] == ["PK680"]


def test_the_guard_inside_vllm_serves_out_of_a_bundle(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(4)
    asked = files(place)
    assert asked.bundle is not None
    others = {
        "POLICYKIT_KEYS": asked.keys[0],
        "POLICYKIT_LOG": asked.log,
        "POLICYKIT_RUN": asked.run,
        "POLICYKIT_MODEL": "m",
    }
    for name, value in {**asked.bundle.variables(), **others}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("POLICYKIT_PROFILES", raising=False)

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await Listed(answer=lambda body: Say((EVERY_WORD,)))(scope, receive, send)

    with served(Middleware(inner)) as url:
        with pytest.raises(openai.APIStatusError) as refused:  # this application attests no mask
            ask(url)
        assert refused.value.code == "policykit_mask_not_attested"
    place.put(5, signed=False)
    with pytest.raises(PolicyError, match="PK649"):
        Middleware(inner)


def test_inside_vllm_a_bundle_is_watched_before_any_request_comes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(4)
    asked = files(place)
    assert asked.bundle is not None
    others = {"POLICYKIT_KEYS": asked.keys[0], "POLICYKIT_LOG": asked.log, "POLICYKIT_RUN": asked.run}
    for name, value in {**asked.bundle.variables(), **others}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("POLICYKIT_PROFILES", raising=False)
    app = Starlette()
    app.add_middleware(Middleware)
    with served(app):
        place.put(5)
        until(lambda: json.loads((asked.run / "bundle.json").read_text())["revision"] == 5)


def test_options_name_a_bundle_or_profiles(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(1, signed=False)
    keys = ["--keys", str(place.folder / "acme.keys.yaml"), "--log", str(place.folder / "log")]
    serve = ["serve", *keys, "--port", "0", "--upstream", "http://127.0.0.1:9", "--bundle", str(place.path)]
    assert main(serve) == 3
    assert "PK681" in capsys.readouterr().err
    assert main([*serve, "--trusted", str(place.folder / "key.pub")]) == 3
    assert "PK649" in capsys.readouterr().err
    assert main([*serve, "--profiles", os.fspath(place.sources(1))]) == 3
    assert "not allowed with argument" in capsys.readouterr().err
