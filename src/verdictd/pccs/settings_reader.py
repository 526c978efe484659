"""From a configuration file, the environment and flags to `Settings`, and back to text.

A file is TOML; see docs/pccs.md. What is secret can be given in the environment (`VARIABLES`), so that it need not
stand on a command line, which every user of the machine can read.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from verdictd.collateral.pccs_urls import alibaba_pccs_url, parse_pccs_url
from verdictd.configuration.address import parse_address
from verdictd.configuration.amd_trust_files import AMD
from verdictd.configuration.layers import (
    Layer,
    PlainValue,
    SettingsForm,
    encode_values,
)
from verdictd.configuration.log_choice import LogFormat, LogLevel
from verdictd.configuration.values import (
    Reader,
    number,
    one_of,
    read_by,
    read_flag,
    read_path,
    read_seconds,
    read_texts,
    read_trust_roots,
)
from verdictd.core.errors import ConfigError
from verdictd.pccs.model import Mode
from verdictd.pccs.settings import Limits, Settings, check_settings, parse_token_hash

VARIABLES: Final = {
    "PCCS_DATABASE": "database",
    "PCCS_UPSTREAM_KEY": "upstream_key",
    "PCCS_USER_TOKEN_HASH": "user_token_hash",
    "PCCS_ADMIN_TOKEN_HASH": "admin_token_hash",
}
"""The setting that each environment variable sets. One that is empty counts as unset."""
SECRETS: Final = frozenset(VARIABLES.values())
"""Settings that are never written out."""

_MAX_HOURS: Final = 24 * 30
_MAX_CONNECTIONS: Final = 1_000_000
_MAX_PER_SECOND: Final = 100_000
_MAX_REQUEST_BYTES: Final = 1024 * 1024 * 1024
_MAX_UPSTREAMS: Final = 8
_MAX_KEY_CHARACTERS: Final = 256
_DISPLACED: Final = {
    "database": ("data_dir",),
    "data_dir": ("database",),
    "upstreams": ("region", "vpc"),
    "region": ("upstreams",),
}
"""Settings of which a later layer's replaces an earlier layer's other one, since only one of them can be meant."""


def _read_upstreams(value: object, _: Path) -> tuple[str, ...]:
    upstreams = read_texts(value)
    if not 1 <= len(upstreams) <= _MAX_UPSTREAMS:
        raise ConfigError(
            f"expected 1 to {_MAX_UPSTREAMS} upstreams, found {len(upstreams)}",
            remedy="to ask none at all, use the mode offline",
        )
    for upstream in upstreams:
        parse_pccs_url(upstream)
    return upstreams


def _parse_region(text: str) -> str:
    alibaba_pccs_url(text)
    return text


def _parse_key(text: str) -> str:
    if not (text.isascii() and text.isprintable() and " " not in text and len(text) <= _MAX_KEY_CHARACTERS):
        raise ConfigError(f"not a key: expected up to {_MAX_KEY_CHARACTERS} printable characters without spaces")
    return text


def _parse_database(text: str) -> str:
    scheme, mark, _ = text.partition("://")
    if not mark or scheme.split("+")[0] not in {"sqlite", "postgresql"}:
        raise ConfigError(
            "not the URL of a database that can be used here",
            remedy="write postgresql+psycopg://USER@HOST/NAME, or sqlite:////PATH",
        )
    return text


def _parse_service_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ConfigError(f"not a URL: {error}") from error
    if not usable or not text.isascii() or not text.isprintable() or any(mark in text for mark in "@?# "):
        raise ConfigError("not an http or https URL of a server", remedy="write it as https://kdsintf.amd.com")
    return text.rstrip("/")


def _read_amd_roots(value: object, base: Path) -> tuple[str, ...]:
    names = read_texts(value)
    if not names:
        raise ConfigError("expected at least one root", remedy=f"name {AMD!r}, or leave the key out")
    return tuple(name if name == AMD else str(base / name) for name in names)


def _read_period(value: object, base: Path) -> timedelta:
    hours = number(1, _MAX_HOURS)(value, base)
    assert isinstance(hours, int)
    return timedelta(hours=hours)


FIELDS: Mapping[str, Reader] = {
    "listen": read_by(parse_address),
    "data_dir": read_path,
    "database": read_by(_parse_database),
    "upstreams": _read_upstreams,
    "region": read_by(_parse_region),
    "vpc": read_flag,
    "upstream_key": read_by(_parse_key),
    "trust_roots": read_trust_roots,
    "amd_upstream": read_by(_parse_service_url),
    "amd_roots": _read_amd_roots,
    "mode": one_of(Mode),
    "refresh_hours": _read_period,
    "tls_certificate": read_path,
    "tls_key": read_path,
    "user_token_hash": read_by(parse_token_hash),
    "admin_token_hash": read_by(parse_token_hash),
    "metrics": read_flag,
    "log_level": one_of(LogLevel),
    "log_format": one_of(LogFormat),
    "limits.max_request_bytes": number(1024, _MAX_REQUEST_BYTES),
    "limits.headers_timeout_s": read_seconds,
    "limits.request_timeout_s": read_seconds,
    "limits.keep_alive_s": read_seconds,
    "limits.max_connections": number(1, _MAX_CONNECTIONS),
    "limits.unknown_per_second": number(1, _MAX_PER_SECOND),
}
"""Every key there is."""

_LIMITS: Final = "limits"


FORM: Final = SettingsForm(FIELDS, (_LIMITS,))
"""How settings are read."""


def read_environment(env: Mapping[str, str]) -> dict[str, object]:
    """Read the settings that the environment holds.

    Raises:
        ConfigError: a value that cannot be; the message begins with the variable, and does not show the value.
    """
    raw = {key: env[variable] for variable, key in VARIABLES.items() if env.get(variable)}
    names = {key: variable for variable, key in VARIABLES.items()}
    return FORM.read_layer(raw, name=names.__getitem__, base=Path())


def build_settings(*layers: Layer) -> Settings:
    """Put settings together; a later layer's values replace an earlier one's. What no layer has keeps its default.

    Raises:
        ConfigError: the settings contradict each other.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key in layer:
            for displaced in _DISPLACED.get(key, ()):
                merged.pop(displaced, None)
        _refuse_two(layer, "database", "data_dir")
        _refuse_two(layer, "upstreams", "region")
        merged.update(layer)
    limits = {key.removeprefix(f"{_LIMITS}."): merged.pop(key) for key in list(merged) if "." in key}
    _put_region(merged)
    if "refresh_hours" in merged:
        merged["refresh_period"] = merged.pop("refresh_hours")
    settings = Settings(**merged, limits=Limits(**limits))
    check_settings(settings)
    return settings


def encode_settings(settings: Settings) -> str:
    """Write settings as a configuration file that means the same wherever it stands, but for secrets."""
    values = {}
    for name in (each.name for each in fields(Settings)):
        value = getattr(settings, name)
        if name not in SECRETS and name != _LIMITS and value is not None:
            values["refresh_hours" if name == "refresh_period" else name] = _make_plain(value)
    if settings.database is not None:
        del values["data_dir"]
    for each in fields(Limits):
        values[f"{_LIMITS}.{each.name}"] = _make_plain(getattr(settings.limits, each.name))
    return encode_values(values)


def _refuse_two(layer: Layer, one: str, other: str) -> None:
    if one in layer and other in layer:
        raise ConfigError(f"{one} and {other} are both given, and only one can be meant", remedy="leave out one")


def _put_region(merged: dict[str, Any]) -> None:
    """Write Alibaba Cloud's service in a region as the upstream that it is."""
    vpc = merged.pop("vpc", False)
    region = merged.pop("region", None)
    if region is not None:
        merged["upstreams"] = (f"{'alibaba-vpc' if vpc else 'alibaba'}:{region}",)
    elif vpc:
        raise ConfigError("vpc is set without a region", remedy="name --region as well")


def _make_plain(value: object) -> PlainValue:
    match value:
        case Enum():
            return str(value)
        case bool() | int() | float():
            return value
        case timedelta():
            return value // timedelta(hours=1)
        case tuple():
            return [str(item) for item in value]
        case _:
            return str(value)
