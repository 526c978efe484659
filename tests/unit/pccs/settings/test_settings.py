"""The settings of `pccs`: safe defaults, where each comes from, and what must not start."""

from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.configuration.address import Address
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.pccs.model import Mode
from verdictd.pccs.settings import Limits, Settings, check_settings, parse_token_hash, warnings
from verdictd.pccs.settings_reader import (
    FIELDS,
    FORM,
    SECRETS,
    VARIABLES,
    build_settings,
    encode_settings,
    read_environment,
)

BASE = Path("/etc/pccs")
HASH = "ab" * 64


def parse(text: str) -> Settings:
    return build_settings(FORM.parse_file(text.encode(), name="pccs.toml", base=BASE))


def test_the_defaults_serve_this_machine_alone_and_trust_the_vendors_alone() -> None:
    settings = build_settings()
    assert settings == Settings()
    assert str(settings.listen) == "127.0.0.1:8081"
    assert settings.mode is Mode.LAZY
    assert settings.upstreams == settings.trust_roots == ("intel",)
    assert settings.upstream_addresses[0].is_intel
    assert settings.amd_roots == ("amd",)
    assert settings.refresh_period == timedelta(days=1)
    assert settings.database_url == f"sqlite:///{Path.home()}/.local/share/verdictd/pccs/pccs.db"
    assert not settings.user_token_hash


EVERY_KEY = f"""
listen = "[::1]:9000"
data_dir = "data"
upstreams = ["https://pccs.invalid:8081/", "intel"]
upstream_key = "0123"
trust_roots = ["root.pem", "intel"]
amd_upstream = "http://127.0.0.1:1/kds/"
amd_roots = ["ark.pem", "amd"]
mode = "req"
refresh_hours = 6
tls_certificate = "tls.pem"
tls_key = "/keys/tls.pem"
user_token_hash = "{HASH.upper()}"
admin_token_hash = "{HASH}"
metrics = false
log_level = "debug"
log_format = "json"
[limits]
max_request_bytes = 1024
headers_timeout_s = 1
request_timeout_s = 2.5
keep_alive_s = 3
max_connections = 7
unknown_per_second = 3
"""


def test_every_key_of_a_file_is_read() -> None:
    settings = parse(EVERY_KEY)
    same = [each.name for each in fields(Settings) if getattr(settings, each.name) == getattr(Settings(), each.name)]
    assert same == ["database"]
    assert settings.data_dir == BASE / "data"
    assert settings.trust_roots == (str(BASE / "root.pem"), "intel")
    assert settings.amd_roots == (str(BASE / "ark.pem"), "amd")
    assert settings.amd_upstream == "http://127.0.0.1:1/kds"
    assert settings.tls_certificate == BASE / "tls.pem"
    assert settings.tls_key == Path("/keys/tls.pem")
    assert settings.user_token_hash == HASH
    assert settings.limits == Limits(
        max_request_bytes=1024,
        headers_timeout_s=1.0,
        request_timeout_s=2.5,
        keep_alive_s=3.0,
        max_connections=7,
        unknown_per_second=3,
    )


def test_what_is_written_means_the_same_but_for_secrets() -> None:
    for text in ("", EVERY_KEY, 'database = "postgresql+psycopg://u:p@db/pccs"', 'region = "cn-hangzhou"\nvpc = true'):
        settings = parse(text)
        written = encode_settings(settings)
        assert "0123" not in written
        assert HASH not in written
        assert "u:p" not in written
        secrets = {name: getattr(settings, name) for name in SECRETS}
        data_dir = settings.data_dir if settings.database is None else Settings().data_dir
        assert replace(parse(written), **secrets, data_dir=data_dir) == settings


def test_settings_do_not_show_their_secrets() -> None:
    text = repr(replace(parse(EVERY_KEY), database="postgresql://u:p@db/pccs"))
    assert HASH not in text
    assert "0123" not in text
    assert "u:p" not in text


def test_secrets_come_from_the_environment_and_flags_replace_them() -> None:
    env = dict.fromkeys(VARIABLES, HASH) | {"PCCS_DATABASE": "sqlite:////x/pccs.db", "PCCS_OTHER": "ignored"}
    settings = build_settings(FORM.parse_file(b'data_dir = "x"', name="f", base=BASE), read_environment(env))
    assert settings.database_url == "sqlite:////x/pccs.db"
    assert settings.upstream_key == settings.user_token_hash == settings.admin_token_hash == HASH
    flags = FORM.read_layer({"user_token_hash": "cd" * 64, "data_dir": "/y"}, name=str, base=BASE)
    settings = build_settings(read_environment(env), flags)
    assert (settings.user_token_hash, settings.database_url) == ("cd" * 64, "sqlite:////y/pccs.db")
    assert read_environment(dict.fromkeys(VARIABLES, "")) == {}


def test_a_secret_that_cannot_be_is_named_by_its_variable_and_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        read_environment({"PCCS_USER_TOKEN_HASH": "my secret token"})
    assert str(caught.value).startswith("PCCS_USER_TOKEN_HASH: ")
    assert "pccs hash-token" in str(caught.value)
    assert "my secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "upstreams"),
    [
        ([{"region": "cn-hangzhou"}], ("alibaba:cn-hangzhou",)),
        ([{"region": "cn-hangzhou", "vpc": True}], ("alibaba-vpc:cn-hangzhou",)),
        ([{"region": "cn-hangzhou"}, {"vpc": True}], ("alibaba-vpc:cn-hangzhou",)),
        ([{"upstreams": ["https://x/"]}, {"region": "cn-hangzhou"}], ("alibaba:cn-hangzhou",)),
        ([{"region": "cn-hangzhou", "vpc": True}, {"upstreams": ["https://x/"]}], ("https://x/",)),
    ],
)
def test_a_region_is_an_upstream_and_what_comes_later_is_meant(
    layers: list[dict[str, object]], upstreams: tuple[str, ...]
) -> None:
    settings = build_settings(*(FORM.read_layer(layer, name=str, base=BASE) for layer in layers))
    assert settings.upstreams == upstreams
    assert settings.upstream_addresses


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('listn = "x"', r"pccs.toml: listn: unknown setting \(did you mean listen\?\)"),
        ('listen = "8081"', "not an address"),
        ('database = "mysql://x/y"', "not the URL of a database"),
        ('database = "pccs.db"', "not the URL of a database"),
        ('database = "sqlite:////x"\ndata_dir = "y"', "database and data_dir are both given"),
        ('upstreams = ["https://x/"]\nregion = "cn-hangzhou"', "upstreams and region are both given"),
        ("upstreams = []", "expected 1 to 8 upstreams"),
        (f"upstreams = {['https://x/'] * 9}", "expected 1 to 8 upstreams"),
        ('upstreams = ["ftp://x/"]', "no http or https URL"),
        ('region = "Hangzhou"', "not the id of an Alibaba Cloud region"),
        ("vpc = true", "without a region"),
        ('upstream_key = "two words"', "not a key"),
        ("trust_roots = []", "at least one trust root"),
        ("amd_roots = []", "at least one root"),
        ('amd_upstream = "kdsintf.amd.com"', "https URL of a server"),
        ('amd_upstream = "https://u@kds/"', "https URL of a server"),
        ('amd_upstream = "https://[x/"', "not a URL"),
        ('mode = "eager"', "use one of lazy, req, offline"),
        ("refresh_hours = 0", "from 1 to 720"),
        ("refresh_hours = 1.5", "whole number"),
        ('tls_certificate = "x"', "belong together"),
        ('tls_key = "x"', "belong together"),
        ('listen = "0.0.0.0:8081"', "without TLS"),
        ('listen = "pccs.example:8081"', "without TLS"),
        ('user_token_hash = "00"', "not the SHA-512"),
        ("workers = 1", "workers: unknown setting"),
        ('metrics = "yes"', "expected true or false"),
        ("limits = 7", r"expected the table \[limits\]"),
        ("[limits]\nmax_connections = 0", "limits.max_connections: expected a whole number"),
        ("listen = ", "is not TOML"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(text)


def test_with_tls_any_address_will_do() -> None:
    check_settings(replace(Settings(), listen=Address("0.0.0.0", 1), tls_certificate=BASE, tls_key=BASE))  # noqa: S104


def test_a_file_is_read_relative_to_its_directory(tmp_path: Path) -> None:
    (tmp_path / "pccs.toml").write_text('data_dir = "data"')
    assert build_settings(FORM.load_file(tmp_path / "pccs.toml")).data_dir == tmp_path / "data"
    with pytest.raises(ConfigError, match="cannot be read"):
        FORM.load_file(tmp_path / "absent.toml")


def test_what_an_operator_should_know_is_said() -> None:
    settings = parse('trust_roots = ["sim.pem"]\namd_roots = ["ark.pem"]\nupstreams = ["http://192.0.2.1/"]')
    text = "\n".join(warnings(settings))
    for part in ("sim.pem", "ark.pem", "without TLS", "PCCS_USER_TOKEN_HASH", "PCCS_ADMIN_TOKEN_HASH"):
        assert part in text
    assert "without TLS" not in "\n".join(warnings(replace(settings, mode=Mode.OFFLINE)))
    assert warnings(replace(Settings(), user_token_hash=HASH, admin_token_hash=HASH)) == []


@given(st.text())
def test_any_text_is_a_token_hash_or_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_token_hash(text)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.sampled_from(sorted(FIELDS)), VALUES)
def test_any_value_of_any_key_is_read_or_refused(key: str, value: object) -> None:
    with suppress(VerdictdError):
        build_settings(FORM.read_layer({key: value}, name=str, base=BASE))
