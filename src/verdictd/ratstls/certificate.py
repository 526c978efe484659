"""RATS-TLS certificates as a peer sends them: read tolerantly, field by field, and judged elsewhere.

`cryptography` refuses certificates that peers really send: version field 3 ("v4"), NULL parameters after an ECDSA
algorithm, Gramine's object identifier. So what matters is read here, byte for byte; `binding` judges it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verdictd.core.der import BIT_STRING, BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES
from verdictd.ratstls import der as asn1
from verdictd.ratstls.certificate_memory import recall
from verdictd.ratstls.der import DERElement, DERReader
from verdictd.ratstls.endorsements import parse_endorsements_extension
from verdictd.ratstls.evidence import (
    INTEL_QUOTES,
    NO_FURTHER_TAGS,
    EvidenceKind,
    FurtherTags,
    PeerEvidence,
    parse_evidence_extension,
    parse_legacy_extension,
)
from verdictd.tees.dcap.collateral import Collateral

EVIDENCE_OID: Final = "2.23.133.5.4.9"
ENDORSEMENTS_OID: Final = "2.23.133.5.4.2"
LEGACY_SGX_OID: Final = "1.2.840.113741.1337.6"
LEGACY_TDX_OID: Final = "1.2.840.113741.1337.8"
_GRAMINE_SGX_OID: Final = "0.6.9.42.840.113741.1337.6"  # the DER header of LEGACY_SGX_OID encoded along with it

LEGACY_KINDS: Final = {
    LEGACY_SGX_OID: EvidenceKind.SGX_ECDSA,
    _GRAMINE_SGX_OID: EvidenceKind.SGX_ECDSA,
    LEGACY_TDX_OID: EvidenceKind.TDX_ECDSA,
    "1.2.840.113741.1337.14": EvidenceKind.SGX_LA,
    "1.2.840.113741.1337.20": EvidenceKind.SEV_SNP,
    "1.2.840.113741.1337.22": EvidenceKind.SEV,
    "1.2.840.113741.1337.24": EvidenceKind.CSV,
}
"""Extensions that are evidence in the legacy format, in the order in which the first one found is the evidence."""

_MAX_EXTENSIONS: Final = 32
_VERSION_TAG: Final = 0xA0
_ISSUER_ID_TAGS: Final = (0x81, 0x82)
_EXTENSIONS_TAG: Final = 0xA3
_MAX_VERSION: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExtension:
    """One extension: its object identifier in dotted decimals, whether it is critical, and its value's bytes."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """An AlgorithmIdentifier: its object identifier, the DER of its parameters (empty where absent), and all of it."""

    oid: str
    parameters: bytes
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RATSTLSCertificate:
    """A certificate, parsed. Trust: nothing is verified; `binding.check_certificate` and `check_binding` judge it.

    Attributes:
        der: the whole certificate.
        tbs: the bytes that the signature covers.
        version: the version field, 0 to 3, which mean v1 to "v4".
        tbs_signature_algorithm: the algorithm named inside the signed bytes.
        signature_algorithm: the algorithm named beside the signature.
        signature: the signature's bytes.
        spki_der: SubjectPublicKeyInfo.
        issuer_der: the issuer's name.
        subject_der: the subject's name.
        serial: the serial number.
        not_before: start of validity, UTC.
        not_after: end of validity, UTC.
        extensions: all of them, in order, no two with the same object identifier.
        evidence: the evidence, ``None`` where there is none.
        unread_evidence: object identifiers of further evidence extensions. They were not read: what is in them is
            neither judged nor believed.
        endorsements: collateral that came along, ``None`` where none did.
    """

    der: bytes
    tbs: bytes
    version: int
    tbs_signature_algorithm: SignatureAlgorithm
    signature_algorithm: SignatureAlgorithm
    signature: bytes
    spki_der: bytes
    issuer_der: bytes
    subject_der: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    extensions: tuple[CertificateExtension, ...]
    evidence: PeerEvidence | None
    unread_evidence: tuple[str, ...]
    endorsements: Collateral | None

    @property
    def attestation_id(self) -> str:
        """The id under which both sides speak of an attestation with this certificate."""
        return attestation_id(self.der)


def attestation_id(certificate_der: bytes) -> str:
    """Return the id of an attestation: the first 8 hex digits of the SHA-256 of the certificate's DER."""
    return hashlib.sha256(certificate_der).hexdigest()[:8]


def looks_like_certificate(data: bytes) -> bool:
    """Whether the first bytes are those of a certificate (PEM or DER) rather than of a bare quote.

    Only the first bytes tell: DER certificates and quotes hold PEM text inside.
    """
    return data[:1] == b"\x30" or data.lstrip().startswith(b"-----BEGIN CERTIFICATE-----")


def parse_certificate(data: bytes, further_tags: FurtherTags = NO_FURTHER_TAGS) -> RATSTLSCertificate:
    """Parse one certificate in DER or PEM, with the evidence and endorsements in it.

    Where both formats of evidence are present (Gramine writes both, with two quotes), the interoperable one is the
    evidence and the legacy one is not read; where there are several legacy ones, the first in the order of
    `LEGACY_KINDS` is. That is safe because only what was read is judged, bound to the key, and believed. Evidence that
    was chosen and cannot be read is an error, never "no evidence", and never a reason to fall back on another.

    Args:
        data: the certificate.
        further_tags: kinds of evidence that are read beside those that are built in.
    Raises:
        MalformedError: not exactly one certificate, or any field that cannot be read.
        UnsupportedError: a version field above 3, or evidence of an unknown kind.
        LimitExceededError: longer than `MAX_CERTIFICATE_BYTES`, or a part of it longer than its limit.
    Spec:
        RFC 5280, 4.1.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise LimitExceededError(f"certificate is {len(data)} bytes long, the limit is {MAX_CERTIFICATE_BYTES}")
    if not looks_like_certificate(data):
        raise MalformedError("expected a certificate in PEM or DER, found neither by its first bytes")
    der = bytes(data) if data[:1] == b"\x30" else asn1.decode_pem(data, "CERTIFICATE")
    known = ",".join(f"{tag}={kind}" for tag, kind in sorted(further_tags.items()))
    return recall(f"parsed {known}", der, lambda: _parse_der(der, further_tags))


def _parse_der(der: bytes, further_tags: FurtherTags | None) -> RATSTLSCertificate:
    """Parse a certificate that is not too long; its evidence only where it is known which there may be."""
    outer = DERReader(der)
    certificate = outer.read(SEQUENCE, "certificate").reader()
    outer.finish("certificate")
    tbs = certificate.read(SEQUENCE, "tbsCertificate")
    signature_algorithm = _parse_algorithm(certificate.read(SEQUENCE, "signatureAlgorithm"))
    signature = asn1.parse_bit_string(certificate.read(BIT_STRING, "signatureValue"), "signatureValue")
    certificate.finish("certificate")

    fields = tbs.reader()
    version = _parse_version(fields)
    serial = asn1.parse_integer(fields.read(INTEGER, "serialNumber"), "serialNumber")
    tbs_signature_algorithm = _parse_algorithm(fields.read(SEQUENCE, "signature"))
    issuer = fields.read(SEQUENCE, "issuer")
    not_before, not_after = _parse_validity(fields.read(SEQUENCE, "validity"))
    subject = fields.read(SEQUENCE, "subject")
    spki = fields.read(SEQUENCE, "subjectPublicKeyInfo")
    extensions = _parse_optional_fields(fields)
    evidence, unread = (None, ()) if further_tags is None else _find_evidence(extensions, further_tags)
    return RATSTLSCertificate(
        der=der,
        tbs=tbs.raw,
        version=version,
        tbs_signature_algorithm=tbs_signature_algorithm,
        signature_algorithm=signature_algorithm,
        signature=signature,
        spki_der=spki.raw,
        issuer_der=issuer.raw,
        subject_der=subject.raw,
        serial=serial,
        not_before=not_before,
        not_after=not_after,
        extensions=extensions,
        evidence=evidence,
        unread_evidence=unread,
        endorsements=None if further_tags is None else _find_endorsements(extensions, evidence),
    )


def read_public_key(der: bytes) -> bytes:
    """Read the SubjectPublicKeyInfo of a certificate in DER, all of which has to be well-formed, but for its evidence.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: as `parse_certificate`.
    """
    return _parse_der(der, None).spki_der


def _parse_version(fields: DERReader) -> int:
    if not fields.next_is(_VERSION_TAG):
        return 0
    inner = fields.read_any("version").reader()
    version = asn1.parse_integer(inner.read(INTEGER, "version"), "version")
    inner.finish("version")
    if not 0 <= version <= _MAX_VERSION:
        raise UnsupportedError(f"certificate has version field {version}, expected 0 to {_MAX_VERSION}")
    return version


def _parse_algorithm(element: DERElement) -> SignatureAlgorithm:
    fields = element.reader()
    oid = asn1.parse_object_identifier(fields.read(OBJECT_IDENTIFIER, "algorithm"), "algorithm")
    parameters = b"" if fields.exhausted else fields.read_any("algorithm parameters").raw
    fields.finish("algorithm")
    return SignatureAlgorithm(oid=oid, parameters=parameters, raw=element.raw)


def _parse_validity(element: DERElement) -> tuple[datetime, datetime]:
    fields = element.reader()
    not_before = asn1.parse_time(fields.read_any("notBefore"), "notBefore")
    not_after = asn1.parse_time(fields.read_any("notAfter"), "notAfter")
    fields.finish("validity")
    return not_before, not_after


def _parse_optional_fields(fields: DERReader) -> tuple[CertificateExtension, ...]:
    for tag in _ISSUER_ID_TAGS:
        if fields.next_is(tag):
            fields.read_any("unique identifier")
    extensions: tuple[CertificateExtension, ...] = ()
    if fields.next_is(_EXTENSIONS_TAG):
        wrapper = fields.read_any("extensions").reader()
        extensions = _parse_extensions(wrapper.read(SEQUENCE, "extensions").reader())
        wrapper.finish("extensions")
    fields.finish("tbsCertificate")
    return extensions


def _parse_extensions(reader: DERReader) -> tuple[CertificateExtension, ...]:
    extensions: dict[str, CertificateExtension] = {}
    while not reader.exhausted:
        fields = reader.read(SEQUENCE, "extension").reader()
        oid = asn1.parse_object_identifier(fields.read(OBJECT_IDENTIFIER, "extension"), "extension")
        critical = False
        if fields.next_is(BOOLEAN):
            critical = asn1.parse_boolean(fields.read(BOOLEAN, f"extension {oid}"), f"extension {oid}")
        value = fields.read(OCTET_STRING, f"extension {oid}").content
        fields.finish(f"extension {oid}")
        if oid in extensions:
            raise MalformedError(f"certificate has two extensions {oid}")
        extensions[oid] = CertificateExtension(oid=oid, critical=critical, value=value)
        if len(extensions) > _MAX_EXTENSIONS:
            raise LimitExceededError(f"certificate has more than {_MAX_EXTENSIONS} extensions")
    return tuple(extensions.values())


def _find_evidence(
    extensions: tuple[CertificateExtension, ...], further_tags: FurtherTags
) -> tuple[PeerEvidence | None, tuple[str, ...]]:
    values = {extension.oid: extension.value for extension in extensions}
    present = [oid for oid in (EVIDENCE_OID, *LEGACY_KINDS) if oid in values]
    if not present:
        return None, ()
    chosen, *unread = present
    if chosen == EVIDENCE_OID:
        return parse_evidence_extension(values[chosen], further_tags), tuple(unread)
    return parse_legacy_extension(values[chosen], LEGACY_KINDS[chosen]), tuple(unread)


def _find_endorsements(
    extensions: tuple[CertificateExtension, ...], evidence: PeerEvidence | None
) -> Collateral | None:
    for extension in extensions:
        if extension.oid == ENDORSEMENTS_OID:
            if evidence is None or evidence.kind not in INTEL_QUOTES:
                raise MalformedError("certificate has Intel's endorsements, but no SGX or TDX quote beside them")
            return parse_endorsements_extension(extension.value)
    return None
