"""Traces of handshakes, for a collector that speaks OTLP over HTTP, where an endpoint is configured; else none.

The libraries for that are an optional part of the installation, and are imported only where they are needed.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast

from verdictd.core.errors import ConfigError
from verdictd.daemon.handshake_spans import ConcludedHandshake
from verdictd.daemon.otlp_endpoint import find_endpoint

_EXPORTER: Final = "verdictd.daemon.otlp_tracer"


class Tracer(Protocol):
    """Takes handshakes that are over. Neither method raises, nor waits for a collector longer than it says."""

    def trace(self, concluded: ConcludedHandshake) -> None:
        """Have a handshake exported soon, or drop it where too many wait. Does no I/O."""

    def close(self) -> None:
        """Export what waits, for no longer than a few seconds, and end."""


class NoTracer:
    """Where no endpoint is configured."""

    def trace(self, concluded: ConcludedHandshake) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _OpenOTLP(Protocol):
    def __call__(self, endpoint: str) -> Tracer: ...


def open_tracer(configured: str | None, environment: Mapping[str, str]) -> Tracer:
    """Open what exports traces.

    Args:
        configured: the base URL of a collector from the settings, before all others; ``None`` for none.
        environment: may name one as OpenTelemetry has it.
    Raises:
        ConfigError: an endpoint is configured but cannot be used, or the libraries are not installed.
    """
    endpoint = find_endpoint(configured, environment)
    if endpoint is None:
        return NoTracer()
    try:
        module = import_module(_EXPORTER)
    except ImportError as error:
        raise ConfigError(
            f"traces are to go to {endpoint}, but the libraries for that are not installed ({error})",
            remedy="pip install 'verdictd[otel]', or leave out otlp_endpoint and the variables OTEL_EXPORTER_OTLP_…",
        ) from error
    try:
        return cast("_OpenOTLP", module.OTLPTracer)(endpoint)
    except (ValueError, OSError) as error:  # the library reads many variables of its own
        raise ConfigError(
            f"traces cannot be exported: {error!r:.200}", remedy="correct the environment's variables OTEL_…"
        ) from error
