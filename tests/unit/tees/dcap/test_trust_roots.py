"""Trust roots: Intel's own is the one it is known to be, and others only where they could vouch for something."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.tees.simulated import (
    AT,
    YEAR_2050,
    flipped,
    in_year_zero,
    key_usage,
    other,
    pem_of,
    platform,
    roots_of,
    signed_again,
    with_extension,
)
from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.simulator.certificate_builder import CertificateSpec, issue_certificate
from verdictd.tees.dcap.trust_roots import INTEL_ROOT_SHA256, TrustRoots, intel_trust_root, parse_trust_roots


def test_intels_root_is_the_one_it_is_known_to_be() -> None:
    root = intel_trust_root()
    assert root.is_intel
    der = root.certificate.public_bytes(Encoding.DER)
    assert hashlib.sha256(der).hexdigest() == INTEL_ROOT_SHA256 == root.fingerprint
    assert (
        root.certificate.subject.rfc4514_string() == "C=US,ST=CA,L=Santa Clara,O=Intel Corporation,CN=Intel SGX Root CA"
    )
    assert root.certificate.not_valid_before_utc == datetime(2018, 5, 21, 10, 45, 10, tzinfo=UTC)
    assert root.certificate.not_valid_after_utc == datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert root.label == "Intel SGX Root CA"


def test_intels_root_passes_the_test_that_others_must_pass() -> None:
    (again,) = parse_trust_roots(pem_of(intel_trust_root().certificate), "file")
    assert again.is_intel
    assert (again.label, again.fingerprint) == ("file", INTEL_ROOT_SHA256)


def test_a_simulated_root_is_never_intels() -> None:
    (root,) = parse_trust_roots(platform().trust_root_pem, "simulated")
    assert not root.is_intel
    assert root.named.subject == platform().pki.root_ca.certificate.subject.public_bytes()


def test_no_root_at_all_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="no trust root") as caught:
        TrustRoots(())
    assert "--trust-root" in caught.value.remedy


def test_sets_of_roots_are_told_apart() -> None:
    """Facts are remembered under this key: another set must never find them."""
    keys = {
        roots_of(platform()).key,
        roots_of(other()).key,
        roots_of(platform(), other()).key,
        roots_of(other(), platform()).key,
        TrustRoots((intel_trust_root(),)).key,
    }
    assert len(keys) == 5
    assert roots_of(platform()).key == roots_of(platform()).key


def test_roots_are_found_by_their_bytes() -> None:
    roots = roots_of(platform(), other())
    for sim in (platform(), other()):
        der = sim.pki.root_ca.certificate.public_bytes(Encoding.DER)
        assert roots.by_der[der].certificate == sim.pki.root_ca.certificate
    assert len(roots.by_der) == 2


def test_a_file_may_hold_several() -> None:
    found = parse_trust_roots(platform().trust_root_pem + b"text\n" + other().trust_root_pem, "file")
    assert [root.certificate for root in found] == [each.pki.root_ca.certificate for each in (platform(), other())]


def with_root(change: Callable[[CertificateSpec], CertificateSpec]) -> bytes:
    sim = platform()
    return sim.with_certificate("root-ca", change(sim.certificate_spec("root-ca"))).trust_root_pem


def with_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    spec = replace(platform().certificate_spec("root-ca"), public_key=key.public_key())
    return pem_of(issue_certificate(spec, key))  # type: ignore[arg-type]


def _serial_of_root() -> bytes:
    number = platform().pki.root_ca.certificate.serial_number
    size = number.bit_length() // 8 + 1
    return bytes([2, size]) + number.to_bytes(size, "big")


@cache
def useless_roots() -> dict[str, bytes]:
    sim = platform()
    der = sim.pki.root_ca.certificate.public_bytes(Encoding.DER)
    key_sizes = {
        "P-384": with_key(ec.generate_private_key(ec.SECP384R1())),
        "RSA": with_key(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    }
    return key_sizes | {
        "nothing": b"",
        "no PEM": b"\x30\x00",
        "no certificate": b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "DER": der,
        "a key": b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
        "a PCK certificate": sim.pki.pck.pem,
        "a CA that is no root": sim.pki.platform_ca.pem,
        "a root and another certificate": sim.trust_root_pem + sim.pki.platform_ca.pem,
        "no CA": with_root(lambda spec: replace(spec, is_ca=False, path_length=None)),
        "no constraints": with_root(lambda spec: replace(spec, omitted=frozenset({x509.BasicConstraints.oid}))),
        "no key usage": with_root(lambda spec: replace(spec, omitted=frozenset({x509.KeyUsage.oid}))),
        "signs no certificates": with_extension(sim, "root-ca", key_usage("crl_sign"), critical=True).trust_root_pem,
        "signs no CRLs": with_extension(sim, "root-ca", key_usage("key_cert_sign"), critical=True).trust_root_pem,
        "a wrong signature": pem_of(flipped(der, len(der) * 8 - 1)),
        "another's signature": pem_of(
            signed_again(sim.pki.root_ca.certificate.tbs_certificate_bytes, other().pki.root_ca.key)
        ),
        "a serial number that is not positive": pem_of(
            signed_again(
                sim.pki.root_ca.certificate.tbs_certificate_bytes.replace(_serial_of_root(), b"\x02\x01\x00"),
                sim.pki.root_ca.key,
            )
        ),
        "of no known version": pem_of(flipped(der, der.index(b"\xa0\x03\x02\x01\x02") * 8 + 34)),
    }


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("kind", sorted(useless_roots()))
def test_what_could_not_vouch_for_anything_is_refused_at_once(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"trust root file\.pem is not a PEM file") as caught:
        parse_trust_roots(useless_roots()[kind], "file.pem")
    assert "root CA's own certificate" in caught.value.remedy


def test_size_is_limited() -> None:
    pem = platform().trust_root_pem
    assert parse_trust_roots(pem + b"\n" * (MAX_CHAIN_BYTES - len(pem)), "file")
    with pytest.raises(LimitExceededError, match=f"file is {MAX_CHAIN_BYTES + 1} bytes long"):
        parse_trust_roots(bytes(MAX_CHAIN_BYTES + 1), "file")


def test_an_expired_root_can_be_named_and_is_judged_at_each_appraisal() -> None:
    assert parse_trust_roots(with_root(lambda spec: replace(spec, not_after=AT)), "file")


def test_a_root_whose_dates_cannot_be_read_is_a_mistake() -> None:
    sim = platform()
    changed = sim.with_certificate("root-ca", replace(sim.certificate_spec("root-ca"), not_after=YEAR_2050))
    body = in_year_zero(changed.pki.root_ca.certificate.tbs_certificate_bytes)
    with pytest.raises(ConfigError, match="year 0"):
        parse_trust_roots(pem_of(signed_again(body, sim.pki.root_ca.key)), "file")
