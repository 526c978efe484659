"""Every setting by its key, with how its value is read from, and written to, what TOML can hold.

A key is the name in the configuration file, ``table.name`` for what stands in a table. Flags go by the same keys, so a
value means the same wherever it was given.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from verdictd.appraisal.verifiers import parse_verifier_name
from verdictd.archive.store import MIN_MAX_BYTES
from verdictd.collateral.pccs_urls import alibaba_pccs_url, names_pccs, parse_pccs_url
from verdictd.core.errors import ConfigError
from verdictd.daemon.otlp_endpoint import check_endpoint
from verdictd.daemon.settings import INTEL, AttesterName, CryptoName, LogFormat, LogLevel, TLSName
from verdictd.daemon.settings_address import parse_address, parse_client_api_address
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, TCBStatus

Reader: TypeAlias = Callable[[object, Path], object]
"""Takes a raw value and the directory that relative paths are relative to; raises a `VerdictdError`."""

ANY = "any"
"""Instead of a list of TCB statuses: every one but Revoked, which has to be named."""

_ADVISORY = re.compile(r"INTEL-[A-Z]{2,4}-[0-9]{5}")
_ABSENT_INSTANCES = frozenset({"sgx_la", "tdx_ecdsa", "sev", "sev_snp", "csv"})
_MAX_DAYS = 36500
_MAX_HISTORY = 1_000_000
_MAX_CONNECTIONS = 1_000_000
_MAX_THREADS = 256
_MAX_HANDSHAKE_BYTES = 16 * 1024 * 1024
_MAX_COUNT = 2**53
_MAX_WORKERS = 1024
_MAX_SECONDS = 86400.0
_MAX_U32 = 0xFFFFFFFF


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"expected a text, found {_describe(value)}")
    if not value or "\0" in value:
        raise ConfigError("expected a text that is neither empty nor holds a NUL")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"expected a list of texts, found {_describe(value)}")
    return tuple(_text(item) for item in value)


def _read_flag(value: object, _: Path) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"expected true or false, found {_describe(value)}")
    return value


def _describe(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value!r}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)


def _read_by(parse: Callable[[str], object]) -> Reader:
    return lambda value, _: parse(_text(value))


def _number(minimum: int, maximum: int) -> Reader:
    def read(value: object, _: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ConfigError(f"expected a whole number from {minimum} to {maximum}, found {_describe(value)}")
        return value

    return read


def _read_seconds(value: object, _: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_SECONDS:
        raise ConfigError(f"expected seconds, above 0 and up to {_MAX_SECONDS:g}, found {_describe(value)}")
    return float(value)


def _read_days(value: object, base: Path) -> timedelta:
    days = _number(1, _MAX_DAYS)(value, base)
    assert isinstance(days, int)
    return timedelta(days=days)


def _one_of(names: type[StrEnum]) -> Reader:
    def parse(name: str) -> StrEnum:
        try:
            return names(name)
        except ValueError as error:
            why = "is not implemented" if name in _ABSENT_INSTANCES else "is unknown"
            raise ConfigError(f"{name!r} {why}", remedy=f"use one of {', '.join(names)}") from error

    return _read_by(parse)


def _read_path(value: object, base: Path) -> Path:
    return base / _text(value)


def _read_trust_roots(value: object, base: Path) -> tuple[str, ...]:
    names = _texts(value)
    if not names:
        raise ConfigError("expected at least one trust root", remedy=f"name {INTEL!r}, or leave the key out")
    return tuple(name if name == INTEL else str(base / name) for name in names)


def _read_source(value: object, base: Path) -> str:
    text = _text(value)
    if names_pccs(text):
        return _check_pccs(text)
    if "://" in text:
        raise ConfigError("expected a path or an http or https URL, found a URL of another kind")
    return str(base / text)


def _read_statuses(value: object, _: Path) -> frozenset[TCBStatus]:
    """Read ``any``, a list of statuses, or the flag's form of one: a text with commas, given once or more."""
    texts = (value,) if isinstance(value, str) else _texts(value)
    names = [name.strip() for text in texts for name in text.split(",")]
    if not names:
        raise ConfigError("expected at least one TCB status", remedy="leave the key out for UpToDate alone")
    if ANY in names:
        if len(names) > 1:
            raise ConfigError(f"{ANY!r} stands alone: it is every status but {TCBStatus.REVOKED}")
        return ANY_STATUS_BUT_REVOKED
    return frozenset(_parse_status(name) for name in names)


def _parse_status(name: str) -> TCBStatus:
    try:
        return TCBStatus(name)
    except ValueError as error:
        hint = suggest(name, list(TCBStatus))
        remedy = f"use {ANY}, or one or more of {', '.join(TCBStatus)}"
        raise ConfigError(f"{name!r} is no TCB status{hint}", remedy=remedy) from error


def _read_advisories(value: object, _: Path) -> frozenset[str]:
    # Whoever misspells an advisory denies nothing and does not notice, so its form is insisted on.
    advisories = frozenset(name.upper() for name in _texts(value))
    for advisory in sorted(advisories):
        if not _ADVISORY.fullmatch(advisory):
            raise ConfigError(f"{advisory!r} is no advisory id", remedy="write it as Intel does: INTEL-SA-00615")
    return advisories


def _check_pccs(text: str) -> str:
    parse_pccs_url(text)
    return text


def _check_region(text: str) -> str:
    alibaba_pccs_url(text)
    return text


def suggest(name: str, known: Sequence[str]) -> str:
    """Say what may have been meant, or nothing."""
    matches = get_close_matches(name, known, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


FIELDS: Mapping[str, Reader] = {
    "listen": _read_by(parse_address),
    "client_api": _read_by(parse_client_api_address),
    "tls": _one_of(TLSName),
    "crypto": _one_of(CryptoName),
    "attester": _one_of(AttesterName),
    "verifier": _read_by(parse_verifier_name),
    "mutual": _read_flag,
    "data_dir": _read_path,
    "trust_roots": _read_trust_roots,
    "allow_any_enclave": _read_flag,
    "certificate_format": _one_of(CertificateFormat),
    "endorsements": _read_flag,
    "quote_command": _read_by(str),
    "simulate": _read_path,
    "attestation_history": _number(1, _MAX_HISTORY),
    "workers": _number(0, _MAX_WORKERS),
    "audit_sync_always": _read_flag,
    "metrics": _read_by(parse_address),
    "otlp_endpoint": _read_by(check_endpoint),
    "log_level": _one_of(LogLevel),
    "log_format": _one_of(LogFormat),
    "acceptance.tcb_statuses": _read_statuses,
    "acceptance.allow_debug": _read_flag,
    "acceptance.allow_expired_collateral": _read_flag,
    "acceptance.denied_advisories": _read_advisories,
    "acceptance.min_evaluation_data_number": _number(0, _MAX_U32),
    "acceptance.max_collateral_age_days": _read_days,
    "collateral.source": _read_source,
    "collateral.pccs_url": _read_by(_check_pccs),
    "collateral.alibaba_region": _read_by(_check_region),
    "collateral.alibaba_vpc": _read_flag,
    "archive.is_on": _read_flag,
    "archive.max_bytes": _number(MIN_MAX_BYTES, _MAX_COUNT),
    "archive.max_age_days": _read_days,
    "limits.max_connections": _number(1, _MAX_CONNECTIONS),
    "limits.max_connections_per_address": _number(1, _MAX_CONNECTIONS),
    "limits.handshake_threads": _number(1, _MAX_THREADS),
    "limits.handshake_timeout_s": _read_seconds,
    "limits.max_handshake_bytes": _number(1, _MAX_HANDSHAKE_BYTES),
    "limits.idle_timeout_s": _read_seconds,
    "limits.request_timeout_s": _read_seconds,
    "limits.max_requests": _number(1, _MAX_COUNT),
    "limits.max_connection_bytes": _number(1, _MAX_COUNT),
    "limits.max_silent_bytes": _number(1, _MAX_COUNT),
    "limits.write_timeout_s": _read_seconds,
    "limits.farewell_timeout_s": _read_seconds,
    "limits.max_refusals_per_minute": _number(1, _MAX_COUNT),
}
"""Every key there is. Its last part is the name of an attribute, `max_collateral_age_days` and `max_age_days` apart."""
