"""The simulated platform under which seeds are made and judged. Time stands still, and keys are always the same.

The keys are derived from their names and guard nothing. So the committed seeds hold under the platform of every run,
although its certificates are issued anew each time.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.appraisal.appraiser import Appraiser, Platform
from verdictd.collateral.found import FoundCollateral
from verdictd.simulator.certificate_builder import issue_certificate
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.keys import Credential
from verdictd.simulator.pki import PKI, CertificateRole, certificate_spec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LENIENT = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)
"""Accepts every status, so that the fuzzer gets past it, but neither debug enclaves nor expired collateral."""

_NOT_BEFORE, _NOT_AFTER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
_ROLES: tuple[CertificateRole, ...] = ("root-ca", "platform-ca", "tcb-signing", "pck", "processor-ca")
_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")


@cache
def private_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of this name."""
    secret = int.from_bytes(hashlib.sha256(b"fuzz: " + name.encode("ascii")).digest(), "big")
    return ec.derive_private_key(secret, ec.SECP256R1())


@cache
def platform() -> SimulatedPlatform:
    """The platform, with its vendor."""
    return SimulatedPlatform(
        hardware=Hardware(),
        pki=PKI(**{role.replace("-", "_"): _credential(role) for role in _ROLES}),
        attestation_key=private_key("attestation"),
        created_at=_NOT_BEFORE,
    )


def _credential(role: CertificateRole) -> Credential:
    issuer = "platform-ca" if role == "pck" else "root-ca"
    spec = certificate_spec(
        role,
        key=private_key(role),
        issuer_key=private_key(issuer),
        serial_number=1000 + _ROLES.index(role),
        not_before=_NOT_BEFORE,
        not_after=_NOT_AFTER,
        sgx_extension=Hardware().sgx_extension(),
    )
    return Credential(issue_certificate(spec, private_key(issuer)), private_key(role))


@cache
def roots() -> TrustRoots:
    """What the platform's verifier trusts."""
    return TrustRoots(parse_trust_roots(platform().trust_root_pem, "simulated"))


@cache
def collateral() -> Collateral:
    """The platform's collateral, in time."""
    return platform().collateral(NOW)


def appraiser(given: Collateral | None = None) -> Appraiser:
    """An appraiser that has collateral, and prefers what a peer brings along."""

    def find(_: Platform, peer: Collateral | None, __: datetime) -> FoundCollateral:
        ours = given or collateral()
        if peer is None:
            return FoundCollateral(collateral=ours)
        items = {
            "tcb_info": peer.tcb_info or ours.tcb_info,
            "qe_identity": peer.qe_identity or ours.qe_identity,
            "pck_crl": peer.pck_crl or ours.pck_crl,
            "root_ca_crl": peer.root_ca_crl or ours.root_ca_crl,
        }
        return FoundCollateral(collateral=replace(ours, **items))  # type: ignore[arg-type]

    return Appraiser(
        roots=roots(), acceptance=LENIENT, find_collateral=find, memory=FactMemory(max_facts=64, max_bytes=1 << 20)
    )


def sign_der(body: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate or CRL with the signed part given, signed with ECDSA and SHA-256."""
    signature = b"\0" + key.sign(body, ec.ECDSA(hashes.SHA256()))
    return encode_der(0x30, body + _ALGORITHM + encode_der(0x03, signature))


def encode_der(tag: int, value: bytes) -> bytes:
    """One element of DER."""
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value
