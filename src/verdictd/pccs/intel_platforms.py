"""Platforms and their PCK certificates as Intel's files have them: ``platforms``, and ``collaterals.pck_certs``."""

import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from verdictd.collateral.encodings import PEM_CERTIFICATE, decode_issuer_chain
from verdictd.core.errors import MalformedError
from verdictd.core.result import JSONValue
from verdictd.pccs.bundle_entries import parse_tcb
from verdictd.pccs.intel_json import (
    encode_utf8,
    optional_hex,
    optional_text,
    read_key,
    require_list,
    require_object,
    require_text,
)
from verdictd.pccs.model import Platform, PlatformKey, RawTCB, Registration
from verdictd.pccs.pck_offers import OfferedPCKSet
from verdictd.tees.dcap.x509_names import common_name, parse_certificate

_NOT_AVAILABLE: Final = "Not available"
_PEM_END: Final = b"-----END CERTIFICATE-----"


def read_platforms(document: Mapping[str, JSONValue]) -> tuple[Registration, ...]:
    """Read what platforms said of themselves.

    Raises:
        MalformedError: it does not follow its form.
    """
    return tuple(
        _read_platform(require_object(value, f"platforms[{number}]"), f"platforms[{number}]")
        for number, value in enumerate(require_list(document.get("platforms"), "platforms"))
    )


def read_pck_sets(
    collaterals: Mapping[str, JSONValue],
    platforms: Sequence[Registration],
    chains: Mapping[str, bytes],
    at: datetime,
) -> Iterator[OfferedPCKSet]:
    """Read the PCK certificates of each platform.

    Args:
        collaterals: the member of that name.
        platforms: what the platforms said of themselves, for what is not said again with their certificates.
        chains: PEM by the CA, ``PROCESSOR`` or ``PLATFORM``.
        at: when they are said to have been fetched (aware).
    Raises:
        MalformedError, LimitExceededError: it does not follow its form.
    """
    told = {registration.platform.key: registration.platform for registration in platforms}
    raw_tcbs: dict[PlatformKey, list[RawTCB]] = {key: [] for key in told}
    for registration in platforms:
        if registration.raw_tcb is not None:
            raw_tcbs[registration.platform.key].append(registration.raw_tcb)
    for number, value in enumerate(require_list(collaterals.get("pck_certs"), "pck_certs")):
        where = f"pck_certs[{number}]"
        entry = require_object(value, where)
        key = read_key(entry, where)
        known = told.get(key, Platform(key=key))
        certificates, unavailable = _read_levels(entry, where)
        yield OfferedPCKSet(
            platform=Platform(
                key=key,
                enc_ppid=optional_hex(entry.get("enc_ppid"), f"{where}.enc_ppid") or known.enc_ppid,
                manifest=optional_hex(entry.get("platform_manifest"), f"{where}.platform_manifest") or known.manifest,
            ),
            certificates=tuple(certificates),
            unavailable=tuple(unavailable),
            issuer_chain=chains.get(_issuing_ca(certificates), b""),
            is_complete=True,
            fetched_at=at,
            raw_tcbs=tuple(dict.fromkeys(raw_tcbs.get(key, ()))),
        )


def _read_platform(members: dict[str, JSONValue], where: str) -> Registration:
    manifest = optional_hex(members.get("platform_manifest"), f"{where}.platform_manifest")
    platform = Platform(
        key=read_key(members, where),
        enc_ppid=optional_hex(members.get("enc_ppid"), f"{where}.enc_ppid"),
        manifest=manifest,
    )
    cpu_svn = optional_text(members.get("cpu_svn"), f"{where}.cpu_svn")
    pce_svn = optional_text(members.get("pce_svn"), f"{where}.pce_svn")
    raw_tcb = parse_tcb(cpu_svn + pce_svn) if cpu_svn and pce_svn else None
    return Registration(platform=platform, raw_tcb=raw_tcb)


def _read_levels(entry: Mapping[str, JSONValue], where: str) -> tuple[list[tuple[RawTCB, bytes]], list[RawTCB]]:
    """Return the certificates there are, and the TCBs for which there are none."""
    certificates: list[tuple[RawTCB, bytes]] = []
    unavailable: list[RawTCB] = []
    for number, value in enumerate(require_list(entry.get("certs"), f"{where}.certs")):
        where_level = f"{where}.certs[{number}]"
        level = require_object(value, where_level)
        tcb = parse_tcb(require_text(level.get("tcbm"), f"{where_level}.tcbm"))
        text = require_text(level.get("cert"), f"{where_level}.cert")
        if text == _NOT_AVAILABLE:
            unavailable.append(tcb)
        else:
            pem = decode_issuer_chain(encode_utf8(text, f"{where_level}.cert"), f"{where_level}.cert")
            certificates.append((tcb, pem))
    return certificates, unavailable


def _issuing_ca(certificates: Sequence[tuple[RawTCB, bytes]]) -> str:
    """Tell by which CA's chain certificates are to be verified; if it cannot be told, they are not going to be."""
    if not certificates:
        return ""
    encoded = certificates[0][1].partition(PEM_CERTIFICATE)[2].partition(_PEM_END)[0]
    try:
        issuer = common_name(parse_certificate(binascii.a2b_base64(encoded)).issuer)
    except (MalformedError, binascii.Error):
        return ""
    return "PLATFORM" if issuer.endswith("Platform CA") else "PROCESSOR"
