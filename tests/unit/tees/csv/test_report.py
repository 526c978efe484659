"""A report is read as it was written, whatever form it is in."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.csv.inputs import HYGON, SPEC, pek
from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.simulator.hygon_platform import CSVReportSpec
from verdictd.tees.csv.report import REPORT_BYTES, parse_report

REPORT = HYGON.report(SPEC, pek=pek())


@settings(deadline=None, max_examples=30)
@given(
    st.builds(
        CSVReportSpec,
        user_data=st.binary(min_size=64, max_size=64),
        measure=st.binary(min_size=32, max_size=32),
        policy=st.integers(0, 2**32 - 1),
        user_key_digest=st.binary(min_size=32, max_size=32),
        vm_id=st.binary(min_size=16, max_size=16),
        vm_version=st.binary(min_size=16, max_size=16),
        mnonce=st.binary(min_size=16, max_size=16),
        signature_usage=st.integers(0, 2**32 - 1),
        signature_algorithm=st.integers(0, 2**32 - 1),
        anonce=st.binary(min_size=4, max_size=4),
        masks_signer=st.booleans(),
        clears_reserved=st.booleans(),
    )
)
def test_what_was_written_is_read(spec: CSVReportSpec) -> None:
    page = HYGON.report(spec, pek=pek())
    report = parse_report(page)
    for name in ("user_data", "measure", "user_key_digest", "vm_id", "vm_version", "mnonce", "anonce"):
        assert getattr(report, name) == getattr(spec, name)
    assert report.policy.value == spec.policy
    assert (report.signature_usage, report.signature_algorithm) == (spec.signature_usage, spec.signature_algorithm)
    assert report.pek == pek()
    assert report.chip_id == HYGON.chip_id.ljust(64, b"\0")
    assert report.signed == page[:180]
    assert any(report.reserved) is (not spec.clears_reserved and spec.anonce != bytes(4))


@pytest.mark.parametrize("size", [0, 2548, REPORT_BYTES - 1, REPORT_BYTES + 1])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"this one is {size}"):
        parse_report(REPORT.ljust(size, b"\0")[:size])


def test_an_extended_report_is_named() -> None:
    extended = bytes(1168) + pek() + bytes(REPORT_BYTES - 1168 - len(pek()))
    with pytest.raises(UnsupportedError, match="extended CSV report") as caught:
        parse_report(extended)
    assert caught.value.remedy


@pytest.mark.parametrize("change", [{"version": 0}, {"version": 3}, {"usage": 0x1003}])
def test_without_a_pek_in_its_place_there_is_no_report(change: dict[str, int]) -> None:
    certificate = bytearray(pek())
    for name, value in change.items():
        certificate[{"version": 0, "usage": 8}[name]] = value & 0xFF
    for masks in (True, False):
        with pytest.raises(MalformedError, match="no PEK at byte 336"):
            parse_report(HYGON.report(replace(SPEC, masks_signer=masks), pek=bytes(certificate)))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=64), st.integers(0, REPORT_BYTES))
def test_any_page_is_a_report_or_an_error_of_ours(pattern: bytes, genuine: int) -> None:
    page = REPORT[:genuine] + (pattern * REPORT_BYTES)[: REPORT_BYTES - genuine]
    try:
        report = parse_report(page)
    except (MalformedError, UnsupportedError):
        return
    assert genuine > 336 or report.pek[8:12] == b"\x02\x10\0\0"
