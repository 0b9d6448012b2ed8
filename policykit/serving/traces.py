"""OpenTelemetry traces: one span per request with ids, digests, verdicts, costs and times; never a text."""

import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, cast

from opentelemetry import propagate
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from policykit.diagnostics import PolicyError
from policykit.ir.verdict import Verdict
from policykit.serving.hooks import About, AttemptDone, Channel, Done

_GROUP = "opentelemetry_traces_exporter"
_OTLP = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
MAX_EVENTS = 128


def provider_from(environment: Mapping[str, str] = os.environ) -> TracerProvider | None:
    """What the standard `OTEL_*` variables ask for: None where they name no exporter, or switch the SDK off.

    `OTEL_TRACES_EXPORTER` is `otlp`, `console`, `none`, or the name of an installed exporter; an endpoint alone
    (`OTEL_EXPORTER_OTLP_ENDPOINT`) asks for `otlp`. Raises PolicyError (PK720) for an exporter that is not installed.
    """
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not named and any(environment.get(name) for name in endpoints):
        named = "otlp"
    if named in ("", "none") or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    is_named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(resource=Resource.create({} if is_named else {"service.name": "policykit"}))
    for name in named.split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip(), environment)))
    return provider


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    wanted = _OTLP.get(protocol or "http/protobuf", "otlp_proto_http") if name == "otlp" else name
    found = next(iter(entry_points(group=_GROUP, name=wanted)), None)
    if found is None:
        help = "pip install opentelemetry-exporter-otlp, or set OTEL_TRACES_EXPORTER=none"
        raise PolicyError.of("PK720", f"OTEL_TRACES_EXPORTER names `{name}`, which is not installed", None, help)
    return cast(SpanExporter, found.load()())


class Traces:
    """Observes the guard. A request that names a trace (`traceparent`) becomes part of it."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("policykit.serving")
        self._spans: dict[str, tuple[Span, int]] = {}

    def on_request(self, about: About) -> None:
        parent = propagate.extract(dict(about.headers))
        span = self._tracer.start_span(f"policykit {about.route}", context=parent, kind=SpanKind.SERVER)
        _set(span, _identity(about))
        self._spans[about.request_id] = (span, 0)

    def on_verdict(self, about: About, channel: Channel, verdict: Verdict, seconds: float) -> None:
        span, n = self._spans.get(about.request_id, (None, 0))
        if span is None or n >= MAX_EVENTS:
            return
        self._spans[about.request_id] = (span, n + 1)
        attributes: dict[str, Any] = {
            "policykit.channel": channel.value,
            "policykit.decision": verdict.decision.value,
            "policykit.rules": list(verdict.rules),
            "policykit.errored": [error.rule for error in verdict.errors],
            "policykit.cost": verdict.cost,
            "policykit.digest": verdict.digest,
            "policykit.seconds": seconds,
        }
        span.add_event("policykit.verdict", attributes)

    def on_attempt(self, about: About, attempt: AttemptDone) -> None:
        span, _ = self._spans.get(about.request_id, (None, 0))
        if span is None:
            return
        attributes: dict[str, Any] = {
            "policykit.attempt": attempt.number,
            "policykit.failed": attempt.failed or "",
            "policykit.seconds": attempt.seconds,
            "gen_ai.usage.input_tokens": attempt.input_tokens,
            "gen_ai.usage.output_tokens": attempt.output_tokens,
        }
        span.add_event("policykit.attempt", attributes)

    def on_done(self, about: About, done: Done) -> None:
        span, _ = self._spans.pop(about.request_id, (None, 0))
        if span is None:
            return
        _set(
            span,
            {
                **_identity(about),
                "http.response.status_code": done.status,
                "policykit.outcome": done.outcome.value,
                "policykit.code": done.code,
                "policykit.rules": list(done.rules),
                "policykit.attempts": len(done.attempts),
                "policykit.mask": done.mask,
                "policykit.cost": done.cost,
                "policykit.seconds": done.seconds,
                "policykit.judging_seconds": done.judging_s,
                "policykit.first_byte_seconds": done.first_byte_s,
                "gen_ai.usage.input_tokens": done.input_tokens,
                "gen_ai.usage.output_tokens": done.output_tokens,
            },
        )
        if done.status >= 500:
            span.set_status(Status(StatusCode.ERROR, done.code))
        span.end()

    def shutdown(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


def _identity(about: About) -> dict[str, Any]:
    return {
        "http.route": about.route,
        "policykit.request": about.request_id,
        "policykit.tenant": about.tenant,
        "policykit.key": about.key_id,
        "policykit.profile": about.profile,
        "policykit.profile.version": about.profile_version,
        "policykit.profile.digest": about.profile_digest,
        "policykit.plan.digest": about.plan_digest,
        "policykit.bundle.digest": about.bundle_digest,
        "policykit.revision": about.revision,
        "policykit.prompt": about.prompt_id,
        "policykit.stream": about.stream,
        "gen_ai.request.model": about.model,
        "policykit.adapter": about.adapter,
    }


def _set(span: Span, attributes: Mapping[str, Any]) -> None:
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})
