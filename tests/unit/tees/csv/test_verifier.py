"""A CSV appraisal as a whole: its forms of evidence, what it accepts, what it says, and what no bytes can do."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.csv.inputs import (
    HYGON,
    OTHER,
    REPORT_DATA,
    SPEC,
    Input,
    evidence,
    flipped,
    hsk_cek,
    with_report,
)
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.simulator.csv_attester import SimulatedCSVAttester
from verdictd.simulator.hygon_platform import mask_words
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.chain import CSVEndorsements
from verdictd.tees.csv.requirements import REQUIREMENTS
from verdictd.tees.csv.roots import HygonRoots, hygon_root
from verdictd.tees.csv.verifier import appraise_csv
from verdictd.tees.dcap.memory import FactMemory

LENIENT = CSVAcceptance(allow_debug=True)
SIGNED = [
    *range(8 * 180),  # the report's fields
    *range(8 * 192, 8 * 336),  # its signature
    *range(8 * 336, 8 * (336 + 1044)),  # the PEK
    *range(8 * 4096, 8 * (4096 + 576)),  # the HSK
    *range(8 * (4096 + 576), 8 * (4096 + 720)),  # its signature
    *range(8 * (4096 + 832), 8 * (4096 + 832 + 1044)),  # the CEK
]


def outcome(result: AppraisalResult, name: str) -> CheckResult:
    return next(check.result for check in result.checks if check.name == name)


@pytest.mark.parametrize("masks_signer", [True, False])
@pytest.mark.parametrize("clears_reserved", [True, False])
def test_all_forms_of_a_report_are_accepted(masks_signer: bool, clears_reserved: bool) -> None:
    result = with_report(masks_signer=masks_signer, clears_reserved=clears_reserved).appraise()
    assert result.allowed
    assert result.claims["report_data"] == REPORT_DATA.hex()
    holds = CheckResult.NOT_MADE if clears_reserved else CheckResult.PASS
    assert outcome(result, "report.hmac") is holds


def test_a_mask_of_zeros_is_a_mask() -> None:
    result = with_report(anonce=bytes(4)).appraise()
    assert result.allowed
    assert result.claims["measure"] == SPEC.measure.hex()


def test_hsk_and_cek_may_come_from_elsewhere() -> None:
    report = evidence()[:4096]
    elsewhere = CSVEndorsements(hsk_cek=hsk_cek(), source="a file")
    accepted = Input(report, endorsements=elsewhere).appraise()
    assert accepted.allowed
    assert accepted.sources == {"hsk_cek": "a file"}
    assert Input().appraise().sources == {"hsk_cek": "evidence"}
    refused = Input(report).appraise()
    assert [check.name for check in refused.refusals] == ["hsk.chain", "cek.chain", "pek.chain", "pek.firmware"]
    assert refused.refusals[0].found == "none at hand"
    assert refused.sources == {}


def test_what_the_evidence_brings_is_used_and_nothing_else() -> None:
    """A peer's chain that does not hold is not mended with another."""
    wrong = evidence()[:4096] + OTHER.hsk_cek + evidence()[-4:]
    present = Input(wrong, endorsements=CSVEndorsements(hsk_cek=hsk_cek(), source="a file"))
    assert present.appraise().refusals[0].name == "hsk.chain"


@pytest.mark.parametrize("chain", [b"", b"\0", hsk_cek()[:832], hsk_cek()[:-1], hsk_cek() + b"\0", bytes(2916)])
def test_endorsements_that_are_none_are_refused(chain: bytes) -> None:
    result = Input(evidence()[:4096], endorsements=CSVEndorsements(hsk_cek=chain)).appraise()
    assert not result.allowed
    assert outcome(result, "report.signature") is CheckResult.PASS


def test_debugging_has_to_be_accepted() -> None:
    guest = with_report(policy=0x04)
    assert not guest.appraise().allowed
    accepted = replace(guest, acceptance=LENIENT).appraise()
    assert accepted.allowed
    assert accepted.claims["debug"] is True
    assert "--allow-debug" in next(check.found for check in accepted.checks if check.name == "guest.debug")
    unneeded = Input(acceptance=LENIENT).appraise()
    assert unneeded.claims["debug"] is False
    assert "--allow-debug" not in next(check.found for check in unneeded.checks if check.name == "guest.debug")


@pytest.mark.parametrize(("minimum", "accepted"), [((1, 3), True), ((0, 255), True), ((1, 4), False), ((2, 0), False)])
def test_firmware_is_compared_by_major_then_minor(minimum: tuple[int, int], accepted: bool) -> None:
    assert Input(acceptance=CSVAcceptance(min_firmware=minimum)).appraise().allowed is accepted


def test_another_mask_shows_other_fields_and_the_result_says_that_nothing_prevents_it() -> None:
    """The signature is over masked fields and does not cover the mask: what is signed by nobody is all that changes."""
    shift = bytes.fromhex("01000000")
    page = bytearray(with_report(policy=0x04, masks_signer=False).evidence)
    page[188:192] = mask_words(bytes(page[188:192]), shift)
    page[180:188] = mask_words(bytes(page[180:188]), shift)  # what the report says of its signature is not signed
    result = Input(bytes(page)).appraise()
    assert result.allowed
    assert result.claims["debug"] is False
    assert result.claims["measure"] == mask_words(SPEC.measure, shift).hex() != SPEC.measure.hex()
    assert outcome(result, "report.anonce") is CheckResult.NOT_MADE
    assert "not signed" in next(check.found for check in result.checks if check.name == "report.anonce")


def test_a_memory_makes_no_difference() -> None:
    memory = FactMemory()
    first, second = Input().appraise(memory), Input().appraise(memory)
    assert first == second == Input().appraise()
    assert len(memory) == 3
    other = Input(evidence()[:4096] + OTHER.hsk_cek + evidence()[-4:]).appraise(memory)
    assert not other.allowed
    assert len(memory) == 3


def test_what_an_attester_makes_is_accepted_and_never_twice_the_same() -> None:
    attester = SimulatedCSVAttester(HYGON)
    first, second = attester.quote(REPORT_DATA), attester.quote(REPORT_DATA)
    assert first[128:192] != second[128:192]
    assert len(first) == 7016
    for made in (first, second):
        result = Input(made).appraise()
        assert result.allowed
        assert result.claims["report_data"] == REPORT_DATA.hex()
    with pytest.raises(ValueError, match="64 bytes"):
        attester.quote(b"short")


def test_the_simulated_vendor_is_not_trusted_where_hygon_is() -> None:
    result = Input(roots=HygonRoots((hygon_root(),))).appraise()
    assert result.refusals[0].name == "hsk.chain"


def test_a_clock_without_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        appraise_csv(
            b"",
            endorsements=CSVEndorsements(),
            roots=HygonRoots((hygon_root(),)),
            acceptance=CSVAcceptance(),
            at=datetime.min,  # noqa: DTZ901 - that is the point
        )


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SIGNED))
def test_any_flipped_bit_of_what_is_signed_is_refused(bit: int) -> None:
    assert not Input(flipped(evidence(), bit), acceptance=LENIENT).appraise().allowed


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=200), *(st.binary(min_size=size, max_size=size) for size in (4096, 7016))))
def test_any_bytes_at_all_give_a_result(data: bytes) -> None:
    result = Input(data, acceptance=LENIENT).appraise()
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert not result.allowed


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 7015), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
def test_damaged_evidence_gives_a_result(damage: list[tuple[int, bytes]]) -> None:
    data = bytearray(evidence())
    for offset, octets in damage:
        data[offset : offset + len(octets)] = octets
    apart = CSVEndorsements(hsk_cek=bytes(data[4096:-4]))
    for damaged in (Input(bytes(data)), Input(bytes(data[:4096]), endorsements=apart)):
        assert [check.name for check in damaged.appraise().checks] == list(REQUIREMENTS)
