"""Certificates and CRLs against the profile of genuine ones, and under the eyes of OpenSSL."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.simulator.oracle import AT
from tests.vectors import needs_vectors, vector
from verdictd.core.der import (
    BOOLEAN,
    ENUMERATED,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    read_single,
)
from verdictd.simulator.pki import PCK_CRL_URL, ROOT_CRL_URL, CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.sgx_extension import SGX_EXTENSION_OID, encode_sgx_extension
from verdictd.tees.dcap.pck import parse_sgx_extension
from verdictd.tees.dcap.quote import parse_quote

GENUINE_QUOTE = "dcap-cases/quotes/sgx-v3-65e9185fed5be755.bin"
"""A server's, whose PCK certificate was issued by the platform CA."""
ROLES: tuple[CertificateRole, ...] = ("root-ca", "platform-ca", "tcb-signing", "pck")


def _certificate(platform: SimulatedPlatform, role: CertificateRole) -> x509.Certificate:
    return platform.pki.credential(role).certificate


def _sgx_extension(certificate: x509.Certificate) -> bytes:
    value = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(SGX_EXTENSION_OID)).value
    assert isinstance(value, x509.UnrecognizedExtension)
    return value.value


def _outline(element: Element) -> Any:
    """Tags all the way down, and the values of object identifiers."""
    if element.tag == SEQUENCE:
        return [_outline(child) for child in element.children()]
    return (element.tag, element.value.hex() if element.tag == OBJECT_IDENTIFIER else "")


def _genuine_chain() -> list[x509.Certificate]:
    pem = parse_quote(vector(GENUINE_QUOTE)).certification_data
    return x509.load_pem_x509_certificates(pem.rstrip(b"\0"))


def _profile(certificate: x509.Certificate) -> Any:
    """What is the same in all certificates of one role, whoever issued them."""
    extensions = certificate.extensions
    return {
        "version": certificate.version,
        "signature": certificate.signature_algorithm_oid,
        "subject": [attribute.oid for attribute in certificate.subject],
        "string types": [attribute._type for attribute in certificate.subject],
        "extensions": [(extension.oid, extension.critical) for extension in extensions],
        "usage": extensions.get_extension_for_class(x509.KeyUsage).value,
        "constraints": extensions.get_extension_for_class(x509.BasicConstraints).value,
        "key": certificate.public_key_algorithm_oid,
        "crl points": len(extensions.get_extension_for_class(x509.CRLDistributionPoints).value),
    }


@needs_vectors
def test_certificates_have_the_genuine_profile(platform: SimulatedPlatform) -> None:
    pck, platform_ca, root_ca = _genuine_chain()
    assert _profile(_certificate(platform, "pck")) == _profile(pck)
    assert _profile(_certificate(platform, "platform-ca")) == _profile(platform_ca)
    assert _profile(_certificate(platform, "root-ca")) == _profile(root_ca)


@needs_vectors
def test_tcb_signer_has_the_genuine_profile(platform: SimulatedPlatform) -> None:
    chain = json.loads(vector("dcap-cases/collateral/1596a03c26e16384.json"))["tcb_info_issuer_chain"]
    genuine = x509.load_pem_x509_certificates(chain.encode())[0]
    assert _profile(_certificate(platform, "tcb-signing")) == _profile(genuine)


@needs_vectors
def test_sgx_extension_has_the_genuine_structure(platform: SimulatedPlatform) -> None:
    genuine, ours = _sgx_extension(_genuine_chain()[0]), _sgx_extension(_certificate(platform, "pck"))
    assert _outline(read_single(ours)) == _outline(read_single(genuine))


@needs_vectors
def test_genuine_sgx_extension_is_written_byte_for_byte(platform: SimulatedPlatform) -> None:
    genuine = _sgx_extension(_genuine_chain()[0])
    said = parse_sgx_extension(genuine)
    spec = replace(
        platform.sgx_extension_spec(),
        ppid=said.ppid,
        components=said.components,
        pce_svn=said.pce_svn,
        cpu_svn=said.cpu_svn,
        pce_id=said.pce_id,
        fmspc=said.fmspc,
        platform_instance_id=said.platform_instance_id,
        configuration=(True, True, True),
    )
    assert encode_sgx_extension(spec) == genuine


def test_sgx_extension_has_the_structure_of_the_profile(platform: SimulatedPlatform) -> None:
    """The same as above from the specification, for where no genuine certificate is at hand."""

    def member(number: str, tag: int) -> Any:
        return [(OBJECT_IDENTIFIER, "2a864886f84d010d01" + number), (tag, "")]

    tcb = [member(f"02{number:02x}", INTEGER) for number in range(1, 18)] + [member("0212", OCTET_STRING)]
    assert _outline(read_single(_sgx_extension(_certificate(platform, "pck")))) == [
        member("01", OCTET_STRING),
        [(OBJECT_IDENTIFIER, "2a864886f84d010d0102"), tcb],
        member("03", OCTET_STRING),
        member("04", OCTET_STRING),
        member("05", ENUMERATED),
        member("06", OCTET_STRING),
        [(OBJECT_IDENTIFIER, "2a864886f84d010d0107"), [member(f"07{number:02x}", BOOLEAN) for number in (1, 2, 3)]],
    ]


def test_sgx_extension_says_what_the_hardware_is(platform: SimulatedPlatform) -> None:
    said, hardware = parse_sgx_extension(_sgx_extension(_certificate(platform, "pck"))), platform.hardware
    assert (said.ppid, said.cpu_svn, said.components) == (hardware.ppid, hardware.cpu_svn, hardware.components)
    assert (said.pce_svn, said.pce_id, said.fmspc) == (hardware.pce_svn, hardware.pce_id, hardware.fmspc)
    assert said.platform_instance_id == hardware.platform_instance_id
    assert (said.sgx_type, said.configuration) == ("scalable", ("cached_keys", "smt_enabled"))


def test_processor_ca_s_form_leaves_two_members_out(platform: SimulatedPlatform) -> None:
    spec = replace(platform.sgx_extension_spec(), sgx_type=0, platform_instance_id=None, configuration=None)
    said = parse_sgx_extension(encode_sgx_extension(spec))
    assert (said.sgx_type, said.platform_instance_id, said.configuration) == ("standard", None, ())


@pytest.mark.parametrize("role", ROLES)
def test_names_end_as_verifiers_expect_and_do_not_pass_for_intels(
    platform: SimulatedPlatform, role: CertificateRole
) -> None:
    name = _certificate(platform, role).subject.rfc4514_string()
    expected = {
        "root-ca": "SGX Root CA",
        "platform-ca": "SGX PCK Platform CA",
        "tcb-signing": "SGX TCB Signing",
        "pck": "SGX PCK Certificate",
    }
    assert f"CN=Simulated {expected[role]}" in name
    assert "Intel" not in name


def test_crls_are_to_be_had_nowhere_real(platform: SimulatedPlatform) -> None:
    for role in ROLES:
        points = _certificate(platform, role).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        names = points[0].full_name
        assert names is not None
        assert [name.value for name in names] == [PCK_CRL_URL if role == "pck" else ROOT_CRL_URL]
        assert names[0].value.startswith("https://tee-sim.invalid/")


def test_lifetimes_are_the_real_ones(platform: SimulatedPlatform) -> None:
    root, ca, signer, pck = (_certificate(platform, role) for role in ROLES)
    assert root.not_valid_after_utc == datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
    for certificate, years in ((ca, 15), (signer, 15), (pck, 7)):
        begin = certificate.not_valid_before_utc
        assert certificate.not_valid_after_utc == begin.replace(year=begin.year + years)
        assert AT - timedelta(days=2) < begin < AT
    collateral = platform.collateral(AT)
    for item in (collateral.pck_crl, collateral.root_ca_crl):
        assert item is not None
        crl = x509.load_der_x509_crl(item.der)
        assert crl.next_update_utc is not None
        assert crl.next_update_utc - crl.last_update_utc == timedelta(days=30)
        assert AT - timedelta(hours=1) < crl.last_update_utc < AT


@needs_vectors
def test_crls_have_the_genuine_profile(platform: SimulatedPlatform) -> None:
    recorded = json.loads(vector("dcap-cases/collateral/1596a03c26e16384.json"))
    collateral = platform.collateral(AT)
    for member, item in (("pck_crl", collateral.pck_crl), ("root_ca_crl", collateral.root_ca_crl)):
        assert item is not None
        genuine, ours = x509.load_der_x509_crl(bytes.fromhex(recorded[member])), x509.load_der_x509_crl(item.der)
        assert ours.signature_algorithm_oid == genuine.signature_algorithm_oid
        assert [(extension.oid, extension.critical) for extension in ours.extensions] == [
            (extension.oid, extension.critical) for extension in genuine.extensions
        ]


def _openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_verifies_the_chain_with_both_crls(platform: SimulatedPlatform, tmp_path: Path, revoked: bool) -> None:
    judged = platform.with_revoked("pck", since=AT - timedelta(hours=1)) if revoked else platform
    collateral = judged.collateral(AT)
    assert collateral.pck_crl is not None
    assert collateral.root_ca_crl is not None
    crls = [x509.load_der_x509_crl(item.der) for item in (collateral.pck_crl, collateral.root_ca_crl)]
    (tmp_path / "crls.pem").write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
    (tmp_path / "root.pem").write_bytes(judged.trust_root_pem)
    (tmp_path / "ca.pem").write_bytes(judged.pki.platform_ca.pem)
    (tmp_path / "pck.pem").write_bytes(judged.pki.pck.pem)
    found = _openssl(
        "verify", "-x509_strict", "-check_ss_sig", "-crl_check_all", "-attime", str(int(AT.timestamp())),
        "-CAfile", tmp_path / "root.pem", "-CRLfile", tmp_path / "crls.pem", "-untrusted", tmp_path / "ca.pem",
        tmp_path / "pck.pem",
    )  # fmt: skip
    assert (found.returncode == 0) is not revoked, found.stderr
    if revoked:
        assert "certificate revoked" in found.stderr


def test_openssl_reads_the_crls(platform: SimulatedPlatform, tmp_path: Path) -> None:
    revoked = platform.with_revoked("pck").with_revoked("platform-ca")
    collateral = revoked.collateral(AT)
    for item, issuer, serial in (
        (collateral.pck_crl, "Simulated SGX PCK Platform CA", revoked.pki.pck.certificate.serial_number),
        (collateral.root_ca_crl, "Simulated SGX Root CA", revoked.pki.platform_ca.certificate.serial_number),
    ):
        assert item is not None
        (tmp_path / "crl.der").write_bytes(item.der)
        text = _openssl("crl", "-inform", "der", "-in", tmp_path / "crl.der", "-noout", "-text").stdout
        assert "Version 2" in text
        assert issuer in text
        assert f"{serial:X}" in text.replace(":", "")
