"""Judgement of a RATS-TLS certificate: sound in itself, and its key bound to the evidence byte for byte.

Each function lists all of its checks whatever becomes of them, so that a result shows them all. Together with a TLS
handshake, which proves that the peer holds the key, they carry the evidence over to the connection.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from verdictd.core.checks import Check, CheckLog
from verdictd.ratstls.certificate import ENDORSEMENTS_OID, EVIDENCE_OID, LEGACY_KINDS, RATSTLSCertificate
from verdictd.ratstls.certificate_memory import recall
from verdictd.ratstls.evidence import PUBLIC_KEY_HASH_CLAIM

_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_DER_NULL: Final = b"\x05\x00"
_BASIC_CONSTRAINTS_OID: Final = "2.5.29.19"
_UNDERSTOOD_EXTENSIONS: Final = frozenset({_BASIC_CONSTRAINTS_OID, EVIDENCE_OID, ENDORSEMENTS_OID, *LEGACY_KINDS})

_ECDSA_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_RSA_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_CURVES: Final = ("secp256r1", "secp384r1")
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192  # an upper bound too: the cost of a verification grows with the square
_MIN_RSA_EXPONENT: Final = 65537

_PUBLIC_KEY_HASHES: Final[dict[int, Callable[[bytes], bytes]]] = {
    1: lambda data: hashlib.sha256(data).digest(),
    7: lambda data: hashlib.sha384(data).digest(),
    8: lambda data: hashlib.sha512(data).digest(),
}
REPORT_DATA_BYTES: Final = 64

_KEY_EXPECTED: Final = "an EC key on P-256 or P-384, or an RSA key of 2048 to 8192 bits, in canonical DER"
_SIGNATURE_EXPECTED: Final = (
    "a self-signature by ECDSA or RSA PKCS#1 v1.5 with SHA-256, SHA-384 or SHA-512 that verifies"
)
_CLAIMS_EXPECTED: Final = "pubkey-hash to be SHA-256, SHA-384 or SHA-512 of the certificate's SubjectPublicKeyInfo"


def check_certificate(certificate: RATSTLSCertificate, at: datetime) -> tuple[Check, ...]:
    """Judge a certificate by itself, at an instant: key, self-signature, names, validity, extensions.

    Spec:
        RFC 5280, 4.1.2 and 4.2; RFC 8446, 4.4.2 for what a key must be good for.
    """
    log = CheckLog()
    log.extend(recall("own key and signature", certificate.der, lambda: _check_key_and_signature(certificate)))
    log.require(
        certificate.subject_der == certificate.issuer_der,
        "certificate.names",
        "subject and issuer to be the same name",
        "the same" if certificate.subject_der == certificate.issuer_der else "an issuer that is not the subject",
        "a RATS-TLS peer presents a certificate of its own, not one that somebody issued to it",
    )
    log.require(
        certificate.not_before <= at <= certificate.not_after,
        "certificate.validity",
        f"{at:%Y-%m-%dT%H:%M:%SZ} to lie within the validity",
        f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ} to {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "compare the clocks of both machines; a new certificate is made when the peer starts again",
    )
    unknown = [e.oid for e in certificate.extensions if e.critical and e.oid not in _UNDERSTOOD_EXTENSIONS]
    log.require(
        not unknown,
        "certificate.extensions",
        "no critical extension that is not understood here",
        f"critical {', '.join(unknown)}" if unknown else _describe_extensions(certificate),
    )
    return log.finish()


def _check_key_and_signature(certificate: RATSTLSCertificate) -> tuple[Check, ...]:
    """What the certificate's bytes alone determine, and what costs most of judging it."""
    log = CheckLog()
    _check_self_signature(certificate, _check_key(certificate, log), log)
    return log.finish()


def _describe_extensions(certificate: RATSTLSCertificate) -> str:
    if certificate.unread_evidence:
        return f"none; further evidence in {', '.join(certificate.unread_evidence)} is not read and counts for nothing"
    return "none"


def _check_key(certificate: RATSTLSCertificate, log: CheckLog) -> _PublicKey | None:
    """Check the key's kind and size, and that its DER is canonical: TLS libraries hash and use what they re-encode."""
    name = "certificate.key"
    try:
        key = serialization.load_der_public_key(certificate.spki_der)
    except (ValueError, UnsupportedAlgorithm) as error:
        log.failed(name, _KEY_EXPECTED, f"a key that cannot be read ({error})")
        return None
    match key:
        case ec.EllipticCurvePublicKey():
            fits, found = key.curve.name in _CURVES, f"EC {key.curve.name}"
        case rsa.RSAPublicKey():
            exponent = key.public_numbers().e
            fits = _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS and exponent >= _MIN_RSA_EXPONENT
            found = f"RSA {key.key_size} bits, exponent {exponent}"
        case _:
            log.failed(name, _KEY_EXPECTED, type(key).__name__.lstrip("_"))
            return None
    canonical = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if canonical != certificate.spki_der:
        found += " in another encoding"
    log.require(fits and canonical == certificate.spki_der, name, _KEY_EXPECTED, found)
    return key if key.key_size <= _MAX_RSA_BITS else None


def _check_self_signature(certificate: RATSTLSCertificate, key: _PublicKey | None, log: CheckLog) -> None:
    name, algorithm = "certificate.self_signature", certificate.signature_algorithm
    if key is None:
        log.not_made(name, _SIGNATURE_EXPECTED, "there is no usable key to verify it with")
        return
    if algorithm.raw != certificate.tbs_signature_algorithm.raw:
        inner = certificate.tbs_signature_algorithm.oid
        log.failed(name, _SIGNATURE_EXPECTED, f"algorithm {algorithm.oid} outside the signed bytes, {inner} within")
        return
    digest = (_ECDSA_HASHES if isinstance(key, ec.EllipticCurvePublicKey) else _RSA_HASHES).get(algorithm.oid)
    if digest is None or algorithm.parameters not in {b"", _DER_NULL}:
        log.failed(name, _SIGNATURE_EXPECTED, f"algorithm {algorithm.oid}, not allowed with this key")
        return
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.signature, certificate.tbs, ec.ECDSA(digest))
        else:
            key.verify(certificate.signature, certificate.tbs, padding.PKCS1v15(), digest)
    except InvalidSignature:
        log.failed(name, _SIGNATURE_EXPECTED, f"algorithm {algorithm.oid}, a signature that does not verify")
        return
    log.passed(name, _SIGNATURE_EXPECTED, f"algorithm {algorithm.oid}, it verifies")


def check_claims(certificate: RATSTLSCertificate) -> Check:
    """Judge whether the claims name the certificate's own key. In the legacy format there are none to judge."""
    log, name, evidence = CheckLog(), "certificate.claims", certificate.evidence
    if evidence is None:
        log.not_made(name, _CLAIMS_EXPECTED, "the certificate carries no evidence")
    elif evidence.claims is None:
        log.not_made(name, _CLAIMS_EXPECTED, "the legacy format has no claims", mandatory=False)
    else:
        number, claimed = evidence.claims.public_key_hash_algorithm, evidence.claims.public_key_hash
        digest = _PUBLIC_KEY_HASHES.get(number)
        if digest is None:
            log.failed(
                name, _CLAIMS_EXPECTED, f"{PUBLIC_KEY_HASH_CLAIM} by hash algorithm {number}, expected 1, 7 or 8"
            )
        else:
            found = f"hash algorithm {number}, {claimed.hex()[:128]}"
            log.require(
                claimed == digest(certificate.spki_der),
                name,
                _CLAIMS_EXPECTED,
                found,
                "the evidence was made for another key: it was copied from somebody else's certificate",
            )
    return log.finish()[0]


def check_binding(certificate: RATSTLSCertificate, report_data: bytes) -> tuple[Check, ...]:
    """Judge whether the evidence was made for this certificate's key.

    Args:
        certificate: the peer's certificate.
        report_data: the evidence's user data, all 64 bytes of it. The evidence must be verified as well: a report that
            anybody may write binds nothing.
    Returns:
        ``certificate.claims`` and ``certificate.report_data``.
    """
    return check_claims(certificate), _check_report_data(certificate, report_data)


def _check_report_data(certificate: RATSTLSCertificate, report_data: bytes) -> Check:
    log, name, evidence = CheckLog(), "certificate.report_data", certificate.evidence
    if evidence is None:
        log.not_made(name, "evidence made for this certificate's key", "the certificate carries no evidence")
        return log.finish()[0]
    if evidence.claims_buffer is not None:
        bound = {"SHA-256 of the claims-buffer": evidence.claims_buffer}
    else:
        bound = {"SHA-256 of the SubjectPublicKeyInfo": certificate.spki_der, **_legacy_rsa_form(certificate.spki_der)}
    expected = " or ".join(f"{what} ({hashlib.sha256(data).hexdigest()})" for what, data in bound.items())
    log.require(
        report_data in {hashlib.sha256(data).digest().ljust(REPORT_DATA_BYTES, b"\x00") for data in bound.values()},
        name,
        f"{expected}, then 32 zero bytes",
        report_data.hex(),
        "the evidence was made for another certificate: it was copied, or the peer is no RATS-TLS attester",
    )
    return log.finish()[0]


def _legacy_rsa_form(spki_der: bytes) -> dict[str, bytes]:
    """Return what legacy attesters hash for an RSA key, to their last release: the bare PKCS#1 RSAPublicKey."""
    try:
        key = serialization.load_der_public_key(spki_der)
    except (ValueError, UnsupportedAlgorithm):
        return {}
    if not isinstance(key, rsa.RSAPublicKey):
        return {}
    pkcs1 = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return {"SHA-256 of the PKCS#1 RSAPublicKey": pkcs1}
