"""Simulated TD quotes convince an independent verifier, and it finds in them what the simulator was told."""

import dcap_qvl
import pytest

from tests.unit.simulator.oracle import AT, REPORT_DATA, oracle_verdict, root_der
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.trust_domain import TrustDomainSpec
from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote


@pytest.fixture(scope="module")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=AT)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("status", [status for status in LEVEL_STATUSES if status is not TCBStatus.REVOKED])
def test_the_oracle_accepts_it_at_every_status(platform: SimulatedPlatform, version: int, status: TCBStatus) -> None:
    at_status = platform.with_tcb_status(status)
    quote = at_status.td_quote(report_data=REPORT_DATA, quote_version=version)
    assert oracle_verdict(quote, at_status.tdx_collateral(AT), at_status)[0] == status


def test_the_oracle_refuses_what_is_revoked(platform: SimulatedPlatform) -> None:
    revoked = platform.with_revoked("pck")
    with pytest.raises(ValueError, match="CertRevoked"):
        oracle_verdict(revoked.td_quote(report_data=REPORT_DATA), revoked.tdx_collateral(AT), revoked)


def test_the_oracle_finds_what_the_simulator_was_told(platform: SimulatedPlatform) -> None:
    told = {name: bytes([number]) * 48 for number, name in enumerate(("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3"), 1)}
    quote = platform.td_quote(report_data=REPORT_DATA, **told)  # type: ignore[arg-type]
    given = dcap_qvl.QuoteCollateralV3.from_json(encode_collateral_file(platform.tdx_collateral(AT)).decode())
    assert dcap_qvl.verify_with_root_ca(quote, given, root_der(platform), int(AT.timestamp())).status == "UpToDate"
    report = parse_td_quote(quote).report
    assert {name: getattr(report, name) for name in told} == told
    assert report.report_data == REPORT_DATA


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="mr_td must be 48 bytes"):
        TrustDomainSpec(mr_td=b"x")


def test_the_report_data_must_be_whole(platform: SimulatedPlatform) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        platform.td_quote(report_data=b"x")
