"""Collateral that a peer brings along in its certificate."""

from cbor2 import CBORTag

from fuzz.simulated import collateral
from fuzz.target import FuzzTarget, attempt
from verdictd.core.errors import CollateralError
from verdictd.ratstls.cbor import encode_cbor
from verdictd.ratstls.endorsements import encode_endorsements_extension, parse_endorsements_extension


def check(data: bytes) -> None:
    """What is complete is written again and reads the same."""
    found = attempt(parse_endorsements_extension, data)
    if found is None:
        return
    try:
        encoded = encode_endorsements_extension(found)
    except CollateralError:
        assert None in {found.tcb_info, found.qe_identity, found.pck_crl, found.root_ca_crl}
        return
    assert parse_endorsements_extension(encoded) == found


def seeds() -> dict[str, bytes]:
    small = b'{"tcbInfo":{},"signature":"' + b"0" * 128 + b'"}'
    chain, none = b"chain\0", b"\0"

    def of(version: int, crl: bytes) -> bytes:
        return encode_cbor(CBORTag(60000, [version, small, chain, crl, crl, chain, none, none]))

    return {
        "whole": encode_endorsements_extension(collateral()),
        "none": encode_cbor(CBORTag(60000, [3, *[none] * 7])),
        "hex": of(3, b"3000"),
        "der": of(0x00010003, b"0\0"),
        "pem": of(1, b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"),
    }


TARGET = FuzzTarget(
    name="endorsements",
    modules=("verdictd.ratstls.endorsements", "verdictd.ratstls.cbor", "verdictd.tees.dcap.collateral"),
    check=check,
    seeds=seeds,
    max_bytes=20_000,
)
