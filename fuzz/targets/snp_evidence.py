"""SEV-SNP reports: as they come, with the table behind them, and signed by the chip's key whatever is in them.

RSA keys cannot be derived from names, so that every run makes its own: seeds hold what is signed, and no signatures.
"""

from functools import cache
from typing import Final

from fuzz.parts import selector
from fuzz.simulated import NOW
from fuzz.target import FuzzTarget, attempt
from fuzz.verdicts import check_result
from verdictd.core.result import AppraisalResult
from verdictd.simulator.amd_certificates import AMDTCB
from verdictd.simulator.amd_pki import create_amd_pki
from verdictd.simulator.snp_platform import SNPPlatform
from verdictd.simulator.snp_report_builder import encode_certificate_table, encode_report_body, sign_report
from verdictd.tees.amd.roots import AMDRoots, parse_amd_roots
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sev_snp.acceptance import SNPAcceptance
from verdictd.tees.sev_snp.certificate_table import parse_certificate_table
from verdictd.tees.sev_snp.endorsements import EndorsementItem, SNPEndorsements, name_wanted_key
from verdictd.tees.sev_snp.evidence import parse_evidence
from verdictd.tees.sev_snp.verifier import appraise_snp

_SIGNED, _AS_IT_COMES, _TABLE = range(3)
_BODY_BYTES: Final = 0x2A0
_TCB: Final = AMDTCB(bootloader=4, tee=1, snp=24, microcode=219)
_CHIP: Final = bytes(range(1, 65))
_VERSIONS: Final = (2, 3, 5)
_LENIENT: Final = SNPAcceptance(vmpls=frozenset(range(4)), allow_provisional_firmware=True)
"""Accepts what hides nothing from the fuzzer, but neither debugging, migration agents nor masked chips."""


def check(data: bytes) -> None:
    """What is accepted is of this chip and confidential; what the chip did not sign is not accepted."""
    choice, value = selector(data, 3)
    if choice == _TABLE:
        attempt(parse_certificate_table, value)
    elif choice == _AS_IT_COMES:
        parsed = attempt(parse_evidence, value)
        if parsed is not None:
            name_wanted_key(parsed.report)
        result = _appraise(value, SNPEndorsements())
        assert not result.allowed
    else:
        body = value[:_BODY_BYTES].ljust(_BODY_BYTES, b"\0")
        result = _appraise(sign_report(body, _platform().key), _endorsements())
        if result.allowed:
            _check_accepted(body)


def _check_accepted(body: bytes) -> None:
    """Require of a report's bytes what makes it acceptable, read here by itself."""
    policy = int.from_bytes(body[8:16], "little")
    assert not policy & 1 << 19, "a guest that may be debugged is accepted"
    assert not policy & 1 << 18, "a guest with a migration agent is accepted"
    assert policy & 1 << 17
    assert policy < 1 << 26
    assert body[0] in _VERSIONS
    assert body[0x30] < 4
    assert body[0x34:0x38] == b"\1\0\0\0"
    assert body[0x48] in {0, 1}
    assert body[0x1A0:0x1E0] == _CHIP
    current, reported, committed, launch = (body[place : place + 8] for place in (0x38, 0x180, 0x1E0, 0x1F0))
    assert reported == bytes([_TCB.bootloader, _TCB.tee, 0, 0, 0, 0, _TCB.snp, _TCB.microcode])
    for lower, higher in ((reported, committed), (committed, current), (launch, current)):
        assert all(map(int.__le__, lower, higher)), "a TCB is accepted that another does not cover"


def _appraise(evidence: bytes, endorsements: SNPEndorsements) -> AppraisalResult:
    result = appraise_snp(
        evidence, endorsements=endorsements, roots=_roots(), acceptance=_LENIENT, at=NOW, memory=_memory()
    )
    check_result(result)
    return result


@cache
def _memory() -> FactMemory:
    return FactMemory()


@cache
def _platform() -> SNPPlatform:
    return SNPPlatform(pki=create_amd_pki("Milan", NOW), chip_id=_CHIP, tcb=_TCB)


@cache
def _roots() -> AMDRoots:
    return AMDRoots(parse_amd_roots(_platform().pki.ark.pem, "Milan"))


@cache
def _endorsements() -> SNPEndorsements:
    def item(content: bytes) -> EndorsementItem:
        return EndorsementItem(content=content, source="simulated")

    return SNPEndorsements(
        key_certificate=item(_platform().key_certificate(NOW)),
        chain=item(_platform().chain()),
        crl=item(_platform().crl(NOW)),
    )


def _body(version: int) -> bytes:
    return encode_report_body(
        _platform().report_spec(version=version, report_data=bytes(64), measurement=bytes(range(48)))
    )


def _table() -> bytes:
    pki = _platform().pki
    return encode_certificate_table({"ask": pki.ask.pem, "ark": pki.ark.pem, "vcek": b"leaf", "crl": b"crl"})


def seeds() -> dict[str, bytes]:
    report = sign_report(_body(5), _platform().key)
    return {
        **{f"signed_v{version}": bytes([_SIGNED]) + _body(version) for version in _VERSIONS},
        "of_another": bytes([_AS_IT_COMES]) + report,
        "of_another_with_table": bytes([_AS_IT_COMES]) + report + _table(),
        "table": bytes([_TABLE]) + _table(),
    }


TARGET = FuzzTarget(
    name="snp_evidence",
    modules=(
        "verdictd.tees.sev_snp.certificate_table",
        "verdictd.tees.sev_snp.claims",
        "verdictd.tees.sev_snp.endorsements",
        "verdictd.tees.sev_snp.evidence",
        "verdictd.tees.sev_snp.guest_checks",
        "verdictd.tees.sev_snp.guest_policy",
        "verdictd.tees.sev_snp.key_checks",
        "verdictd.tees.sev_snp.report",
        "verdictd.tees.sev_snp.tcb",
        "verdictd.tees.sev_snp.tcb_checks",
        "verdictd.tees.sev_snp.verifier",
    ),
    check=check,
    seeds=seeds,
)
