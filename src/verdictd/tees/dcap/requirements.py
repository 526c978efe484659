"""What each check of a DCAP platform requires: the words that stand beside it in every result."""

PLATFORM_REQUIREMENTS = {
    "quote.qe_vendor": "the quoting enclave's vendor is Intel",
    "quote.certification_data": "the PCK certificate chain (type 5)",
    "pck.chain": "a PCK certificate chain that ends in a trusted root",
    "pck.validity": "every certificate of the PCK chain is in its validity",
    "root_ca_crl.signature": "a root CA CRL, signed by the PCK chain's root",
    "root_ca_crl.validity": "the root CA CRL is current",
    "pck.ca_revocation": "neither the PCK CA nor the root is revoked",
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

UPDATE_COLLATERAL = (
    "fetch current collateral (--pccs-url or --collateral), or accept it with --allow-expired-collateral"
)
FETCH_COLLATERAL = "give a PCCS with --pccs-url, or a file or directory with --collateral"
_FETCH_ANEW = "fetch it anew from a PCCS (--pccs-url), or give a genuine one with --collateral"
_QUOTE_ANEW = "it was altered, or made by something else: let the attester make a new quote on SGX hardware"
REMEDIES = {
    "quote.format": "let the attester send an SGX ECDSA quote, whole, as its quoting library made it",
    "quote.qe_vendor": "let the platform quote with Intel's quoting enclave",
    "pck.chain": "let the attester's quote provider library fetch the platform's PCK certificate chain anew",
    "root_ca_crl.signature": _FETCH_ANEW,
    "pck_crl.signature": _FETCH_ANEW,
    "tcb_info.signature": _FETCH_ANEW,
    "tcb_info.id": _FETCH_ANEW,
    "qe_identity.signature": _FETCH_ANEW,
    "qe_identity.id": _FETCH_ANEW,
    "qe.report_signature": _QUOTE_ANEW,
    "quote.signature": _QUOTE_ANEW,
}
"""What to do about a failed check where the place that finds the failure knows nothing better."""
NOT_SOUGHT = "not sought, because the PCK chain does not hold"
NONE_AT_HAND = "none at hand"
