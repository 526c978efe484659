"""What a CSV appraisal found, as JSON for policies and people, and the forms the user's steps need.

Byte strings are lower-case hex. The one field of the original's policies, `measure` in base64, stands at the top level
of a policy's input, all else below `csv` and `claims`.
"""

import base64
from collections.abc import Mapping

from verdictd.core.result import JSONValue
from verdictd.tees.csv.chain import VerifiedHSK, VerifiedKey
from verdictd.tees.csv.report import CSVReport
from verdictd.tees.sm2.verification import hash_sm3


def build_claims(
    report: CSVReport, hsk: VerifiedHSK | None, cek: VerifiedKey | None, pek: VerifiedKey | None
) -> dict[str, JSONValue]:
    """Collect everything appraised. What could not be established is ``None``, never guessed."""
    claims = build_report_claims(report)
    claims["hsk"] = None if hsk is None else {"key_id": hsk.certificate.key_id.hex(), "root": hsk.root.label}
    claims["cek"] = None if cek is None else {"public_key_sm3": hash_sm3(cek.key.encoded).hex()}
    claims["firmware"] = (
        None if pek is None else {"api_major": pek.certificate.api_major, "api_minor": pek.certificate.api_minor}
    )
    return claims


def build_report_claims(report: CSVReport) -> dict[str, JSONValue]:
    """Collect what a report says of the guest. Trust: as much as the report; below `unsigned`, none at all."""
    return {
        "report_data": report.user_data.hex(),
        "measure": report.measure.hex(),
        "user_pubkey_digest": report.user_key_digest.hex(),
        "vm_id": report.vm_id.hex(),
        "vm_version": report.vm_version.hex(),
        "mnonce": report.mnonce.hex(),
        "debug": report.policy.allows_debugging,
        "policy": report.policy.as_claims(),
        "unsigned": {
            "serial_number": report.chip_id.rstrip(b"\0").decode("ascii", "backslashreplace"),
            "anonce": report.anonce.hex(),
        },
    }


def build_evidence_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """The field that the original's policies judge."""
    measure = bytes.fromhex(str(claims["measure"]))
    return {"measure": base64.b64encode(measure).decode("ascii")}


def build_reference_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """Reference values that this evidence, and no other guest, meets: what `csvData` holds."""
    return {"measure": [build_evidence_fields(claims)["measure"]]}


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy: the original's field, everything appraised, and the peer's custom claims."""
    return {
        **build_evidence_fields(claims),
        "csv": dict(claims),
        "claims": {name: value.hex() for name, value in custom_claims.items()},
    }
