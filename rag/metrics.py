"""What GET /metrics says, in Prometheus' text format. Labels are of few values: no path, model or key of a client."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The counts of one server. answering, waiting: how many questions are answered, and wait, at this moment."""

    def __init__(self, answering: Callable[[], float], waiting: Callable[[], float]) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("tutelage_requests", "HTTP requests.", ["route", "status"], registry=own)
        self.malformed = Counter("tutelage_malformed", "Requests that were not HTTP.", registry=own)
        self.answers = Counter("tutelage_answers", "Answers, by how they ended.", ["end"], registry=own)
        self.tokens = Counter("tutelage_tokens", "Tokens of prompts and of answers.", ["kind"], registry=own)
        self.first = Histogram(
            "tutelage_first_seconds", "From a request to the first piece of its answer.", buckets=_SECONDS, registry=own
        )
        self.whole = Histogram(
            "tutelage_answer_seconds", "From a request to the end of its answer.", buckets=_SECONDS, registry=own
        )
        self.invented = Counter("tutelage_invented_citations", "Citations taken out: no such passage.", registry=own)
        self.stripped = Counter("tutelage_stripped_links", "Links and images taken out of answers.", registry=own)
        self.ungrounded = Counter("tutelage_ungrounded_sentences", "Sentences that no passage bears out.", registry=own)
        self.ratings = Counter("tutelage_ratings", "Ratings of answers.", ["rating"], registry=own)
        Gauge("tutelage_answering", "Answers under way.", registry=own).set_function(answering)
        Gauge("tutelage_waiting", "Questions that wait for their turn.", registry=own).set_function(waiting)

    def render(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)
