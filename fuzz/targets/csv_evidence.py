"""CSV evidence: as it comes, with HSK and CEK apart, and with a report that the PEK signs whatever is in it."""

import struct
from functools import cache
from typing import Final

from fuzz.parts import join, selector, take
from fuzz.simulated import NOW
from fuzz.target import FuzzTarget, attempt
from fuzz.verdicts import check_result
from verdictd.core.result import AppraisalResult
from verdictd.simulator.hygon_certificates import encode_signature
from verdictd.simulator.hygon_platform import CSVReportSpec, SimulatedHygon
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.chain import CSVEndorsements
from verdictd.tees.csv.evidence import read_chip_id
from verdictd.tees.csv.roots import HygonRoots, parse_hygon_root
from verdictd.tees.csv.verifier import appraise_csv
from verdictd.tees.psp.certificate import KeyUsage

_AS_IT_COMES, _SIGNED, _APART = range(3)
_FIELDS, _SIGNED_FIELDS, _SIGNATURE_END = 192, 180, 336
_HYGON: Final = SimulatedHygon(b"fuzz".ljust(32))
_SPEC: Final = CSVReportSpec(mnonce=bytes(range(16)), anonce=b"\1\2\3\4")


@cache
def _roots() -> HygonRoots:
    return HygonRoots((parse_hygon_root(_HYGON.hrk_certificate, "hrk.cert"),))


@cache
def _genuine() -> bytes:
    return _HYGON.evidence(_SPEC)


def check(data: bytes) -> None:
    """What is accepted is signed, and is said as an independent reading of the bytes says it."""
    choice, value = selector(data, 3)
    if choice == _SIGNED:
        evidence = _sign(value)
        result = _appraise(evidence, None)
        if result.allowed:
            _check_accepted(result, evidence)
    elif choice == _APART:
        hsk_cek, report = take(value)
        _appraise(report, hsk_cek)
    else:
        attempt(read_chip_id, value)
        _appraise(value, None)


def _appraise(evidence: bytes, hsk_cek: bytes | None) -> AppraisalResult:
    result = appraise_csv(
        evidence,
        endorsements=CSVEndorsements(hsk_cek=hsk_cek),
        roots=_roots(),
        acceptance=CSVAcceptance(),
        at=NOW,
    )
    check_result(result)
    return result


def _sign(fields: bytes) -> bytes:
    """Genuine evidence whose fields and mask are these, and whose PEK is under that mask."""
    page = fields[:_FIELDS].ljust(_FIELDS, b"\0")
    signature = encode_signature(_HYGON.key(KeyUsage.PEK).sign(page[:_SIGNED_FIELDS]))
    spare = CSVReportSpec(mnonce=_SPEC.mnonce, anonce=page[188:192])
    return page + signature + _HYGON.report(spare, pek=_pek())[_SIGNATURE_END:] + _genuine()[4096:]


@cache
def _pek() -> bytes:
    return _HYGON.pek_certificate


def _check_accepted(result: AppraisalResult, evidence: bytes) -> None:
    words = struct.unpack("<48I", evidence[:_FIELDS])
    plain = struct.pack("<47I", *(word ^ words[47] for word in words[:47]))
    policy, usage, algorithm = struct.unpack("<III", plain[176:])
    assert policy & 1, "a guest that may be debugged is accepted"
    assert (usage, algorithm) == (0x1002, 4)
    assert result.claims["report_data"] == plain[64:128].hex()
    assert result.claims["measure"] == plain[144:176].hex()


def seeds() -> dict[str, bytes]:
    fields = _genuine()[:_FIELDS]
    unmasked = _HYGON.report(CSVReportSpec(mnonce=_SPEC.mnonce, anonce=bytes(4), masks_signer=False), pek=_pek())
    return {
        "evidence": bytes([_AS_IT_COMES]) + _genuine(),
        "report": bytes([_AS_IT_COMES]) + unmasked,
        "signed": bytes([_SIGNED]) + fields,
        "signed_unmasked": bytes([_SIGNED]) + unmasked[:_FIELDS],
        "apart": bytes([_APART]) + join(_HYGON.hsk_cek, unmasked),
    }


TARGET = FuzzTarget(
    name="csv_evidence",
    modules=(
        "verdictd.tees.csv.chain",
        "verdictd.tees.csv.evidence",
        "verdictd.tees.csv.report",
        "verdictd.tees.csv.sm2_fields",
        "verdictd.tees.csv.vendor_certificate",
        "verdictd.tees.csv.verifier",
        "verdictd.tees.psp.certificate",
    ),
    check=check,
    seeds=seeds,
)
