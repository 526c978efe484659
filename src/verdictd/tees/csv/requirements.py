"""What each check of a CSV appraisal requires: the words that stand beside it in every result."""

REQUIREMENTS = {
    "report.format": "a CSV attestation report, alone or with HSK and CEK behind it",
    "report.signer": "a report that says that a PEK signs it, with SM2",
    "hsk.chain": "an HSK, signed by a trusted HRK",
    "cek.chain": "a CEK, signed by the HSK",
    "pek.chain": "a PEK, signed by the CEK",
    "pek.firmware": "the platform's firmware has at least the required API version",
    "report.signature": "the PEK's signature over the report",
    "report.hmac": "HMAC-SM3 over PEK, chip id and reserved bytes, by the mnonce",
    "report.anonce": "a signature that covers the mask",
    "guest.debug": "the guest's policy forbids debugging",
}
"""Every check of a CSV appraisal, in the order made, and what it requires."""

_ATTEST_ANEW = "it was altered, or made by something else: let the attester make a new report on Hygon hardware"
REMEDIES = {
    "report.format": "let the attester send a CSV report, whole, as its firmware made it",
    "report.signer": _ATTEST_ANEW,
    "hsk.chain": "fetch HSK and CEK anew from Hygon for this chip",
    "cek.chain": "fetch HSK and CEK anew from Hygon for this chip",
    "pek.chain": "fetch HSK and CEK anew from Hygon for this chip, or let the attester make a new report",
    "report.signature": _ATTEST_ANEW,
    "report.hmac": _ATTEST_ANEW,
}
"""What to do about a failed check where the place that finds the failure knows nothing better."""
