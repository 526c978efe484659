"""Every recorded report, wherever it stands in what was recorded, and every recorded key of AMD's."""

import json
import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from ssl import DER_cert_to_PEM_cert
from typing import NamedTuple

from tests.unit.tees.amd.test_all_recorded import chains, contents, leaves
from tests.unit.tees.amd.test_recorded import recorded_crls
from tests.vectors import vector
from verdictd.core.errors import AuthenticityError
from verdictd.tees.amd.certificates import VerifiedEndorsementKey, verify_leaf
from verdictd.tees.sev_snp.endorsements import EndorsementItem, SNPEndorsements
from verdictd.tees.sev_snp.report import REPORT_BYTES, SNPReport

_HEAD = re.compile(rb"[\x02\x03\x05]\0\0\0")
_HEX = re.compile(rb"[0-9A-Fa-f]{%d}" % (2 * REPORT_BYTES))
_NUMBERS = re.compile(rb"\[((?:\s*\d+\s*,){1000,}\s*\d+\s*)\]")


class RecordedReport(NamedTuple):
    """A report, and whose key signed it as far as the recorded certificates tell."""

    path: str
    report: bytes
    signer: str | None


class RecordedKey(NamedTuple):
    """A certificate of AMD's, and what it is of."""

    der: bytes
    key: VerifiedEndorsementKey


@cache
def reports() -> tuple[RecordedReport, ...]:
    """All that the list of recorded evidence names, each path in it as often as there are reports in it."""
    found = []
    for item in json.loads(vector("MANIFEST.json"))["items"]:
        for known in item.get("snp_reports", []):
            if item["path"].startswith("sev-snp/"):
                report = _find(vector(item["path"]), known["report_sha256"])
                found.append(
                    RecordedReport(item["path"].removeprefix("sev-snp/"), report, known["signature_verified_by"])
                )
    return tuple(found)


def report_at(path: str) -> bytes:
    """The first report in a file."""
    return next(recorded.report for recorded in reports() if recorded.path == path)


def _find(data: bytes, digest: str) -> bytes:
    for content in _encoded(data):
        for head in _HEAD.finditer(content):
            report = content[head.start() : head.start() + REPORT_BYTES]
            if sha256(report).hexdigest().startswith(digest):
                return report
    raise LookupError(f"no report {digest} was found")


def _encoded(data: bytes) -> Iterator[bytes]:
    for content in contents(data):
        yield content
        yield from (bytes.fromhex(text.decode()) for text in _HEX.findall(content))
        yield from (bytes(map(int, numbers.split(b","))) for numbers in _NUMBERS.findall(content))


@cache
def keys() -> tuple[RecordedKey, ...]:
    found = []
    for der in leaves():
        for chain in chains():
            try:
                found.append(RecordedKey(der, verify_leaf(der, chain)))
            except AuthenticityError:
                continue
    return tuple(found)


def keys_of(report: SNPReport) -> list[RecordedKey]:
    """Those that may have signed a report, by what it says."""
    return [
        recorded
        for recorded in keys()
        if recorded.key.chain.key_type == report.key_type
        and recorded.key.endorsed.tcb == report.reported_tcb
        and (report.key_type == "vlek" or recorded.key.endorsed.chip_id == report.chip_id.rstrip(b"\0"))
    ]


def endorsements_of(recorded: RecordedKey) -> SNPEndorsements:
    chain = recorded.key.chain
    pem = DER_cert_to_PEM_cert(chain.intermediate.der) + DER_cert_to_PEM_cert(chain.root.authority.der)
    return SNPEndorsements(
        key_certificate=item(recorded.der),
        chain=item(pem.encode()),
        crl=item(recorded_crls()[chain.product]) if chain.product in recorded_crls() else None,
    )


def item(content: bytes) -> EndorsementItem:
    return EndorsementItem(content=content, source="recorded")
