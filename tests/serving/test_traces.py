"""Traces: one span per request, part of the caller's trace, with ids and verdicts and without any text."""

import json
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from policykit.audit import open_log
from policykit.serving import Guard, Serving
from policykit.serving.log import AuditBook
from policykit.serving.traces import Traces, provider_from
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import World, deployment, served

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_one_span_without_text(tmp_path: Path) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    peer = Peer()
    peer.answer = lambda body: Say(("We offer guaranteed returns.",))
    log = open_log(tmp_path / "log")
    with served(peer) as upstream:
        serving = Serving(deployment(tmp_path))
        guard = Guard(serving, HttpUpstream(upstream), AuditBook(log), observers=(Traces(provider),))
        with served(guard) as url:
            body = {"model": "profile:plain", "messages": [{"role": "user", "content": "a secret question"}]}
            headers = {"authorization": "Bearer key-acme", "traceparent": TRACE}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30).json()
    log.close()
    (span,) = kept.get_finished_spans()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE.split("-")[1]
    attributes = dict(span.attributes or {})
    assert attributes["policykit.outcome"] == answer["policykit"]["outcome"]
    assert attributes["policykit.plan.digest"] == answer["policykit"]["digest"]
    assert attributes["policykit.rules"] == ("no-promises",)
    assert attributes["policykit.attempts"] == 3
    verdicts = [event for event in span.events if event.name == "policykit.verdict"]
    assert {dict(event.attributes or {})["policykit.decision"] for event in verdicts} == {"allow", "block"}
    exported = json.dumps([span.to_json(), [dict(event.attributes or {}) for event in span.events]], default=str)
    assert "secret question" not in exported
    assert "guaranteed returns" not in exported


def test_no_exporter_is_no_tracing() -> None:
    assert provider_from({}) is None
    assert provider_from({"OTEL_TRACES_EXPORTER": "none"}) is None
    assert provider_from({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}) is None
    assert provider_from({"OTEL_TRACES_EXPORTER": "console"}) is not None


@pytest.mark.parametrize(
    ("headers", "passed"),
    [
        ([("traceparent", TRACE)], 1),
        ([("traceparent", TRACE), ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")], 2),
        ([("tracestate", "rojo=1")], 0),
        ([("traceparent", "guaranteed returns")], 0),
        ([("traceparent", TRACE + "-guaranteed")], 0),
        ([("traceparent", "a" * 30_000)], 0),
        ([("traceparent", TRACE), ("tracestate", "we promise guaranteed returns")], 0),
        ([("traceparent", TRACE), ("tracestate", "a=b\xff")], 0),
        ([("traceparent", TRACE), ("tracestate", "a=" + "b" * 511)], 0),
        ([("traceparent", TRACE), ("traceparent", TRACE)], 0),
    ],
)
def test_what_is_no_trace_is_not_passed_on(house: World, headers: list[tuple[str, str]], passed: int) -> None:
    """Nobody judges what stands there."""
    raw = [(name, value.encode("latin-1")) for name, value in headers]
    asked = [("authorization", b"Bearer key-acme"), ("content-type", b"application/json"), *raw]
    body = {"messages": [{"role": "user", "content": "Hello?"}]}
    answer = httpx.post(f"{house.url}/v1/chat/completions", headers=asked, json=body)
    assert answer.status_code == 200
    sent = house.peer.requests[-1][2]
    assert {name: sent[name] for name in ("traceparent", "tracestate") if name in sent} == dict(headers[:passed])
