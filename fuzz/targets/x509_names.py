"""Certificates, CRLs and names as bytes, and the roots that an operator names."""

from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.parts import after_selector, selector
from fuzz.simulated import collateral, platform
from fuzz.target import FuzzTarget, attempt, check_sentence
from verdictd.tees.dcap.trust_roots import parse_trust_roots
from verdictd.tees.dcap.x509_names import common_name, describe_name, parse_certificate, parse_crl


def check(data: bytes) -> None:
    """What was read are the bytes that the library read as well."""
    choice, value = selector(data, 4)
    if choice == 0:
        named = attempt(parse_certificate, value)
        if named is not None:
            assert named.body == named.certificate.tbs_certificate_bytes
            assert named.der == value == named.certificate.public_bytes(Encoding.DER)
            check_sentence(str(named))
    elif choice == 1:
        found = attempt(parse_crl, value)
        if found is not None:
            crl, body, issuer = found
            assert body == crl.tbs_certlist_bytes
            assert issuer in body
    elif choice == 2:
        attempt(common_name, value)
        check_sentence(describe_name(value))
    else:
        attempt(parse_trust_roots, value, "it")


def seeds() -> dict[str, bytes]:
    certificate = platform().pki.pck.certificate
    crls = {name: getattr(collateral(), name).der for name in ("pck_crl", "root_ca_crl")}
    return {
        "certificate": b"\x00" + certificate.public_bytes(Encoding.DER),
        **{name: b"\x01" + der for name, der in crls.items()},
        "name": b"\x02" + certificate.subject.public_bytes(),
        "root": b"\x03" + platform().trust_root_pem,
    }


TARGET = FuzzTarget(
    name="x509_names",
    modules=("verdictd.tees.dcap.x509_names", "verdictd.tees.dcap.trust_roots"),
    check=check,
    seeds=seeds,
    structure=after_selector,
)
