"""Checks that link the body of a quote to the platform: body ← attestation key ← quoting enclave ← PCK key."""

import hashlib

from verdictd.tees.dcap.context import AppraisalContext
from verdictd.tees.dcap.ecdsa import parse_raw_public_key, verify_raw_signature
from verdictd.tees.dcap.endorsements import VerifiedQEIdentity
from verdictd.tees.dcap.pck import VerifiedPCK
from verdictd.tees.dcap.qe_identity import QETCBLevel
from verdictd.tees.dcap.quote import Quote
from verdictd.tees.dcap.tcb_level import find_qe_level

_QE_CHECKS = ("qe.misc_select", "qe.attributes", "qe.mr_signer", "qe.isv_prod_id", "qe.tcb_level")


def check_qe_report(quote: Quote[object], pck: VerifiedPCK | None, context: AppraisalContext) -> None:
    """Check that the PCK key signed the QE's report, and that the report vouches for the attestation key."""
    if pck is None:
        context.skip("the PCK chain does not hold", "qe.report_signature")
    else:
        key = ("qe report", quote.qe_report_bytes, quote.qe_report_signature, pck.chain.leaf.der)
        if context.attempt(
            "qe.report_signature", lambda: context.memory.recall(key, lambda: _verify_qe_report(quote, pck))
        ):
            context.passed("qe.report_signature", "it verifies")
    expected = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest() + bytes(32)
    found = quote.qe_report.report_data
    context.require(
        found == expected, "qe.report_data", found.hex(), "the attestation key was not made by this quoting enclave"
    )


def check_qe(quote: Quote[object], verified: VerifiedQEIdentity | None, context: AppraisalContext) -> QETCBLevel | None:
    """Check that the quoting enclave is the one Intel endorses, and find the TCB level of its version."""
    if verified is None:
        context.skip("there is no QE identity that holds", *_QE_CHECKS)
        return None
    report, identity = quote.qe_report, verified.identity
    misc_select = _mask(report.misc_select, identity.misc_select_mask)
    attributes = _mask(report.attributes, identity.attributes_mask)
    _require_endorsed(context, "qe.misc_select", misc_select.hex(), identity.misc_select.hex())
    _require_endorsed(context, "qe.attributes", attributes.hex(), identity.attributes.hex())
    _require_endorsed(context, "qe.mr_signer", report.mr_signer.hex(), identity.mr_signer.hex())
    _require_endorsed(context, "qe.isv_prod_id", str(report.isv_prod_id), str(identity.isv_prod_id))
    level = find_qe_level(identity, report.isv_svn)
    if level is None:
        lowest = min(known.isv_svn for known in identity.levels)
        context.failed(
            "qe.tcb_level",
            f"ISVSVN {report.isv_svn}, the lowest endorsed is {lowest}",
            "update the platform's DCAP software",
        )
        return None
    context.passed("qe.tcb_level", f"ISVSVN {report.isv_svn}, {level.status} since {level.date.date()}")
    return level


def check_quote_signature(quote: Quote[object], pck: VerifiedPCK | None, context: AppraisalContext) -> None:
    """Check the attestation key's signature over header and body: the one signature made anew for each quote."""
    raw_key = quote.attestation_key

    def verify() -> bool:
        if pck is None:  # keys that anybody can make up must not push out of memory what is worth remembering
            key = parse_raw_public_key(raw_key)
        else:
            key = context.memory.recall(("p256 key", raw_key), lambda: parse_raw_public_key(raw_key))
        verify_raw_signature(key, quote.signature, quote.signed, "the attestation key's signature of the quote")
        return True

    if context.attempt("quote.signature", verify):
        context.passed("quote.signature", "it verifies")


def _require_endorsed(context: AppraisalContext, name: str, found: str, endorsed: str) -> None:
    if found == endorsed:
        context.passed(name, found)
    else:
        context.failed(name, f"{found}, endorsed is {endorsed}", "the quote was not made by Intel's quoting enclave")


def _verify_qe_report(quote: Quote[object], pck: VerifiedPCK) -> bool:
    verify_raw_signature(
        pck.key, quote.qe_report_signature, quote.qe_report_bytes, "the PCK key's signature of the QE report"
    )
    return True


def _mask(value: bytes, mask: bytes) -> bytes:
    return (int.from_bytes(value, "big") & int.from_bytes(mask, "big")).to_bytes(len(value), "big")
