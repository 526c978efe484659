import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dcap_qvl
import pytest

from tests.unit.simulator.oracle import AT, REPORT_DATA, appraise, oracle_verdict
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_qe_identity, verify_root_ca_crl, verify_tcb_info
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root, parse_trust_roots

ADVISORIES = {
    TCBStatus.UP_TO_DATE: [],
    TCBStatus.SW_HARDENING_NEEDED: ["INTEL-SA-00334", "INTEL-SA-00615"],
    TCBStatus.CONFIGURATION_NEEDED: ["INTEL-SA-00219", "INTEL-SA-00289"],
    TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: [
        "INTEL-SA-00219",
        "INTEL-SA-00289",
        "INTEL-SA-00334",
        "INTEL-SA-00615",
    ],
    TCBStatus.OUT_OF_DATE: ["INTEL-SA-00828"],
    TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: ["INTEL-SA-00219", "INTEL-SA-00289", "INTEL-SA-00828"],
}


def _roots(platform: SimulatedPlatform) -> TrustRoots:
    return TrustRoots(parse_trust_roots(platform.trust_root_pem, "simulated root"))


@pytest.mark.parametrize("status", sorted(ADVISORIES))
def test_oracle_finds_the_status_that_was_set(platform: SimulatedPlatform, status: TCBStatus) -> None:
    changed = platform.with_tcb_status(status)
    quote = changed.quote(report_data=REPORT_DATA)
    assert oracle_verdict(quote, changed.collateral(AT), changed) == (status, ADVISORIES[status])


def test_oracle_refuses_a_revoked_status(platform: SimulatedPlatform) -> None:
    changed = platform.with_tcb_status(TCBStatus.REVOKED)
    with pytest.raises(ValueError, match="Revoked"):
        oracle_verdict(changed.quote(report_data=REPORT_DATA), changed.collateral(AT), changed)


@pytest.mark.parametrize("version", [4, 5])
def test_oracle_knows_sgx_quotes_of_version_3_only(platform: SimulatedPlatform, version: int) -> None:
    """Why the later containers are judged by our own appraisal below and by nobody else."""
    with pytest.raises(ValueError, match="must have version 3"):
        oracle_verdict(
            platform.quote(report_data=REPORT_DATA, quote_version=version), platform.collateral(AT), platform
        )


@pytest.mark.parametrize("tcb_info_version", [2, 3])
@pytest.mark.parametrize("quote_version", [3, 4, 5])
@pytest.mark.parametrize("status", list(LEVEL_STATUSES))
def test_appraisal_finds_the_status_that_was_set(
    platform: SimulatedPlatform, status: TCBStatus, quote_version: int, tcb_info_version: int
) -> None:
    changed = platform.with_tcb_status(status)
    collateral = changed.collateral(AT, tcb_info_version=tcb_info_version)
    result = appraise(changed.quote(report_data=REPORT_DATA, quote_version=quote_version), collateral, changed)
    assert result.refusals == ()
    assert result.tcb_status == status


@pytest.mark.parametrize(
    "status", [status for status in LEVEL_STATUSES if "OutOfDate" in status or status is TCBStatus.REVOKED]
)
def test_platform_that_is_behind_misses_a_newer_level_that_comes_first(
    platform: SimulatedPlatform, status: TCBStatus
) -> None:
    newest, *rest = platform.with_tcb_status(status).tcb_info_spec().levels
    own = next(level for level in rest if level.components == platform.hardware.components)
    assert newest.components[0] > platform.hardware.components[0]
    assert newest.status == TCBStatus.UP_TO_DATE
    assert own.status == status
    assert own.date < newest.date < AT
    assert own.advisory_ids


@pytest.mark.parametrize("status", list(LEVEL_STATUSES))
def test_levels_stand_in_the_order_in_which_they_are_tried(platform: SimulatedPlatform, status: TCBStatus) -> None:
    """No level is reached by all who reach the one before it: each is there for somebody."""
    levels = platform.with_tcb_status(status).tcb_info_spec().levels
    for newer, older in pairwise(levels):
        assert any(less < more for less, more in zip(older.components, newer.components, strict=True))
        assert older.date <= newer.date


def test_genuine_root_does_not_vouch_for_a_simulated_platform(platform: SimulatedPlatform) -> None:
    given = dcap_qvl.QuoteCollateralV3.from_json(encode_collateral_file(platform.collateral(AT)).decode())
    with pytest.raises(ValueError, match=r"InvalidCrlSignature|UnknownIssuer"):
        dcap_qvl.verify(platform.quote(report_data=REPORT_DATA), given, int(AT.timestamp()))


def test_simulated_root_is_not_intels(platform: SimulatedPlatform) -> None:
    (root,) = _roots(platform).roots
    assert not root.is_intel
    assert root.named.subject != intel_trust_root().named.subject


def test_newer_collateral_is_told_from_older(platform: SimulatedPlatform) -> None:
    roots, at = _roots(platform), AT
    before = platform.collateral(at)
    changed = platform.with_tcb_status(TCBStatus.OUT_OF_DATE).with_revoked("pck").with_revoked("platform-ca")
    after = changed.collateral(at)  # for the same instant: it is the numbers that tell
    assert before.tcb_info and after.tcb_info and before.qe_identity and after.qe_identity  # noqa: PT018 - for mypy
    assert before.pck_crl and after.pck_crl and before.root_ca_crl and after.root_ca_crl  # noqa: PT018 - for mypy
    assert verify_tcb_info(after.tcb_info, roots).sequence > verify_tcb_info(before.tcb_info, roots).sequence
    assert (
        verify_qe_identity(after.qe_identity, roots).sequence > verify_qe_identity(before.qe_identity, roots).sequence
    )
    assert verify_pck_crl(after.pck_crl, roots).sequence > verify_pck_crl(before.pck_crl, roots).sequence
    assert (
        verify_root_ca_crl(after.root_ca_crl, roots).sequence > verify_root_ca_crl(before.root_ca_crl, roots).sequence
    )


def test_status_can_be_set_back_and_is_newer_still(platform: SimulatedPlatform) -> None:
    there = platform.with_tcb_status(TCBStatus.OUT_OF_DATE)
    back = there.with_tcb_status(TCBStatus.UP_TO_DATE)
    assert back.evaluation_data_number > there.evaluation_data_number > platform.evaluation_data_number
    assert appraise(back.quote(report_data=REPORT_DATA), back.collateral(AT), back).tcb_status == TCBStatus.UP_TO_DATE


@pytest.mark.parametrize(("target", "check"), [("pck", "pck.revocation"), ("platform-ca", "pck.ca_revocation")])
def test_revocation_is_the_one_thing_that_refuses(platform: SimulatedPlatform, target: str, check: str) -> None:
    since = AT - timedelta(hours=2)
    revoked = platform.with_revoked("pck" if target == "pck" else "platform-ca", since=since)
    quote = revoked.quote(report_data=REPORT_DATA)
    assert [refusal.name for refusal in appraise(quote, revoked.collateral(AT), revoked).refusals] == [check]
    with pytest.raises(ValueError, match=r"(?i)revoked"):
        oracle_verdict(quote, revoked.collateral(AT), revoked)
    assert appraise(quote, platform.collateral(AT), platform).allowed


def test_unknown_revocation_target_is_refused(platform: SimulatedPlatform) -> None:
    with pytest.raises(ValueError, match="tcb-signing"):
        platform.with_revoked("tcb-signing")  # type: ignore[arg-type]


def test_every_field_of_the_enclave_is_quoted(platform: SimulatedPlatform) -> None:
    enclave = EnclaveSpec(
        mr_enclave=b"\x01" * 32,
        mr_signer=b"\x02" * 32,
        isv_prod_id=0x1234,
        isv_svn=0xFEDC,
        debug=True,
        config_id=b"\x03" * 64,
        config_svn=0xABCD,
        isv_ext_prod_id=b"\x04" * 16,
        isv_family_id=b"\x05" * 16,
    )
    report = parse_quote(SimulatedAttester(platform, enclave, 5).quote(REPORT_DATA)).report
    assert (report.mr_enclave, report.mr_signer) == (b"\x01" * 32, b"\x02" * 32)
    assert (report.isv_prod_id, report.isv_svn, report.config_svn) == (0x1234, 0xFEDC, 0xABCD)
    assert (report.config_id, report.isv_ext_prod_id, report.isv_family_id) == (b"\3" * 64, b"\4" * 16, b"\5" * 16)
    assert report.is_debug
    assert report.attributes.hex() == "8700000000000000e700000000000000"
    assert report.report_data == REPORT_DATA


def test_attester_quotes_what_the_platform_quotes(platform: SimulatedPlatform) -> None:
    quote = parse_quote(SimulatedAttester(platform).quote(REPORT_DATA))
    direct = parse_quote(platform.quote(report_data=REPORT_DATA))
    assert quote.signed == direct.signed
    assert quote.report.attributes.hex() == "0500000000000000e700000000000000"


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_of_another_size_is_refused(platform: SimulatedPlatform, size: int) -> None:
    with pytest.raises(ValueError, match="report_data must be 64 bytes"):
        platform.quote(report_data=bytes(size))


@pytest.mark.parametrize(
    "fields",
    [
        {"mr_enclave": bytes(31)},
        {"mr_signer": bytes(33)},
        {"config_id": bytes(63)},
        {"isv_ext_prod_id": bytes(17)},
        {"isv_family_id": b""},
        {"isv_prod_id": 65536},
        {"isv_svn": -1},
        {"config_svn": 65536},
        {"quote_version": 2},
    ],
)
def test_what_no_cpu_would_report_is_refused(platform: SimulatedPlatform, fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields)).replace("_", ".")):
        platform.quote(report_data=REPORT_DATA, **fields)  # type: ignore[arg-type]


def test_naive_time_is_refused(platform: SimulatedPlatform) -> None:
    with pytest.raises(ValueError, match="aware"):
        SimulatedPlatform.create(at=AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="aware"):
        platform.collateral(AT.replace(tzinfo=None))


def test_two_platforms_share_nothing_but_their_model(platform: SimulatedPlatform) -> None:
    other = SimulatedPlatform.create(at=AT)
    assert other.hardware.fmspc == platform.hardware.fmspc
    assert not {other.hardware.ppid, other.hardware.qe_id, other.hardware.platform_instance_id} & {
        platform.hardware.ppid,
        platform.hardware.qe_id,
        platform.hardware.platform_instance_id,
    }
    assert other.trust_root_pem != platform.trust_root_pem
    result = appraise(other.quote(report_data=REPORT_DATA), other.collateral(AT), platform)
    assert "pck.chain" in {refusal.name for refusal in result.refusals}


def test_platform_made_on_a_leap_day_lasts_seven_years() -> None:
    leap = datetime(2028, 2, 29, 23, 30, tzinfo=UTC)
    platform = SimulatedPlatform.create(at=leap)
    quote = platform.quote(report_data=REPORT_DATA)
    assert oracle_verdict(quote, platform.collateral(leap), platform, leap)[0] == "UpToDate"
    assert platform.pki.pck.certificate.not_valid_after_utc == datetime(2035, 2, 28, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize("index", [0, 1, 6])
def test_hardware_without_room_for_a_newer_level_is_refused(index: int) -> None:
    components = bytearray(16)
    components[index] = 255
    with pytest.raises(ValueError, match="below 255"):
        Hardware(components=bytes(components))


def test_hardware_of_ones_own_is_used_throughout() -> None:
    machine = Hardware(fmspc=bytes.fromhex("00906ed50000"), components=bytes([21, 21, 2, 4, 1, 128, 14]) + bytes(9))
    platform = SimulatedPlatform.create(at=AT, hardware=machine)
    assert oracle_verdict(platform.quote(report_data=REPORT_DATA), platform.collateral(AT), platform) == (
        "UpToDate",
        [],
    )


def test_making_a_platform_is_cheap() -> None:
    began = time.perf_counter()
    for _ in range(10):
        SimulatedPlatform.create(at=AT)
    assert time.perf_counter() - began < 1  # it takes 10 ms
