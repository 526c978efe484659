"""From a configuration file and flags to `Settings`, and back to text: what is given later replaces what came before.

A file is TOML; see docs/configuration.md. What is wrong with a value is said with the file and key, or the flag, at
which it stands. Nothing is ignored: an unknown key is an error.
"""

from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from verdictd.configuration.layers import (
    Layer,
    PlainValue,
    SettingsForm,
    encode_values,
)
from verdictd.daemon.guest_settings import GuestSettings
from verdictd.daemon.settings import (
    ArchiveSettings,
    CollateralSettings,
    Settings,
    check_collateral_settings,
    check_settings,
)
from verdictd.daemon.settings_fields import FIELDS
from verdictd.ratstls.limits import ServerLimits
from verdictd.tees.dcap.acceptance import Acceptance

_ATTRIBUTES = {"acceptance.max_collateral_age_days": "max_collateral_age", "archive.max_age_days": "max_age"}
"""Attributes whose name is not the last part of their key."""
_TABLES = {
    "acceptance": Acceptance,
    "collateral": CollateralSettings,
    "archive": ArchiveSettings,
    "limits": ServerLimits,
    "guests": GuestSettings,
}
_DISPLACED = {
    "collateral.pccs_url": ("collateral.alibaba_region", "collateral.alibaba_vpc"),
    "collateral.alibaba_region": ("collateral.pccs_url",),
    "quote_command": ("simulate",),
    "simulate": ("quote_command",),
}
"""Settings of which a later layer's replaces an earlier layer's other one, since only one of them can be meant."""

RESTART_KEYS = frozenset(
    {
        "listen",
        "client_api",
        "tls",
        "data_dir",
        "attestation_history",
        "workers",
        "audit_sync_always",
        "metrics",
        "otlp_endpoint",
    }
    | {key for key in FIELDS if key.startswith(("limits.", "archive."))}
)
"""Settings that a running daemon cannot take up; it has to be started again."""


FORM: Final = SettingsForm(FIELDS, frozenset(_TABLES))
"""How settings are read."""


def build_settings(*layers: Layer) -> Settings:
    """Put settings together; a later layer's values replace an earlier one's. What no layer has keeps its default.

    Raises:
        ConfigError: the settings contradict each other, or would serve peers that nobody judged.
    """
    merged: dict[str, object] = {}
    for layer in layers:
        for key in layer:
            for displaced in _DISPLACED.get(key, ()):
                merged.pop(displaced, None)
        merged.update(layer)
    values: dict[str, Any] = {key: value for key, value in merged.items() if "." not in key}
    values |= {table: kind(**_attributes(merged, table)) for table, kind in _TABLES.items()}
    settings = Settings(**values)
    check_settings(settings)
    return settings


def build_acceptance(layer: Layer) -> Acceptance:
    """Put together only what of a genuine platform is acceptable."""
    return Acceptance(**_attributes(layer, "acceptance"))


def build_guest_settings(layer: Layer) -> GuestSettings:
    """Put together only what counts for guests."""
    return GuestSettings(**_attributes(layer, "guests"))


def build_collateral_settings(layer: Layer) -> CollateralSettings:
    """Put together only where collateral comes from.

    Raises:
        ConfigError: the settings contradict each other.
    """
    settings = CollateralSettings(**_attributes(layer, "collateral"))
    check_collateral_settings(settings)
    return settings


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Name the settings that differ and that a running daemon cannot take up."""
    before, after = plain_values(old), plain_values(new)
    return tuple(key for key in FIELDS if key in RESTART_KEYS and before.get(key) != after.get(key))


def keep_until_restart(old: Settings, new: Settings) -> Settings:
    """Return the new settings, with those that a running daemon cannot take up as they were."""
    kept = {key.partition(".")[0] for key in RESTART_KEYS}
    return replace(new, **{name: getattr(old, name) for name in kept})


def plain_values(settings: Settings) -> dict[str, PlainValue]:
    """Return every setting that is set, by its key, as the values of a configuration file."""
    plain = {}
    for key in FIELDS:
        table, _, name = key.rpartition(".")
        value = getattr(getattr(settings, table) if table else settings, _ATTRIBUTES.get(key, name))
        if value is not None:
            plain[key] = _make_plain(value)
    return plain


def encode_settings(settings: Settings) -> str:
    """Write settings as a configuration file that means the same wherever it stands; `--check-config` prints it."""
    return encode_values(plain_values(settings))


def _attributes(values: Layer, table: str) -> dict[str, Any]:
    """Return the values of one table by the attributes they are for."""
    keys = [key for key in values if key.startswith(f"{table}.")]
    return {_ATTRIBUTES.get(key, key.removeprefix(f"{table}.")): values[key] for key in keys}


def _make_plain(value: object) -> PlainValue:
    match value:
        case Enum():
            return str(value)
        case bool() | int() | float():
            return value
        case timedelta():
            return value.days
        case frozenset():
            return sorted(str(item) for item in value)
        case tuple():
            return [str(item) for item in value]
        case _:
            return str(value)
