"""What each check of an SEV-SNP appraisal requires: the words that stand beside it in every result."""

REQUIREMENTS = {
    "report.format": "an SEV-SNP attestation report of version 2, 3 or 5, alone or with a certificate table behind it",
    "report.signing_key": "a report that says that a VCEK signs it which the host lets be used, or a VLEK",
    "chain.signature": "an ASK or ASVK, signed by a trusted ARK",
    "chain.key_type": "the chain is for the kind of key that signs the report",
    "chain.product": "the chain is for the processor's product, where the report states it",
    "crl.signature": "a CRL, signed by the chain's ARK",
    "crl.validity": "the CRL is current",
    "chain.revocation": "neither the ASK or ASVK nor the ARK is revoked",
    "key.certificate": "the certificate of a VCEK or VLEK, signed by the chain's ASK or ASVK",
    "key.validity": "every certificate, from the key's to the ARK, is in its validity",
    "key.tcb": "the key is of the TCB that the report states",
    "key.chip_id": "a VCEK is of the chip that the report states",
    "report.signature": "the key's signature over the report",
    "guest.policy": "bit 17 of the guest's policy is one, its reserved bits are zero",
    "guest.debug": "the guest's policy forbids debugging",
    "guest.migration_agent": "the guest's policy forbids a migration agent",
    "guest.vmpl": "the report was asked for at an accepted privilege level",
    "tcb.layout": "the report's TCB versions are of the product's form",
    "tcb.order": "the current TCB and firmware cover the committed ones, and the committed TCB the reported one",
    "tcb.launch": "the TCB of the guest's launch is covered by the current one",
    "tcb.committed": "the firmware that runs is committed: the host cannot take it back",
    "tcb.minimum": "the reported TCB covers the lowest accepted one of the product",
    "tcb.mitigations": "the required mitigations were in place at the launch, and are",
}
"""Every check, in the order made, and what it requires."""

_FETCH_ANEW = "fetch it anew from AMD's key distribution service or a cache of it"
_REPORT_ANEW = "it was altered, or made by something else: let the guest ask its processor for a new report"
_UPDATE = "it is not what AMD's firmware reports; let the host's owner update and reset the platform"
REMEDIES = {
    "report.format": "let the guest send the report whole, as the firmware gave it",
    "chain.signature": _FETCH_ANEW,
    "crl.signature": _FETCH_ANEW,
    "chain.revocation": "it must not be trusted any more; no setting accepts it",
    "key.certificate": _FETCH_ANEW,
    "report.signature": _REPORT_ANEW,
    "guest.policy": _REPORT_ANEW,
    "tcb.layout": _UPDATE,
    "tcb.order": _UPDATE,
    "tcb.launch": "the platform was taken back below what the guest was launched on; launch the guest anew",
}
"""What to do about a failed check where the place that finds the failure knows nothing better."""
NONE_AT_HAND = "none at hand"
