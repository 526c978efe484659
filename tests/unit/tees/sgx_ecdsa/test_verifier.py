"""An SGX appraisal as a whole: what it accepts, how it judges levels, and what it says."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.tees.inputs import (
    Input,
    quote_parts,
    tcb_signer,
    with_certificate,
    with_item,
    with_parts,
    with_pck_crl,
    with_qe_identity,
    with_qe_level,
    with_qe_report,
    with_root_ca_crl,
    with_sgx_extension,
    with_tcb_info,
)
from tests.unit.tees.simulated import AT, REPORT_DATA, other, platform, roots_of
from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.simulator.certificate_builder import issue_certificate, simulated_name
from verdictd.simulator.documents import QELevelSpec, TCBLevelSpec
from verdictd.simulator.keys import Credential, generate_key
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, LEVEL_STATUSES, Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.tcb_level import converge
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS, TEE, appraise_sgx

EVERY_STATUS = Acceptance(tcb_statuses=frozenset(TCBStatus))


def check_of(result: AppraisalResult, name: str) -> Check:
    (check,) = [check for check in result.checks if check.name == name]
    return check


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_container_version_is_appraised(version: int) -> None:
    quote = platform().quote(report_data=REPORT_DATA, quote_version=version)
    result = Input(quote=quote).appraise()
    assert result.allowed
    assert (result.tee, result.tcb_status, result.at) == (TEE, "UpToDate", AT)
    assert check_of(result, "quote.format").found == f"version {version}"


def test_tcb_info_of_both_versions_is_appraised() -> None:
    for version in (2, 3):
        assert Input(collateral=platform().collateral(AT, tcb_info_version=version)).appraise().allowed


@pytest.mark.parametrize("padding", [0, 1, 5000])
def test_a_padded_buffer_is_a_quote(padding: int) -> None:
    assert Input(quote=platform().quote(report_data=REPORT_DATA) + bytes(padding)).appraise().allowed


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1000])
def test_auth_data_of_any_size_is_hashed_whole(size: int) -> None:
    assert with_parts(qe_auth_data=b"\x5a" * size).appraise().allowed


def test_pck_chain_in_any_order_and_without_its_root() -> None:
    pki = platform().pki
    pems = (pki.pck.pem, pki.platform_ca.pem, pki.root_ca.pem)
    for order in (*itertools.permutations(pems), *itertools.permutations(pems[:2])):
        for version in (3, 4, 5):
            assert with_parts(version, certification_data=b"".join(order)).appraise().allowed


def test_collateral_of_another_vendor_is_refused_though_both_are_trusted() -> None:
    """All of it is genuine, current, and for the same FMSPC: it vouches for the other vendor's platforms alone."""
    mixed = Input(collateral=other().collateral(AT), roots=roots_of(platform(), other())).appraise()
    failed = {check.name for check in mixed.refusals if check.result is CheckResult.FAIL}
    assert failed == {"root_ca_crl.signature", "pck_crl.signature", "tcb_info.signature", "qe_identity.signature"}
    for sim in (platform(), other()):
        assert Input(sim=sim, roots=roots_of(platform(), other())).appraise().allowed


def test_which_of_the_trusted_roots_comes_first_does_not_matter() -> None:
    for order in itertools.permutations((platform(), other())):
        assert [Input(sim=sim, roots=roots_of(*order)).appraise().allowed for sim in order] == [True, True]


def test_a_crl_of_another_root_says_nothing_about_a_signer() -> None:
    """Where the quote names no platform, each item may be under any trusted root: that of the signer's own counts."""
    own, foreign = platform().collateral(AT), other().collateral(AT)
    both = roots_of(platform(), other())
    for crl, made in ((own.root_ca_crl, CheckResult.PASS), (foreign.root_ca_crl, CheckResult.NOT_MADE)):
        given = replace(with_parts(certification_type=1), collateral=replace(own, root_ca_crl=crl), roots=both)
        result = given.appraise()
        assert check_of(result, "root_ca_crl.signature").result is CheckResult.PASS
        assert check_of(result, "tcb_info.signer_revocation").result is made
        assert check_of(result, "qe_identity.signer_revocation").result is made


def processor_platform() -> SimulatedPlatform:
    """A platform whose PCK certificate the processor CA issued."""
    sim, name = platform(), simulated_name("Simulated SGX PCK Processor CA")
    key = generate_key()
    spec = replace(sim.certificate_spec("platform-ca"), subject=name, public_key=key.public_key(), serial_number=99)
    ca = Credential(issue_certificate(spec, sim.pki.root_ca.key), key)
    moved = replace(sim, pki=sim.pki.with_credential("platform-ca", ca))
    extension = replace(sim.sgx_extension_spec(), platform_instance_id=None, configuration=None)
    return moved.with_certificate("pck", replace(sim.certificate_spec("pck"), issuer=name, sgx_extension=extension))


def test_each_pck_ca_is_asked_for_its_own_certificates() -> None:
    """Both CAs are genuine and of one vendor, and a serial number may occur at both."""
    sim, processor = platform(), processor_platform()
    revoked = processor.with_revoked("pck")
    assert Input(sim=processor).appraise().allowed
    assert check_of(Input(sim=revoked).appraise(), "pck.revocation").result is CheckResult.FAIL
    crls = {"of the platform CA": sim.collateral(AT).pck_crl, "of the processor CA": revoked.collateral(AT).pck_crl}
    for quoted, name in ((processor, "of the platform CA"), (sim, "of the processor CA")):
        given = Input(sim=quoted, collateral=replace(quoted.collateral(AT), pck_crl=crls[name]), roots=roots_of(sim))
        result = given.appraise()
        assert check_of(result, "pck_crl.signature").result is CheckResult.FAIL
        assert check_of(result, "pck.revocation").result is CheckResult.NOT_MADE


def level(components: bytes, pce_svn: int, status: TCBStatus, *advisory_ids: str) -> TCBLevelSpec:
    return TCBLevelSpec(components=components, pce_svn=pce_svn, date=AT, status=status, advisory_ids=advisory_ids)


def test_the_first_level_that_the_platform_reaches_counts() -> None:
    """PCS API, "Get TCB Info": from the first item of the list, the first whose every SVN is at most the platform's."""
    own, pce_svn = platform().sgx_extension_spec().components, platform().sgx_extension_spec().pce_svn
    higher = bytes([own[0] + 1]) + own[1:]
    first, second, third = (
        level(higher, pce_svn, TCBStatus.UP_TO_DATE, "INTEL-SA-1"),
        level(own, pce_svn, TCBStatus.SW_HARDENING_NEEDED, "INTEL-SA-2"),
        level(bytes(16), 0, TCBStatus.OUT_OF_DATE, "INTEL-SA-3"),
    )
    for levels, reached in (
        ((first, second, third), second),
        ((second, third), second),
        ((first, third), third),
        ((first, third, second), third),
        ((third,), third),
    ):
        result = replace(with_tcb_info(levels=levels), acceptance=EVERY_STATUS).appraise()
        assert (result.tcb_status, result.advisory_ids) == (reached.status, reached.advisory_ids)
    assert check_of(with_tcb_info(levels=(first,)).appraise(), "tcb.level").result is CheckResult.FAIL


@pytest.mark.parametrize("number", range(1, 17))
def test_a_component_one_below_makes_the_next_level_count_and_is_named(number: int) -> None:
    own = bytes([9] * 16)
    below = own[: number - 1] + b"\x08" + own[number:]
    sim = with_sgx_extension(components=below).sim
    levels = (level(own, 0, TCBStatus.UP_TO_DATE), level(below, 0, TCBStatus.OUT_OF_DATE))
    result = replace(with_tcb_info(levels=levels), sim=sim).appraise()
    (refusal,) = result.refusals
    assert refusal.name == "tcb.status"
    assert f"component {number} " in refusal.found
    assert "has SVN 8, required 9" in refusal.found
    assert refusal.found.count("component") == 1
    assert "--accept-tcb-status OutOfDate,UpToDate" in refusal.remedy
    raised = replace(with_tcb_info(levels=levels), sim=with_sgx_extension(components=own).sim).appraise()
    assert raised.allowed


def test_the_pcesvn_one_below_makes_the_next_level_count_and_is_named() -> None:
    pce_svn = platform().sgx_extension_spec().pce_svn
    levels = (level(bytes(16), pce_svn + 1, TCBStatus.UP_TO_DATE), level(bytes(16), pce_svn, TCBStatus.OUT_OF_DATE))
    (refusal,) = with_tcb_info(levels=levels).appraise().refusals
    assert refusal.name == "tcb.status"
    assert f"PCESVN is {pce_svn}, required {pce_svn + 1}" in refusal.found


def test_components_count_and_not_the_raw_cpusvn() -> None:
    """The raw value is of no defined order; Intel's quote verification library compares components as well."""
    assert with_sgx_extension(cpu_svn=bytes(16)).appraise().allowed
    behind = with_sgx_extension(components=bytes(16), cpu_svn=b"\xff" * 16).appraise()
    assert behind.tcb_status == "OutOfDate"


@pytest.mark.parametrize("qe_status", LEVEL_STATUSES)
@pytest.mark.parametrize("status", LEVEL_STATUSES)
def test_status_and_its_acceptance(status: TCBStatus, qe_status: TCBStatus) -> None:
    """All pairs: what both make together must be accepted by its name, and by no other's."""
    together = converge(status, qe_status)
    identity = with_qe_level(qe_status).collateral
    assert identity is not None
    sim = platform().with_tcb_status(status)
    given = Input(sim=sim, collateral=replace(sim.collateral(AT), qe_identity=identity.qe_identity))
    for accepted in LEVEL_STATUSES:
        result = replace(given, acceptance=Acceptance(tcb_statuses=frozenset({accepted}))).appraise()
        assert result.allowed is (accepted is together)
        assert result.tcb_status == together
        assert {check.name for check in result.refusals} <= {"tcb.status"}


def test_any_excludes_revoked() -> None:
    assert frozenset(TCBStatus) - {TCBStatus.REVOKED} == ANY_STATUS_BUT_REVOKED
    for status in LEVEL_STATUSES:
        given = Input(
            sim=platform().with_tcb_status(status), acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)
        )
        assert given.appraise().allowed is (status is not TCBStatus.REVOKED)


def test_only_the_first_qe_level_that_is_reached_counts() -> None:
    levels = tuple(QELevelSpec(isv_svn=svn, date=AT, status=status) for svn, status in (
        (12, TCBStatus.UP_TO_DATE), (11, TCBStatus.OUT_OF_DATE), (0, TCBStatus.REVOKED)))  # fmt: skip
    assert replace(with_qe_identity(levels=levels), acceptance=EVERY_STATUS).appraise().tcb_status == "OutOfDate"


def test_masks_hide_what_they_do_not_cover() -> None:
    sim = platform()
    attributes = quote_parts().qe_report.attributes
    odd = with_qe_report(misc_select=b"\x80\0\0\0", attributes=bytes([attributes[0] | 4]) + attributes[1:])
    assert [check.name for check in odd.appraise().refusals] == ["qe.misc_select"]
    spec = replace(sim.qe_identity_spec(), misc_select_mask=b"\x7f\xff\xff\xff")
    collateral = with_item(qe_identity=sim.issue_qe_identity(spec, AT)).collateral
    assert replace(odd, collateral=collateral).appraise().allowed, "the first byte of text is the report's first"


def test_debug_is_accepted_only_where_it_is_allowed() -> None:
    quote = platform().quote(report_data=REPORT_DATA, debug=True)
    allowed = Input(quote=quote, acceptance=Acceptance(allow_debug=True)).appraise()
    assert allowed.allowed
    assert "--allow-debug" in check_of(allowed, "enclave.debug").found
    assert allowed.claims["debug"] is True
    (refusal,) = Input(quote=quote).appraise().refusals
    assert "--allow-debug" in refusal.remedy
    assert Input(acceptance=Acceptance(allow_debug=True)).appraise().claims["debug"] is False


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (lambda: with_certificate("pck", not_after=AT), "pck.validity"),
        (lambda: with_pck_crl(this_update=AT - timedelta(days=40), next_update=AT), "pck_crl.validity"),
        (lambda: with_root_ca_crl(this_update=AT - timedelta(days=40), next_update=AT), "root_ca_crl.validity"),
        (lambda: with_tcb_info(issue_date=AT - timedelta(days=40), next_update=AT), "tcb_info.validity"),
        (lambda: with_qe_identity(issue_date=AT - timedelta(days=40), next_update=AT), "qe_identity.validity"),
    ],
)
def test_what_has_expired_is_accepted_only_where_it_is_allowed(make: Any, check: str) -> None:
    given: Input = make()
    assert [refusal.name for refusal in given.appraise().refusals] == [check]
    lenient = replace(given, acceptance=Acceptance(allow_expired_collateral=True)).appraise()
    assert lenient.allowed
    assert check_of(lenient, check).found == "expired at 2026-06-01T12:00:00Z, accepted by --allow-expired-collateral"
    assert replace(given, at=AT - timedelta(seconds=1)).appraise().allowed, "a second before it was valid"


def test_an_expired_crl_still_revokes_where_it_is_accepted() -> None:
    revoked = platform().with_revoked("pck")
    old = revoked.issue_pck_crl(replace(revoked.pck_crl_spec(), this_update=AT - timedelta(days=60)), AT)
    given = replace(with_item(pck_crl=old), acceptance=Acceptance(allow_expired_collateral=True))
    assert [refusal.name for refusal in given.appraise().refusals] == ["pck.revocation"]


def test_an_expired_root_or_ca_expires_everything_under_it() -> None:
    for role in ("root-ca", "platform-ca"):
        given = with_certificate(role, not_after=AT)
        names = {check.name for check in given.appraise().refusals}
        everything = {f"{item}.validity" for item in ("pck", "root_ca_crl", "pck_crl", "tcb_info", "qe_identity")}
        assert names == (everything if role == "root-ca" else {"pck.validity", "pck_crl.validity"})
        assert replace(given, at=AT - timedelta(seconds=1)).appraise().allowed


def test_the_earliest_expiry_is_that_of_whatever_expires_first() -> None:
    soon = AT + timedelta(hours=1)
    issued = AT - timedelta(days=1)
    signer = tcb_signer(not_after=soon)
    for given in (
        with_certificate("pck", not_after=soon),
        with_certificate("platform-ca", not_after=soon),
        with_certificate("root-ca", not_after=soon),
        with_pck_crl(this_update=issued, next_update=soon),
        with_root_ca_crl(this_update=issued, next_update=soon),
        with_tcb_info(issue_date=issued, next_update=soon),
        with_qe_identity(issue_date=issued, next_update=soon),
        with_item(tcb_info=platform().issue_tcb_info(platform().tcb_info_spec(), AT, signer=signer)),
    ):
        result = given.appraise()
        assert result.allowed
        assert result.earliest_expiry == soon
    assert Input().appraise().earliest_expiry == AT - timedelta(minutes=10) + timedelta(days=30)


def test_the_age_limit_includes_its_last_second() -> None:
    given = with_tcb_info(issue_date=AT - timedelta(days=19))
    assert replace(given, acceptance=Acceptance(max_collateral_age=timedelta(days=19))).appraise().allowed


def test_the_required_evaluation_data_number_is_enough() -> None:
    result = Input(acceptance=Acceptance(min_evaluation_data_number=17)).appraise()
    assert result.allowed
    assert result.evaluation_data_number == 17
    assert not Input(acceptance=Acceptance(min_evaluation_data_number=18)).appraise().allowed


def test_denied_advisories_that_do_not_apply_deny_nothing() -> None:
    assert Input(acceptance=Acceptance(denied_advisories=frozenset({"INTEL-SA-00001"}))).appraise().allowed
    assert Input(collateral=platform().collateral(AT, tcb_info_version=2)).appraise().allowed


def test_kss_fields_are_claims() -> None:
    fields: dict[str, Any] = {
        "config_id": bytes(range(64)),
        "config_svn": 0x1234,
        "isv_ext_prod_id": bytes(range(16)),
        "isv_family_id": bytes(range(16, 32)),
    }
    quote = platform().quote(report_data=REPORT_DATA, isv_prod_id=0x2345, isv_svn=0x3456, **fields)
    result = Input(quote=quote).appraise()
    assert result.allowed
    for name, value in fields.items():
        assert result.claims[name] == (value.hex() if isinstance(value, bytes) else value)
    assert (result.claims["isv_prod_id"], result.claims["isv_svn"]) == (0x2345, 0x3456)
    assert result.claims["report_data"] == REPORT_DATA.hex()


def test_sources_are_those_of_the_items_that_are_there() -> None:
    result = with_item(pck_crl=None).appraise()
    assert dict(result.sources) == dict.fromkeys(("tcb_info", "qe_identity", "root_ca_crl"), "tee-sim")


def test_nothing_but_a_quote_is_never_enough() -> None:
    result = Input(collateral=Collateral(), acceptance=replace(EVERY_STATUS, allow_expired_collateral=True)).appraise()
    failed = {check.name for check in result.refusals if check.result is CheckResult.FAIL}
    assert failed == {f"{item}.signature" for item in ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl")}
    assert result.tcb_status is None
    assert result.advisory_ids == ()


def test_without_pck_chain_nothing_is_said_to_be_missing() -> None:
    """Nobody looked for collateral: which platform's would it be?"""
    result = replace(with_parts(certification_type=1), collateral=Collateral()).appraise()
    failed = [check.name for check in result.refusals if check.result is CheckResult.FAIL]
    assert failed == ["quote.certification_data"]


def test_the_instant_is_aware_and_may_be_in_any_zone() -> None:
    with pytest.raises(ValueError, match="aware"):
        replace(Input(), at=datetime(2026, 6, 1)).appraise()  # noqa: DTZ001 - that is the mistake
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert [check.result for check in replace(Input(), at=elsewhere).appraise().checks] == ["pass"] * len(REQUIREMENTS)


def test_long_before_and_long_after_nothing_is_valid() -> None:
    for at in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)):
        names = {check.name for check in replace(Input(), at=at).appraise().refusals}
        assert names == {f"{item}.validity" for item in ("pck", "root_ca_crl", "pck_crl", "tcb_info", "qe_identity")}


def test_one_expired_pck_does_not_expire_anything_for_another() -> None:
    memory = FactMemory()
    assert not with_certificate("pck", not_after=AT).appraise(memory).allowed
    assert Input().appraise(memory).allowed


def test_time_and_revocation_are_judged_anew_whatever_is_remembered() -> None:
    memory = FactMemory()
    quote, collateral = platform().quote(report_data=REPORT_DATA), platform().collateral(AT)

    def appraise(items: Collateral, at: datetime) -> bool:
        return appraise_sgx(
            quote, collateral=items, roots=roots_of(platform()), acceptance=Acceptance(), at=at, memory=memory
        ).allowed

    assert appraise(collateral, AT)
    assert not appraise(collateral, AT + timedelta(days=31))
    assert not appraise(replace(collateral, pck_crl=platform().with_revoked("pck").collateral(AT).pck_crl), AT)
    assert not appraise(platform().with_tcb_status(TCBStatus.OUT_OF_DATE).collateral(AT), AT)
    assert appraise(collateral, AT)
