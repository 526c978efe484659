"""Checks of Intel's signed documents: TCB info and QE identity are genuine, current, and for this platform."""

from collections.abc import Callable
from typing import TypeVar

from verdictd.core.errors import AuthenticityError
from verdictd.tees.dcap.collateral import Collateral, SignedDocument
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.endorsements import (
    VerifiedCRL,
    VerifiedQEIdentity,
    VerifiedTCBInfo,
    verify_qe_identity,
    verify_tcb_info,
)
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import VerifiedPCK
from verdictd.tees.dcap.pck_checks import require_unrevoked
from verdictd.tees.dcap.requirements import FETCH_COLLATERAL, NONE_AT_HAND, NOT_SOUGHT, UPDATE_COLLATERAL
from verdictd.tees.dcap.trust_roots import TrustRoots

Document = TypeVar("Document", VerifiedTCBInfo, VerifiedQEIdentity)


def check_tcb_info(
    collateral: Collateral,
    pck: VerifiedPCK | None,
    root_crl: VerifiedCRL | None,
    context: AppraisalContext,
    *,
    tee_id: str,
) -> VerifiedTCBInfo | None:
    """Check TCB info. Returned only where it is genuine and for this TEE, FMSPC and PCEID."""
    verified = _check_document("tcb_info", collateral.tcb_info, verify_tcb_info, (pck, root_crl), context)
    if verified is None:
        context.skip("there is no TCB info that holds", "tcb_info.id", "tcb_info.fmspc", "tcb_info.pce_id")
        return None
    fits = context.require(verified.tee_id == tee_id, "tcb_info.id", verified.tee_id)
    if pck is None:
        context.skip("the PCK chain does not hold", "tcb_info.fmspc", "tcb_info.pce_id")
        return None
    fits &= _require_same(context, "tcb_info.fmspc", verified.fmspc, pck.platform.fmspc)
    fits &= _require_same(context, "tcb_info.pce_id", verified.pce_id, pck.platform.pce_id)
    return verified if fits else None


def check_qe_identity(
    collateral: Collateral,
    pck: VerifiedPCK | None,
    root_crl: VerifiedCRL | None,
    context: AppraisalContext,
    *,
    qe_id: str,
) -> VerifiedQEIdentity | None:
    """Check the QE's identity. Returned only where it is genuine and for this TEE's quoting enclave."""
    verified = _check_document("qe_identity", collateral.qe_identity, verify_qe_identity, (pck, root_crl), context)
    if verified is None:
        context.skip("there is no QE identity that holds", "qe_identity.id")
        return None
    found = verified.identity.enclave_id
    return verified if context.require(found == qe_id, "qe_identity.id", found[:80]) else None


def _require_same(context: AppraisalContext, name: str, found: bytes, platform: bytes) -> bool:
    return context.require(
        found == platform, name, f"{found.hex()}, the platform's is {platform.hex()}", FETCH_COLLATERAL
    )


def _check_document(
    name: str,
    document: SignedDocument | None,
    verify: Callable[[SignedDocument, TrustRoots, FactMemory], Document],
    platform: tuple[VerifiedPCK | None, VerifiedCRL | None],
    context: AppraisalContext,
) -> Document | None:
    """Check signature, validity and the signer's revocation of one document."""
    pck, root_crl = platform
    if document is None and pck is None:
        context.skip(NOT_SOUGHT, f"{name}.signature", f"{name}.validity", f"{name}.signer_revocation")
        return None
    if document is None:
        context.failed(f"{name}.signature", NONE_AT_HAND, FETCH_COLLATERAL)
        context.skip("it is not at hand", f"{name}.validity", f"{name}.signer_revocation")
        return None
    source = document

    def verify_under_same_root() -> Document:
        verified = verify(source, context.roots, context.memory)
        if pck is not None and verified.root.fingerprint != pck.chain.root.fingerprint:
            raise AuthenticityError(
                f"it is signed under {verified.root.label}, the platform is {pck.chain.root.label}'s"
            )
        return verified

    verified = context.attempt(f"{name}.signature", verify_under_same_root)
    if verified is None:
        context.skip("it does not hold", f"{name}.validity", f"{name}.signer_revocation")
        return None
    context.passed(f"{name}.signature", f"evaluation data number {verified.sequence[0]} from {document.source}")
    not_before = max(verified.issue_date, verified.chain.not_before)
    context.require_in_time(f"{name}.validity", not_before, verified.expires_at, UPDATE_COLLATERAL)
    if root_crl is not None and root_crl.root.fingerprint != verified.root.fingerprint:
        root_crl = None  # where the quote names no platform, the two may be under different roots
    require_unrevoked(context, f"{name}.signer_revocation", root_crl, verified.chain.serial_number)
    return verified
