"""Evidence as certificates carry it, and the claims beside it."""

from fuzz.certificates import make_certificate
from fuzz.parts import selector
from fuzz.simulated import platform
from fuzz.target import FuzzTarget, attempt
from verdictd.ratstls.certificate import EVIDENCE_OID, parse_certificate
from verdictd.ratstls.evidence import (
    INTEL_QUOTES,
    EvidenceKind,
    encode_claims_buffer,
    encode_evidence_extension,
    parse_claims_buffer,
    parse_evidence_extension,
    parse_legacy_extension,
    tell_quote_kind,
)

_KINDS = tuple(EvidenceKind)


def check(data: bytes) -> None:
    """Each kind says what it is, and what was read is written again and reads the same."""
    choice, value = selector(data, 3 + len(_KINDS))
    if choice == 0:
        _check_extension(value)
    elif choice == 1:
        claims = attempt(parse_claims_buffer, value)
        if claims is not None:
            again = parse_claims_buffer(encode_claims_buffer(claims.public_key_hash, claims.custom))
            assert again.custom == claims.custom
            assert again.public_key_hash == claims.public_key_hash
    elif choice == 2:
        attempt(tell_quote_kind, value)
    else:
        kind = _KINDS[choice - 3]
        legacy = attempt(parse_legacy_extension, value, kind)
        assert legacy is None or (legacy.kind is kind and legacy.evidence == value and legacy.claims is None)


def _check_extension(value: bytes) -> None:
    evidence = attempt(parse_evidence_extension, value)
    if evidence is None:
        return
    assert evidence.claims_buffer is not None
    if evidence.kind in INTEL_QUOTES:
        again = parse_evidence_extension(encode_evidence_extension(evidence.evidence, evidence.claims_buffer))
        assert again == evidence


def seeds() -> dict[str, bytes]:
    certificate = parse_certificate(make_certificate())
    (extension,) = (each.value for each in certificate.extensions if each.oid == EVIDENCE_OID)
    quote = platform().quote(report_data=bytes(64))
    claims = encode_claims_buffer(bytes(32), {"tenant": b"blue", "a.b-c_d": b""})
    small = encode_evidence_extension(quote[:60], claims)
    legacy = {f"legacy_{kind}": bytes([3 + number]) + quote[:60] for number, kind in enumerate(_KINDS)}
    return {
        "extension": b"\x00" + extension,
        "small": b"\x00" + small,
        "claims": b"\x01" + claims,
        "quote": b"\x02" + quote[:60],
        **legacy,
    }


TARGET = FuzzTarget(
    name="evidence", modules=("verdictd.ratstls.evidence", "verdictd.ratstls.cbor"), check=check, seeds=seeds
)
