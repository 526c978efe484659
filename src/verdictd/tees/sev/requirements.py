"""What each check of an SEV appraisal requires: the words that stand beside it in every result."""

REQUIREMENTS = {
    "report.format": "SEV evidence: a report, CEK, PEK, OCA",
    "report.signer": "a report that says that a PEK signs it, with ECDSA and SHA-256",
    "ask.chain": "an ASK, signed by a trusted ARK",
    "cek.chain": "a CEK, signed by the ASK",
    "pek.chain": "a PEK, signed by the CEK",
    "oca.signature": "an OCA that signs itself",
    "pek.owner": "a PEK, signed by the OCA too",
    "pek.firmware": "the platform's firmware has at least the required API version",
    "report.signature": "the PEK's signature over the report",
    "evidence.key_binding": "evidence that was made for the peer's key",
    "guest.debug": "the guest's policy forbids debugging",
}
"""Every check of an SEV appraisal, in the order made, and what it requires."""

_ATTEST_ANEW = "it was altered, or made by something else: let the attester get a new report from SEV firmware"
_GET_ANEW = "get ASK and ARK of the processor's product anew from AMD"
REMEDIES = {
    "report.format": "let the attester send SEV evidence, whole, as its host's service made it",
    "report.signer": _ATTEST_ANEW,
    "ask.chain": _GET_ANEW,
    "cek.chain": f"{_GET_ANEW}; is it the right product?",
    "pek.chain": "let the host's service read CEK and PEK of the platform anew",
    "oca.signature": "let the host's service read the OCA of the platform anew",
    "pek.owner": "let the host's service read PEK and OCA of the platform anew",
    "report.signature": _ATTEST_ANEW,
}
"""What to do about a failed check where the place that finds the failure knows nothing better."""
