"""The steps of an appraisal that SGX and TDX share: from the PCK certificate to the platform's TCB status.

Each step makes its checks, logs every one of them, and returns what it verified or ``None``. A step whose input is
missing logs its checks as not made, so that one failure hides none of the others.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from verdictd.core.errors import AuthenticityError, VerdictdError
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.collateral import Collateral, RevocationList
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.ecdsa import parse_raw_public_key, verify_raw_signature
from verdictd.tees.dcap.endorsements import (
    VerifiedCRL,
    VerifiedQEIdentity,
    VerifiedTCBInfo,
    verify_crl_by,
    verify_qe_identity,
    verify_root_ca_crl,
    verify_tcb_info,
)
from verdictd.tees.dcap.pck import VerifiedPCK, verify_pck_chain
from verdictd.tees.dcap.qe_identity import QETCBLevel
from verdictd.tees.dcap.quote import INTEL_QE_VENDOR_ID, CertificationDataType, Quote
from verdictd.tees.dcap.tcb_info import TCBLevel
from verdictd.tees.dcap.tcb_level import converge, describe_shortfall, find_level, find_qe_level

T = TypeVar("T")

PLATFORM_REQUIREMENTS = {
    "quote.qe_vendor": "the quoting enclave's vendor is Intel",
    "quote.certification_data": "the PCK certificate chain (type 5)",
    "pck.chain": "a PCK certificate chain that ends in a trusted root",
    "pck.validity": "every certificate of the PCK chain is in its validity",
    "root_ca_crl.signature": "a root CA CRL, signed by the PCK chain's root",
    "root_ca_crl.validity": "the root CA CRL is current",
    "pck.ca_revocation": "the PCK CA is not revoked",
    "pck_crl.signature": "a PCK CRL, signed by the PCK certificate's issuer",
    "pck_crl.validity": "the PCK CRL is current",
    "pck.revocation": "the PCK certificate is not revoked",
    "tcb_info.signature": "TCB info, signed by a TCB signing certificate under the PCK chain's root",
    "tcb_info.validity": "TCB info and its signer are current",
    "tcb_info.signer_revocation": "the signer of TCB info is not revoked",
    "tcb_info.id": "TCB info is for this TEE",
    "tcb_info.fmspc": "TCB info is for the platform's FMSPC",
    "tcb_info.pce_id": "TCB info is for the platform's PCEID",
    "qe_identity.signature": "QE identity, signed by a TCB signing certificate under the PCK chain's root",
    "qe_identity.validity": "QE identity and its signer are current",
    "qe_identity.signer_revocation": "the signer of QE identity is not revoked",
    "qe_identity.id": "QE identity is for this TEE's quoting enclave",
    "qe.report_signature": "the PCK key's signature over the QE report",
    "qe.report_data": "SHA-256(attestation key ‖ authentication data) ‖ 32 zero bytes",
    "qe.misc_select": "the QE's MISCSELECT, masked, is the endorsed one",
    "qe.attributes": "the QE's ATTRIBUTES, masked, are the endorsed ones",
    "qe.mr_signer": "the QE's MRSIGNER is the endorsed one",
    "qe.isv_prod_id": "the QE's ISVPRODID is the endorsed one",
    "qe.tcb_level": "the QE's ISVSVN reaches an endorsed level",
    "quote.signature": "the attestation key's signature over header and body",
    "tcb.level": "the platform reaches an endorsed TCB level",
    "tcb.status": "an accepted TCB status",
    "tcb.advisories": "no denied advisory applies",
    "tcb.evaluation_data_number": "TCB info and QE identity have at least the required evaluation data number",
    "collateral.age": "no collateral is older than allowed",
}
"""Every check of the steps in this module, in the order made, and what it requires."""

_UPDATE_COLLATERAL = (
    "fetch current collateral (--pccs-url or --collateral), or accept it with --allow-expired-collateral"
)
_FETCH_COLLATERAL = "give a PCCS with --pccs-url, or a file or directory with --collateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFindings:
    """What the steps verified; ``None`` where a check before it failed.

    Trust: each part holds by itself; the platform is acceptable only if no check in the log refuses.
    """

    pck: VerifiedPCK | None
    tcb_info: VerifiedTCBInfo | None
    qe_identity: VerifiedQEIdentity | None
    level: TCBLevel | None
    qe_level: QETCBLevel | None
    status: TCBStatus | None
    advisory_ids: tuple[str, ...]
    evaluation_data_number: int | None


def appraise_platform(
    quote: Quote, collateral: Collateral, context: AppraisalContext, *, tee_id: str, qe_id: str
) -> PlatformFindings:
    """Make all checks of `PLATFORM_REQUIREMENTS`.

    Args:
        quote: parsed, unauthenticated.
        collateral: raw, untrusted.
        context: settings, instant and log.
        tee_id: what TCB info must be for, ``SGX`` or ``TDX``.
        qe_id: what QE identity must be for, ``QE`` or ``TD_QE``.
    """
    pck = _check_pck(quote, context)
    root_crl = _check_root_ca_crl(collateral, pck, context)
    _check_pck_revocation(collateral.pck_crl, pck, root_crl, context)
    tcb_info = _check_tcb_info(collateral, pck, root_crl, context, tee_id)
    qe_identity = _check_qe_identity(collateral, pck, root_crl, context, qe_id)
    _check_qe_report(quote, pck, context)
    qe_level = _check_qe(quote, qe_identity, context)
    _check_quote_signature(quote, context)
    level, status = _check_tcb(pck, tcb_info, qe_level, context)
    advisories = tuple(sorted({*(level.advisory_ids if level else ()), *(qe_level.advisory_ids if qe_level else ())}))
    _check_advisories(level, qe_level, advisories, context)
    return PlatformFindings(
        pck=pck,
        tcb_info=tcb_info,
        qe_identity=qe_identity,
        level=level,
        qe_level=qe_level,
        status=status,
        advisory_ids=advisories,
        evaluation_data_number=_check_freshness(tcb_info, qe_identity, context),
    )


def _attempt(context: AppraisalContext, name: str, verify: Callable[[], T]) -> T | None:
    """Run a verification whose refusal is a failed check rather than an error of ours."""
    try:
        return verify()
    except VerdictdError as error:
        context.fail(name, error.message, error.remedy)
        return None


def _check_pck(quote: Quote, context: AppraisalContext) -> VerifiedPCK | None:
    context.require(quote.qe_vendor_id == INTEL_QE_VENDOR_ID, "quote.qe_vendor", quote.qe_vendor_id.hex())
    kind = quote.certification_type
    if kind != CertificationDataType.PCK_CHAIN:
        name = CertificationDataType(kind).name.lower() if kind in list(CertificationDataType) else "unknown"
        context.fail(
            "quote.certification_data",
            f"type {kind} ({name}), which does not hold the PCK certificate",
            "let the attester's quote provider library fetch the PCK certificate: configure its PCCS",
        )
        context.skip("the quote holds no PCK certificate", "pck.chain", "pck.validity")
        return None
    context.require(True, "quote.certification_data", "type 5")  # noqa: FBT003
    pck = _attempt(
        context, "pck.chain", lambda: verify_pck_chain(quote.certification_data, context.roots, context.memory)
    )
    if pck is None:
        context.skip("the PCK chain does not hold", "pck.validity")
        return None
    context.require(True, "pck.chain", f"root {pck.chain.root.label}")  # noqa: FBT003
    context.require_in_time(
        "pck.validity",
        pck.chain.not_before,
        pck.chain.not_after,
        "the platform needs a current PCK certificate; or accept it with --allow-expired-collateral",
    )
    return pck


def _check_root_ca_crl(
    collateral: Collateral, pck: VerifiedPCK | None, context: AppraisalContext
) -> VerifiedCRL | None:
    crl = collateral.root_ca_crl
    if crl is None:
        context.fail("root_ca_crl.signature", "none at hand", _FETCH_COLLATERAL)
        context.skip("there is no root CA CRL", "root_ca_crl.validity")
        return None

    def verify() -> VerifiedCRL:
        if pck is None:
            return verify_root_ca_crl(crl, context.roots, context.memory)
        root = pck.chain.root
        expires = root.certificate.not_valid_after_utc
        return verify_crl_by(crl, root.certificate, root, context.memory, chain_not_after=expires)

    verified = _attempt(context, "root_ca_crl.signature", verify)
    if verified is None:
        context.skip("the root CA CRL does not hold", "root_ca_crl.validity")
        return None
    context.require(True, "root_ca_crl.signature", f"number {verified.number} from {crl.source}")  # noqa: FBT003
    _check_time(context, "root_ca_crl.validity", verified.issue_date, verified.expires_at)
    return verified


def _check_pck_revocation(
    crl: RevocationList | None, pck: VerifiedPCK | None, root_crl: VerifiedCRL | None, context: AppraisalContext
) -> None:
    if pck is None or root_crl is None:
        why = "the PCK chain does not hold" if pck is None else "there is no root CA CRL that holds"
        context.skip(why, "pck.ca_revocation")
    else:
        _require_unrevoked(context, "pck.ca_revocation", pck.chain.issuer.serial_number, root_crl)
    if pck is None:
        context.skip("the PCK chain does not hold", "pck_crl.signature", "pck_crl.validity", "pck.revocation")
        return
    if crl is None:
        context.fail("pck_crl.signature", "none at hand", _FETCH_COLLATERAL)
        context.skip("there is no PCK CRL", "pck_crl.validity", "pck.revocation")
        return
    chain = pck.chain
    verified = _attempt(
        context,
        "pck_crl.signature",
        lambda: verify_crl_by(crl, chain.issuer, chain.root, context.memory, chain_not_after=chain.not_after),
    )
    if verified is None:
        context.skip("the PCK CRL does not hold", "pck_crl.validity", "pck.revocation")
        return
    context.require(True, "pck_crl.signature", f"number {verified.number} from {crl.source}")  # noqa: FBT003
    _check_time(context, "pck_crl.validity", verified.issue_date, verified.next_update)
    _require_unrevoked(context, "pck.revocation", chain.leaf.serial_number, verified)


def _require_unrevoked(context: AppraisalContext, name: str, serial: int, crl: VerifiedCRL) -> None:
    revoked_at = crl.revocation_date(serial)
    if revoked_at is None:
        context.require(True, name, f"serial number {serial:x} is not listed")  # noqa: FBT003
    else:
        context.fail(
            name,
            f"serial number {serial:x} was revoked at {revoked_at:%Y-%m-%dT%H:%M:%SZ}",
            "this platform must not be trusted any more; no setting accepts it",
        )


def _check_time(context: AppraisalContext, name: str, not_before: datetime, not_after: datetime) -> None:
    context.require_in_time(name, not_before, not_after, _UPDATE_COLLATERAL)
