"""The order of an appraisal: what is asked of whom, what is listed, and what is never dropped."""

import pytest

from tests.unit.appraisal.platforms import NOW, Asked, appraiser, identity, platform
from tests.unit.ratstls.forge import quote as forge_quote
from verdictd.appraisal.verifiers import (
    NULL_VERIFIER,
    SGX_VERIFIER,
    VerifierName,
    Verifiers,
    name_verifiers,
    parse_verifiers,
)
from verdictd.core.checks import CheckResult
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.certificate_builder import build_identity
from verdictd.tees.dcap.collateral import Collateral


def judge(certificate: bytes, verifier: Verifiers = SGX_VERIFIER, asked: Asked | None = None) -> AppraisalResult:
    return appraiser(asked).appraise_certificate(certificate, verifier, NOW)


def names(result: AppraisalResult) -> list[str]:
    return [check.name for check in result.refusals]


def test_a_genuine_certificate_passes_every_check_once() -> None:
    asked = Asked()
    result = judge(identity(claims={"tenant": b"blue"}).certificate_der, asked=asked)
    assert result.allowed, names(result)
    assert {check.result for check in result.checks} == {CheckResult.PASS}
    every = [check.name for check in result.checks]
    assert len(every) == len(set(every))
    assert {"certificate.validity", "certificate.report_data", "pck.chain", "tcb.status", "enclave.debug"} <= set(every)
    assert result.custom_claims == {"tenant": b"blue"}
    (wanted,) = asked.platforms
    assert wanted.fmspc == platform().hardware.fmspc


@pytest.mark.parametrize("verifier", [SGX_VERIFIER, name_verifiers(VerifierName.SGX_ECDSA_QVE)])
def test_what_was_named_is_enforced_against_no_evidence(verifier: Verifiers) -> None:
    asked = Asked()
    result = judge(build_identity(at=NOW).certificate_der, verifier, asked)
    assert names(result) == ["evidence.kind"]
    assert result.refusals[0].found == "none"
    assert str(verifier) in result.refusals[0].expected
    assert asked.platforms == []


def test_evidence_of_another_tee_is_refused_by_its_kind() -> None:
    tdx = build_identity(at=NOW, make_quote=lambda report_data: forge_quote(report_data, version=4, tee=0x81))
    result = judge(tdx.certificate_der)
    assert names(result) == ["evidence.kind"]
    assert result.tee == result.refusals[0].found == "tdx_ecdsa"


def test_the_null_verifier_says_that_it_judged_nothing() -> None:
    asked = Asked()
    result = judge(identity(debug=True).certificate_der, NULL_VERIFIER, asked)
    assert result.allowed
    (unjudged,) = [check for check in result.checks if check.result is CheckResult.NOT_MADE]
    assert (unjudged.name, unjudged.mandatory) == ("evidence", False)
    assert result.claims == {}
    assert asked.platforms == []


def test_the_null_verifier_still_refuses_a_certificate_out_of_its_time() -> None:
    certificate = identity().certificate_der
    late = NOW.replace(year=NOW.year + 100)
    result = appraiser().appraise_certificate(certificate, NULL_VERIFIER, late)
    assert names(result) == ["certificate.validity"]


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"])
@pytest.mark.parametrize("verifier", [name_verifiers(name) for name in VerifierName], ids=str)
def test_what_is_no_certificate_is_refused_with_one_check(data: bytes, verifier: Verifiers) -> None:
    result = judge(data, verifier)
    assert names(result) == ["certificate.format"]
    assert result.tee == "none"


def test_genuine_evidence_for_another_key_fails_the_binding_alone() -> None:
    heard = platform().quote(report_data=bytes(64))
    replayed = build_identity(at=NOW, make_quote=lambda _: heard)
    assert names(judge(replayed.certificate_der)) == ["certificate.report_data"]


def test_a_platform_whose_chain_does_not_hold_makes_nobody_ask_for_collateral() -> None:
    asked = Asked()
    result = judge(identity(of="somebody else's").certificate_der, asked=asked)
    assert "pck.chain" in names(result)
    assert asked.platforms == []


def test_a_failed_check_does_not_stop_the_later_ones() -> None:
    good = [check.name for check in judge(identity().certificate_der).checks]
    bad = [check.name for check in judge(identity(debug=True).certificate_der).checks]
    assert bad == good


def test_why_collateral_is_missing_stands_beside_each_item_that_is() -> None:
    result = judge(identity().certificate_der, asked=Asked(Collateral(), "the PCCS does not answer"))
    missing = {check.name for check in result.refusals if check.found == "none at hand (the PCCS does not answer)"}
    assert missing == {f"{item}.signature" for item in ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl")}


def test_what_a_peer_was_judged_by_is_handed_over_with_the_same_result() -> None:
    asked = Asked()
    heard = platform().quote(report_data=bytes(64))
    certificate = build_identity(at=NOW, make_quote=lambda _: heard).certificate_der
    appraised = appraiser(asked).appraise_peer(certificate, SGX_VERIFIER, NOW)
    assert appraised.result == judge(certificate, asked=asked)
    assert appraised.evidence == heard
    assert appraised.collateral is asked._found.collateral


@pytest.mark.parametrize("certificate", [b"nonsense", build_identity(at=NOW).certificate_der])
@pytest.mark.parametrize("verifier", [name_verifiers(name) for name in VerifierName], ids=str)
def test_where_no_evidence_was_judged_there_is_none(certificate: bytes, verifier: Verifiers) -> None:
    appraised = appraiser().appraise_peer(certificate, verifier, NOW)
    assert (appraised.evidence, appraised.collateral) == (b"", Collateral())


def test_a_bare_quote_is_appraised_and_says_that_nothing_binds_it() -> None:
    result = appraiser().appraise_quote(platform().quote(report_data=bytes(64)), NOW)
    assert result.allowed
    binding = result.checks[-1]
    assert (binding.name, binding.result, binding.mandatory) == ("certificate.report_data", CheckResult.NOT_MADE, False)


@pytest.mark.parametrize("data", [b"", b"\x03\x00", bytes(500)])
def test_any_quote_gives_a_result(data: bytes) -> None:
    assert not appraiser().appraise_quote(data, NOW).allowed


@pytest.mark.parametrize("name", ["sgx", ""])
def test_a_verifier_that_is_not_there_is_no_verifier(name: str) -> None:
    with pytest.raises(ConfigError, match="is unknown") as refused:
        parse_verifiers([name])
    assert "sgx_ecdsa" in refused.value.remedy
