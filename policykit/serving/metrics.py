"""Prometheus metrics: counts and times by tenant and profile, never a text, and a bounded number of series."""

import re
from collections.abc import Iterable, Iterator
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policykit.ir.verdict import Verdict
from policykit.serving.deployment import Serving
from policykit.serving.hooks import About, AttemptDone, Channel, Done, Switch, SwitchState
from policykit.serving.reload_source import Reload

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER, NONE = "other", "none"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
JUDGING = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_WORD = re.compile(r"[A-Za-z0-9_.:#/-]{1,200}")


class Bounded:
    """The first ``most`` different values of a label; every later one, and whatever is no word, is `other`.

    Labels come from configuration (tenants, profiles, rules) or from a client (routes), so their number has to be
    bounded here: each value is a series that lives as long as the process.
    """

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        self._most, self._known, self._lock = most, set(known), Lock()

    def __call__(self, value: str | None) -> str:
        if value is None:
            return NONE
        if value in self._known:
            return value
        if not _WORD.fullmatch(value):
            return OTHER
        with self._lock:
            if len(self._known) < self._most:
                self._known.add(value)
        return value if value in self._known else OTHER


class Metrics:
    """Observes the guard. ``render`` is what `/metrics` answers."""

    def __init__(self, serving: Serving | None = None, switch: Switch | None = None) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._tenant, self._profile, self._rule = Bounded(200), Bounded(100), Bounded(1_000)
        self._route, self._reason = Bounded(16), Bounded(64)
        self._running: dict[str, tuple[str, str]] = {}
        whose = ("tenant", "profile")
        self._in_flight = self._gauge("requests_in_flight", "requests that are being served", whose)
        self._requests = self._counter(
            "requests", "requests, by how they ended", (*whose, "route", "outcome", "status")
        )
        self._refusals = self._counter("errors", "requests that ended in an error, by its name", (*whose, "code"))
        self._verdicts = self._counter("verdicts", "texts that were judged", (*whose, "channel", "decision"))
        self._fired = self._counter("rules_fired", "verdicts in which a rule fired", (*whose, "rule"))
        self._check_errors = self._counter("check_errors", "checks that could not run", (*whose, "rule"))
        self._closed = self._counter("mask_closed", "places where the mask closed a token", (*whose, "rule"))
        self._masks = self._counter("masks", "requests by what is known of their mask", (*whose, "mask"))
        self._attempts = self._counter("attempts", "requests to the upstream", (*whose, "result"))
        self._tokens = self._counter("tokens", "tokens of all attempts", (*whose, "direction"))
        self._cost = self._counter("cost", "cost of all attempts, in the currency of the profile", whose)
        self._seconds = self._histogram("request_seconds", "from the request to the end of its answer", whose, SECONDS)
        self._first = self._histogram("first_byte_seconds", "from the request to its first text", whose, SECONDS)
        self._attempt_seconds = self._histogram("attempt_seconds", "one request to the upstream", whose, SECONDS)
        self._judging = self._histogram("judging_seconds", "judging the texts of a request", whose, JUDGING)
        self._reloads = self._counter("bundle_reloads", "new bundles, by what became of them", ("result",))
        if serving is not None or switch is not None:
            self.registry.register(_State(serving, switch))

    def _counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"policykit_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"policykit_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"policykit_{name}", about, labels, registry=self.registry, buckets=buckets)

    def _whose(self, about: About) -> tuple[str, str]:
        return self._tenant(about.tenant), self._profile(about.profile)

    def on_request(self, about: About) -> None:
        whose = self._whose(about)
        self._running[about.request_id] = whose
        self._in_flight.labels(*whose).inc()

    def on_verdict(self, about: About, channel: Channel, verdict: Verdict, seconds: float) -> None:
        whose = self._whose(about)
        self._verdicts.labels(*whose, channel.value, verdict.decision.value).inc()
        for rule in verdict.rules:
            self._fired.labels(*whose, self._rule(rule)).inc()
        for error in verdict.errors:
            self._check_errors.labels(*whose, self._rule(error.rule)).inc()

    def on_attempt(self, about: About, attempt: AttemptDone) -> None:
        whose = self._whose(about)
        result = "served" if attempt.failed is None else self._reason(attempt.failed)
        self._attempts.labels(*whose, result).inc()
        self._attempt_seconds.labels(*whose).observe(attempt.seconds)

    def on_done(self, about: About, done: Done) -> None:
        whose = self._whose(about)
        if (began := self._running.pop(about.request_id, None)) is not None:
            self._in_flight.labels(*began).dec()
        self._requests.labels(*whose, self._route(about.route), done.outcome.value, str(done.status)).inc()
        if done.code is not None:
            self._refusals.labels(*whose, self._reason(done.code)).inc()
        self._masks.labels(*whose, self._reason(done.mask)).inc()
        for direction, n in (("input", done.input_tokens), ("output", done.output_tokens)):
            self._tokens.labels(*whose, direction).inc(n)
        self._cost.labels(*whose).inc(done.cost)
        self._seconds.labels(*whose).observe(done.seconds)
        self._judging.labels(*whose).observe(done.judging_s)
        if done.first_byte_s is not None:
            self._first.labels(*whose).observe(done.first_byte_s)
        for rule, n in done.closed:
            self._closed.labels(*whose, self._rule(rule)).inc(n)

    def on_reload(self, reload: Reload) -> None:
        """A new bundle is served, or each of the codes that say why it is not."""
        for result in reload.codes or ("served",):
            self._reloads.labels(self._reason(result)).inc()

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _State(Collector):
    """What is true now: the switch, and what is served."""

    def __init__(self, serving: Serving | None, switch: Switch | None) -> None:
        self._serving, self._switch = serving, switch

    def collect(self) -> Iterator[Metric]:
        if self._switch is not None:
            now = self._switch.state
            family = GaugeMetricFamily("policykit_switch", "the state of the incident switch", labels=("state",))
            for state in SwitchState:
                family.add_metric((state.value,), float(state is now))
            yield family
        if self._serving is not None:
            deployment = self._serving.deployment
            labels = ("digest", "revision")
            family = GaugeMetricFamily("policykit_deployment", "what is served", labels=labels)
            family.add_metric((deployment.digest, deployment.revision or NONE), 1.0)
            yield family
