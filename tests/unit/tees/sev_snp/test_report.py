"""Reports as they are read, recorded ones and any bytes at all."""

import contextlib
from base64 import b64decode, urlsafe_b64decode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.vectors import needs_vectors, vector
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.sev_snp.certificate_table import GUIDS, MAX_ENTRIES, CertificateTable, parse_certificate_table
from verdictd.tees.sev_snp.evidence import parse_evidence
from verdictd.tees.sev_snp.guest_policy import GuestPolicy
from verdictd.tees.sev_snp.report import CPUID, REPORT_BYTES, SigningKey, name_product, parse_report
from verdictd.tees.sev_snp.tcb import TCBVersion, read_tcb

OUR_ERRORS = (MalformedError, UnsupportedError, LimitExceededError)
ZEROS = bytes(REPORT_BYTES)


def put(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    changed = bytearray(data)
    for offset, value in changes:
        changed[offset : offset + len(value)] = value
    return bytes(changed)


def blank(version: int) -> bytes:
    return put(ZEROS, (0, bytes([version])), (0x34, b"\1"))


V2, V3, V5 = (blank(version) for version in (2, 3, 5))
FIELDS = {
    "family_id": (0x10, 16),
    "image_id": (0x20, 16),
    "current_tcb": (0x38, 8),
    "report_data": (0x50, 64),
    "measurement": (0x90, 48),
    "host_data": (0xC0, 32),
    "id_key_digest": (0xE0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "launch_tcb": (0x1F0, 8),
}
NUMBERS = {
    "version": (0, 4),
    "guest_svn": (4, 4),
    "vmpl": (0x30, 4),
    "platform_info": (0x40, 8),
    "launch_mitigations": (0x1F8, 8),
    "current_mitigations": (0x200, 8),
    "r": (0x2A0, 72),
    "s": (0x2E8, 72),
}
RESERVED = [*range(0x4C, 0x50), *range(0x18B, 0x1A0), 0x1EB, 0x1EF, *range(0x208, 0x2A0), *range(0x330, REPORT_BYTES)]


@given(st.binary(min_size=REPORT_BYTES, max_size=REPORT_BYTES))
def test_every_field_stands_where_the_specification_has_it(noise: bytes) -> None:
    data = put(noise, *((place, b"\0") for place in RESERVED), (0, b"\5\0\0\0"), (0x34, b"\1\0\0\0"))
    data = put(data, (0x48, bytes([data[0x48] & 0x1F, 0, 0, 0])))
    report = parse_report(data)
    for name, (offset, size) in FIELDS.items():
        assert getattr(report, name) == data[offset : offset + size], name
    for name, (offset, size) in NUMBERS.items():
        assert getattr(report, name) == int.from_bytes(data[offset : offset + size], "little"), name
    assert report.policy.value == int.from_bytes(data[8:16], "little")
    assert report.cpuid == tuple(data[0x188:0x18B])
    assert report.current_version == (data[0x1EA], data[0x1E9], data[0x1E8])
    assert report.committed_version == (data[0x1EE], data[0x1ED], data[0x1EC])
    flags = data[0x48]
    assert (report.author_key_enabled, report.mask_chip_key, report.signing_key) == (
        flags & 1 == 1,
        flags & 2 == 2,
        flags >> 2,
    )
    assert report.signed == data[:0x2A0]


@given(st.one_of(st.binary(max_size=4096), st.builds(lambda head, tail: head + tail, st.just(V5), st.binary())))
@example(b"")
@example(V3 + bytes(24))
def test_any_bytes_are_evidence_or_one_of_our_errors(data: bytes) -> None:
    with contextlib.suppress(*OUR_ERRORS):
        parse_evidence(data)


@given(st.integers(0, 0x2A0 * 8 - 1), st.sampled_from([V2, V3, V5]))
def test_two_reports_that_differ_in_what_is_signed_are_not_read_alike(bit: int, data: bytes) -> None:
    changed = put(data, (bit // 8, bytes([data[bit // 8] ^ 1 << bit % 8])))
    with contextlib.suppress(*OUR_ERRORS):
        assert parse_report(changed)._replace(signed=b"") != parse_report(data)._replace(signed=b"")


@pytest.mark.parametrize("offset", RESERVED)
def test_reserved_bytes_are_zero(offset: int) -> None:
    with pytest.raises(MalformedError, match="reserved"):
        parse_report(put(V5, (offset, b"\1")))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (V2[:-1], "1184 bytes"),
        (V2 + b"\0", "1184 bytes"),
        (put(V2, (0x48, b"\x20")), "reserved bits"),
        (put(V2, (0x4B, b"\x80")), "reserved bits"),
        (put(V2, (0x188, b"\x19")), "in place of the CPUID"),
        (put(V3, (0x1F8, b"\1")), "no mitigation vectors"),
        (put(V3, (0x207, b"\1")), "no mitigation vectors"),
    ],
)
def test_what_is_malformed(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_report(data)


@pytest.mark.parametrize("version", [0, 1, 4, 6, 2**32 - 1])
def test_other_versions_are_not_supported(version: int) -> None:
    with pytest.raises(UnsupportedError, match=f"version {version}, known are 2, 3, 5"):
        parse_report(put(V2, (0, version.to_bytes(4, "little"))))


@pytest.mark.parametrize("algorithm", [0, 2, 2**32 - 1])
def test_other_algorithms_are_not_supported(algorithm: int) -> None:
    with pytest.raises(UnsupportedError, match=f"algorithm {algorithm}, known is 1"):
        parse_report(put(V2, (0x34, algorithm.to_bytes(4, "little"))))


@pytest.mark.parametrize(
    ("cpuid", "product"),
    [
        ((0x19, 0x00, 0), "Milan"),
        ((0x19, 0x0F, 0), "Milan"),
        ((0x19, 0x10, 0), "Genoa"),
        ((0x19, 0x1F, 0), "Genoa"),
        ((0x19, 0x20, 0), None),
        ((0x19, 0x9F, 0), None),
        ((0x19, 0xA0, 0), "Genoa"),
        ((0x19, 0xAF, 0), "Genoa"),
        ((0x19, 0xB0, 0), None),
        ((0x1A, 0x00, 0), "Turin"),
        ((0x1A, 0x11, 0), "Turin"),
        ((0x1A, 0x12, 0), None),
        ((0x17, 0x00, 0), None),
    ],
)
def test_products_by_cpuid(cpuid: tuple[int, int, int], product: str | None) -> None:
    assert name_product(CPUID(*cpuid)) == product


def test_tcbs_are_read_as_the_product_has_them() -> None:
    assert read_tcb(bytes([3, 1, 0, 0, 0, 0, 8, 0x73]), "Milan") == TCBVersion(0, 3, 1, 8, 0x73)
    assert read_tcb(bytes([3, 1, 0, 0, 0, 0, 8, 0x73]), "Genoa") == TCBVersion(0, 3, 1, 8, 0x73)
    assert read_tcb(bytes([1, 2, 3, 4, 0, 0, 0, 5]), "Turin") == TCBVersion(1, 2, 3, 4, 5)
    assert read_tcb(bytes([1, 2, 3, 4, 0, 0, 0, 5]), "Milan") is None
    assert read_tcb(bytes([3, 1, 0, 0, 0, 0, 8, 0x73]), "Turin") is None


def test_a_tcb_covers_another_in_every_component_or_not_at_all() -> None:
    tcb = TCBVersion(1, 2, 3, 4, 5)
    assert tcb.covers(tcb)
    for name in TCBVersion._fields:
        higher = tcb._replace(**{name: 9})
        assert higher.covers(tcb)
        assert not tcb.covers(higher)
        assert not TCBVersion(9, 9, 9, 9, 9)._replace(**{name: 0}).covers(tcb)


@given(st.binary(min_size=8, max_size=8), st.sampled_from(["Milan", "Genoa", "Turin"]))
def test_no_byte_of_a_tcb_is_passed_over(raw: bytes, product: str) -> None:
    found = read_tcb(raw, product)  # type: ignore[arg-type]
    assert found is None or sum(found) == sum(raw)


@pytest.mark.parametrize(
    ("bit", "name"),
    [
        (16, "allows_smt"),
        (18, "allows_migration_agent"),
        (19, "allows_debug"),
        (20, "requires_single_socket"),
        (21, "allows_cxl"),
        (22, "requires_aes_256_xts"),
        (23, "requires_rapl_disabled"),
        (24, "requires_ciphertext_hiding"),
        (25, "disables_page_swap"),
    ],
)
def test_bits_of_the_policy(bit: int, name: str) -> None:
    assert getattr(GuestPolicy(1 << bit), name)
    assert not getattr(GuestPolicy(2**64 - 1 - (1 << bit)), name)
    assert GuestPolicy(1 << 17 | 1 << bit).is_well_formed


def test_reserved_bits_of_the_policy() -> None:
    assert GuestPolicy(0x30133).abi == (1, 0x33)
    assert not GuestPolicy(0).is_well_formed
    for bit in range(26, 64):
        assert not GuestPolicy(1 << 17 | 1 << bit).is_well_formed


def table(*entries: tuple[str, bytes]) -> bytes:
    guids = {name: guid for guid, name in GUIDS.items()} | {"other": b"\xaa" * 16}
    offset = 24 * (len(entries) + 1)
    head, body = b"", b""
    for name, content in entries:
        head += guids[name] + (offset + len(body)).to_bytes(4, "little") + len(content).to_bytes(4, "little")
        body += content
    return head + bytes(24) + body


def test_a_table_gives_what_it_names() -> None:
    found = parse_certificate_table(table(("vcek", b"leaf"), ("other", b"?"), ("ask", b""), ("ark", b"root")))
    assert found == CertificateTable(ark=b"root", vcek=b"leaf")
    assert parse_certificate_table(bytes(4096)) == CertificateTable()
    assert parse_evidence(V3 + table(("vlek", b"x"), ("crl", b"y"))).table == CertificateTable(vlek=b"x", crl=b"y")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\1", "no entry that ends it"),
        (table(("vcek", b"x"))[:24], "no entry that ends it"),
        (table(("vcek", b"x"), ("vcek", b"y")), "two entries for the VCEK"),
        (table(("vcek", b"x"))[:-1], "points to its outside"),
        (put(table(("vcek", b"x")), (16, b"\x2f")), "points to its outside"),
        (put(table(("vcek", b"x")), (16, b"\xff\xff\xff\xff\xff\xff\xff\xff")), "points to its outside"),
    ],
)
def test_tables_that_are_malformed(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_certificate_table(data)


def test_tables_are_bounded() -> None:
    assert parse_certificate_table(table(*[("other", b"")] * MAX_ENTRIES)) == CertificateTable()
    with pytest.raises(LimitExceededError, match="more than 16"):
        parse_certificate_table(table(*[("other", b"")] * (MAX_ENTRIES + 1)))
    with pytest.raises(LimitExceededError, match="the limit is"):
        parse_certificate_table(bytes(MAX_CHAIN_BYTES + 1))
    with pytest.raises(LimitExceededError, match="the evidence is"):
        parse_evidence(V2 + bytes(MAX_CHAIN_BYTES + 1))


RECORDED = [
    # file, offset, version, product, VMPL, signing key, SNP component and microcode of the reported TCB
    ("coco-trustee/verifier/snp/test-report.bin", 0, 2, None, 0, SigningKey.VCEK, 8, 0x73),
    ("coco-trustee/verifier/snp/test-vlek-report.bin", 0, 3, "Milan", 1, SigningKey.VLEK, 0x18, 0xD9),
    ("google-go-sev-guest/testdata/attestation.bin", 0, 2, None, 0, SigningKey.VCEK, 5, 0x44),
    ("teekit/sampleQuotes/sev-gcp.bin", 0, 5, "Milan", 0, SigningKey.VCEK, 0x1B, 0xDE),
    ("yaxi-routex-client/report_spec/verify_turin.bin", 0, 5, "Turin", 0, SigningKey.VCEK, 2, 0x47),
    ("yaxi-routex-client/report_spec/verify_genoa.bin", 0, 2, None, 0, SigningKey.VCEK, 0xE, 0x44),
    ("enarx-steward/snp/milan.signed.crl.csr", 3410, 2, None, 0, SigningKey.VCEK, 6, 0x5D),
]


@needs_vectors
@pytest.mark.vectors
@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row[0].split("/")[0])
def test_recorded_reports_are_read(row: tuple[str, int, int, str | None, int, int, int, int]) -> None:
    path, offset, version, product, vmpl, key, snp, microcode = row
    report = parse_report(vector(f"sev-snp/{path}")[offset : offset + REPORT_BYTES])
    assert (report.version, report.product, report.vmpl, report.signing_key) == (version, product, vmpl, key)
    tcb = read_tcb(report.reported_tcb, "Turin" if product == "Turin" else "Milan")
    assert tcb is not None
    assert (tcb.snp, tcb.microcode) == (snp, microcode)
    assert report.policy.is_well_formed
    assert (report.current_mitigations is None) == (version < 5)


@needs_vectors
@pytest.mark.vectors
def test_a_recorded_table_is_read() -> None:
    import json

    recorded = json.loads(vector("sev-snp/veraison-services/sevsnp/test/evidence/sevsnp-tsm-report.json"))
    blob = urlsafe_b64decode(recorded["auxblob"] + "==")
    found = parse_certificate_table(blob)
    assert all(part.startswith(b"-----BEGIN CERTIFICATE-----") for part in (found.ark, found.ask, found.vcek))
    assert (found.vlek, found.crl) == (b"", b"")
    assert b64decode(b"".join(found.vcek.split(b"\n")[1:-2]))[:2] == b"\x30\x82"
