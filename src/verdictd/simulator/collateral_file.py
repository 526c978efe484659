"""Writes collateral as one JSON file, as dcap-qvl reads it: PEM chains, hex CRLs and signatures, exact signed texts."""

import json

from verdictd.tees.dcap.collateral import Collateral


def encode_collateral_file(collateral: Collateral) -> bytes:
    """Write a complete set of collateral as JSON, in the form of dcap-qvl's ``QuoteCollateralV3``.

    Raises:
        ValueError: an item is missing.
    """
    tcb_info, qe_identity = collateral.tcb_info, collateral.qe_identity
    pck_crl, root_ca_crl = collateral.pck_crl, collateral.root_ca_crl
    if tcb_info is None or qe_identity is None or pck_crl is None or root_ca_crl is None:
        raise ValueError("an item of the collateral is missing")
    document = {
        "pck_crl": pck_crl.der.hex(),
        "pck_crl_issuer_chain": pck_crl.issuer_chain.decode("ascii"),
        "qe_identity": qe_identity.body.decode("utf-8"),
        "qe_identity_issuer_chain": qe_identity.issuer_chain.decode("ascii"),
        "qe_identity_signature": qe_identity.signature.hex(),
        "root_ca_crl": root_ca_crl.der.hex(),
        "tcb_info": tcb_info.body.decode("utf-8"),
        "tcb_info_issuer_chain": tcb_info.issuer_chain.decode("ascii"),
        "tcb_info_signature": tcb_info.signature.hex(),
    }
    return json.dumps(document, indent=1).encode("ascii") + b"\n"
