"""Reports of real processors, under AMD's own roots, have their recorded verdicts."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.tees.amd.test_all_recorded import chains
from tests.unit.tees.amd.test_recorded import own_roots, recorded, recorded_crls
from tests.unit.tees.sev_snp.recorded import (
    RecordedKey,
    endorsements_of,
    item,
    keys,
    keys_of,
    report_at,
    reports,
)
from tests.vectors import needs_vectors
from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.tees.sev_snp.acceptance import SNPAcceptance
from verdictd.tees.sev_snp.endorsements import FROM_EVIDENCE, SNPEndorsements, name_wanted_key
from verdictd.tees.sev_snp.report import SigningKey, parse_report
from verdictd.tees.sev_snp.requirements import REQUIREMENTS
from verdictd.tees.sev_snp.verifier import appraise_snp

pytestmark = [needs_vectors, pytest.mark.vectors]
WITHOUT_CRL = {"crl.signature", "crl.validity", "chain.revocation"}
REFUSED = {
    "google-go-sev-guest/testdata/attestation.bin": {"guest.debug"},
    "coco-trustee/verifier/snp/test-vlek-report.bin": {"guest.vmpl"},
    "teekit/sampleQuotes/sev-gcp-reportdata.bin": {"guest.vmpl"},
    "teekit/sampleQuotes/sev-gcp-x25519-bound.bin": {"guest.vmpl"},
    "yaxi-routex-client/report_spec/verify_turin.bin": WITHOUT_CRL,  # Turin's was not recorded
}
"""All others are allowed, where CRLs of 2023 may be out of date, as the recorded ones are."""
SIGNER_NOT_RECORDED = {
    "azure-cvm-tooling/hcl-report-snp.bin",
    "yaxi-routex-client/report_spec/verify_genoa.bin",
}
EXPIRED = SNPAcceptance(allow_expired_collateral=True)


def appraise(report: bytes, key: RecordedKey, acceptance: SNPAcceptance = EXPIRED) -> AppraisalResult:
    return appraise_snp(
        report,
        endorsements=endorsements_of(key),
        roots=own_roots(),
        acceptance=acceptance,
        at=key.key.not_before + timedelta(days=30),
    )


def claim(result: AppraisalResult, *names: str) -> JSONValue:
    found: JSONValue = dict(result.claims)
    for name in names:
        assert isinstance(found, dict)
        found = found[name]
    return found


def refusals(result: AppraisalResult) -> set[str]:
    return {check.name for check in result.refusals}


def test_every_recorded_report_is_found() -> None:
    assert len(reports()) >= 29
    assert {report.path for report in reports() if report.signer is None} == SIGNER_NOT_RECORDED
    assert REFUSED.keys() < {report.path for report in reports()}


def test_every_recorded_report_has_its_verdict() -> None:
    for recorded_report in reports():
        found = keys_of(parse_report(recorded_report.report))
        verdicts = [appraise(recorded_report.report, key) for key in found]
        if recorded_report.signer is None:
            assert not verdicts, recorded_report.path
            continue
        assert recorded_report.signer == f"SEV-{found[0].key.chain.key_type.upper()}"
        best = min(verdicts, key=lambda result: len(result.refusals))
        assert refusals(best) == REFUSED.get(recorded_report.path, set()), recorded_report.path
        assert best.allowed == (recorded_report.path not in REFUSED)
        assert [check.name for check in best.checks] == [*REQUIREMENTS]


def test_a_report_is_refused_with_the_key_of_any_other_platform() -> None:
    for recorded_report in reports():
        report = parse_report(recorded_report.report)
        own = {key.key.key.public_numbers() for key in keys_of(report)}
        others = [key for key in keys() if key.key.key.public_numbers() not in own]
        for key in others[:: max(1, len(others) // 5)]:
            result = appraise(recorded_report.report, key)
            assert "report.signature" in refusals(result), recorded_report.path
            if report.key_type == "vcek" == key.key.chain.key_type:
                assert refusals(result) & {"key.tcb", "key.chip_id"}


def test_a_report_of_early_2023_is_allowed_as_it_stands() -> None:
    report = recorded("coco-trustee/verifier/snp/test-report.bin")
    (key,) = keys_of(parse_report(report))

    def at(instant: datetime) -> AppraisalResult:
        return appraise_snp(
            report, endorsements=endorsements_of(key), roots=own_roots(), acceptance=SNPAcceptance(), at=instant
        )

    result = at(datetime(2023, 3, 1, tzinfo=UTC))
    assert result.allowed
    assert result.earliest_expiry == datetime(2023, 5, 9, 23, tzinfo=UTC)
    assert refusals(at(datetime(2023, 6, 1, tzinfo=UTC))) == {"crl.validity"}
    assert refusals(at(datetime(2023, 1, 1, tzinfo=UTC))) == {"key.validity"}
    assert refusals(at(datetime(2031, 1, 1, tzinfo=UTC))) == {"crl.validity", "key.validity"}
    loaded, committed = (claim(result, "tcb", name, "microcode") for name in ("current", "committed"))
    assert (loaded, committed) == (0xCE, 0x73)  # the host's kernel loaded newer microcode


@pytest.mark.parametrize("name", ["new", "legacy"])
def test_a_forged_certificate_is_refused(name: str) -> None:
    report = recorded("coco-trustee/verifier/snp/test-report.bin")
    (key,) = keys_of(parse_report(report))
    forged = recorded(f"coco-trustee/verifier/snp/test-vcek-invalid-{name}.der")
    result = appraise(report, key._replace(der=forged))
    assert refusals(result) == {"key.certificate", "key.validity", "key.tcb", "key.chip_id", "report.signature"}


def test_the_genoa_ask_that_amd_revoked_is_refused() -> None:
    report = report_at("coco-trustee/verifier/az-snp-vtpm/evidence-genoa.json")
    (key,) = keys_of(parse_report(report))
    (revoked,) = (chain for chain in chains() if chain.intermediate.serial_number == 0x20001)
    result = appraise_snp(
        report,
        endorsements=replace(endorsements_of(key), chain=item(revoked.intermediate.der + revoked.root.authority.der)),
        roots=own_roots(),
        acceptance=EXPIRED,
        at=key.key.not_before + timedelta(days=30),
    )
    assert "chain.revocation" in refusals(result)
    (check,) = (check for check in result.checks if check.name == "chain.revocation")
    assert check.found.startswith("'SEV-Genoa' was revoked at 2022-10-31")


def test_a_report_is_appraised_with_the_certificates_that_its_host_gives() -> None:
    tsm = json.loads(recorded("veraison-services/sevsnp/test/evidence/sevsnp-tsm-report.json"))
    report, table = (urlsafe_b64decode(tsm[name] + "==") for name in ("outblob", "auxblob"))
    result = appraise_snp(
        report + table,
        endorsements=SNPEndorsements(crl=item(recorded_crls()["Genoa"])),
        roots=own_roots(),
        acceptance=EXPIRED,
        at=datetime(2025, 6, 1, tzinfo=UTC),
    )
    assert result.allowed, [check.sentence for check in result.refusals]
    assert result.sources == {"key_certificate": FROM_EVIDENCE, "chain": FROM_EVIDENCE, "crl": "recorded"}


def test_a_vlek_vouches_at_its_privilege_level_alone() -> None:
    report = recorded("coco-trustee/verifier/snp/test-vlek-report.bin")
    key = next(key for key in keys_of(parse_report(report)) if not appraise(report, key).refusals[1:])
    accepted = SNPAcceptance(allow_expired_collateral=True, vmpls=frozenset({1}))
    result = appraise(report, key, accepted)
    assert result.allowed
    assert str(claim(result, "key", "csp_id")).startswith("CN=cc-")
    assert claim(result, "key", "chip_id") is None


def test_turin_lacks_but_its_crl() -> None:
    report = parse_report(recorded("yaxi-routex-client/report_spec/verify_turin.bin"))
    wanted = name_wanted_key(report)
    assert wanted is not None
    assert (wanted.key_type, wanted.product, len(wanted.chip_id)) == ("vcek", "Turin", 8)
    (key,) = keys_of(report)
    result = appraise(recorded("yaxi-routex-client/report_spec/verify_turin.bin"), key)
    assert claim(result, "tcb", "reported", "snp") == 2
    assert claim(result, "tcb", "reported", "microcode") == 0x47
    assert report.signing_key == SigningKey.VCEK


def test_all_versions_were_recorded() -> None:
    assert {parse_report(recorded_report.report).version for recorded_report in reports()} == {2, 3, 5}
