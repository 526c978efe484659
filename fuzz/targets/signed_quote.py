"""Quotes that the platform signs whatever is in them, in a certificate made for them: what lies behind the signatures.

An input chooses what is *not* made right, then says the claims-buffer and the quote. Signatures, the hash of the
attestation key and the report data are written over the quote's own where its layout has them.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import timedelta

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fuzz.parts import join, selector, take
from fuzz.simulated import NOW, appraiser, platform, private_key
from fuzz.target import FuzzTarget
from fuzz.targets.appraisal import PATH
from fuzz.verdicts import check_result
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.ratstls.certificate import EVIDENCE_OID
from verdictd.ratstls.evidence import encode_claims_buffer
from verdictd.simulator.keys import raw_public_key, sign_raw

_REPORT, _HEADER = 384, 48
_UNBOUND, _UNSIGNED, _UNSIGNED_QE, _OTHER_KEY = 1, 2, 4, 8
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "RATS-TLS")])


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts of a quote are, told from its version alone: byte offsets."""

    report: int
    signature: int
    key: int
    qe_report: int

    @classmethod
    def of(cls, quote: bytes) -> "_Layout":
        version = int.from_bytes(quote[:2], "little")
        report = _HEADER + (6 if version == 5 else 0)
        signature = report + _REPORT + 4
        return cls(report, signature, signature + 64, signature + 128 + (0 if version == 3 else 6))


def check(data: bytes) -> None:
    """Appraise; what is accepted holds by what an independent reading of the bytes says."""
    flags, rest = selector(data, 16)
    claims_buffer, quote = take(rest)
    quote = _make_right(quote, flags, claims_buffer)
    certificate = _certificate(quote, claims_buffer)
    result = appraiser().appraise_certificate(certificate, SGX_VERIFIER, NOW)
    check_result(result)
    check_result(appraiser().appraise_quote(quote, NOW))
    if result.allowed:
        _check_accepted(flags, quote, claims_buffer)


def _make_right(quote: bytes, flags: int, claims_buffer: bytes) -> bytes:
    made, at = bytearray(quote), _Layout.of(quote)
    if len(quote) < at.qe_report + _REPORT + 66:
        return quote
    if not flags & _UNBOUND:
        made[at.report + 320 : at.report + 384] = hashlib.sha256(claims_buffer).digest() + bytes(32)
    if not flags & _OTHER_KEY:
        made[at.key : at.key + 64] = raw_public_key(private_key("attestation"))
    auth_start = at.qe_report + _REPORT + 66
    auth_bytes = int.from_bytes(made[auth_start - 2 : auth_start], "little")
    hashed = bytes(made[at.key : at.key + 64] + made[auth_start : auth_start + auth_bytes])
    made[at.qe_report + 320 : at.qe_report + 384] = hashlib.sha256(hashed).digest() + bytes(32)
    if not flags & _UNSIGNED:
        signed = bytes(made[: at.signature - 4])
        made[at.signature : at.key] = sign_raw(private_key("attestation"), signed)
    if not flags & _UNSIGNED_QE:
        qe_end = at.qe_report + _REPORT
        made[qe_end : qe_end + 64] = sign_raw(private_key("pck"), bytes(made[at.qe_report : qe_end]))
    return bytes(made)


def _certificate(quote: bytes, claims_buffer: bytes) -> bytes:
    value = cbor2.dumps(cbor2.CBORTag(60000, [quote, claims_buffer]))
    key = private_key("peer")
    builder = x509.CertificateBuilder(_NAME, _NAME, key.public_key(), 1, NOW - timedelta(1), NOW + timedelta(1))
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(EVIDENCE_OID), value)
    return builder.add_extension(extension, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _check_accepted(flags: int, quote: bytes, claims_buffer: bytes) -> None:
    at = _Layout.of(quote)
    assert not flags & _UNBOUND, "evidence for another key is accepted"
    key = private_key("peer").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    algorithm, digest = cbor2.loads(cbor2.loads(claims_buffer)["pubkey-hash"])
    assert digest == hashlib.new({1: "sha256", 7: "sha384", 8: "sha512"}[algorithm], key).digest()
    assert not quote[at.report + 48] & 2, "a debug enclave is accepted"
    qe = quote[at.qe_report : at.qe_report + _REPORT]
    genuine = platform().quote(report_data=bytes(64))
    expected = genuine[_Layout.of(genuine).qe_report :][:_REPORT]
    assert qe[128:160] == expected[128:160], "another signer's quoting enclave is accepted"
    assert struct.unpack_from("<H", qe, 256) == struct.unpack_from("<H", expected, 256)
    assert not qe[48] & 2, "a debug quoting enclave is accepted"


def seeds() -> dict[str, bytes]:
    key = private_key("peer").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    claims = encode_claims_buffer(hashlib.sha256(key).digest(), {"tenant": b"blue"})
    found = {
        f"v{version}": b"\x00" + join(claims, platform().quote(report_data=bytes(64), quote_version=version))
        for version in (3, 4, 5)
    }
    kss = b"\x00" + join(claims, platform().quote(report_data=bytes(64), config_id=b"\1" * 64, isv_svn=3))
    debug = platform().quote(report_data=bytes(64), debug=True)
    return {**found, "debug": b"\x00" + join(claims, debug), "unbound": b"\x01" + found["v3"][1:], "kss": kss}


TARGET = FuzzTarget(name="signed_quote", modules=PATH, check=check, seeds=seeds)
