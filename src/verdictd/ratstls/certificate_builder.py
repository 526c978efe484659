"""Writes RATS-TLS certificates with rats-tls's exact profile, and makes the identity (key and certificate) of a side.

The profile is narrow for a reason: a peer forgives its OpenSSL one finding, "self-signed at depth 0", and refuses on
any other. So there is no critical extension, no key usage, and the authority key identifier is the subject's.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from verdictd.core.errors import LimitExceededError, UnsupportedError
from verdictd.ratstls.binding import REPORT_DATA_BYTES
from verdictd.ratstls.certificate import (
    ENDORSEMENTS_OID,
    EVIDENCE_OID,
    LEGACY_KINDS,
    LEGACY_SGX_OID,
    LEGACY_TDX_OID,
    attestation_id,
)
from verdictd.ratstls.endorsements import encode_endorsements_extension
from verdictd.ratstls.evidence import (
    INTEL_QUOTE_TAG,
    REPORT_TAGS,
    CertificateFormat,
    EvidenceKind,
    encode_claims_buffer,
    encode_evidence_extension,
    tell_quote_kind,
)
from verdictd.tees.dcap.collateral import Collateral

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
QuoteMaker = Callable[[bytes], bytes]
"""Makes evidence whose report_data is the 64 bytes given."""

MAX_TLS_CERTIFICATE_BYTES: Final = 100 * 1024 - 64
"""What an OpenSSL peer takes in a handshake by default, less the message around the certificate."""

_BACKDATED: Final = timedelta(hours=1)
_VALID_FOR: Final = timedelta(days=365)
_SERIAL: Final = 1
_RSA_BITS: Final = 3072
_NO_CLAIMS: Final[Mapping[str, bytes]] = MappingProxyType({})
_NAME: Final = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Inclavare Containers"),
        x509.NameAttribute(NameOID.COMMON_NAME, "RATS-TLS"),
    ]
)


class KeyKind(StrEnum):
    """Kind of key an identity has. P-256 unless a peer of long ago needs RSA."""

    ECDSA_P256 = "ecdsa-p256"
    RSA_3072 = "rsa-3072"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A key and the RATS-TLS certificate for it: what one side of a connection proves itself with."""

    private_key: PrivateKey = field(repr=False)
    certificate_der: bytes = field(repr=False)

    @property
    def attestation_id(self) -> str:
        """The id under which the other side speaks of attestations with this identity."""
        return attestation_id(self.certificate_der)


def generate_private_key(kind: KeyKind = KeyKind.ECDSA_P256) -> PrivateKey:
    """Make a new key. P-256 takes microseconds, RSA-3072 a good fraction of a second."""
    if kind is KeyKind.RSA_3072:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def build_identity(
    *,
    at: datetime,
    key_kind: KeyKind = KeyKind.ECDSA_P256,
    make_quote: QuoteMaker | None = None,
    evidence_tag: int = INTEL_QUOTE_TAG,
    certificate_format: CertificateFormat = CertificateFormat.INTEROPERABLE,
    custom_claims: Mapping[str, bytes] = _NO_CLAIMS,
    endorsements: Collateral | None = None,
) -> Identity:
    """Make a new key and a certificate for it; see `build_certificate`. Cheap enough to do again at any time."""
    private_key = generate_private_key(key_kind)
    certificate_der = build_certificate(
        private_key,
        at=at,
        make_quote=make_quote,
        evidence_tag=evidence_tag,
        certificate_format=certificate_format,
        custom_claims=custom_claims,
        endorsements=endorsements,
    )
    return Identity(private_key=private_key, certificate_der=certificate_der)


def build_certificate(
    private_key: PrivateKey,
    *,
    at: datetime,
    make_quote: QuoteMaker | None = None,
    evidence_tag: int = INTEL_QUOTE_TAG,
    certificate_format: CertificateFormat = CertificateFormat.INTEROPERABLE,
    custom_claims: Mapping[str, bytes] = _NO_CLAIMS,
    endorsements: Collateral | None = None,
) -> bytes:
    """Write a self-signed RATS-TLS certificate, in DER.

    Args:
        private_key: the key to certify and to sign with.
        at: now; the validity begins an hour earlier and ends 365 days later.
        make_quote: called once with the 64 bytes of report_data that bind the key; ``None`` (`nullattester`) for a
            certificate without evidence. Its errors pass through.
        evidence_tag: the CBOR tag of what `make_quote` makes.
        certificate_format: how to carry the evidence. The legacy one has neither claims nor endorsements.
        custom_claims: names ``[A-Za-z0-9._-]{1,64}`` to values, in order.
        endorsements: collateral to send along.
    Raises:
        ValueError: claims or endorsements where there is nowhere to put them.
        MalformedError: a claim's name, or what `make_quote` returned, is not what it should be.
        UnsupportedError: `make_quote` returned a quote of an unknown kind, or the legacy format has no place for it.
        LimitExceededError: too many claims, or larger than a TLS peer takes.
        CollateralError: `endorsements` lacks an item.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .serial_number(_SERIAL)
        .not_valid_before(at - _BACKDATED)
        .not_valid_after(at + _VALID_FOR)
        .public_key(private_key.public_key())
    )
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(private_key.public_key())
    standard: tuple[x509.ExtensionType, ...] = (
        x509.BasicConstraints(ca=False, path_length=None),
        key_identifier,
        x509.AuthorityKeyIdentifier(key_identifier.digest, None, None),
    )
    own = _own_extensions(
        private_key,
        make_quote,
        evidence_tag=evidence_tag,
        certificate_format=certificate_format,
        custom_claims=custom_claims,
        endorsements=endorsements,
    )
    for extension in (*standard, *own):
        builder = builder.add_extension(extension, critical=False)
    der = builder.sign(private_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    if len(der) > MAX_TLS_CERTIFICATE_BYTES:
        raise LimitExceededError(
            f"certificate would be {len(der)} bytes long, a TLS peer takes {MAX_TLS_CERTIFICATE_BYTES}",
            remedy="leave the endorsements out, or send fewer or smaller claims",
        )
    return der


def _own_extensions(
    private_key: PrivateKey,
    make_quote: QuoteMaker | None,
    *,
    evidence_tag: int,
    certificate_format: CertificateFormat,
    custom_claims: Mapping[str, bytes],
    endorsements: Collateral | None,
) -> tuple[x509.UnrecognizedExtension, ...]:
    takes_more = make_quote is not None and certificate_format is CertificateFormat.INTEROPERABLE
    if (custom_claims or endorsements is not None) and not takes_more:
        raise ValueError("claims and endorsements go only beside evidence in the interoperable format")
    if endorsements is not None and evidence_tag != INTEL_QUOTE_TAG:
        raise ValueError("endorsements go only beside Intel quotes")
    if make_quote is None:
        return ()
    spki = private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if certificate_format is CertificateFormat.LEGACY:
        quote = make_quote(hashlib.sha256(spki).digest().ljust(REPORT_DATA_BYTES, b"\x00"))
        return (_extension(_legacy_oid(quote, evidence_tag), quote),)
    claims_buffer = encode_claims_buffer(hashlib.sha256(spki).digest(), custom_claims)
    quote = make_quote(hashlib.sha256(claims_buffer).digest().ljust(REPORT_DATA_BYTES, b"\x00"))
    if evidence_tag == INTEL_QUOTE_TAG:
        tell_quote_kind(quote)
    evidence = _extension(EVIDENCE_OID, encode_evidence_extension(quote, claims_buffer, evidence_tag))
    if endorsements is None:
        return (evidence,)
    return evidence, _extension(ENDORSEMENTS_OID, encode_endorsements_extension(endorsements))


def _legacy_oid(evidence: bytes, evidence_tag: int) -> str:
    if evidence_tag == INTEL_QUOTE_TAG:
        return LEGACY_SGX_OID if tell_quote_kind(evidence) is EvidenceKind.SGX_ECDSA else LEGACY_TDX_OID
    for oid, kind in LEGACY_KINDS.items():
        if REPORT_TAGS.get(kind) == evidence_tag:
            return oid
    raise UnsupportedError(
        "the legacy format has no place for evidence of this kind", remedy="use the interoperable format"
    )


def _extension(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
