"""What is kept of a peer is what a policy was given of its kind of evidence, whichever that is."""

import json
from dataclasses import replace

import pytest

from tests.unit.appraisal.test_guest_tees import ROOTS
from tests.unit.archive.peers import judge
from tests.unit.tees.csv import inputs as csv
from tests.unit.tees.sev_snp import inputs as snp
from verdictd.appraisal.guest_tees import GuestTEEs
from verdictd.appraisal.tee_claims import claims_of
from verdictd.archive.builder import build_entry
from verdictd.archive.material import Role
from verdictd.core.result import AppraisalResult
from verdictd.policy.runner import PolicyRunner
from verdictd.ratstls.evidence import EvidenceKind
from verdictd.tees.dcap.acceptance import Acceptance


def csv_result() -> AppraisalResult:
    return GuestTEEs(acceptance=Acceptance(), roots=ROOTS).appraise(EvidenceKind.CSV, csv.evidence(), csv.AT)


def snp_result() -> AppraisalResult:
    return snp.make_input().appraise()


@pytest.mark.parametrize("make", [csv_result, snp_result])
def test_a_guest_is_kept_with_what_its_own_policy_was_given(make: object, runner: PolicyRunner) -> None:
    assert callable(make)
    result = make()
    assert result.allowed
    entry = build_entry(replace(judge(runner, "accepted"), result=result))
    kept = json.loads(entry.blobs[Role.POLICY_INPUT].content)
    assert kept == claims_of(result.tee).build_policy_input(result.claims, result.custom_claims)
