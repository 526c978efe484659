"""What is recorded: what was judged and by what, and never more than a line can hold, whatever a peer sends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.appraisal.platforms import NOW, appraiser, identity
from verdictd.appraisal.verifiers import SGX_VERIFIER
from verdictd.audit import records
from verdictd.audit.lines import encode_content
from verdictd.audit.log import AuditLog
from verdictd.audit.records import Digests
from verdictd.core.checks import Check, CheckResult
from verdictd.core.result import AppraisalResult, JSONValue

HUGE = "\U0001f600" * 100_000
"""Twelve bytes a character, once it is written."""
MANY = {f"{number}{HUGE}": HUGE for number in range(1000)}


def test_an_attestation_says_what_was_judged_and_by_what() -> None:
    result = appraiser().appraise_certificate(identity(debug=True).certificate_der, SGX_VERIFIER, NOW)
    digests = Digests(
        certificate="c" * 64, evidence="e" * 64, policy="p" * 64, reference="r" * 64, collateral={"tcb_info": "t" * 64}
    )
    record = records.attestation(
        attestation_id="0badcafe",
        peer="192.0.2.1:4711",
        accepted=False,
        sentence="refused: a debug enclave",
        result=result,
        digests=digests,
        duration_s=0.0123456,
    )
    assert record == {
        "kind": "attestation",
        "id": "0badcafe",
        "peer": "192.0.2.1:4711",
        "verdict": "refused",
        "reason": "refused: a debug enclave",
        "tee": "sgx_ecdsa",
        "tcb_status": "UpToDate",
        "failed_checks": ["enclave.debug"],
        "certificate_sha256": "c" * 64,
        "evidence_sha256": "e" * 64,
        "policy_sha256": "p" * 64,
        "reference_sha256": "r" * 64,
        "collateral_sha256": {"tcb_info": "t" * 64},
        "duration_us": 12346,
    }


def test_what_was_not_judged_is_recorded_as_far_as_it_goes() -> None:
    record = records.attestation(
        attestation_id="0badcafe",
        peer="",
        accepted=False,
        sentence="too large",
        result=None,
        digests=Digests(certificate="c" * 64, collateral={}),
        duration_s=0,
    )
    assert (record["tee"], record["tcb_status"], record["failed_checks"]) == ("none", None, [])


def largest_attestation() -> dict[str, JSONValue]:
    check = Check(HUGE, CheckResult.FAIL, "", "")
    result = AppraisalResult(tee=HUGE, checks=(check,) * 1000, at=datetime.now(UTC), tcb_status=HUGE)
    digests = Digests(certificate="c" * 64, collateral={str(n): "a" * 64 for n in range(4)})
    return records.attestation(
        attestation_id=HUGE,
        peer=HUGE,
        accepted=False,
        sentence=HUGE,
        result=result,
        digests=digests,
        duration_s=1e9,
    )


LARGEST: list[Callable[[], dict[str, JSONValue]]] = [
    largest_attestation,
    lambda: records.policy_change(how="upload", by=HUGE, changed=MANY, previous=MANY),
    lambda: records.start(version=HUGE, verifier=HUGE, trust_roots=MANY, settings=MANY, warnings=[HUGE] * 1000),
    lambda: records.reload(verifier=HUGE, trust_roots=MANY, settings=MANY, warnings=[HUGE] * 1000),
    lambda: records.reload_failed(reason=HUGE),
    lambda: records.stop(reason=HUGE, counts=dict.fromkeys(("accepted", "refused"), 2**63)),
    lambda: records.collateral_import(by=HUGE, accepted=MANY, refused=MANY),
]


@pytest.mark.parametrize("build", LARGEST)
def test_a_record_of_anything_fits_into_a_line(build: Callable[[], dict[str, JSONValue]], tmp_path: Path) -> None:
    record = build()
    assert encode_content(record)
    assert "…" in json.dumps(record, ensure_ascii=False) or record["kind"] == "stop"
    with AuditLog.open(tmp_path) as log:
        assert log.append(record) == 1


def test_texts_that_fit_are_kept_as_they_are_also_where_they_are_not_ascii() -> None:
    warnings = ["Vertraut wird …", "plain", "x" * 512]
    record = records.reload(verifier="sgx_ecdsa", trust_roots={"a" * 64: "Würzel"}, settings={}, warnings=warnings)
    assert record["warnings"] == warnings
    assert record["trust_roots"] == {"a" * 64: "Würzel"}


def test_what_is_cut_says_so() -> None:
    record = records.policy_change(
        how="upload", by="x" * 129, changed=dict.fromkeys(map(str, range(999)), "y"), previous={}
    )
    assert record["by"] == "x" * 128 + "…"
    changed = record["sha256"]
    assert isinstance(changed, dict)
    assert changed["…"] == f"{1000 - len(changed)} more"
