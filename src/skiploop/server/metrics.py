"""What the server tells about its work, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "skiploop_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.answers = Counter(
            "skiploop_answers", "Answers by how they ended.", ["ended_by"], registry=registry
        )
        self.prompt_tokens = Counter(
            "skiploop_prompt_tokens", "Tokens of prompts.", registry=registry
        )
        self.new_tokens = Counter("skiploop_new_tokens", "Tokens written.", registry=registry)
        self.layer_passes = Counter(
            "skiploop_layer_passes", "Layer passes of written tokens.", registry=registry
        )
        self.plain_passes = Counter(
            "skiploop_plain_layer_passes",
            "The same, had the plain model written them.",
            registry=registry,
        )
        self.running = Gauge(
            "skiploop_running", "Answers that are being written.", registry=registry
        )
        self.waiting = Gauge("skiploop_waiting", "Answers that wait.", registry=registry)
        self.kv_bytes = Gauge(
            "skiploop_kv_bytes",
            "Bytes that are set aside for keys and values.",
            registry=registry,
        )
        self.first_token = Histogram(
            "skiploop_first_token_seconds",
            "From the request to its first token.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.whole_answer = Histogram(
            "skiploop_answer_seconds",
            "From the request to the end of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)
