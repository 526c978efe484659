"""A local report is refused where nobody can check its MAC, and by each single check."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.checks import CheckResult
from verdictd.core.errors import ConfigError, MalformedError
from verdictd.core.result import AppraisalResult
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.local_reports import SimulatedSGXMachine
from verdictd.tees.sgx_la.acceptance import SGXLocalAcceptance
from verdictd.tees.sgx_la.verifier import (
    REPORT_BYTES,
    REQUIREMENTS,
    LocalReportChecker,
    appraise_sgx_la,
    parse_local_report,
)

AT = datetime(2026, 6, 1, tzinfo=UTC)
MACHINE = SimulatedSGXMachine()
REPORT_DATA = bytes(range(64))
REPORT = MACHINE.report(EnclaveSpec(), REPORT_DATA)


class Careless:
    """Answers what is true enough for Python, and no more."""

    def check(self, report: bytes) -> bool:
        return bytes(report)  # type: ignore[return-value] # that is the point


class Broken:
    def check(self, report: bytes) -> bool:
        raise ConfigError(f"cannot look at {len(report)} bytes now", remedy="try again")


def appraise(
    report: bytes = REPORT, checker: LocalReportChecker | None = MACHINE, *, allow_debug: bool = False
) -> AppraisalResult:
    acceptance = SGXLocalAcceptance(allow_debug=allow_debug)
    return appraise_sgx_la(report, checker=checker, acceptance=acceptance, at=AT)


def refusals(result: AppraisalResult) -> list[str]:
    return [check.name for check in result.refusals]


def test_a_report_of_this_machine_is_accepted_where_the_machine_says_so() -> None:
    result = appraise()
    assert result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    (unmade,) = [check for check in result.checks if check.result is not CheckResult.PASS]
    assert unmade.name == "tcb.status"
    assert result.claims["report_data"] == REPORT_DATA.hex()


def test_without_a_checker_every_report_is_refused_with_the_reason() -> None:
    (refusal,) = appraise(checker=None).refusals
    assert refusal.name == "report.mac"
    assert "only the machine that made a local report can check it" in refusal.found
    assert "sgx_ecdsa" in refusal.remedy


@pytest.mark.parametrize(
    ("checker", "found"),
    [
        (SimulatedSGXMachine(), "not of this machine"),
        (Careless(), "not of this machine"),
        (Broken(), "cannot look at 432 bytes now"),
    ],
)
def test_what_the_checker_does_not_find_genuine_is_refused(checker: LocalReportChecker, found: str) -> None:
    result = appraise(checker=checker)
    assert refusals(result) == ["report.mac"]
    assert found in result.refusals[0].found


def test_debugging_has_to_be_accepted() -> None:
    report = MACHINE.report(EnclaveSpec(debug=True), REPORT_DATA)
    assert refusals(appraise(report)) == ["enclave.debug"]
    assert appraise(report, allow_debug=True).allowed
    assert appraise(allow_debug=True).checks[-1].found == "not a debug enclave"


@pytest.mark.parametrize("byte", [0, 48, 64, 320, 383, 416, 431])
def test_an_altered_report_is_refused(byte: int) -> None:
    altered = bytearray(REPORT)
    altered[byte] ^= 1
    assert "report.mac" in refusals(appraise(bytes(altered)))


@given(st.binary(max_size=500).filter(lambda data: len(data) != REPORT_BYTES))
def test_other_lengths_are_refused(data: bytes) -> None:
    result = appraise(data)
    assert refusals(result) == list(REQUIREMENTS)
    assert not result.claims
    with pytest.raises(MalformedError, match="432 bytes long"):
        parse_local_report(data)


@given(st.binary(min_size=REPORT_BYTES, max_size=REPORT_BYTES))
def test_any_bytes_give_a_result(data: bytes) -> None:
    assert "report.mac" in refusals(appraise(data, allow_debug=True))


def test_a_clock_without_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        appraise_sgx_la(b"", checker=None, acceptance=SGXLocalAcceptance(), at=AT.replace(tzinfo=None))


def test_the_key_id_is_read() -> None:
    assert parse_local_report(REPORT).key_id == REPORT[384:416]
    with pytest.raises(ValueError, match="64 bytes"):
        MACHINE.report(EnclaveSpec(), b"")
    assert replace(MACHINE, report_key=MACHINE.report_key).check(REPORT)
