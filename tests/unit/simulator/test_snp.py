"""Simulated SEV-SNP reports, verified with OpenSSL's own commands, which know nothing of this project."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.tees.sev_snp.inputs import AT, MEASUREMENT, REPORT_DATA, TCB, platform
from verdictd.simulator.amd_certificates import AMDKeyType
from verdictd.simulator.snp_report_builder import encode_certificate_table, encode_tcb


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


def der_integer(number: bytes) -> bytes:
    digits = number.rstrip(b"\0")[::-1]
    digits = b"\0" + digits if digits[0] & 0x80 else digits
    return bytes([2, len(digits)]) + digits


@pytest.mark.parametrize("key_type", ["vcek", "vlek"])
def test_openssl_verifies_report_and_chain(tmp_path: Path, key_type: AMDKeyType) -> None:
    sim = platform(key_type)
    report = sim.report(report_data=REPORT_DATA, measurement=MEASUREMENT)
    numbers = der_integer(report[0x2A0:0x2E8]) + der_integer(report[0x2E8:0x330])
    files = {
        "body": report[:0x2A0],
        "signature": bytes([0x30, len(numbers)]) + numbers,
        "leaf": sim.key_certificate(AT),
        "ask": sim.pki.issuer(key_type).pem,
        "ark": sim.pki.ark.pem,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "key").write_bytes(openssl("x509", "-inform", "DER", "-in", tmp_path / "leaf", "-noout", "-pubkey"))
    verified = openssl(
        "dgst", "-sha384", "-verify", tmp_path / "key", "-signature", tmp_path / "signature", tmp_path / "body"
    )
    assert verified == b"Verified OK\n"
    (tmp_path / "leaf.pem").write_bytes(openssl("x509", "-inform", "DER", "-in", tmp_path / "leaf"))
    instant = str(int(AT.timestamp()))
    chain = openssl(
        "verify", "-attime", instant, "-CAfile", tmp_path / "ark", "-untrusted", tmp_path / "ask", tmp_path / "leaf.pem"
    )
    assert chain.endswith(b": OK\n")


def test_tcbs_are_written_as_amd_has_them() -> None:
    assert encode_tcb(TCB, "Milan") == bytes([4, 1, 0, 0, 0, 0, 24, 219])
    assert encode_tcb(TCB._replace(fmc=9), "Turin") == bytes([9, 4, 1, 24, 0, 0, 0, 219])


def test_a_table_is_written_as_the_specification_has_it() -> None:
    table = encode_certificate_table({"vcek": b"abc", "ark": b"de"})
    assert table[:24].hex() == "63da758de6644564adc5f4b93be8accd" + "48000000" + "03000000"
    assert table[24:48].hex() == "c0b406a4a803495297433fb6014cd0ae" + "4b000000" + "02000000"
    assert table[48:] == bytes(24) + b"abcde"
