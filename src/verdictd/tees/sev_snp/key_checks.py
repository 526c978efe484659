"""Checks of the key that signed a report: the chain above it, what AMD revoked, of what it is, and its signature."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.tees.amd.certificates import (
    VerifiedAMDChain,
    VerifiedEndorsementKey,
    verify_chain_certificates,
    verify_leaf,
)
from verdictd.tees.amd.revocation import VerifiedAMDCRL, verify_crl
from verdictd.tees.sev_snp.context import SNPContext
from verdictd.tees.sev_snp.endorsements import FROM_EVIDENCE, EndorsementItem, read_certificates
from verdictd.tees.sev_snp.report import SNPReport
from verdictd.tees.sev_snp.requirements import NONE_AT_HAND
from verdictd.tees.timed_checklist import format_instant

_ECDSA_SHA384 = ec.ECDSA(hashes.SHA384())
_NO_CHAIN = "the chain does not hold"
_NO_KEY = "the key's certificate does not hold"
_UPDATE_COLLATERAL = "fetch a current one, or accept it with --allow-expired-collateral"


def check_chain(report: SNPReport, items: tuple[EndorsementItem, ...], context: SNPContext) -> VerifiedAMDChain | None:
    """Check the chain above the key: its signatures, the trusted root, and that it is for this kind and product."""
    chain = None
    if items:
        chain = context.attempt("chain.signature", lambda: _verify_chain(items, context))
    else:
        context.failed("chain.signature", NONE_AT_HAND, "give the chain of the product, as AMD's service has it")
    if chain is None:
        context.skip(_NO_CHAIN, "chain.key_type", "chain.product")
        return None
    context.passed("chain.signature", f"root {chain.root.label}")
    context.require(
        chain.key_type == report.key_type,
        "chain.key_type",
        chain.key_type.upper(),
        f"give the chain of {chain.product} {'VLEKs' if chain.key_type == 'vcek' else 'VCEKs'}",
    )
    _check_product(report, chain, context)
    return chain


def _verify_chain(items: tuple[EndorsementItem, ...], context: SNPContext) -> VerifiedAMDChain:
    """Verify a chain, or remember that it holds.

    What a peer brings is remembered by its certificates alone: it could be written in ever new ways around them.
    """

    def read() -> list[bytes]:
        return [der for item in items for der in read_certificates(item.content, "the chain")]

    if any(item.source == FROM_EVIDENCE for item in items):
        parts = read()
        return context.memory.recall(
            ("amd chain", context.roots.key, *parts), lambda: verify_chain_certificates(parts, context.roots)
        )
    return context.memory.recall(
        ("amd chain at hand", context.roots.key, *[item.content for item in items]),
        lambda: verify_chain_certificates(read(), context.roots),
    )


def _check_product(report: SNPReport, chain: VerifiedAMDChain, context: SNPContext) -> None:
    if report.cpuid is None:
        context.passed("chain.product", f"{chain.product}; a report of version {report.version} states none")
        return
    family, model, stepping = report.cpuid
    context.require(
        report.product == chain.product,
        "chain.product",
        f"a chain for {chain.product}, a processor of {report.product or 'no known product'}"
        f" (family 0x{family:x}, model 0x{model:x}, stepping {stepping})",
        "give the chain of the processor's product",
    )


def check_revocation(item: EndorsementItem | None, chain: VerifiedAMDChain | None, context: SNPContext) -> None:
    """Check the ARK's CRL, and that the CAs of the chain are not on it. AMD lists no VCEK or VLEK by itself."""
    if chain is None:
        context.skip(_NO_CHAIN, "crl.signature", "crl.validity", "chain.revocation")
        return
    if item is None:
        context.failed("crl.signature", NONE_AT_HAND, "give the product's CRL, as AMD's service has it")
        context.skip("there is no CRL", "crl.validity", "chain.revocation")
        return
    crl = context.attempt("crl.signature", lambda: _verify_crl(item, chain, context))
    if crl is None:
        context.skip("the CRL does not hold", "crl.validity", "chain.revocation")
        return
    context.passed("crl.signature", f"CRL number {crl.number} from {item.source}")
    context.require_in_time("crl.validity", crl.issue_date, crl.expires_at, _UPDATE_COLLATERAL)
    for authority in (chain.intermediate, chain.root.authority):
        revoked_at = crl.revoked.get(authority.serial_number)
        if revoked_at is not None:
            context.failed("chain.revocation", f"{authority} was revoked at {format_instant(revoked_at)}")
            return
    context.passed("chain.revocation", "not listed")


def _verify_crl(item: EndorsementItem, chain: VerifiedAMDChain, context: SNPContext) -> VerifiedAMDCRL:
    crl = context.memory.recall(
        ("amd crl", context.roots.key, item.content), lambda: verify_crl(item.content, context.roots)
    )
    if crl.root != chain.root:
        raise AuthenticityError(f"the CRL is signed by {crl.root.authority} ({crl.root.label}), not the chain's root")
    return crl


def check_key(
    report: SNPReport, item: EndorsementItem | None, chain: VerifiedAMDChain | None, context: SNPContext
) -> VerifiedEndorsementKey | None:
    """Check the certificate of the key: signed, in time, and of the TCB and chip that the report states."""
    key = _verify_key(item, chain, context)
    if key is None:
        context.skip(_NO_KEY, "key.validity", "key.tcb", "key.chip_id")
        return None
    context.passed("key.certificate", f"{key.chain.key_type.upper()} of {key.endorsed.product_name}")
    context.require_in_time("key.validity", key.not_before, key.not_after, _UPDATE_COLLATERAL)
    context.require(
        key.endorsed.tcb == report.reported_tcb,
        "key.tcb",
        f"a key of {key.endorsed.tcb.hex()}, a report of {report.reported_tcb.hex()}",
        "fetch the certificate for the TCB that the report states",
    )
    _check_chip_id(report, key, context)
    return key


def _verify_key(
    item: EndorsementItem | None, chain: VerifiedAMDChain | None, context: SNPContext
) -> VerifiedEndorsementKey | None:
    if chain is None:
        context.skip(_NO_CHAIN, "key.certificate")
        return None
    if item is None:
        context.failed(
            "key.certificate",
            NONE_AT_HAND,
            "give the certificate of the chip at the reported TCB, as AMD's service has it",
        )
        return None

    def verify() -> VerifiedEndorsementKey:
        ders = read_certificates(item.content, "the key's certificate")
        if len(ders) != 1:
            raise MalformedError(f"there are {len(ders)} certificates, expected that of a VCEK or VLEK alone")
        fact = ("amd key", chain.root.fingerprint, chain.intermediate.der, ders[0])
        return context.memory.recall(fact, lambda: verify_leaf(ders[0], chain))

    return context.attempt("key.certificate", verify)


def _check_chip_id(report: SNPReport, key: VerifiedEndorsementKey, context: SNPContext) -> None:
    endorsed = key.endorsed
    if key.chain.key_type == "vlek":
        context.passed("key.chip_id", f"a VLEK is of no chip, but of the cloud provider {endorsed.csp_id}")
        return
    if report.is_chip_id_masked and context.acceptance.allow_masked_chip_id:
        context.passed("key.chip_id", "masked in the report, accepted by --allow-masked-chip-id")
        return
    if report.is_chip_id_masked:
        context.failed(
            "key.chip_id",
            "masked in the report",
            "let the host not mask it (MASK_CHIP_ID), or accept it with --allow-masked-chip-id",
        )
        return
    context.require(
        report.chip_id == endorsed.chip_id.ljust(len(report.chip_id), b"\0"),
        "key.chip_id",
        f"a key of {endorsed.chip_id.hex()}, a report of {report.chip_id.hex()}",
        "fetch the certificate for the chip that the report states",
    )


def check_signature(report: SNPReport, key: VerifiedEndorsementKey | None, context: SNPContext) -> None:
    """Check the key's signature over the report: the one signature made anew for each report."""
    if key is None:
        context.skip(_NO_KEY, "report.signature")
        return
    try:
        key.key.verify(encode_dss_signature(report.r, report.s), report.signed, _ECDSA_SHA384)
    except InvalidSignature:
        context.failed("report.signature", "it does not verify")
    else:
        context.passed("report.signature", "it verifies")
