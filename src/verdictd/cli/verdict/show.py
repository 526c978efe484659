"""`verdict show FILE`: what evidence says, for a person, or as the JSON that the next step needs."""

import argparse
import json
from datetime import datetime
from typing import TextIO

from verdictd.appraisal.evidence_file import EvidenceFile, parse_evidence_file
from verdictd.appraisal.tee_claims import claims_of
from verdictd.cli.files import read_evidence
from verdictd.cli.subcommands import Subparsers
from verdictd.core.result import JSONValue
from verdictd.ratstls.certificate import RATSTLSCertificate
from verdictd.ratstls.evidence import EvidenceKind
from verdictd.tees.sgx_ecdsa.claims import build_evidence_fields

_FORMS = ("evidence", "reference", "input")


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        name,
        help=description,
        description="Print what a quote or a RATS-TLS certificate says. Nothing is verified: see verdict appraise.",
    )
    parser.add_argument("file", metavar="FILE", help="a quote, or a RATS-TLS certificate in PEM or DER; - for stdin")
    parser.add_argument(
        "--as",
        dest="form",
        choices=_FORMS,
        help="write JSON instead: an evidence file (SGX alone), a reference file, or a policy's whole input",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand. `now` is not used: nothing is judged."""
    del now
    evidence = parse_evidence_file(read_evidence(arguments.file))
    if arguments.form is None:
        out.write(_describe(evidence))
    else:
        out.write(json.dumps(_build(evidence, arguments.form), indent=4) + "\n")
    return 0


def _build(evidence: EvidenceFile, form: str) -> dict[str, JSONValue]:
    if form == "evidence":
        return build_evidence_fields(evidence.claims(EvidenceKind.SGX_ECDSA))
    claims = evidence.claims()
    tee = claims_of(str(evidence.kind))
    if form == "reference":
        return tee.build_reference_fields(claims)
    return tee.build_policy_input(claims, evidence.custom_claims())


def _describe(evidence: EvidenceFile) -> str:
    lines = ["Nothing below is verified; `verdict appraise` does that."]
    if evidence.certificate is not None:
        lines += _describe_certificate(evidence.certificate)
    lines.append(f"evidence           {evidence.kind or 'none'}")
    if evidence.quote_claims is not None:
        lines += _describe_claims(evidence.quote_claims)
    lines += [f"claim {name:<12} {value.hex()}" for name, value in evidence.custom_claims().items()]
    return "\n".join(lines) + "\n"


def _describe_certificate(certificate: RATSTLSCertificate) -> list[str]:
    carried = "none" if certificate.evidence is None else certificate.evidence.certificate_format.value
    return [
        f"attestation id     {certificate.attestation_id}",
        f"certificate        {certificate.not_before:%Y-%m-%d %H:%M:%SZ} to {certificate.not_after:%Y-%m-%d %H:%M:%SZ}",
        f"evidence format    {carried}",
        f"endorsements       {'none' if certificate.endorsements is None else 'brought along'}",
    ]


def _describe_claims(claims: dict[str, JSONValue], prefix: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in claims.items():
        if isinstance(value, dict):
            lines += _describe_claims(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix + name:<18} {value}")
    return lines
