"""The report body: every byte of it belongs to one field, or is reserved."""

import pytest

from verdictd.core.errors import MalformedError
from verdictd.simulator.quote_builder import ReportSpec, encode_report
from verdictd.tees.dcap.enclave_report import ENCLAVE_REPORT_BYTES, parse_enclave_report

# Intel SDM vol. 3D, "REPORT": offset and size of each field, counted by hand.
FIELDS = {
    "cpu_svn": (0, 16),
    "misc_select": (16, 4),
    "isv_ext_prod_id": (32, 16),
    "attributes": (48, 16),
    "mr_enclave": (64, 32),
    "mr_signer": (128, 32),
    "config_id": (192, 64),
    "isv_prod_id": (256, 2),
    "isv_svn": (258, 2),
    "config_svn": (260, 2),
    "isv_family_id": (304, 16),
    "report_data": (320, 64),
}
RESERVED = [*range(20, 32), *range(96, 128), *range(160, 192), *range(262, 304)]


def test_the_fields_and_what_is_reserved_fill_the_report() -> None:
    covered = [offset for start, size in FIELDS.values() for offset in range(start, start + size)]
    assert sorted(covered + RESERVED) == list(range(ENCLAVE_REPORT_BYTES))


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_where_it_belongs(name: str) -> None:
    start, size = FIELDS[name]
    value = bytes(range(1, size + 1))
    report = parse_enclave_report(bytes(start) + value + bytes(ENCLAVE_REPORT_BYTES - start - size))
    expected = int.from_bytes(value, "little") if size == 2 else value
    assert getattr(report, name) == expected
    for other in FIELDS.keys() - {name}:
        assert not any(getattr(report, other)) if FIELDS[other][1] != 2 else getattr(report, other) == 0


def test_reserved_bytes_mean_nothing_here() -> None:
    """They are signed by the hardware; their meaning may be defined later."""
    data = bytearray(ENCLAVE_REPORT_BYTES)
    for offset in RESERVED:
        data[offset] = 0xFF
    assert parse_enclave_report(bytes(data)) == parse_enclave_report(bytes(ENCLAVE_REPORT_BYTES))


@pytest.mark.parametrize("flags", range(256))
def test_only_the_debug_bit_makes_a_debug_enclave(flags: int) -> None:
    data = bytes(48) + bytes([flags]) + b"\xff" * 15 + bytes(ENCLAVE_REPORT_BYTES - 64)
    assert parse_enclave_report(data).is_debug is bool(flags & 2)


@pytest.mark.parametrize("size", [0, 1, 383, 385, 768])
def test_any_other_size_is_malformed(size: int) -> None:
    with pytest.raises(MalformedError, match=f"384 bytes long, this one is {size}"):
        parse_enclave_report(bytes(size))


def test_what_the_builder_writes_is_read() -> None:
    spec = ReportSpec(
        cpu_svn=b"c" * 16,
        misc_select=b"misc",
        isv_ext_prod_id=b"x" * 16,
        attributes=b"a" * 16,
        mr_enclave=b"e" * 32,
        mr_signer=b"s" * 32,
        config_id=b"i" * 64,
        isv_prod_id=0x1234,
        isv_svn=0x5678,
        config_svn=0x9ABC,
        isv_family_id=b"f" * 16,
        report_data=b"r" * 64,
    )
    report = parse_enclave_report(encode_report(spec))
    for name in FIELDS:
        assert getattr(report, name) == getattr(spec, name)
