"""Evidence inside a RATS-TLS certificate: which kind it is, and the claims that go with it.

Interoperable format: ``tag([h'evidence', h'claims-buffer'])``, the claims-buffer a CBOR map of its own whose bytes the
evidence's user data hashes. Legacy format: the evidence alone. Everything parsed here is what the peer says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cbor2 import CBORTag

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_CUSTOM_CLAIMS, MAX_QUOTE_BYTES
from verdictd.ratstls.cbor import encode_cbor, parse_cbor, parse_tagged_array

INTEL_QUOTE_TAG: Final = 60000
"""CBOR tag of an Intel TEE quote, and of the endorsements that go with one."""

PUBLIC_KEY_HASH_CLAIM: Final = "pubkey-hash"
NONCE_CLAIM: Final = "nonce"
SHA256_ID: Final = 1
"""Identifier of SHA-256 in IANA's Named Information Hash Algorithm Registry."""

MAX_CLAIMS_BUFFER_BYTES: Final = 64 * 1024
_MAX_EVIDENCE_EXTENSION_BYTES: Final = MAX_QUOTE_BYTES + MAX_CLAIMS_BUFFER_BYTES + 32
_CUSTOM_CLAIM_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUOTE_BODY_TYPE: Final = slice(48, 50)


class CertificateFormat(StrEnum):
    """How a certificate carries evidence. rats-tls writes `INTEROPERABLE` since December 2022."""

    INTEROPERABLE = "interoperable"
    LEGACY = "legacy"


class EvidenceKind(StrEnum):
    """Kind of evidence, by the name of the rats-tls instance that makes it."""

    SGX_ECDSA = "sgx_ecdsa"
    TDX_ECDSA = "tdx_ecdsa"
    SGX_LA = "sgx_la"
    SEV_SNP = "sev_snp"
    SEV = "sev"
    CSV = "csv"


INTEL_QUOTES: Final = frozenset({EvidenceKind.SGX_ECDSA, EvidenceKind.TDX_ECDSA})
"""The kinds that are Intel quotes. Only beside these may a certificate carry endorsements."""

_REPORT_TAGS: Final = {
    60002: EvidenceKind.SGX_LA,
    0x1A7503: EvidenceKind.SGX_LA,  # as the first builds wrote it
    0x1A7504: EvidenceKind.SEV_SNP,
    0x1A7505: EvidenceKind.SEV,
    0x1A7506: EvidenceKind.CSV,
}
REPORT_TAGS: Final[Mapping[EvidenceKind, int]] = {
    EvidenceKind.SGX_LA: 60002,
    EvidenceKind.SEV_SNP: 0x1A7504,
    EvidenceKind.SEV: 0x1A7505,
    EvidenceKind.CSV: 0x1A7506,
}
"""The CBOR tag under which each kind of evidence that is no Intel quote is written."""
_QUOTE_TAGS: Final = frozenset({INTEL_QUOTE_TAG, 0x1A7501})
_TEE_REPORT_TAGS: Final = frozenset({60001, 0x1A7502})
KNOWN_TAGS: Final = _QUOTE_TAGS | _TEE_REPORT_TAGS | _REPORT_TAGS.keys()
"""The CBOR tags that mean something here."""
FurtherTags = Mapping[int, str]
"""The CBOR tags of evidence that packages installed beside this one judge, and the names of its kinds."""
NO_FURTHER_TAGS: Final[FurtherTags] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """A claims-buffer, parsed: what the peer claims, which counts only where the evidence hashes its exact bytes.

    Attributes:
        public_key_hash_algorithm: number of the hash in IANA's Named Information registry; not yet judged.
        public_key_hash: the claimed hash of the certificate's SubjectPublicKeyInfo; not yet compared.
        nonce: the nonce claim, ``None`` where there is none.
        custom: the other claims, in the order written.
    """

    public_key_hash_algorithm: int
    public_key_hash: bytes
    nonce: bytes | None
    custom: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvidence:
    """Evidence as a certificate carries it. Nothing is verified.

    Attributes:
        certificate_format: how it was carried.
        kind: what it says it is; told from its tag or object identifier and, for quotes, from its header. An
            `EvidenceKind`, or one of the further kinds that were asked for.
        evidence: the quote or report, byte for byte.
        claims_buffer: the bytes that the evidence's user data must hash; ``None`` in the legacy format.
        claims: the same, parsed; ``None`` in the legacy format.
    """

    certificate_format: CertificateFormat
    kind: str
    evidence: bytes
    claims_buffer: bytes | None = None
    claims: Claims | None = None


def tell_quote_kind(quote: bytes) -> EvidenceKind:
    """Tell SGX from TDX quotes by their header.

    Layout: version (2 bytes, little-endian), attestation key type (2), TEE type (4), …; version 5 continues after the
    48 bytes of its header with a body type (2): 1 is SGX, 2 and 3 are TDX.

    Raises:
        MalformedError: shorter than what tells it apart.
        UnsupportedError: an EPID quote, or one of an unknown version, key type, TEE type or body type.
    Spec:
        Intel TDX DCAP Quoting Library API, appendix A.3.
    """
    if len(quote) < _QUOTE_BODY_TYPE.stop:
        raise MalformedError(f"quote is {len(quote)} bytes long, shorter than its header")
    version, key_type = int.from_bytes(quote[0:2], "little"), int.from_bytes(quote[2:4], "little")
    if version in {1, 2} or (version == 3 and key_type in {0, 1}):
        raise UnsupportedError(
            f"this is an EPID quote (version {version}, key type {key_type}), which Intel no longer vouches for",
            remedy="use a platform that makes ECDSA quotes",
        )
    tee_type = int.from_bytes(quote[4:8], "little")
    body_type = int.from_bytes(quote[_QUOTE_BODY_TYPE], "little")
    distinction = {3: key_type, 4: tee_type, 5: body_type}.get(version)
    kind = {
        (3, 2): EvidenceKind.SGX_ECDSA,
        (3, 3): EvidenceKind.SGX_ECDSA,
        (4, 0): EvidenceKind.SGX_ECDSA,
        (4, 0x81): EvidenceKind.TDX_ECDSA,
        (5, 1): EvidenceKind.SGX_ECDSA,
        (5, 2): EvidenceKind.TDX_ECDSA,
        (5, 3): EvidenceKind.TDX_ECDSA,
    }.get((version, distinction if distinction is not None else -1))
    if kind is None:
        raise UnsupportedError(
            f"quote has version {version}, key type {key_type}, TEE type 0x{tee_type:x}; expected an SGX or TDX"
            " ECDSA quote of version 3, 4 or 5"
        )
    return kind


def _kind_of(tag: int, evidence: bytes, further_tags: FurtherTags) -> str:
    if tag in _QUOTE_TAGS:
        return tell_quote_kind(evidence)
    if tag in _TEE_REPORT_TAGS:
        raise UnsupportedError("evidence is a bare Intel TEE report, which only its own machine can check")
    kind = _REPORT_TAGS.get(tag) or further_tags.get(tag)
    if kind is None:
        raise UnsupportedError(f"evidence has the unknown CBOR tag {tag}, expected {INTEL_QUOTE_TAG} for a quote")
    return kind


def _check_evidence_size(evidence: bytes) -> None:
    if not evidence:
        raise MalformedError("evidence is empty")
    if len(evidence) > MAX_QUOTE_BYTES:
        raise LimitExceededError(f"evidence is {len(evidence)} bytes long, the limit is {MAX_QUOTE_BYTES}")


def parse_evidence_extension(value: bytes, further_tags: FurtherTags = NO_FURTHER_TAGS) -> PeerEvidence:
    """Parse the value of the interoperable evidence extension (2.23.133.5.4.9), claims included.

    Raises:
        MalformedError: not a tagged array of two byte strings, or a claims-buffer of another shape.
        UnsupportedError: a tag or a quote of a kind that is not known here. It never passes for "no evidence".
        LimitExceededError: evidence or claims larger or more numerous than allowed.
    Spec:
        TCG DICE Attestation Architecture, tagged evidence; Interoperable RA-TLS (CCC attestation SIG).
    """
    tag, elements = parse_tagged_array(value, "evidence extension", max_bytes=_MAX_EVIDENCE_EXTENSION_BYTES)
    if len(elements) != 2:
        raise MalformedError(f"evidence extension has {len(elements)} elements, expected evidence and claims-buffer")
    evidence, claims_buffer = elements
    if type(evidence) is not bytes or type(claims_buffer) is not bytes:
        raise MalformedError("evidence extension: expected two byte strings, evidence and claims-buffer")
    _check_evidence_size(evidence)
    return PeerEvidence(
        certificate_format=CertificateFormat.INTEROPERABLE,
        kind=_kind_of(tag, evidence, further_tags),
        evidence=evidence,
        claims_buffer=claims_buffer,
        claims=parse_claims_buffer(claims_buffer),
    )


def parse_legacy_extension(value: bytes, kind: EvidenceKind) -> PeerEvidence:
    """Take the value of a legacy extension, whose object identifier says it is of this kind.

    Raises:
        MalformedError: empty, or a quote of another kind than its object identifier says.
        UnsupportedError: a quote of an unknown kind.
        LimitExceededError: larger than `MAX_QUOTE_BYTES`.
    """
    _check_evidence_size(value)
    if kind in INTEL_QUOTES and (found := tell_quote_kind(value)) is not kind:
        raise MalformedError(f"evidence is a quote of kind {found}, its extension's object identifier says {kind}")
    return PeerEvidence(certificate_format=CertificateFormat.LEGACY, kind=kind, evidence=value)


def parse_claims_buffer(claims_buffer: bytes) -> Claims:
    """Parse a claims-buffer: a map of text to byte strings, with the hash of the public key among them.

    Trust: compare the hash of exactly these bytes with the evidence before believing any of it.

    Raises:
        MalformedError: another shape, no ``pubkey-hash``, or a custom claim whose name is not ``[A-Za-z0-9._-]{1,64}``.
        LimitExceededError: more than `MAX_CLAIMS_BUFFER_BYTES` or `MAX_CUSTOM_CLAIMS`.
    """
    item = parse_cbor(claims_buffer, "claims-buffer", max_bytes=MAX_CLAIMS_BUFFER_BYTES)
    if not isinstance(item, Mapping):
        raise MalformedError(f"claims-buffer: expected a CBOR map, found {type(item).__name__}")
    if len(item) > MAX_CUSTOM_CLAIMS + 2:
        raise LimitExceededError(f"claims-buffer has {len(item)} claims, the limit is {MAX_CUSTOM_CLAIMS} custom ones")
    claims: dict[str, bytes] = {}
    for name, value in item.items():
        if type(name) is not str or type(value) is not bytes:
            raise MalformedError("claims-buffer: expected every name to be text and every value a byte string")
        claims[name] = value
    if PUBLIC_KEY_HASH_CLAIM not in claims:
        raise MalformedError(f"claims-buffer has no {PUBLIC_KEY_HASH_CLAIM}: the key is bound to nothing")
    algorithm, digest = _parse_public_key_hash(claims.pop(PUBLIC_KEY_HASH_CLAIM))
    nonce = claims.pop(NONCE_CLAIM, None)
    check_custom_claim_names(claims)
    return Claims(
        public_key_hash_algorithm=algorithm,
        public_key_hash=digest,
        nonce=nonce,
        custom=MappingProxyType(claims),
    )


def _parse_public_key_hash(value: bytes) -> tuple[int, bytes]:
    entry = parse_cbor(value, PUBLIC_KEY_HASH_CLAIM, max_bytes=128)
    if type(entry) is not tuple or [type(field) for field in entry] != [int, bytes]:
        raise MalformedError(f"{PUBLIC_KEY_HASH_CLAIM}: expected a CBOR array of a hash's number and a byte string")
    return entry


def check_custom_claim_names(claims: Mapping[str, bytes]) -> None:
    """Refuse custom claims that are too many, ill-named, or take the name of a claim with a meaning of its own.

    Raises:
        MalformedError: a name that is not ``[A-Za-z0-9._-]{1,64}``, or is ``pubkey-hash`` or ``nonce``.
        LimitExceededError: more than `MAX_CUSTOM_CLAIMS`.
    """
    if len(claims) > MAX_CUSTOM_CLAIMS:
        raise LimitExceededError(f"there are {len(claims)} custom claims, the limit is {MAX_CUSTOM_CLAIMS}")
    for name in claims:
        if _CUSTOM_CLAIM_NAME.fullmatch(name) is None or name in {PUBLIC_KEY_HASH_CLAIM, NONCE_CLAIM}:
            raise MalformedError(
                f"custom claim {name[:80]!a} may not be named so: expected 1 to 64 of A-Z a-z 0-9 . _ - "
                f"and neither {PUBLIC_KEY_HASH_CLAIM} nor {NONCE_CLAIM}"
            )


def encode_claims_buffer(public_key_sha256: bytes, custom: Mapping[str, bytes]) -> bytes:
    """Write a claims-buffer as rats-tls does: ``pubkey-hash`` first, then the custom claims in their order."""
    check_custom_claim_names(custom)
    entry = encode_cbor([SHA256_ID, public_key_sha256])
    return encode_cbor({PUBLIC_KEY_HASH_CLAIM: entry, **{name: bytes(value) for name, value in custom.items()}})


def encode_evidence_extension(evidence: bytes, claims_buffer: bytes, tag: int = INTEL_QUOTE_TAG) -> bytes:
    """Write the value of the interoperable evidence extension; the tag says what kind of evidence it is."""
    return encode_cbor(CBORTag(tag, [evidence, claims_buffer]))
