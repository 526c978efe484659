"""Guests' evidence, judged with what directories have, with what it brings along, and with nothing."""

from pathlib import Path

import pytest

from tests.unit.tees.csv import inputs as csv
from tests.unit.tees.sev import inputs as sev
from tests.unit.tees.sev_snp import inputs as snp
from verdictd.appraisal.guest_tees import GUEST_KINDS, GuestAcceptance, GuestRoots, GuestTEEs
from verdictd.collateral.amd_endorsements import AMDDirectory, AMDEndorsements
from verdictd.collateral.hygon_endorsements import HygonDirectory, HygonEndorsements
from verdictd.collateral.sev_endorsements import SEVDirectory
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.evidence import EvidenceKind
from verdictd.simulator.snp_report_builder import encode_certificate_table, encode_tcb
from verdictd.tees.amd.pem import decode_pem
from verdictd.tees.csv.evidence import read_chip_id
from verdictd.tees.csv.roots import HygonRoots
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.sev_snp.evidence import parse_evidence

ROOTS = GuestRoots(
    amd=snp.roots_of(snp.pki()),
    sev=sev.roots(),
    hygon=HygonRoots((csv.root_of(csv.HYGON),)),
)


def found(result: AppraisalResult) -> dict[str, str]:
    return {check.name: check.found for check in result.refusals}


def amd_directory(tmp_path: Path) -> AMDDirectory:
    """As AMD's service would fill it, for the simulated platform of these tests."""
    place = tmp_path / "vcek" / "v1" / "Milan"
    place.mkdir(parents=True)
    platform = snp.platform()
    (place / "cert_chain").write_bytes(platform.chain())
    (place / "crl").write_bytes(snp.crl())
    tcb = encode_tcb(platform.tcb, "Milan").hex()
    (place / f"{snp.CHIP_ID.hex()}-{tcb}.der").write_bytes(platform.key_certificate(snp.AT))
    return AMDDirectory(tmp_path)


def snp_report(version: int = 5) -> bytes:
    return snp.platform().report(report_data=snp.REPORT_DATA, measurement=snp.MEASUREMENT, version=version)


@pytest.mark.parametrize("version", [2, 3, 5])
def test_a_bare_snp_report_is_judged_with_the_directory_of_its_chip(version: int, tmp_path: Path) -> None:
    judge = GuestTEEs(
        acceptance=Acceptance(), roots=ROOTS, find_snp_endorsements=AMDEndorsements(amd_directory(tmp_path)).find
    )
    result = judge.appraise(EvidenceKind.SEV_SNP, snp_report(version), snp.AT)
    assert found(result) == {}
    assert set(result.sources.values()) == {str(tmp_path)}


def test_what_the_directory_lacks_is_named_beside_the_check(tmp_path: Path) -> None:
    directory = amd_directory(tmp_path)
    (tmp_path / "vcek" / "v1" / "Milan" / "crl").unlink()
    judge = GuestTEEs(acceptance=Acceptance(), roots=ROOTS, find_snp_endorsements=AMDEndorsements(directory).find)
    refused = found(judge.appraise(EvidenceKind.SEV_SNP, snp_report(), snp.AT))
    assert refused["crl.signature"].startswith("none at hand (")
    assert "Milan/crl cannot be read: No such file" in refused["crl.signature"]


def test_without_any_source_an_snp_report_is_refused_and_the_setting_named() -> None:
    judge = GuestTEEs(acceptance=Acceptance(), roots=ROOTS)
    refused = found(judge.appraise(EvidenceKind.SEV_SNP, snp_report(), snp.AT))
    assert "--amd-certificates" in refused["chain.signature"]


def test_what_the_evidence_brings_is_not_asked_for(tmp_path: Path) -> None:
    directory = amd_directory(tmp_path)
    for path in (tmp_path / "vcek" / "v1" / "Milan").iterdir():
        if path.name != "crl":
            path.unlink()
    judge = GuestTEEs(acceptance=Acceptance(), roots=ROOTS, find_snp_endorsements=AMDEndorsements(directory).find)
    ask, ark = decode_pem(snp.platform().chain(), "the chain")
    table = {"ark": ark, "ask": ask, "vcek": snp.platform().key_certificate(snp.AT)}
    evidence = snp_report() + encode_certificate_table(table)
    assert parse_evidence(evidence).table.vcek
    result = judge.appraise(EvidenceKind.SEV_SNP, evidence, snp.AT)
    assert found(result) == {}
    assert result.sources == {"key_certificate": "evidence", "chain": "evidence", "crl": str(tmp_path)}


def test_a_bare_csv_report_is_judged_with_the_directory_of_its_chip(tmp_path: Path) -> None:
    report = csv.HYGON.report(csv.SPEC)
    chip_id = read_chip_id(report)
    assert chip_id is not None
    (tmp_path / chip_id).mkdir()
    (tmp_path / chip_id / "hsk_cek.cert").write_bytes(csv.hsk_cek())
    source = HygonEndorsements(HygonDirectory(tmp_path))
    judge = GuestTEEs(acceptance=Acceptance(), roots=ROOTS, find_csv_endorsements=source.find)
    result = judge.appraise(EvidenceKind.CSV, report, csv.AT)
    assert found(result) == {}
    assert result.sources == {"hsk_cek": str(tmp_path)}
    (tmp_path / chip_id / "hsk_cek.cert").write_bytes(csv.hsk_cek() + b"\0")
    again = GuestTEEs(
        acceptance=Acceptance(),
        roots=ROOTS,
        find_csv_endorsements=HygonEndorsements(HygonDirectory(tmp_path)).find,
    )
    assert "is longer than" in found(again.appraise(EvidenceKind.CSV, report, csv.AT))["hsk.chain"]


def test_without_any_source_a_bare_csv_report_is_refused_and_the_setting_named() -> None:
    judge = GuestTEEs(acceptance=Acceptance(), roots=ROOTS)
    assert found(judge.appraise(EvidenceKind.CSV, csv.evidence(), csv.AT)) == {}
    refused = found(judge.appraise(EvidenceKind.CSV, csv.HYGON.report(csv.SPEC), csv.AT))
    assert "--hygon-certificates" in refused["hsk.chain"]


def test_sev_is_judged_with_amds_files_and_refused_for_what_it_is_unless_that_is_accepted(tmp_path: Path) -> None:
    evidence = sev.evidence()
    for product in ("naples", "rome", "milan"):
        (tmp_path / f"ask_ark_{product}.cert").write_bytes(sev.ask_ark())
    find = SEVDirectory(tmp_path).find
    judge = GuestTEEs(acceptance=Acceptance(), roots=ROOTS, find_sev_endorsements=find)
    assert found(judge.appraise(EvidenceKind.SEV, evidence, sev.AT)).keys() == {"evidence.key_binding"}
    bold = GuestTEEs(
        acceptance=Acceptance(),
        guests=GuestAcceptance(accept_unbound_evidence=frozenset({"sev"})),
        roots=ROOTS,
        find_sev_endorsements=find,
    )
    result = bold.appraise(EvidenceKind.SEV, evidence, sev.AT)
    assert found(result) == {}
    assert [check.name for check in result.checks if check.result is CheckResult.NOT_MADE] == ["evidence.key_binding"]
    without = GuestTEEs(acceptance=Acceptance(), roots=ROOTS)
    assert "--sev-certificates" in found(without.appraise(EvidenceKind.SEV, evidence, sev.AT))["ask.chain"]


@pytest.mark.parametrize("kind", sorted(GUEST_KINDS))
@pytest.mark.parametrize("data", [b"", b"\0", bytes(432), bytes(1184), bytes(4096), bytes(6461), b"\xff" * 7016])
def test_any_bytes_give_a_refusal(kind: EvidenceKind, data: bytes) -> None:
    result = GuestTEEs(acceptance=Acceptance(), roots=ROOTS).appraise(kind, data, snp.AT)
    assert not result.allowed
    assert result.tee == kind
