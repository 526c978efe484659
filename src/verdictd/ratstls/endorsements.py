"""Intel's collateral inside a RATS-TLS certificate (``-e``), so that a verifier without a PCCS can judge the peer.

Format: ``60000([version, tcb_info, tcb_issuer_chain, pck_crl, root_ca_crl, pck_crl_issuer_chain, qe_identity,
qe_identity_issuer_chain, creation time (optional)])``. Each of the seven byte strings ends with a NUL that is not part
of it. The version is that of DCAP's ``sgx_ql_qve_collateral_t`` and says how the CRLs are written.
"""

import binascii
from typing import Final

from verdictd.core.errors import CollateralError, LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES, MAX_CHAIN_BYTES
from verdictd.ratstls.cbor import encode_cbor, parse_tagged_array
from verdictd.ratstls.der import decode_pem
from verdictd.ratstls.evidence import INTEL_QUOTE_TAG
from verdictd.tees.dcap.collateral import (
    Collateral,
    DocumentMember,
    RevocationList,
    SignedDocument,
    encode_signed_document,
    parse_signed_document,
)

PEER_SOURCE: Final = "peer"
"""What a collateral item from a certificate names as its source."""

_CRLS_IN_PEM: Final = 1
_CRLS_IN_HEX: Final = 3
_CRLS_IN_DER: Final = 0x00010003
_ITEMS: Final = (
    "tcb_info",
    "tcb_issuer_chain",
    "pck_crl",
    "root_ca_crl",
    "pck_crl_issuer_chain",
    "qe_identity",
    "qe_identity_issuer_chain",
)
_TAG_AND_ARRAY: Final = bytes.fromhex("d9ea60 88")


def parse_endorsements_extension(value: bytes) -> Collateral:
    """Parse the value of the endorsements extension (2.23.133.5.4.2). An empty item is one that is missing.

    Trust: nothing is verified, and a peer may choose older items that are still valid: they may fill a gap, never
    replace newer ones.

    Raises:
        MalformedError: not that shape, or an item that cannot be read.
        UnsupportedError: another tag, or a version other than 1, 3 and 0x00010003.
        LimitExceededError: an item larger than its limit.
    """
    tag, elements = parse_tagged_array(value, "endorsements extension", max_bytes=MAX_CERTIFICATE_BYTES)
    if tag != INTEL_QUOTE_TAG:
        raise UnsupportedError(f"endorsements have the CBOR tag {tag}, expected {INTEL_QUOTE_TAG}")
    if len(elements) not in {8, 9} or type(elements[0]) is not int:
        raise MalformedError("endorsements: expected an array of a version and seven byte strings")
    version, items = elements[0], {}
    for name, element in zip(_ITEMS, elements[1:], strict=False):  # a ninth element says when it was created
        if type(element) is not bytes:
            raise MalformedError(f"endorsements: expected {name} to be a byte string")
        items[name] = element.removesuffix(b"\x00")
    return Collateral(
        tcb_info=_parse_document(items["tcb_info"], "tcbInfo", items["tcb_issuer_chain"]),
        qe_identity=_parse_document(items["qe_identity"], "enclaveIdentity", items["qe_identity_issuer_chain"]),
        pck_crl=_parse_crl(items["pck_crl"], version, items["pck_crl_issuer_chain"], "PCK CRL"),
        root_ca_crl=_parse_crl(items["root_ca_crl"], version, b"", "root CA CRL"),
    )


def _parse_document(response: bytes, member: DocumentMember, issuer_chain: bytes) -> SignedDocument | None:
    if not response:
        return None
    _check_chain_size(issuer_chain, member)
    return parse_signed_document(response, member, issuer_chain=issuer_chain, source=PEER_SOURCE)


def _parse_crl(data: bytes, version: int, issuer_chain: bytes, what: str) -> RevocationList | None:
    if not data:
        return None
    _check_chain_size(issuer_chain, what)
    if version == _CRLS_IN_PEM:
        der = decode_pem(data, "X509 CRL")
    elif version == _CRLS_IN_HEX:
        try:
            der = binascii.unhexlify(data)
        except ValueError as error:
            raise MalformedError(f"endorsements: {what} is not hex: {error}") from error
    elif version == _CRLS_IN_DER:
        der = data
    else:
        raise UnsupportedError(
            f"endorsements have version 0x{version:x}, expected 0x{_CRLS_IN_PEM:x}, 0x{_CRLS_IN_HEX:x} or"
            f" 0x{_CRLS_IN_DER:x}"
        )
    return RevocationList(der=der, issuer_chain=issuer_chain, source=PEER_SOURCE)


def _check_chain_size(chain: bytes, what: str) -> None:
    if len(chain) > MAX_CHAIN_BYTES:
        raise LimitExceededError(
            f"endorsements: issuer chain of {what} is {len(chain)} bytes long, the limit is {MAX_CHAIN_BYTES}"
        )


def encode_endorsements_extension(collateral: Collateral) -> bytes:
    """Write the value of the endorsements extension, version 3: CRLs as hex of DER, which every DCAP release reads.

    Raises:
        CollateralError: an item is missing; peers insist on all of them.
    """
    tcb_info, qe_identity = collateral.tcb_info, collateral.qe_identity
    pck_crl, root_ca_crl = collateral.pck_crl, collateral.root_ca_crl
    if tcb_info is None or qe_identity is None or pck_crl is None or root_ca_crl is None:
        missing = [
            name for name in ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl") if getattr(collateral, name) is None
        ]
        raise CollateralError(
            f"endorsements cannot be written: the collateral has no {', '.join(missing)}",
            remedy="give complete collateral, or leave the endorsements out",
        )
    items = (
        encode_signed_document(tcb_info, "tcbInfo"),
        tcb_info.issuer_chain,
        binascii.hexlify(pck_crl.der),
        binascii.hexlify(root_ca_crl.der),
        pck_crl.issuer_chain,
        encode_signed_document(qe_identity, "enclaveIdentity"),
        qe_identity.issuer_chain,
    )
    # Peers refuse a version in fewer than five bytes, which is how an encoder would write a number this small.
    version = b"\x1a" + _CRLS_IN_HEX.to_bytes(4, "big")
    return _TAG_AND_ARRAY + version + b"".join(encode_cbor(item + b"\x00") for item in items)
