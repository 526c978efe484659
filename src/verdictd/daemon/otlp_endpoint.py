"""Where traces are sent: a collector's URL, from the settings or from the environment as OpenTelemetry has it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from verdictd.core.errors import ConfigError

ENDPOINT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOL_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"
_PATH: Final = "/v1/traces"


def find_endpoint(configured: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the URL that traces are posted to; ``None`` where none is configured.

    Raises:
        ConfigError: what is configured is no URL that could be used, or another protocol is asked for.
    """
    named = {
        "otlp_endpoint": configured or "",
        TRACES_ENDPOINT_VARIABLE: environment.get(TRACES_ENDPOINT_VARIABLE, ""),
        ENDPOINT_VARIABLE: environment.get(ENDPOINT_VARIABLE, ""),
    }
    for name, url in named.items():
        if url:
            check_endpoint(url, name)
            _check_protocol(environment)
            return url if name == TRACES_ENDPOINT_VARIABLE else url.rstrip("/") + _PATH
    return None


def check_endpoint(url: str, name: str = "otlp_endpoint") -> str:
    """Return the URL of a collector as it is, if it is one.

    Raises:
        ConfigError: it is none, or holds a password, which would be shown wherever settings are.
    """
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
        parts = urlsplit("")
    if "@" in parts.netloc:
        raise ConfigError(
            f"{name} holds a user's name or password", remedy="put it into OTEL_EXPORTER_OTLP_HEADERS instead"
        )
    if not is_usable or parts.query or parts.fragment or not url.isprintable():
        raise ConfigError(f"{name} {url!r:.200} is not the URL of a collector", remedy="write http://host:4318")
    return url


def _check_protocol(environment: Mapping[str, str]) -> None:
    for name in _PROTOCOL_VARIABLES:
        if environment.get(name, "") not in {"", _PROTOCOL}:
            raise ConfigError(
                f"{name} asks for {environment[name]!r:.40}, but traces are sent as {_PROTOCOL} alone",
                remedy=f"set it to {_PROTOCOL}, and name the collector's port for that (4318)",
            )
