"""SEV-SNP evidence: a report, alone or with the certificate table that an extended guest request gives."""

from typing import Final, NamedTuple

from verdictd.core.errors import LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.sev_snp.certificate_table import CertificateTable, parse_certificate_table
from verdictd.tees.sev_snp.report import REPORT_BYTES, SNPReport, parse_report

MAX_EVIDENCE_BYTES: Final = REPORT_BYTES + MAX_CHAIN_BYTES


class SNPEvidence(NamedTuple):
    """Parsed evidence. Trust: unauthenticated.

    Attributes:
        table: empty where the report came alone.
    """

    report: SNPReport
    table: CertificateTable


def parse_evidence(data: bytes) -> SNPEvidence:
    """Parse a report of 1184 bytes, and the table that may follow it at once.

    Raises:
        MalformedError, UnsupportedError: not such a report, or what follows it is no table.
        LimitExceededError: longer than `MAX_EVIDENCE_BYTES`, or the table has too many entries.
    """
    if len(data) > MAX_EVIDENCE_BYTES:
        raise LimitExceededError(f"the evidence is {len(data)} bytes long, the limit is {MAX_EVIDENCE_BYTES}")
    report = parse_report(data[:REPORT_BYTES])
    rest = data[REPORT_BYTES:]
    return SNPEvidence(report, parse_certificate_table(rest) if rest else CertificateTable())
