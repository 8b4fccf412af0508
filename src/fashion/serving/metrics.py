"""The metrics for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fashion.serving.champions import Champions
from fashion.serving.recorder import Recorder

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("fashion_requests", "Requests answered.", "method", "path", "status")
        self.predictions = self._counter("fashion_predictions", "Images by predicted class.", "version", "predicted")
        self.abstentions = self._counter("fashion_abstentions", "Images without an answer.", "version", "reason")
        self.labels = self._counter("fashion_labels", "True labels received.")
        self.seconds = Histogram(
            "fashion_request_seconds", "Time to the response.", ["path"], buckets=SECONDS, registry=self._registry
        )
        self.confidence = Histogram(
            "fashion_confidence",
            "Confidence of the predicted class.",
            ["version"],
            buckets=CONFIDENCES,
            registry=self._registry,
        )

    def watch(self, recorder: Recorder, champions: Champions) -> None:
        """Add what these two count."""
        self._registry.register(_State(recorder, champions))

    def text(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self._registry)


class _State(Collector):
    def __init__(self, recorder: Recorder, champions: Champions) -> None:
        self._recorder, self._champions = recorder, champions

    def collect(self) -> Iterator[Metric]:
        recorder, champions = self._recorder, self._champions
        yield CounterMetricFamily("fashion_log_written", "Predictions in the log.", value=recorder.written)
        yield CounterMetricFamily("fashion_log_lost", "Predictions that were never written.", value=recorder.lost)
        yield CounterMetricFamily(
            "fashion_log_pictures_lost", "Pictures left out of the log.", value=recorder.pictures_lost
        )
        yield GaugeMetricFamily("fashion_log_kept", "Old predictions with uncollected labels.", value=recorder.kept)
        yield CounterMetricFamily(
            "fashion_log_labels_lost", "Removed before their labels were collected.", value=recorder.labels_lost
        )
        yield GaugeMetricFamily("fashion_log_waiting", "Predictions waiting to be written.", value=recorder.waiting)
        yield GaugeMetricFamily("fashion_log_up", "Whether the last write succeeded.", value=recorder.trouble is None)
        yield CounterMetricFamily("fashion_swaps", "Changes of the champion.", value=champions.swaps)
        yield GaugeMetricFamily("fashion_registry_up", "Whether the last query succeeded.", value=champions.registry_up)
        yield GaugeMetricFamily(
            "fashion_champion_current",
            "Whether the version in use is the one that the registry named last.",
            value=champions.trouble is None,
        )
        version = GaugeMetricFamily("fashion_champion", "The version in use.", labels=["version"])
        version.add_metric([champions.current.version.number], 1)
        yield version
