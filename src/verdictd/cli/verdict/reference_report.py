"""What `verdict reference` found, for a person or as JSON."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from verdictd.core.checks import CheckResult
from verdictd.core.result import JSONValue
from verdictd.reference.subject import Finding, MeasurementSource, Subject, Unusable
from verdictd.tees.sgx_ecdsa.reference_values import Change

_MEASURED: Final = {
    MeasurementSource.IMAGE: "recomputed from the image, as its author signed it",
    MeasurementSource.SIGNATURE: "NOT recomputed, taken from the signature alone",
    MeasurementSource.EVIDENCE: "NOT verified, as the evidence says",
}


def describe(subjects: Iterable[Subject], change: Change) -> str:
    """Describe what was found and what follows, for a person."""
    lines = [line for subject in subjects for line in _describe_subject(subject)]
    lines.append("reference values")
    lines += [
        f"    {line}" for line in json.dumps(dict(change.reference), indent=4, ensure_ascii=False).split("\n")[1:-1]
    ]
    lines += [f"note: {note}" for note in change.notes]
    return "".join(f"{line}\n" for line in lines)


def describe_refusals(refused: Iterable[Unusable]) -> str:
    """Say of each what is wrong and what to do."""
    return "".join(f"REFUSED {each.where}\n    {each.reason}\n" for each in refused)


def encode_report(findings: Sequence[Finding], change: Change | None) -> str:
    """Write all that was found and checked as JSON, for a program."""
    report: dict[str, JSONValue] = {
        "accepted": change is not None,
        "found": [_encode(finding) for finding in findings],
        "reference": None if change is None else dict(change.reference),
        "notes": [] if change is None else list(change.notes),
    }
    return json.dumps(report, indent=4, ensure_ascii=False) + "\n"


def _describe_subject(subject: Subject) -> Iterator[str]:
    values = subject.values
    yield subject.where
    rows = {
        "kind": subject.kind,
        "MRENCLAVE": values.mr_enclave.hex(),
        "": _base64(values.mr_enclave),
        " ": _describe_measurement(subject),
        "MRSIGNER": values.mr_signer.hex(),
        "  ": _base64(values.mr_signer),
        "ISVPRODID": str(values.isv_prod_id),
        "ISVSVN": str(values.isv_svn),
        **subject.details,
    }
    yield from (f"    {name.strip():<13}{value}" for name, value in rows.items())
    if subject.checks:
        passed = sum(check.result is CheckResult.PASS for check in subject.checks)
        yield f"    {'checks':<13}{passed} of {len(subject.checks)} made, all of them hold"
    yield from (f"    note: {note}" for note in subject.notes)
    yield ""


def _describe_measurement(subject: Subject) -> str:
    text = _MEASURED[subject.source]
    return f"{text}: {subject.source_note}" if subject.source_note else text


def _encode(finding: Finding) -> dict[str, JSONValue]:
    checks: list[JSONValue] = [
        {
            "name": check.name,
            "result": check.result.value,
            "expected": check.expected,
            "found": check.found,
            "remedy": check.remedy,
        }
        for check in finding.checks
    ]
    if isinstance(finding, Unusable):
        return {"where": finding.where, "usable": False, "reason": finding.reason, "checks": checks}
    return {
        "where": finding.where,
        "usable": True,
        "kind": finding.kind,
        "evidence": finding.values.as_evidence(),
        "mr_enclave": finding.values.mr_enclave.hex(),
        "mr_signer": finding.values.mr_signer.hex(),
        "measurement": {"source": finding.source.value, "note": finding.source_note},
        "details": dict(finding.details),
        "notes": list(finding.notes),
        "checks": checks,
    }


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
