"""Who may ask for what: keys, profiles, routes, limits; and that tenants stay apart."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from policykit.profiles import Limits
from policykit.serving import Outcome, Refused
from policykit.serving.limits import Admission
from tests.serving.peer import Say
from tests.serving.running import World
from tests.serving.test_faults import eventually

ASK: Any = [{"role": "user", "content": "Hello?"}]


@pytest.mark.parametrize("value", [None, "Bearer", "Bearer nothing", "Basic key-acme", "key-acme", "Bearer key-acme x"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/nowhere"])
def test_without_a_valid_key_there_is_nothing(house: World, path: str, value: str | None) -> None:
    headers = {} if value is None else {"authorization": value}
    answer = httpx.request("POST" if "chat" in path else "GET", house.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "policykit_key_refused"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert house.log.accounts == []


@pytest.mark.parametrize(
    "path",
    ["/v1/embeddings", "/tokenize", "/v1/messages", "/v1/chat/completions/", "//v1/chat/completions", "/v1/batches"],
)
def test_every_other_route_is_refused(house: World, path: str) -> None:
    answer = httpx.post(house.url + path, json={}, headers={"authorization": "Bearer key-acme"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "policykit_route_refused")
    assert house.peer.requests == []


def test_a_key_stands_once(house: World) -> None:
    headers = [("authorization", "Bearer key-acme"), ("authorization", "Bearer key-globex")]
    assert httpx.get(f"{house.url}/v1/models", headers=headers).status_code == 400


def test_models_are_the_granted_profiles(house: World) -> None:
    assert [model.id for model in house.client("key-narrow").models.list()] == ["profile:prompted"]
    assert [model.id for model in house.client("key-foreign").models.list()] == ["profile:plain"]
    assert house.client("key-narrow").models.retrieve("profile:prompted").owned_by == "policykit"
    with pytest.raises(openai.NotFoundError):
        house.client("key-narrow").models.retrieve("profile:plain")


@pytest.mark.parametrize(
    ("key", "model", "header"),
    [
        ("key-narrow", "profile:plain", None),
        ("key-narrow", "", "plain"),
        ("key-acme", "profile:plain", "prompted"),
        ("key-acme", "profile:nothing", None),
        ("key-acme", "gpt-5", None),
        ("key-foreign", "profile:other", None),
        ("key-acme", "kind-adapter", None),
    ],
)
def test_profiles_outside_the_grant_are_refused(house: World, key: str, model: str, header: str | None) -> None:
    headers = {"X-Policykit-Profile": header} if header else {}
    with pytest.raises(openai.PermissionDeniedError) as refused:
        house.client(key).chat.completions.create(model=model, messages=ASK, extra_headers=headers)
    assert refused.value.code == "policykit_profile_refused"
    assert house.peer.requests == []
    assert (house.last.outcome, house.last.about.tenant) == (Outcome.REFUSED, "globex" if "globex" in key else "acme")


def test_the_header_chooses_a_profile(house: World) -> None:
    house.client().chat.completions.create(model="", messages=ASK, extra_headers={"X-Policykit-Profile": "prompted"})
    assert house.last.about.profile == "prompted"


def test_tenants_under_load_stay_apart(house: World) -> None:
    """Two tenants at once, with policies that forbid different texts: each is answered by its own, and recorded so."""
    house.peer.answer = lambda body: Say(("It is project aurora in sunny weather.",) * body["n"])

    clients = {key: house.client(key) for key in ("key-acme", "key-globex")}

    def ask(at: int) -> tuple[str, str]:
        key = ("key-acme", "key-globex")[at % 2]
        client = clients[key]
        if at % 4 < 2:
            text = client.chat.completions.create(model="", messages=ASK).choices[0].message.content or ""
        else:
            chunks = client.chat.completions.create(model="", messages=ASK, stream=True)
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        return key, text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(48)))
    for key, text in answers:
        if key == "key-acme":
            assert "aurora" not in text
            assert text.endswith("I cannot speak about that.")
        else:
            assert "sunny weather" not in text
            assert text.endswith("No weather here.")
    recorded = {(a.about.tenant, a.about.key_id, a.about.profile, a.rules) for a in house.log.accounts}
    assert recorded == {
        ("acme", "k1", "plain", ("no-secrets",)),
        ("globex", "k2", "other", ("no-weather",)),
    }
    assert len(house.log.accounts) == 48


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def use(admission: Admission, limits: Limits, key: str = "k") -> None:
    with admission.admitted(key, "p", limits):
        pass


def refused(call: Callable[[], None]) -> str:
    with pytest.raises(Refused) as raised:
        call()
    assert raised.value.status == 429
    return raised.value.headers["retry-after"]


def test_requests_per_minute(clock: Clock) -> None:
    admission, limits = Admission(clock), Limits(requests_per_minute=2)
    use(admission, limits)
    clock.now += 30
    use(admission, limits)
    assert refused(lambda: use(admission, limits)) == "30"
    use(admission, limits, "another key")
    clock.now += 30
    use(admission, limits)
    assert refused(lambda: use(admission, limits)) == "30"


def test_requests_at_once(clock: Clock) -> None:
    admission, limits = Admission(clock), Limits(concurrent=1)
    with admission.admitted("k", "p", limits):
        refused(lambda: use(admission, limits))
        use(admission, limits, "another key")
    use(admission, limits)


def test_limits_hold_over_http(house: World) -> None:
    house.peer.answer = lambda body: Say(("Hello.",), stall_s=0.2)

    def ask(_: int) -> str:
        try:
            house.client().chat.completions.create(model="profile:tight", messages=ASK)
        except openai.RateLimitError as error:
            return f"{error.code}, {int(error.response.headers['retry-after']) >= 1}"
        return "served"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(4))) == [*["policykit_rate_limited, True"] * 3, "served"]
    eventually(lambda: len(house.log.accounts) == 4)
    assert {account.outcome for account in house.log.accounts} == {Outcome.SERVED, Outcome.REFUSED}
