"""What the metrics say of requests: by tenant and profile, bounded, and with what the mask closed."""

import re
from pathlib import Path
from typing import Any

import httpx

from policykit.audit import Attempt, Outcome
from policykit.serving import Guard, Serving
from policykit.serving.hooks import About, Done
from policykit.serving.metrics import Metrics
from policykit.serving.services import GuardSettings
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Peer
from tests.serving.running import Kept, deployment, served

ABOUT = About("r1", "/v1/chat/completions", tenant="acme", profile="answer")


def samples(metrics: Metrics, name: str) -> dict[str, float]:
    found = re.findall(rf"^policykit_{name}(\{{.*\}}) (\S+)$", metrics.render().decode(), re.M)
    return {labels: float(value) for labels, value in found}


def test_what_the_mask_closed_is_counted_by_rule() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.on_request(ABOUT)
        metrics.on_done(ABOUT, Done(Outcome.SERVED, 200, 0.1, mask="attested", closed=(("house/never", 3), ("b/c", 1))))
    assert samples(metrics, "mask_closed_total") == {
        '{profile="answer",rule="house/never",tenant="acme"}': 6.0,
        '{profile="answer",rule="b/c",tenant="acme"}': 2.0,
    }
    assert set(samples(metrics, "requests_in_flight").values()) == {0.0}


def test_attempts_count_by_why_they_were_rejected() -> None:
    metrics = Metrics()
    metrics.on_attempt(ABOUT, Attempt(1, 0.1))
    metrics.on_attempt(ABOUT, Attempt(2, 0.1, "policy_dead_end"))
    metrics.on_attempt(ABOUT, Attempt(3, 0.1, "block: a rule, and another"))
    counted = samples(metrics, "attempts_total")
    assert {re.search(r'result="(\w+)"', labels)[1]: n for labels, n in counted.items()} == {  # type: ignore[index]
        "served": 1.0,
        "policy_dead_end": 1.0,
        "other": 1.0,
    }


def test_a_client_cannot_make_ever_new_series() -> None:
    metrics = Metrics()
    for i in range(1000):
        about = About(f"r{i}", f"/v1/{i}")
        metrics.on_request(about)
        metrics.on_done(about, Done(Outcome.REFUSED, 404, 0.0, code=f"policykit_{i}"))
    assert len(samples(metrics, "requests_total")) <= 17
    assert len(samples(metrics, "errors_total")) <= 65


def test_requests_that_nobody_with_a_key_sent_are_counted_and_fill_no_log(tmp_path: Path) -> None:
    """Those with a key are recorded under it, also where nothing of them could be read."""
    (tmp_path / "profiles").mkdir()
    serving, log, metrics = Serving(deployment(tmp_path / "profiles")), Kept(), Metrics()
    guard = Guard(serving, AppUpstream(Peer()), log, observers=[metrics], settings=GuardSettings(max_body_bytes=2000))
    with served(guard) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:

        def post(key: str | None, route: str = "/v1/chat/completions", **more: Any) -> int:
            body = {"messages": [{"role": "user", "content": "Hello"}], **more}
            return client.post(route, json=body, headers={"authorization": f"Bearer {key}"} if key else {}).status_code

        for number in range(50):
            assert post(None if number % 2 else f"key-{number}") == 401
            assert post(None, f"/v1/{number}") == 401
        assert post("key-acme", "/v1/files") == 404
        assert log.accounts == []
        refused = [post("key-acme", model="profile:other"), post("key-acme", user="x" * 3000), post("key-acme", n=1.5)]
    assert refused == [403, 413, 400]
    assert [(a.about.tenant, a.about.key_id, a.status) for a in log.accounts] == [("acme", "k1", s) for s in refused]
    counted = samples(metrics, "requests_total")
    assert counted['{outcome="refused",profile="none",route="/v1/chat/completions",status="401",tenant="none"}'] == 50
    assert counted['{outcome="refused",profile="none",route="other",status="401",tenant="none"}'] == 50
    assert counted['{outcome="refused",profile="none",route="other",status="404",tenant="acme"}'] == 1
    assert samples(metrics, "errors_total")['{code="policykit_key_refused",profile="none",tenant="none"}'] == 100
    assert "key-" not in metrics.render().decode()
