"""CSV evidence as peers send it: a report, alone or with the certificates of its vendor behind it. Parsing only."""

from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError
from verdictd.tees.csv.report import REPORT_BYTES, CSVReport, parse_report
from verdictd.tees.csv.vendor_certificate import VENDOR_CERTIFICATE_BYTES
from verdictd.tees.psp.certificate import CERTIFICATE_BYTES

HSK_CEK_BYTES: Final = VENDOR_CERTIFICATE_BYTES + CERTIFICATE_BYTES
"""An HSK and a CEK, as Hygon's service hands them out for a chip."""
EVIDENCE_BYTES: Final = REPORT_BYTES + HSK_CEK_BYTES + 4


class CSVEvidence(NamedTuple):
    """Parsed evidence. Trust: unauthenticated.

    Attributes:
        report: the report.
        hsk_cek: HSK and CEK, unparsed; ``None`` where the evidence is a report alone.
    """

    report: CSVReport
    hsk_cek: bytes | None


def parse_csv_evidence(data: bytes) -> CSVEvidence:
    """Parse evidence.

    Layout: report 0 (4096), and then either nothing or HSK 4096 (832), CEK 4928 (2084), their length 7012 (4,
    little-endian, always 2916).

    Raises:
        MalformedError: another length, or a length field that says something else, or no report.
        UnsupportedError: an extended report.
    """
    if len(data) not in {REPORT_BYTES, EVIDENCE_BYTES}:
        raise MalformedError(
            f"CSV evidence is {REPORT_BYTES} bytes long, or {EVIDENCE_BYTES} with HSK and CEK; this is {len(data)}"
        )
    report = parse_report(data[:REPORT_BYTES])
    if len(data) == REPORT_BYTES:
        return CSVEvidence(report, None)
    stated = int.from_bytes(data[-4:], "little")
    if stated != HSK_CEK_BYTES:
        raise MalformedError(f"the evidence says that HSK and CEK are {stated} bytes long, expected {HSK_CEK_BYTES}")
    return CSVEvidence(report, data[REPORT_BYTES:-4])


def read_chip_id(data: bytes) -> str | None:
    """Read for which chip to ask Hygon's service for HSK and CEK; ``None`` where the evidence brings them itself.

    Trust: none; it is what the peer says, in a form that does no harm in a URL: 1 to 64 letters and digits.

    Raises:
        MalformedError: no evidence, or its chip id is of another form.
        UnsupportedError: an extended report.
    """
    evidence = parse_csv_evidence(data)
    if evidence.hsk_cek is not None:
        return None
    return format_chip_id(evidence.report.chip_id)


def format_chip_id(chip_id: bytes) -> str:
    """Return a chip id as text.

    Raises:
        MalformedError: it is not letters and digits, followed by zeros.
    """
    text = chip_id.rstrip(b"\0")
    if not text.isalnum():  # of ASCII, as these are bytes
        raise MalformedError("the chip id of the report is not letters and digits")
    return text.decode("ascii")
