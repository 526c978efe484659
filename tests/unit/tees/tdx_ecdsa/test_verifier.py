"""A TDX appraisal: what it accepts, each check of its own proven alone, and Intel's table of statuses."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.simulated import AT, REPORT_DATA, flipped, other, platform, quote, roots_of
from tests.unit.tees.tdx_ecdsa.inputs import (
    Input,
    module,
    quote_parts,
    svn,
    tcb_info_spec,
    td_report,
    with_parts,
    with_qe_identity,
    with_qe_report,
    with_report,
    with_tcb_info,
)
from verdictd.core.checks import CheckResult
from verdictd.simulator.documents import QELevelSpec, TCBLevelSpec
from verdictd.simulator.keys import generate_key
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.tdx_ecdsa.claims import build_policy_input, build_reference_fields
from verdictd.tees.tdx_ecdsa.replay import EVENT_LOG_REQUIREMENTS
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote
from verdictd.tees.tdx_ecdsa.verifier import REQUIREMENTS, TEE, appraise_tdx

RELAUNCH_AND_CONFIGURE = "TDRelaunchAdvisedConfigurationNeeded"
EVERY_STATUS = Acceptance(tcb_statuses=frozenset(TCBStatus))
ALL_BUT_FORMAT = frozenset(REQUIREMENTS) - {"quote.format"}  # that of the event log as well, as none is given
NEEDS_LEVELS = frozenset({"tcb.status", "tcb.advisories"})
NEEDS_TCB_INFO = NEEDS_LEVELS | {
    "tcb.level",
    "tcb.evaluation_data_number",
    "tdx_module.mr_signer",
    "tdx_module.attributes",
}
NEEDS_QE_IDENTITY = NEEDS_LEVELS | {
    "tcb.evaluation_data_number",
    "qe.misc_select",
    "qe.attributes",
    "qe.mr_signer",
    "qe.isv_prod_id",
    "qe.tcb_level",
}
MODULE = frozenset({"tdx_module.mr_signer", "tdx_module.attributes"})


@pytest.mark.parametrize("version", [4, 5])
def test_everything_in_order_is_accepted(version: int) -> None:
    result = with_parts(version).appraise()
    assert result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    not_made = [check for check in result.checks if check.result is not CheckResult.PASS]
    assert [(check.name, check.mandatory) for check in not_made] == [(name, False) for name in EVENT_LOG_REQUIREMENTS]
    assert (result.tee, result.tcb_status) == (TEE, "UpToDate")
    assert result.claims["report_data"] == REPORT_DATA.hex()


def test_version_5_carries_td_1_0_bodies_too() -> None:
    assert with_parts(5, report=td_report(4), body_type=2).appraise().allowed


class Case(NamedTuple):
    """An input, the one check that fails, and the checks that then cannot be made."""

    name: str
    how: str
    make: Callable[[], Input]
    not_made: frozenset[str] = frozenset()


def levels_with(**changes: object) -> tuple[TCBLevelSpec, ...]:
    newest = tcb_info_spec().levels[0]
    return (replace(newest, **changes),)  # type: ignore[arg-type]


def with_levels(**changes: object) -> Input:
    return with_tcb_info(levels=levels_with(**changes))


def td_quote() -> bytes:
    return platform().td_quote(report_data=REPORT_DATA)


def denied(advisory_id: str) -> Input:
    base = with_tcb_info(
        levels=levels_with(advisory_ids=("INTEL-SA-1",)), tdx_module_identities=(module(3, (3, "UpToDate")),)
    )
    return replace(base, acceptance=Acceptance(denied_advisories=frozenset({advisory_id})))


def one_short(number: int) -> Input:
    required = bytearray(td_report().tee_tcb_svn)
    required[number] += 1
    return with_levels(tdx_components=bytes(required))


def version_0(components: bytes) -> Input:
    """A TD whose module is of version 0: components 0 and 1 count with the level, and no identity is looked at."""
    return with_tcb_info(with_report(tee_tcb_svn=svn(4, 0)), levels=levels_with(tdx_components=components))


CASES = [
    Case("quote.format", "cut off", lambda: Input(quote=td_quote()[:-1]), ALL_BUT_FORMAT),
    Case("quote.format", "an SGX quote", lambda: Input(quote=quote()), ALL_BUT_FORMAT),
    Case("quote.format", "an SGX body", lambda: with_parts(5, body_type=1), ALL_BUT_FORMAT),
    Case("quote.format", "a body of the other size", lambda: with_parts(5, body_type=2), ALL_BUT_FORMAT),
    Case("quote.format", "version 3", lambda: Input(quote=b"\x03" + td_quote()[1:]), ALL_BUT_FORMAT),
    Case("quote.signature", "of other bytes", lambda: Input(quote=flipped(td_quote(), 8 * 200))),
    Case("qe.report_signature", "another's", lambda: Input(
        quote=platform().sign(quote_parts(), pck_key=generate_key()))),
    Case("qe.report_data", "of another key", lambda: with_qe_report(report_data=bytes(64))),
    Case("qe.mr_signer", "SGX's quoting enclave", lambda: with_qe_report(mr_signer=bytes(32))),
    Case("qe.isv_prod_id", "another", lambda: with_qe_report(isv_prod_id=1)),
    Case("qe.tcb_level", "too old", lambda: with_qe_report(isv_svn=0), NEEDS_LEVELS),
    Case("tcb_info.id", "SGX's", lambda: with_tcb_info(tee_id="SGX"), NEEDS_TCB_INFO),
    Case("qe_identity.id", "of SGX's quoting enclave", lambda: with_qe_identity(enclave_id="QE"), NEEDS_QE_IDENTITY),
    Case("tcb_info.fmspc", "another family's", lambda: with_tcb_info(fmspc=b"\x11" * 6), NEEDS_TCB_INFO),
    *[Case("tcb.level", f"TDX component {number + 1} one below", partial(one_short, number), NEEDS_LEVELS)
      for number in range(2, 16)],
    Case("tcb.level", "component 1 of version 0", lambda: version_0(svn(5, 0)), NEEDS_LEVELS),
    Case("tcb.level", "component 2 of version 0", lambda: version_0(svn(4, 1)), NEEDS_LEVELS),
    Case("tcb.level", "an SGX component", lambda: with_levels(components=b"\xff" * 16), NEEDS_LEVELS),
    Case("tcb.level", "no such module", lambda: with_report(tee_tcb_svn=svn(9, 9)), NEEDS_LEVELS | MODULE),
    Case("tcb.level", "a module below its levels", lambda: with_report(tee_tcb_svn=svn(1, 1)), NEEDS_LEVELS),
    Case("tcb.status", "the level's", lambda: with_levels(status="OutOfDate")),
    Case("tcb.status", "the module's", lambda: with_report(tee_tcb_svn=svn(4, 1))),
    Case("tcb.status", "the module's Revoked, where any is accepted", lambda: replace(
        with_tcb_info(tdx_module_identities=(module(3, (3, "Revoked")),)),
        acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED))),
    Case("tcb.status", "a module's status without meaning", lambda: replace(
        with_tcb_info(tdx_module_identities=(module(3, (3, "ConfigurationNeeded")),)), acceptance=EVERY_STATUS)),
    Case("tcb.status", "a module that runs now and is not endorsed", lambda: replace(
        with_tcb_info(with_report(5, tee_tcb_svn=svn(4, 1), tee_tcb_svn2=svn(9, 9))), acceptance=EVERY_STATUS)),
    Case("tcb.advisories", "the level's", lambda: denied("INTEL-SA-1")),
    Case("tcb.advisories", "the module's", lambda: denied("INTEL-SA-7")),
    Case("tdx_module.mr_signer", "another's", lambda: with_report(mr_signer_seam=b"\x01" + bytes(47))),
    Case("tdx_module.mr_signer", "of version 0, another's", lambda: with_tcb_info(
        version_0(svn(4, 0)), levels=levels_with(tdx_components=bytes(16)), tdx_module=replace(
            module(0), module_id="", mr_signer=b"\x01" * 48))),
    Case("tdx_module.attributes", "not zero", lambda: with_report(seam_attributes=b"\x01" + bytes(7))),
    Case("tdx_module.attributes", "not zero, and endorsed", lambda: with_tcb_info(
        with_report(seam_attributes=b"\x01" + bytes(7)),
        tdx_module_identities=(module(3, (3, "UpToDate"), attributes=b"\x01" + bytes(7)),))),
    Case("tdx_module.attributes", "zero, another is endorsed", lambda: with_tcb_info(
        tdx_module_identities=(module(3, (3, "UpToDate"), attributes=b"\x01" + bytes(7)),))),
    *[Case("td.debug", f"bit {bit}", partial(with_report, td_attributes=(1 << bit).to_bytes(8, "little")))
      for bit in range(8)],
]  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.how}")


@each_case
def test_only_this_check_refuses(case: Case) -> None:
    result = case.make().appraise()
    assert not result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    failed = [check.name for check in result.checks if check.result is CheckResult.FAIL]
    assert failed == [case.name]
    not_made = {check.name for check in result.checks if check.result is CheckResult.NOT_MADE}
    assert not_made == case.not_made | set(EVENT_LOG_REQUIREMENTS)


@each_case
def test_the_refusal_says_what_was_expected_what_was_found_and_what_to_do(case: Case) -> None:
    for check in case.make().appraise().refusals:
        assert check.expected == REQUIREMENTS[check.name]
        assert check.found
        if check.result is CheckResult.FAIL:
            assert check.remedy, f"nobody learns what to do about {check.name}: {check.found}"


@each_case
def test_nothing_remembered_lets_it_pass(case: Case) -> None:
    memory = FactMemory()
    assert Input().appraise(memory).allowed
    bad = case.make()
    assert bad.appraise(memory) == bad.appraise(memory) == bad.appraise()


def test_debug_can_be_accepted() -> None:
    debugged = with_report(td_attributes=b"\x01" + bytes(7))
    result = replace(debugged, acceptance=Acceptance(allow_debug=True)).appraise()
    assert result.allowed
    assert result.claims["debug"] is True


def test_collateral_of_another_vendor_is_refused_though_both_are_trusted() -> None:
    mixed = Input(collateral=other().tdx_collateral(AT), roots=roots_of(platform(), other())).appraise()
    assert not mixed.allowed


@pytest.mark.parametrize(
    ("statuses", "svn2", "qe", "status"),
    [
        # The TD's own module is out of date, and the newest one runs by now: relaunching the TD is all it takes.
        (("UpToDate", "UpToDate", "OutOfDate"), svn(6, 1), "UpToDate", "TDRelaunchAdvised"),
        (("SWHardeningNeeded", "UpToDate", "OutOfDate"), svn(6, 1), "UpToDate", "TDRelaunchAdvised"),
        (("ConfigurationNeeded", "UpToDate", "OutOfDate"), svn(6, 1), "UpToDate", RELAUNCH_AND_CONFIGURE),
        (("UpToDate", "ConfigurationNeeded", "OutOfDate"), svn(6, 1), "UpToDate", RELAUNCH_AND_CONFIGURE),
        # What runs now is not the newest either, by its ISVSVN or by what it was loaded with.
        (("UpToDate", "UpToDate", "OutOfDate"), svn(5, 1), "UpToDate", "OutOfDate"),
        (("UpToDate", "UpToDate", "OutOfDate"), svn(6, 1, 2), "UpToDate", "OutOfDate"),
        # A module of version 0 is compared with the newest level's components 1 and 3.
        (("UpToDate", "UpToDate", "OutOfDate"), svn(5, 0), "UpToDate", "TDRelaunchAdvised"),
        (("UpToDate", "UpToDate", "OutOfDate"), svn(4, 0), "UpToDate", "OutOfDate"),
        # Something else is out of date, or the module is not.
        (("OutOfDate", "UpToDate", "OutOfDate"), svn(6, 1), "UpToDate", "OutOfDate"),
        (("UpToDate", "OutOfDate", "UpToDate"), svn(6, 1), "UpToDate", "OutOfDate"),
        (("UpToDate", "UpToDate", "OutOfDate"), svn(6, 1), "OutOfDate", "OutOfDate"),
        (("UpToDate", "UpToDate", "OutOfDate"), svn(6, 1), "Revoked", "Revoked"),
        (("UpToDate", "Revoked", "OutOfDate"), svn(6, 1), "UpToDate", "Revoked"),
        # The module's status alone, converged as Intel's library has it.
        (("UpToDate", "ConfigurationNeeded", "OutOfDate"), svn(4, 1), "UpToDate", "OutOfDateConfigurationNeeded"),
        (("UpToDate", "SWHardeningNeeded", "UpToDate"), svn(6, 1), "UpToDate", "SWHardeningNeeded"),
    ],
)  # fmt: skip
def test_intels_table_of_statuses(statuses: tuple[str, str, str], svn2: bytes, qe: str, status: str) -> None:
    """Two levels: the platform reaches both, the TD the second alone, so that each gives its own status."""
    sgx, tdx, modules = statuses
    newest = tcb_info_spec().levels[0]
    first = replace(newest, status=sgx, tdx_components=svn(5, 0, 3))
    needs_more = bytes((5, 0, 3)) + b"\x01" + bytes(12)
    levels = (first,) if sgx == tdx else (replace(first, tdx_components=needs_more), replace(first, status=tdx))
    info = platform().issue_tcb_info(
        replace(
            tcb_info_spec(),
            levels=levels,
            tdx_module_identities=(module(1, (6, "UpToDate"), (4, modules)),),
        ),
        AT,
    )
    identity = platform().issue_qe_identity(
        replace(platform().qe_identity_spec("TD_QE"), levels=(QELevelSpec(isv_svn=0, date=AT, status=qe),)),
        AT,
    )
    collateral = replace(platform().tdx_collateral(AT), tcb_info=info, qe_identity=identity)
    presented = with_report(5, tee_tcb_svn=svn(4, 1), tee_tcb_svn2=svn2)
    result = replace(presented, collateral=collateral, acceptance=EVERY_STATUS).appraise()
    assert result.tcb_status == status


def test_a_td_1_0_is_never_only_to_be_relaunched() -> None:
    result = replace(with_report(4, tee_tcb_svn=svn(4, 1)), acceptance=EVERY_STATUS).appraise()
    assert result.tcb_status == "OutOfDate"


def test_relaunch_advised_is_refused_unless_it_is_accepted_by_its_name() -> None:
    given_input = with_report(5, tee_tcb_svn=svn(4, 1), tee_tcb_svn2=svn(6, 1))
    (refusal,) = given_input.appraise().refusals
    assert refusal.name == "tcb.status"
    assert "TDX module 1 is OutOfDate" in refusal.found
    assert "TDRelaunchAdvised" in refusal.remedy
    accepted = Acceptance(tcb_statuses=frozenset({TCBStatus.TD_RELAUNCH_ADVISED}))
    assert replace(given_input, acceptance=accepted).appraise().allowed


@given(st.binary(max_size=2048))
def test_any_bytes_give_a_refusal_that_lists_every_check(data: bytes) -> None:
    result = appraise_tdx(
        data, collateral=platform().tdx_collateral(AT), roots=roots_of(platform()), acceptance=Acceptance(), at=AT
    )
    assert not result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)


@given(st.data(), st.sampled_from([4, 5]))
def test_any_flipped_bit_of_the_signed_bytes_is_refused(data: st.DataObject, version: int) -> None:
    genuine = platform().td_quote(report_data=REPORT_DATA, quote_version=version)
    bit = data.draw(st.integers(0, 8 * len(parse_td_quote(genuine).signed) - 1))
    assert not Input(quote=flipped(genuine, bit)).appraise().allowed


def test_the_policys_input_and_reference_values_name_the_td() -> None:
    claims = with_parts(5).appraise().claims
    seen = build_policy_input(claims, {"k": b"\x01"})
    assert seen == {"tdx": dict(claims), "claims": {"k": "01"}}
    reference = build_reference_fields(claims)
    assert reference["mr_td"] == [claims["mr_td"]]
    assert set(reference) == {"mr_td", *(f"rtmr{n}" for n in range(4)), "mr_config_id", "mr_owner", "mr_owner_config"}
    assert claims["sept_ve_disable"] is True
    assert claims["mr_service_td"] == "00" * 48
    assert with_parts(4).appraise().claims["mr_service_td"] is None
