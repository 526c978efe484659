"""Acme's TEE, an example: a device measures a workload and signs what it measured with an Ed25519 key.

Evidence: measurement (32 bytes), report data (64), flags (1; bit 0 says that it may be debugged), signature (64) over
all before it. ``ACME_TRUSTED_KEY`` names a file with the public key that is trusted, in hex; ``ACME_DEVICE_KEY``, on
the device, one with the private key.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from verdictd.core.checks import CheckLog
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.core.tee import TEE

NAME: Final = "acme"
EVIDENCE_BYTES: Final = 161
_SIGNED: Final = slice(0, 97)


def appraise(evidence: bytes, *, at: datetime, allow_debug: bool, allow_expired_collateral: bool) -> AppraisalResult:
    """Appraise untrusted evidence; see `verdictd.core.tee.AppraiseEvidence`."""
    del allow_expired_collateral  # nothing here expires
    log = CheckLog()
    log.require(len(evidence) == EVIDENCE_BYTES, "report.format", f"{EVIDENCE_BYTES} bytes", f"{len(evidence)} bytes")
    if len(evidence) != EVIDENCE_BYTES:
        log.not_made("report.signature", "the trusted key's signature", "the report cannot be read")
        log.not_made("workload.debug", "a workload that nobody can debug", "the report cannot be read")
        return AppraisalResult(tee=NAME, checks=log.finish(), at=at)
    _check_signature(evidence, log)
    debug = bool(evidence[96] & 1)
    log.require(not debug or allow_debug, "workload.debug", "a workload that nobody can debug", f"debug is {debug}")
    claims: dict[str, JSONValue] = {
        "measurement": evidence[:32].hex(),
        "report_data": evidence[32:96].hex(),
        "debug": debug,
    }
    return AppraisalResult(tee=NAME, checks=log.finish(), at=at, claims=claims)


def _check_signature(evidence: bytes, log: CheckLog) -> None:
    expected = "the trusted key's signature"
    if TRUSTED_KEY is None:
        log.failed("report.signature", expected, "no key is trusted", "name one with ACME_TRUSTED_KEY")
        return
    try:
        TRUSTED_KEY.verify(evidence[_SIGNED.stop :], evidence[_SIGNED])
    except InvalidSignature:
        log.failed("report.signature", expected, "it does not verify", "attest with a device whose key is trusted")
        return
    log.passed("report.signature", expected, "it verifies")


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy."""
    return {NAME: dict(claims), "claims": {name: value.hex() for name, value in custom_claims.items()}}


def build_reference_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """Reference values that this evidence, and no other workload, meets."""
    return {"measurement": [claims["measurement"]]}


class Device:
    """Makes evidence; an `Attester`."""

    def __init__(self, key: Ed25519PrivateKey, measurement: bytes) -> None:
        self._key = key
        self._measurement = measurement

    def quote(self, report_data: bytes) -> bytes:
        """Return evidence that carries these 64 bytes."""
        signed = self._measurement + report_data + b"\0"
        return signed + self._key.sign(signed)


def open_device() -> Device:
    """Open this machine's device. It is an example's: a file has the key, and it measures nothing but its own name."""
    key = _read_key("ACME_DEVICE_KEY")
    if key is None:
        raise ConfigError("there is no Acme device here", remedy="name its key with ACME_DEVICE_KEY")
    return Device(Ed25519PrivateKey.from_private_bytes(key), b"an example's workload".ljust(32, b"\0"))


def _read_key(variable: str) -> bytes | None:
    path = os.environ.get(variable)
    if path is None:
        return None
    try:
        return bytes.fromhex(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key {path} of {variable} cannot be read: {error}") from error


def _load_trusted_key() -> Ed25519PublicKey | None:
    """Load it once, so that an appraisal reads no files."""
    key = _read_key("ACME_TRUSTED_KEY")
    return None if key is None else Ed25519PublicKey.from_public_bytes(key)


TRUSTED_KEY: Final = _load_trusted_key()
POLICY: Final = b"""package policy

default allow = false

allow {
    is_array(data.measurement)
    data.measurement[_] == input.acme.measurement
}
"""
ACME: Final = TEE(
    name=NAME,
    evidence_tag=0x41434D45,
    appraise=appraise,
    build_policy_input=build_policy_input,
    build_reference_fields=build_reference_fields,
    policy=POLICY,
    reference=b'{"measurement": []}',
    open_attester=open_device,
)
