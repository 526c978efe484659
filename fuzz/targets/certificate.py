"""A peer's certificate: parsed, and judged as far as it can be without its evidence."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.certificates import make_certificate
from fuzz.parts import at_start
from fuzz.simulated import NOW, collateral, encode_der, platform, private_key
from fuzz.target import FuzzTarget, attempt, check_sentence
from verdictd.core.checks import CheckResult
from verdictd.ratstls.binding import check_binding, check_certificate, check_claims
from verdictd.ratstls.certificate import parse_certificate
from verdictd.ratstls.certificate_builder import build_certificate
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.simulator.attester import SimulatedAttester

_CHECKS = [f"certificate.{name}" for name in ("key", "self_signature", "names", "validity", "extensions")]


def check(data: bytes) -> None:
    """Every check is made; what was read are the bytes that are there; evidence of nobody binds nothing."""
    certificate = attempt(parse_certificate, data)
    if certificate is None:
        return
    assert certificate.tbs in certificate.der
    assert parse_certificate(certificate.der) == certificate
    checks = check_certificate(certificate, NOW)
    assert [each.name for each in checks] == _CHECKS
    binding = check_binding(certificate, bytes(64))
    assert binding[0] == check_claims(certificate)
    assert binding[1].result is not CheckResult.PASS
    for each in (*checks, *binding):
        check_sentence(each.sentence)


def seeds() -> dict[str, bytes]:
    attester = SimulatedAttester(platform())
    legacy = build_certificate(
        private_key("peer"), at=NOW, make_quote=attester.quote, certificate_format=CertificateFormat.LEGACY
    )
    return {
        "none": build_certificate(private_key("peer"), at=NOW),
        "interoperable": make_certificate(),
        "endorsed": make_certificate(endorsements=collateral()),
        "legacy": legacy,
        "rsa": build_certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048), at=NOW),
        "p384": build_certificate(ec.generate_private_key(ec.SECP384R1()), at=NOW),
        "pck": platform().pki.pck.certificate.public_bytes(Encoding.DER),
        "pem": platform().pki.pck.pem,
        "empty": encode_der(0x30, b""),
    }


TARGET = FuzzTarget(
    name="certificate",
    modules=("verdictd.ratstls.certificate", "verdictd.ratstls.binding", "verdictd.ratstls.der"),
    check=check,
    seeds=seeds,
    max_bytes=40_000,
    structure=at_start,
)
