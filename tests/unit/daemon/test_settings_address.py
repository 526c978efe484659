"""Addresses as operators write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.configuration.address import Address, parse_address
from verdictd.core.errors import ConfigError
from verdictd.daemon.settings_address import UnixAddress, parse_client_api_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:1234", "127.0.0.1", 1234),
        ("192.0.2.1:0", "192.0.2.1", 0),
        ("[::1]:60000", "::1", 60000),
        ("[::]:65535", "::", 65535),
        ("[0:0:0:0:0:0:0:1]:1", "::1", 1),
        ("localhost:10001", "localhost", 10001),
        ("verdictd.example.org:443", "verdictd.example.org", 443),
        ("a-b:080", "a-b", 80),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        ":1234",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:-1",
        "localhost:+1",
        "localhost: 1",
        "localhost:1 ",
        "localhost:\u0661",
        "::1:1234",
        "[::1]",
        "[::1:1234",
        "[127.0.0.1]:1",
        "256.0.0.1:1",
        "127.1:1",
        "2130706433:1",
        "http://localhost:1",
        "local host:1",
        "local\nhost:1",
        "-a:1",
        "a..b:1",
        "user@host:1",
    ],
)
def test_what_is_no_address_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[address\]:port for IPv6"):
        parse_address(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_what_is_written_is_read_back(host: object, port: int) -> None:
    address = Address(str(host), port)
    assert parse_address(str(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_our_error(text: str) -> None:
    try:
        address = parse_client_api_address(text)
    except ConfigError:
        return
    assert parse_client_api_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.255.255.254:1", True),
        ("[::1]:1", True),
        ("LOCALHOST:1", True),
        ("unix:/run/x", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.org:1", False),
    ],
)
def test_loopback_is_told_without_looking_names_up(text: str, is_loopback: bool) -> None:
    assert parse_client_api_address(text).is_loopback is is_loopback


def test_a_unix_socket_is_an_address_of_the_client_api_by_its_absolute_path() -> None:
    assert parse_client_api_address("unix:/run/v.sock") == UnixAddress(Path("/run/v.sock"))
    with pytest.raises(ConfigError, match="absolute path"):
        parse_client_api_address("unix:v.sock")
    with pytest.raises(ConfigError):
        parse_address("unix:/run/v.sock")
