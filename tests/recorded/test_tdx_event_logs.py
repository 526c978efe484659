"""Recorded event logs replay to the registers of the quotes that were recorded with them."""

import json

import pytest

from tests.recorded.cases import Case, tdx_cases
from tests.vectors import needs_vectors, vector
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root
from verdictd.tees.tdx_ecdsa.event_log import parse_event_log
from verdictd.tees.tdx_ecdsa.replay import EVENT_LOG_REQUIREMENTS, replay
from verdictd.tees.tdx_ecdsa.verifier import appraise_tdx

pytestmark = [needs_vectors, pytest.mark.vectors]
INTEL = TrustRoots((intel_trust_root(),))
ANY_STATUS = Acceptance(tcb_statuses=frozenset(TCBStatus))
GOOGLE = "tdx/google-go-tdx-guest/testing/ccel/ccel_data.dat"
TRUSTEE = "tdx/coco-trustee/verifier/CCEL_data_ovmf"
DSTACK = "tdx/dstack/dstack/cc-eventlog/samples/ccel.bin"
OF_THE_LOG = "00b2526ab190710e"
SAME_FIRMWARE = "32f070134b061bdf"


def cases_of(quote: str) -> list[Case]:
    return [case for case in tdx_cases() if quote in case.quote_path]


def appraise(case: Case, log: str) -> AppraisalResult:
    return appraise_tdx(
        case.quote,
        collateral=case.collateral,
        roots=INTEL,
        acceptance=ANY_STATUS,
        at=case.at,
        event_log=vector(log),
    )


@pytest.mark.parametrize("case", cases_of(OF_THE_LOG), ids=lambda case: case.name)
def test_the_log_of_a_quote_gives_its_registers(case: Case) -> None:
    result = appraise(case, GOOGLE)
    found = {check.name: check.result for check in result.checks}
    assert {found[name] for name in EVENT_LOG_REQUIREMENTS} == {CheckResult.PASS}
    assert result.allowed is (case.oracle_status is not None)


def test_what_it_started_is_named() -> None:
    claims = appraise(cases_of(OF_THE_LOG)[0], GOOGLE).claims["event_log"]
    assert isinstance(claims, dict)
    assert claims["secure_boot"] is False
    text = json.dumps(claims)
    assert '"path": "\\\\EFI\\\\BOOT\\\\grub-lakitu.efi"' in text
    assert '"text": "/syslinux/vmlinuz.A init=/usr/lib/systemd/systemd rootwait' in text
    assert [len(list(claims[name])) for name in ("variables", "kernel", "command_line")] == [5, 1, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize("log", [TRUSTEE, DSTACK])
def test_the_log_of_another_td_is_refused(log: str) -> None:
    refusals = [check.name for check in appraise(cases_of(OF_THE_LOG)[0], log).refusals]
    assert refusals[:2] == ["event_log.rtmr0", "event_log.rtmr1"]


def test_a_log_of_the_same_firmware_with_another_kernel_is_refused() -> None:
    """Neither TD measured anything into RTMR2."""
    for case in cases_of(SAME_FIRMWARE):
        found = {check.name: check.result for check in appraise(case, DSTACK).checks}
        assert found["event_log.rtmr0"] is found["event_log.rtmr2"] is CheckResult.PASS
        assert found["event_log.rtmr1"] is CheckResult.FAIL


@pytest.mark.parametrize(("log", "events"), [(GOOGLE, 43), (TRUSTEE, 20), (DSTACK, 18)])
def test_recorded_logs_are_read_to_their_end(log: str, events: int) -> None:
    read = parse_event_log(vector(log))
    assert len(read) == events
    assert replay(read)[3] == bytes(48)


def test_each_flipped_digest_of_a_recorded_log_is_refused() -> None:
    case, data, offset = cases_of(OF_THE_LOG)[0], vector(GOOGLE), 0
    for event in parse_event_log(data):
        assert event.digest is not None
        offset = data.index(event.digest, offset + 1)
        damaged = data[:offset] + bytes([event.digest[0] ^ 1]) + data[offset + 1 :]
        result = appraise_tdx(
            case.quote, collateral=case.collateral, roots=INTEL, acceptance=ANY_STATUS, at=case.at, event_log=damaged
        )
        assert [check.name for check in result.refusals] == [f"event_log.rtmr{event.register - 1}"]
