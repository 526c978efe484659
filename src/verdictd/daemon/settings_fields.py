"""Every setting by its key, with how its value is read from, and written to, what TOML can hold.

A key is the name in the configuration file, ``table.name`` for what stands in a table. Flags go by the same keys, so a
value means the same wherever it was given.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from verdictd.appraisal.verifiers import Verifiers, parse_verifiers
from verdictd.archive.store import MIN_MAX_BYTES
from verdictd.collateral.pccs_urls import alibaba_pccs_url, names_pccs, parse_pccs_url
from verdictd.configuration.address import parse_address
from verdictd.configuration.log_choice import LogFormat, LogLevel
from verdictd.configuration.values import (
    Reader,
    number,
    one_of,
    read_by,
    read_flag,
    read_path,
    read_seconds,
    read_text,
    read_texts,
    read_trust_roots,
    suggest,
)
from verdictd.core.errors import ConfigError
from verdictd.daemon.guest_fields import GUEST_FIELDS
from verdictd.daemon.otlp_endpoint import check_endpoint
from verdictd.daemon.settings import AttesterName, CryptoName, TLSName
from verdictd.daemon.settings_address import parse_client_api_address
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, TCBStatus

ANY = "any"
"""Instead of a list of TCB statuses: every one but Revoked, which has to be named."""

_ADVISORY = re.compile(r"INTEL-[A-Z]{2,4}-[0-9]{5}")
_ABSENT_INSTANCES = frozenset({"sgx_la", "sev"})
_MAX_DAYS = 36500
_MAX_HISTORY = 1_000_000
_MAX_CONNECTIONS = 1_000_000
_MAX_THREADS = 256
_MAX_HANDSHAKE_BYTES = 16 * 1024 * 1024
_MAX_COUNT = 2**53
_MAX_WORKERS = 1024
_MAX_U32 = 0xFFFFFFFF


def _read_days(value: object, base: Path) -> timedelta:
    days = number(1, _MAX_DAYS)(value, base)
    assert isinstance(days, int)
    return timedelta(days=days)


def _read_source(value: object, base: Path) -> str:
    text = read_text(value)
    if names_pccs(text):
        return _check_pccs(text)
    if "://" in text:
        raise ConfigError("expected a path or an http or https URL, found a URL of another kind")
    return str(base / text)


def _read_statuses(value: object, _: Path) -> frozenset[TCBStatus]:
    """Read ``any``, a list of statuses, or the flag's form of one: a text with commas, given once or more."""
    texts = (value,) if isinstance(value, str) else read_texts(value)
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


def _read_verifiers(value: object, _: Path) -> Verifiers:
    """Read one name, several with commas between them, or a list of such."""
    return parse_verifiers((value,) if isinstance(value, str) else read_texts(value))


def _read_advisories(value: object, _: Path) -> frozenset[str]:
    # Whoever misspells an advisory denies nothing and does not notice, so its form is insisted on.
    advisories = frozenset(name.upper() for name in read_texts(value))
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


FIELDS: Mapping[str, Reader] = {
    "listen": read_by(parse_address),
    "client_api": read_by(parse_client_api_address),
    "tls": one_of(TLSName, absent=_ABSENT_INSTANCES),
    "crypto": one_of(CryptoName, absent=_ABSENT_INSTANCES),
    "attester": one_of(AttesterName, absent=_ABSENT_INSTANCES),
    "verifier": _read_verifiers,
    "mutual": read_flag,
    "data_dir": read_path,
    "trust_roots": read_trust_roots,
    "allow_any_enclave": read_flag,
    "certificate_format": one_of(CertificateFormat),
    "endorsements": read_flag,
    "quote_command": read_by(str),
    "simulate": read_path,
    "attestation_history": number(1, _MAX_HISTORY),
    "workers": number(0, _MAX_WORKERS),
    "audit_sync_always": read_flag,
    "metrics": read_by(parse_address),
    "otlp_endpoint": read_by(check_endpoint),
    "log_level": one_of(LogLevel),
    "log_format": one_of(LogFormat),
    "acceptance.tcb_statuses": _read_statuses,
    "acceptance.allow_debug": read_flag,
    "acceptance.allow_expired_collateral": read_flag,
    "acceptance.denied_advisories": _read_advisories,
    "acceptance.min_evaluation_data_number": number(0, _MAX_U32),
    "acceptance.max_collateral_age_days": _read_days,
    "collateral.source": _read_source,
    "collateral.pccs_url": read_by(_check_pccs),
    "collateral.alibaba_region": read_by(_check_region),
    "collateral.alibaba_vpc": read_flag,
    "archive.is_on": read_flag,
    "archive.max_bytes": number(MIN_MAX_BYTES, _MAX_COUNT),
    "archive.max_age_days": _read_days,
    **GUEST_FIELDS,
    "limits.max_connections": number(1, _MAX_CONNECTIONS),
    "limits.max_connections_per_address": number(1, _MAX_CONNECTIONS),
    "limits.handshake_threads": number(1, _MAX_THREADS),
    "limits.handshake_timeout_s": read_seconds,
    "limits.max_handshake_bytes": number(1, _MAX_HANDSHAKE_BYTES),
    "limits.idle_timeout_s": read_seconds,
    "limits.request_timeout_s": read_seconds,
    "limits.max_requests": number(1, _MAX_COUNT),
    "limits.max_connection_bytes": number(1, _MAX_COUNT),
    "limits.max_silent_bytes": number(1, _MAX_COUNT),
    "limits.write_timeout_s": read_seconds,
    "limits.farewell_timeout_s": read_seconds,
    "limits.max_refusals_per_minute": number(1, _MAX_COUNT),
}
"""Every key there is. Its last part is the name of an attribute, `max_collateral_age_days` and `max_age_days` apart."""
