"""Claims: everything appraised, in the forms that policies and people need, and nothing that is not known."""

import base64
import json
from dataclasses import replace

import pytest

from tests.unit.tees.inputs import Input, quote_parts, with_item, with_parts, with_qe_level, with_sgx_extension
from tests.unit.tees.simulated import AT, REPORT_DATA, platform
from verdictd.simulator.enclave import DEFAULT_MR_ENCLAVE, DEFAULT_MR_SIGNER
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.sgx_ecdsa.claims import (
    build_evidence_fields,
    build_policy_input,
    build_quote_claims,
    build_reference_fields,
)

ANY = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)


def test_claims_of_an_accepted_quote() -> None:
    sim = platform()
    quote = sim.quote(report_data=REPORT_DATA, isv_prod_id=7, isv_svn=9)
    claims = Input(quote=quote).appraise().claims
    assert claims["mr_enclave"] == DEFAULT_MR_ENCLAVE.hex()
    assert claims["mr_signer"] == DEFAULT_MR_SIGNER.hex()
    assert (claims["isv_prod_id"], claims["isv_svn"], claims["debug"]) == (7, 9, False)
    assert claims["report_data"] == REPORT_DATA.hex()
    assert (claims["attributes"], claims["xfrm"]) == ("0500000000000000", "e700000000000000")
    assert claims["cpu_svn"] == sim.hardware.cpu_svn.hex()
    assert claims["quote"] == {"version": 3, "qe_svn": 11, "pce_svn": 13}
    assert claims["qe"] == {
        "mr_enclave": quote_parts().qe_report.mr_enclave.hex(),
        "mr_signer": quote_parts().qe_report.mr_signer.hex(),
        "isv_prod_id": 1,
        "isv_svn": 11,
    }
    assert claims["platform"] == {
        "fmspc": sim.hardware.fmspc.hex(),
        "pce_id": sim.hardware.pce_id.hex(),
        "ppid": sim.hardware.ppid.hex(),
        "platform_instance_id": sim.hardware.platform_instance_id.hex(),
        "sgx_type": "scalable",
        "configuration": ["cached_keys", "smt_enabled"],
        "components": list(sim.hardware.components),
        "pce_svn": 13,
    }
    assert claims["tcb"] == {
        "status": "UpToDate",
        "platform_status": "UpToDate",
        "qe_status": "UpToDate",
        "date": "2026-03-03",
        "qe_date": "2026-03-03",
        "advisory_ids": [],
        "evaluation_data_number": 17,
    }


def test_both_levels_are_told_beside_what_they_make_together() -> None:
    sim = platform().with_tcb_status(TCBStatus.CONFIGURATION_NEEDED)
    out_of_date = with_qe_level("OutOfDate", advisory_ids=("INTEL-SA-00615", "INTEL-SA-00219")).collateral
    assert out_of_date is not None
    collateral = replace(sim.collateral(AT), qe_identity=out_of_date.qe_identity)
    result = Input(sim=sim, collateral=collateral, acceptance=ANY).appraise()
    assert result.allowed
    tcb = result.claims["tcb"]
    assert isinstance(tcb, dict)
    assert (tcb["status"], tcb["platform_status"], tcb["qe_status"]) == (
        "OutOfDateConfigurationNeeded",
        "ConfigurationNeeded",
        "OutOfDate",
    )
    assert tcb["advisory_ids"] == list(result.advisory_ids) == ["INTEL-SA-00219", "INTEL-SA-00289", "INTEL-SA-00615"]


def test_a_processor_cas_platform_has_no_instance() -> None:
    claims = with_sgx_extension(platform_instance_id=None, configuration=None).appraise().claims
    assert isinstance(claims["platform"], dict)
    assert claims["platform"]["platform_instance_id"] is None
    assert claims["platform"]["configuration"] == []


def test_what_is_not_known_is_not_guessed() -> None:
    without_pck = with_parts(certification_type=1).appraise().claims
    assert without_pck["platform"] is None
    without_tcb_info = with_item(tcb_info=None).appraise().claims["tcb"]
    assert isinstance(without_tcb_info, dict)
    assert {name: value for name, value in without_tcb_info.items() if value not in (None, [])} == {
        "qe_status": "UpToDate",
        "qe_date": "2026-03-03",
    }
    assert Input(quote=b"no quote").appraise().claims == {}


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_quote_alone_has_claims_of_its_own(version: int) -> None:
    quote = parse_quote(platform().quote(report_data=REPORT_DATA, quote_version=version))
    claims = build_quote_claims(quote)
    appraised = Input(quote=platform().quote(report_data=REPORT_DATA, quote_version=version)).appraise().claims
    assert claims == {name: value for name, value in appraised.items() if name not in {"platform", "tcb"}}


def test_the_four_fields_of_the_original() -> None:
    claims = Input(quote=platform().quote(report_data=REPORT_DATA, isv_prod_id=2, isv_svn=3)).appraise().claims
    enclave, signer = base64.b64encode(DEFAULT_MR_ENCLAVE).decode(), base64.b64encode(DEFAULT_MR_SIGNER).decode()
    assert build_evidence_fields(claims) == {"mrEnclave": enclave, "mrSigner": signer, "productId": 2, "svn": 3}
    assert build_reference_fields(claims) == {"mrEnclave": [enclave], "mrSigner": [signer], "productId": 2, "svn": 3}
    assert list(build_evidence_fields(claims)) == ["mrEnclave", "mrSigner", "productId", "svn"]


def test_a_policy_sees_the_four_fields_everything_else_and_custom_claims_as_hex() -> None:
    claims = Input().appraise().claims
    given = build_policy_input(claims, {"key_0": b"value_0\0", "sgx": b"\xff", "empty": b""})
    assert given.keys() == {"mrEnclave", "mrSigner", "productId", "svn", "sgx", "claims"}
    assert given["sgx"] == claims, "a custom claim does not take the place of what was appraised"
    assert given["claims"] == {"key_0": "76616c75655f3000", "sgx": "ff", "empty": ""}


def test_claims_are_json() -> None:
    for made in (Input(), with_parts(certification_type=1), with_item(tcb_info=None)):
        claims = made.appraise().claims
        assert json.loads(json.dumps(claims)) == claims
