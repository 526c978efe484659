"""Checks of the PCK certificate: its chain, its validity, and whether it or its CA was revoked."""

from verdictd.tees.dcap.collateral import Collateral, RevocationList
from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.endorsements import VerifiedCRL, verify_crl_by, verify_root_ca_crl
from verdictd.tees.dcap.pck import VerifiedPCK, verify_pck_chain
from verdictd.tees.dcap.quote import INTEL_QE_VENDOR_ID, CertificationDataType, Quote
from verdictd.tees.dcap.requirements import FETCH_COLLATERAL, NONE_AT_HAND, NOT_SOUGHT, UPDATE_COLLATERAL
from verdictd.tees.timed_checklist import format_instant

_NO_CHAIN = "the PCK chain does not hold"
_CERTIFICATION_TYPES = {kind.value: kind.name.lower() for kind in CertificationDataType}


def check_pck(quote: Quote[object], context: AppraisalContext) -> VerifiedPCK | None:
    """Check that the quote comes with a PCK certificate chain that ends in a trusted root and is in its validity."""
    context.require(quote.qe_vendor_id == INTEL_QE_VENDOR_ID, "quote.qe_vendor", quote.qe_vendor_id.hex())
    kind = quote.certification_type
    if kind != CertificationDataType.PCK_CHAIN:
        context.failed(
            "quote.certification_data",
            f"type {kind} ({_CERTIFICATION_TYPES.get(kind, 'unknown')}), which does not hold the PCK certificate chain",
            "let the attester's quote provider library fetch the PCK certificate: configure a PCCS on its machine",
        )
        context.skip("the quote holds no PCK certificate chain", "pck.chain", "pck.validity")
        return None
    context.passed("quote.certification_data", "type 5")
    pck = context.attempt(
        "pck.chain", lambda: verify_pck_chain(quote.certification_data, context.roots, context.memory)
    )
    if pck is None:
        context.skip(_NO_CHAIN, "pck.validity")
        return None
    context.passed("pck.chain", f"root {pck.chain.root.label}")
    context.require_in_time(
        "pck.validity",
        pck.chain.not_before,
        pck.chain.not_after,
        "the platform needs a current PCK certificate; or accept it with --allow-expired-collateral",
    )
    return pck


def check_root_ca_crl(collateral: Collateral, pck: VerifiedPCK | None, context: AppraisalContext) -> VerifiedCRL | None:
    """Check the root CA's CRL, under the PCK chain's root where that chain holds."""
    crl = collateral.root_ca_crl
    if crl is None and pck is None:
        context.skip(NOT_SOUGHT, "root_ca_crl.signature", "root_ca_crl.validity")
        return None
    if crl is None:
        context.failed("root_ca_crl.signature", NONE_AT_HAND, FETCH_COLLATERAL)
        context.skip("there is no root CA CRL", "root_ca_crl.validity")
        return None

    def verify() -> VerifiedCRL:
        if pck is None:
            return verify_root_ca_crl(crl, context.roots, context.memory)
        root = pck.chain.root
        return verify_crl_by(crl, root.named, root, context.memory)

    return _check_crl(
        crl, verified=context.attempt("root_ca_crl.signature", verify), name="root_ca_crl", context=context
    )


def check_pck_revocation(
    collateral: Collateral, pck: VerifiedPCK | None, root_crl: VerifiedCRL | None, context: AppraisalContext
) -> VerifiedCRL | None:
    """Check that neither the PCK's CAs nor the PCK certificate itself are revoked; return the PCK CRL if it holds.

    The root's own CRL is asked for the root too: it is how a vendor says that its root's key is lost.
    """
    if pck is None:
        context.skip(_NO_CHAIN, "pck.ca_revocation", "pck_crl.signature", "pck_crl.validity", "pck.revocation")
        return None
    chain = pck.chain
    require_unrevoked(context, "pck.ca_revocation", root_crl, *chain.issuers.serial_numbers)
    crl = collateral.pck_crl
    if crl is None:
        context.failed("pck_crl.signature", NONE_AT_HAND, FETCH_COLLATERAL)
        context.skip("there is no PCK CRL", "pck_crl.validity", "pck.revocation")
        return None
    verified = context.attempt(
        "pck_crl.signature",
        lambda: verify_crl_by(crl, chain.issuer, chain.root, context.memory),
    )
    _check_crl(crl, verified=verified, name="pck_crl", context=context)
    require_unrevoked(context, "pck.revocation", verified, chain.serial_number)
    return verified


def require_unrevoked(context: AppraisalContext, name: str, crl: VerifiedCRL | None, *serial_numbers: int) -> None:
    """Check that certificates are not on the CRL of their issuer. Without such a CRL the check is not made."""
    if crl is None:
        context.skip("there is no CRL of its issuer that holds", name)
        return
    for serial_number in serial_numbers:
        revoked_at = crl.revocation_date(serial_number)
        if revoked_at is not None:
            context.failed(
                name,
                f"serial number {f'{serial_number:x}':.40} was revoked at {format_instant(revoked_at)}",
                "it must not be trusted any more; no setting accepts it",
            )
            return
    context.passed(name, "not listed")


def _check_crl(
    crl: RevocationList, *, verified: VerifiedCRL | None, name: str, context: AppraisalContext
) -> VerifiedCRL | None:
    """Log what became of a CRL's verification, and check its validity in time."""
    if verified is None:
        context.skip("the CRL does not hold", f"{name}.validity")
        return None
    context.passed(f"{name}.signature", f"CRL number {verified.number} from {crl.source}")
    context.require_in_time(f"{name}.validity", verified.issue_date, verified.expires_at, UPDATE_COLLATERAL)
    return verified
