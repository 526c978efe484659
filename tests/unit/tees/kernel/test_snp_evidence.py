"""Putting a report and a host's certificate table together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.kernel.inputs import REPORT_DATA, TABLE, certificate_table, snp_report
from verdictd.core.errors import MalformedError
from verdictd.tees.kernel.snp_evidence import join_evidence, read_report_data


def test_report_and_table_follow_one_another() -> None:
    assert join_evidence(snp_report(), TABLE) == snp_report() + TABLE


@pytest.mark.parametrize("nothing", [b"", bytes(1), bytes(23), bytes(24), bytes(16384)])
def test_a_host_without_certificates_leaves_the_report_bare(nothing: bytes) -> None:
    assert join_evidence(snp_report(), nothing) == snp_report()


@pytest.mark.parametrize("padding", [0, 1, 4096])
def test_what_follows_a_table_is_cut_off(padding: int) -> None:
    assert join_evidence(snp_report(), TABLE + b"\xee" * padding) == snp_report() + TABLE


@pytest.mark.parametrize("padding", [0, 1, 100])
@pytest.mark.parametrize("table", [certificate_table(b"", b""), b"\1" * 16 + bytes(32)])
def test_a_table_whose_entries_are_empty_keeps_the_entry_that_ends_it(table: bytes, padding: int) -> None:
    assert join_evidence(snp_report(), table + bytes(padding)) == snp_report() + table


@pytest.mark.parametrize("size", [0, 1, 1183, 1185, 4000])
def test_a_report_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"1184 bytes long, this one is {size}"):
        join_evidence(bytes(size), TABLE)


def test_a_table_that_points_outside_is_refused() -> None:
    with pytest.raises(MalformedError, match=f"points to byte {len(TABLE)} of {len(TABLE) - 1}"):
        join_evidence(snp_report(), TABLE[:-1])


@pytest.mark.parametrize("table", [b"\1", bytes(23) + b"\1", TABLE[:48], b"\1" + bytes(23), TABLE[:24] * 3])
def test_a_table_without_an_end_is_refused(table: bytes) -> None:
    with pytest.raises(MalformedError, match="certificate table"):
        join_evidence(snp_report(), table)


@given(st.binary(max_size=400))
def test_any_bytes_for_a_table_are_kept_in_front_or_refused(table: bytes) -> None:
    try:
        evidence = join_evidence(snp_report(), table)
    except MalformedError:
        return
    kept = evidence[1184:]
    assert table.startswith(kept)
    assert join_evidence(snp_report(), kept) == evidence


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
def test_every_certificate_is_kept(certificates: list[bytes]) -> None:
    table = certificate_table(*certificates)
    evidence = join_evidence(snp_report(), table.ljust(16384, b"\0"))
    assert evidence == snp_report() + (table if certificates else b"")


@pytest.mark.parametrize("rest", [b"", TABLE])
def test_report_data_are_read_from_their_place(rest: bytes) -> None:
    assert read_report_data(snp_report() + rest) == REPORT_DATA


def test_report_data_of_too_few_bytes_are_not_read() -> None:
    with pytest.raises(MalformedError, match="1184"):
        read_report_data(snp_report()[:-1])
