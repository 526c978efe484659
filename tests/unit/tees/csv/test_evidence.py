"""Evidence is a report, alone or with HSK and CEK; and for which chip to ask where it is alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.csv.inputs import HYGON, SPEC, evidence, hsk_cek, pek
from verdictd.core.errors import MalformedError
from verdictd.tees.csv.evidence import EVIDENCE_BYTES, HSK_CEK_BYTES, format_chip_id, parse_csv_evidence, read_chip_id


def test_sizes_are_those_of_the_peers() -> None:
    assert (EVIDENCE_BYTES, HSK_CEK_BYTES) == (7016, 2916)


def test_both_forms() -> None:
    whole, alone = parse_csv_evidence(evidence()), parse_csv_evidence(evidence()[:4096])
    assert whole.report == alone.report
    assert (whole.hsk_cek, alone.hsk_cek) == (hsk_cek(), None)


@given(st.integers(0, 8000).filter(lambda size: size not in {4096, 7016}))
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"this is {size}"):
        parse_csv_evidence(evidence().ljust(size, b"\0")[:size])


def test_nobody_is_asked_where_the_evidence_brings_its_chain() -> None:
    assert read_chip_id(evidence()) is None
    assert read_chip_id(evidence()[:4096]) == "SIM00000000001"


@pytest.mark.parametrize("chip_id", [b"", b"A B", b"../x", b"A?snumber=B", b"A\0B", "Ä".encode(), b"A\n"])
def test_a_chip_id_that_is_none_is_not_asked_for(chip_id: bytes) -> None:
    page = replace(HYGON, chip_id=chip_id).report(SPEC, pek=pek())
    with pytest.raises(MalformedError, match="not letters and digits"):
        read_chip_id(page)


def test_a_chip_id_may_fill_its_room() -> None:
    assert format_chip_id(b"A" * 64) == "A" * 64
