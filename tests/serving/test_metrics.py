"""What the metrics say of requests: by tenant and profile, bounded, and with what the mask closed."""

import re

from policykit.audit import Attempt, Outcome
from policykit.serving.hooks import About, Done
from policykit.serving.metrics import Metrics

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
