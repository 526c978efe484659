"""Subjects of the SGX kind, each from its own form of file content. Nothing is read here but bytes."""

from typing import Final

from verdictd.appraisal.evidence_file import parse_evidence_file
from verdictd.core.checks import Check, CheckLog
from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.core.result import JSONValue
from verdictd.enclave.sigstruct import Sigstruct, parse_sigstruct
from verdictd.enclave.sigstruct_checks import check_sigstruct
from verdictd.ratstls.evidence import EvidenceKind
from verdictd.reference.subject import Finding, MeasurementSource, Subject, Unusable
from verdictd.tees.sgx_ecdsa.claims import build_policy_input
from verdictd.tees.sgx_ecdsa.reference_values import EnclaveValues

_DEBUG_NOTE: Final = (
    "the signer lets it be started as a debug enclave too; such a peer is refused unless --allow-debug is set"
)
_TAKE_AGAIN: Final = "it was cut off or damaged: take it again from where it was built"


def judge_signed(data: bytes, *, where: str, kind: str, measured: bytes | None, why_not: str) -> Finding:
    """Judge a SIGSTRUCT, together with what was measured of the image that it signs.

    Args:
        data: the SIGSTRUCT, untrusted.
        where: see `Subject`.
        kind: see `Subject`.
        measured: the image's MRENCLAVE; ``None`` where it was not measured.
        why_not: why it was not measured.
    Raises:
        MalformedError: not 1,808 bytes.
    """
    sigstruct, log = parse_sigstruct(data), CheckLog()
    log.extend(check_sigstruct(data))
    _check_measurement(sigstruct, measured, why_not, log)
    checks = log.finish()
    if refused := [check for check in checks if check.refuses]:
        return Unusable(where=where, reason=_most_telling(refused).sentence, checks=checks)
    values = EnclaveValues(
        mr_enclave=sigstruct.mr_enclave,
        mr_signer=sigstruct.mr_signer,
        isv_prod_id=sigstruct.isv_prod_id,
        isv_svn=sigstruct.isv_svn,
    )
    return Subject(
        where=where,
        kind=kind,
        values=values,
        source=MeasurementSource.SIGNATURE if measured is None else MeasurementSource.IMAGE,
        source_note=why_not if measured is None else "",
        checks=checks,
        notes=(_DEBUG_NOTE,) if sigstruct.allows_debug else (),
        details=_describe(sigstruct),
        signature=data,
        policy_input=values.as_evidence(),
    )


def judge_evidence(data: bytes, *, where: str) -> Finding:
    """Take what a quote or a RATS-TLS certificate says of its enclave. None of it is verified.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: it is neither, or of another kind than SGX.
    """
    evidence = parse_evidence_file(data)
    claims = evidence.claims(EvidenceKind.SGX_ECDSA)
    values = EnclaveValues(
        mr_enclave=_digest(claims["mr_enclave"]),
        mr_signer=_digest(claims["mr_signer"]),
        isv_prod_id=_number(claims["isv_prod_id"]),
        isv_svn=_number(claims["isv_svn"]),
    )
    notes = ["nothing in it was verified: whoever made the file chose these values; see verdict appraise"]
    if claims["debug"] is True:
        notes.append("it is of a debug enclave, which verdictd refuses unless --allow-debug is set")
    return Subject(
        where=where,
        kind="SGX quote" if evidence.certificate is None else "RATS-TLS certificate with an SGX quote",
        values=values,
        source=MeasurementSource.EVIDENCE,
        notes=tuple(notes),
        policy_input=build_policy_input(claims, evidence.custom_claims()),
    )


def explain(error: VerdictdError, *, where: str) -> Unusable:
    """Make a finding of an error."""
    what_to_do = "" if error.remedy or not isinstance(error, MalformedError) else f"; {_TAKE_AGAIN}"
    return Unusable(where=where, reason=f"{error}{what_to_do}")


def _check_measurement(sigstruct: Sigstruct, measured: bytes | None, why_not: str, log: CheckLog) -> None:
    name, expected = "image.mr_enclave", f"{sigstruct.mr_enclave.hex()}, as its author signed it"
    if measured is None:
        log.not_made(name, expected, why_not, mandatory=False)
        return
    log.require(
        measured == sigstruct.mr_enclave,
        name,
        expected,
        measured.hex(),
        "the image was altered after it was signed: build and sign it anew",
    )


def _most_telling(refused: list[Check]) -> Check:
    """Of several, the one that says what happened: what was not signed at all, say, fails in more than one."""
    telling = [check for check in refused if check.name in {"sigstruct.header", "sigstruct.debug", "sigstruct.modulus"}]
    return (telling or refused)[0]


def _describe(sigstruct: Sigstruct) -> dict[str, str]:
    return {
        "signed": f"{sigstruct.day[:4]}-{sigstruct.day[4:6]}-{sigstruct.day[6:]}",
        "attributes": f"{sigstruct.attributes.hex()} (mask {sigstruct.attribute_mask.hex()})",
        "misc select": f"{sigstruct.misc_select.hex()} (mask {sigstruct.misc_mask.hex()})",
        "ISVEXTPRODID": sigstruct.isv_ext_prod_id.hex(),
        "ISVFAMILYID": sigstruct.isv_family_id.hex(),
    }


def _digest(value: JSONValue) -> bytes:
    return bytes.fromhex(str(value))


def _number(value: JSONValue) -> int:
    if not isinstance(value, int):
        raise TypeError("a claim that is a number is an int")
    return value
