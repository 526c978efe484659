"""Where traces go: the settings before the environment, and nothing that could not work or would show a password."""

import pytest

from verdictd.core.errors import ConfigError
from verdictd.daemon.otlp_endpoint import check_endpoint, find_endpoint

BASE, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("configured", "environment", "endpoint"),
    [
        (None, {}, None),
        (None, {BASE: "", TRACES: ""}, None),
        (None, {BASE: "http://base:4318"}, "http://base:4318/v1/traces"),
        (None, {BASE: "http://base:4318/otlp/"}, "http://base:4318/otlp/v1/traces"),
        (None, {BASE: "http://base:4318", TRACES: "https://traces/in"}, "https://traces/in"),
        ("http://mine:4318", {BASE: "http://base", TRACES: "http://traces"}, "http://mine:4318/v1/traces"),
        ("http://[::1]:4318", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://[::1]:4318/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
    ],
)
def test_the_endpoint_is_the_one_that_was_meant(
    configured: str | None, environment: dict[str, str], endpoint: str | None
) -> None:
    assert find_endpoint(configured, environment) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "ftp://collector",
        "http://",
        "http:///path",
        "http://collector:0",
        "http://collector:99999",
        "http://collector:port",
        "http://[::1",
        "http://collector?key=1",
        "http://collector#part",
        "http://collector\n",
        "http://coll\x00ector",
        "",
    ],
)
def test_what_is_no_url_of_a_collector_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="otlp_endpoint"):
        check_endpoint(url)


@pytest.mark.parametrize("variable", [BASE, TRACES])
def test_the_variable_at_fault_is_named(variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        find_endpoint(None, {variable: "nonsense"})


@pytest.mark.parametrize("url", ["http://user:hunter2@collector", "http://hunter2@collector:4318", "x://hunter2@"])
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        check_endpoint(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
@pytest.mark.parametrize("protocol", ["grpc", "http/json"])
def test_another_protocol_is_refused(variable: str, protocol: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}.*{protocol}"):
        find_endpoint("http://collector:4317", {variable: protocol})
