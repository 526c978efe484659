"""What is counted of the requests to upstreams."""

from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

from verdictd.core.errors import CollateralUnavailableError, VerdictdError
from verdictd.pccs.asking import is_not_there
from verdictd.pccs.web.metrics import PREFIX

_BUCKETS_S: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class UpstreamMetrics:
    """Counts for one process. Safe to share between threads."""

    def __init__(self) -> None:
        self._requests = Counter(
            f"{PREFIX}upstream_requests",
            "What upstreams were asked for, by upstream, kind and outcome.",
            ["upstream", "kind", "outcome"],
            registry=None,
        )
        self._seconds = Histogram(
            f"{PREFIX}upstream_request_seconds",
            "How long upstreams took, by upstream.",
            ["upstream"],
            buckets=_BUCKETS_S,
            registry=None,
        )

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """What a registry is to be given."""
        return (self._requests, self._seconds)

    def observe(self, upstream: str, what: str, error: VerdictdError | None, seconds: float) -> None:
        """Take up one request; see `verdictd.pccs.asking.OnUpstream`."""
        self._requests.labels(upstream, what, _outcome(error)).inc()
        self._seconds.labels(upstream).observe(seconds)


def _outcome(error: VerdictdError | None) -> str:
    if error is None:
        return "success"
    if is_not_there(error):
        return "not_there"
    if not isinstance(error, CollateralUnavailableError):
        return "unusable"
    return "unavailable" if error.retry_after_s is None else "rate_limited"
