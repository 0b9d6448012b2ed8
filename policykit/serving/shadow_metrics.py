"""What a candidate bundle says, as metrics."""

from prometheus_client import Counter

from policykit.serving.metrics import Bounded, Metrics
from policykit.serving.reload_source import Reload
from policykit.serving.shadow import Found


class ShadowMetrics:
    """Counts into the registry of the server's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._profile, self._rule, self._reason = Bounded(100), Bounded(1_000), Bounded(64)
        registry = metrics.registry
        self._counted = Counter(
            "policykit_shadow", "requests and texts that the candidate bundle was asked about, or was not",
            ("profile", "counted"), registry=registry,
        )  # fmt: skip
        self._differences = Counter(
            "policykit_shadow_differences", "verdicts of the candidate bundle that differ",
            ("profile", "rule", "change"), registry=registry,
        )  # fmt: skip
        self._reloads = Counter(
            "policykit_shadow_reloads", "new candidate bundles, by what became of them", ("result",), registry=registry
        )

    def on_found(self, found: Found) -> None:
        for (pair, counted), n in found.counts.items():
            self._counted.labels(self._profile(pair.profile), counted.value).inc(n)
        for difference in found.differences.values():
            labels = (self._profile(difference.pair.profile), self._rule(difference.rule), difference.change.value)
            self._differences.labels(*labels).inc(difference.n)

    def on_reload(self, reload: Reload) -> None:
        for result in reload.codes or ("asked",):
            self._reloads.labels(self._reason(result)).inc()
