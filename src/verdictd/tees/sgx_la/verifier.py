"""The appraisal of a local SGX report, which only the machine that made it can find genuine."""

from datetime import datetime
from typing import Final, NamedTuple, Protocol

from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.core.result import AppraisalResult
from verdictd.tees.checklist import Checklist
from verdictd.tees.dcap.enclave_report import ENCLAVE_REPORT_BYTES, EnclaveReport, parse_enclave_report
from verdictd.tees.sgx_la.acceptance import SGXLocalAcceptance
from verdictd.tees.sgx_la.claims import build_claims

TEE: Final = "sgx_la"
REPORT_BYTES: Final = 432
_KEY_ID: Final = slice(ENCLAVE_REPORT_BYTES, 416)

REQUIREMENTS: Final = {
    "report.format": "an SGX local report",
    "report.mac": "a MAC that the machine which made the report finds genuine",
    "tcb.status": "an accepted TCB status",
    "enclave.debug": "the enclave is not a debug enclave",
}
"""Every check of the appraisal of a local report, in the order made, and what it requires."""

_REMEDIES: Final = {
    "report.format": "let the attester send an SGX local report, whole",
    "report.mac": "start the attester with -a sgx_ecdsa, whose quotes can be checked anywhere",
}


class LocalReportChecker(Protocol):
    """Whatever can ask this machine whether a report is its own."""

    def check(self, report: bytes) -> bool:
        """Return exactly ``True`` where the MAC of the 432 bytes is genuine.

        Raises:
            ConfigError: this machine cannot tell now; the message says why.
        """
        ...


class LocalReport(NamedTuple):
    """A parsed local report. Trust: unauthenticated."""

    body: EnclaveReport
    key_id: bytes


def parse_local_report(data: bytes) -> LocalReport:
    """Parse a local report.

    Layout: 432 bytes; report body 0 (384), key id 384 (32), MAC 416 (16).

    Raises:
        MalformedError: not 432 bytes.
    Spec:
        Intel SDM vol. 3D, "REPORT".
    """
    if len(data) != REPORT_BYTES:
        raise MalformedError(f"an SGX local report is {REPORT_BYTES} bytes long, this one is {len(data)}")
    return LocalReport(parse_enclave_report(data[:ENCLAVE_REPORT_BYTES]), data[_KEY_ID])


def appraise_sgx_la(
    evidence: bytes,
    *,
    checker: LocalReportChecker | None,
    acceptance: SGXLocalAcceptance,
    at: datetime,
) -> AppraisalResult:
    """Appraise a local report. Whatever the bytes, the answer is a result that lists every check of `REQUIREMENTS`.

    What it does not check: that the evidence belongs to the peer (its key binding, `ratstls.binding`), that the enclave
    is the one expected (reference values, `policy`), and of what status the machine's TCB is: a local report does not
    tell, and whoever asks is on the same machine.

    Args:
        evidence: an untrusted report.
        checker: asks the machine about the MAC; ``None`` where there is none, and then every report is refused.
        acceptance: what of a genuine enclave is acceptable.
        at: the instant to appraise for; aware. Nothing in this evidence has a time, so it decides nothing.
    """
    if at.tzinfo is None:
        raise ValueError("the instant of an appraisal must be an aware datetime")
    checklist = Checklist(REQUIREMENTS, _REMEDIES)
    parsed = checklist.attempt("report.format", lambda: parse_local_report(evidence))
    if parsed is None:
        checklist.skip("the report cannot be read", *list(REQUIREMENTS)[1:])
        return AppraisalResult(tee=TEE, checks=checklist.finish(), at=at)
    checklist.passed("report.format", f"a report by key {parsed.key_id.hex()}")
    _check_mac(evidence, checker, checklist)
    checklist.leave_open("tcb.status", "a local report does not tell")
    _check_debugging(parsed.body, acceptance, checklist)
    return AppraisalResult(tee=TEE, checks=checklist.finish(), at=at, claims=build_claims(parsed.body))


def _check_mac(evidence: bytes, checker: LocalReportChecker | None, checklist: Checklist) -> None:
    if checker is None:
        checklist.failed("report.mac", "nothing that can tell: only the machine that made a local report can check it")
        return
    try:
        genuine = checker.check(evidence)
    except VerdictdError as error:
        checklist.failed("report.mac", error.message, error.remedy)
        return
    found = "genuine, as this machine says" if genuine is True else "not of this machine, or altered"
    checklist.require(genuine, "report.mac", found)


def _check_debugging(body: EnclaveReport, acceptance: SGXLocalAcceptance, checklist: Checklist) -> None:
    if body.is_debug and acceptance.allow_debug:
        checklist.passed("enclave.debug", "a debug enclave, accepted by --allow-debug")
        return
    checklist.require(
        not body.is_debug,
        "enclave.debug",
        "a debug enclave, whose memory its host can read" if body.is_debug else "not a debug enclave",
        "build and sign the enclave for production, or accept it with --allow-debug",
    )
