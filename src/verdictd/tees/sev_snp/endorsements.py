"""Endorsements of a platform as they were received, and which of them a report is judged with."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from verdictd.core.der import read_elements
from verdictd.core.errors import LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.amd.extensions import CHIP_ID_BYTES, AMDKeyType, AMDProduct
from verdictd.tees.amd.pem import decode_pem
from verdictd.tees.sev_snp.evidence import SNPEvidence
from verdictd.tees.sev_snp.report import SNPReport

FROM_EVIDENCE: Final = "evidence"
"""The source of what the evidence's own table holds."""
_PEM: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementItem:
    """One item, and where it came from, for the operator (a file name, a URL without secrets). Nothing is verified."""

    content: bytes
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SNPEndorsements:
    """What is needed beside a report to judge it. An item that is missing is ``None``, and its checks then refuse.

    Attributes:
        key_certificate: of the VCEK or VLEK that signed the report; DER or PEM.
        chain: the ASK or ASVK, then the ARK; PEM, as AMD serves it, or DER one after the other.
        crl: of the ARK; DER.
    """

    key_certificate: EndorsementItem | None = None
    chain: EndorsementItem | None = None
    crl: EndorsementItem | None = None


class WantedKey(NamedTuple):
    """Which certificate has to be had to judge a report, in the words of AMD's service. Trust: none.

    Attributes:
        key_type: of the key that the report says signed it; also the kind of chain and CRL.
        product: ``None`` where the report does not tell (version 2).
        chip_id: as it is asked for: 8 bytes for Turin, else 64; empty for a VLEK, and where the report masks it.
        tcb: the reported one, 8 bytes as in the report.
    """

    key_type: AMDKeyType
    product: AMDProduct | None
    chip_id: bytes
    tcb: bytes


class SelectedEndorsements(NamedTuple):
    """What a report is judged with. Not verified.

    Attributes:
        chain: one item or two, which together are the chain; empty where there is none.
    """

    key_certificate: EndorsementItem | None
    chain: tuple[EndorsementItem, ...]
    crl: EndorsementItem | None


def name_wanted_key(report: SNPReport) -> WantedKey | None:
    """Name what has to be had for a report; ``None`` where nothing can be: it is not signed."""
    key_type = report.key_type
    if key_type is None:
        return None
    product = report.product
    is_of_chip = key_type == "vcek" and not report.is_chip_id_masked
    chip_id = report.chip_id[: CHIP_ID_BYTES[product or "Milan"]] if is_of_chip else b""
    return WantedKey(key_type, product, chip_id, report.reported_tcb)


def name_brought(evidence: SNPEvidence) -> frozenset[str]:
    """Name the items of `SNPEndorsements` that the evidence's own table has, but for the CRL: it may be an old one."""
    selected = select_endorsements(evidence, SNPEndorsements())
    return frozenset(name for name in ("key_certificate", "chain") if getattr(selected, name))


def select_endorsements(evidence: SNPEvidence, at_hand: SNPEndorsements) -> SelectedEndorsements:
    """Fill what is not at hand from the evidence's own table, which never replaces anything."""
    table = evidence.table
    brought = {"vcek": table.vcek, "vlek": table.vlek}.get(evidence.report.key_type or "", b"")
    own_chain = tuple(_from_evidence(part) for part in (table.ask, table.ark)) if table.ask and table.ark else ()
    return SelectedEndorsements(
        key_certificate=at_hand.key_certificate or (_from_evidence(brought) if brought else None),
        chain=(at_hand.chain,) if at_hand.chain else own_chain,
        crl=at_hand.crl or (_from_evidence(table.crl) if table.crl else None),
    )


def read_certificates(content: bytes, what: str) -> list[bytes]:
    """Return the DER of certificates in PEM, or in DER one after the other.

    Raises:
        MalformedError: neither, or something stands between them.
        LimitExceededError: longer than `MAX_CHAIN_BYTES`, or too many in PEM.
    """
    if content.lstrip().startswith(_PEM):
        return decode_pem(content, what)
    if len(content) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"{what} is {len(content)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    return [element.encoded for element in read_elements(content, 0, len(content))]


def _from_evidence(content: bytes) -> EndorsementItem:
    return EndorsementItem(content=content, source=FROM_EVIDENCE)
