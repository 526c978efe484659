"""Collateral as operators save it: files recognised by their content, encodings undone, chains put together."""

from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.parts import after_selector, selector
from fuzz.pem import encode_pem
from fuzz.simulated import collateral, platform, roots
from fuzz.target import FuzzTarget, attempt, check_sentence
from verdictd.collateral.certificate_pool import CertificatePool
from verdictd.collateral.encodings import decode_crl, decode_issuer_chain
from verdictd.collateral.file_contents import (
    CollateralSet,
    Content,
    LooseCertificate,
    LooseCertificates,
    LooseCRL,
    LooseDocument,
    NotCollateral,
    recognise,
)
from verdictd.collateral.items import verify_item
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.tees.dcap.collateral import encode_signed_document
from verdictd.tees.dcap.memory import FactMemory

MODULES = (
    "verdictd.collateral.file_contents",
    "verdictd.collateral.collateral_file",
    "verdictd.collateral.encodings",
    "verdictd.collateral.certificate_pool",
    "verdictd.collateral.items",
)


def check(data: bytes) -> None:
    """A file is something, or nothing, or broken; of what is recognised each item can be looked into."""
    choice, value = selector(data, 3)
    if choice == 1:
        attempt(decode_crl, value, "it")
    elif choice == 2:
        attempt(decode_issuer_chain, value, "it")
    else:
        for content in attempt(recognise, value, "file") or ():
            _check_content(content)


def _check_content(content: Content) -> None:
    pool = CertificatePool()
    pool.add_pem(platform().pki.chain("tcb-signing"))
    match content:
        case NotCollateral(reason=reason):
            check_sentence(reason)
            return
        case CollateralSet(items=items):
            for item in items:
                attempt(verify_item, item, roots(), FactMemory())
        case LooseDocument(document=document):
            attempt(pool.chain_for_document, document, content.taken_for)
        case LooseCRL(der=der):
            attempt(pool.chain_for_crl, der, "file")
        case LooseCertificates(pem=pem):
            attempt(pool.add_pem, pem)
        case LooseCertificate(der=der):
            attempt(pool.add_der, der)
    check_sentence(content.taken_for)


def seeds() -> dict[str, bytes]:
    ours = collateral()
    assert ours.tcb_info is not None
    assert ours.qe_identity is not None
    assert ours.pck_crl is not None
    assert ours.root_ca_crl is not None
    pem_crl = encode_pem(ours.pck_crl.der, "X509 CRL")
    small = b'{"pck_crl":"%s","pck_certificate_chain":"%s"}' % (
        ours.pck_crl.der.hex().encode("ascii"),
        platform().pki.chain("pck").replace(b"\n", b"\\n"),
    )
    return {
        "set": b"\x00" + encode_collateral_file(ours),
        "small_set": b"\x00" + small,
        "tcb_info": b"\x00" + encode_signed_document(ours.tcb_info, "tcbInfo"),
        "qe_identity": b"\x00" + encode_signed_document(ours.qe_identity, "enclaveIdentity"),
        "crl": b"\x00" + ours.root_ca_crl.der,
        "hex": b"\x00" + ours.root_ca_crl.der.hex().encode("ascii"),
        "pem": b"\x00" + pem_crl + platform().pki.chain("pck"),
        "certificate": b"\x00" + platform().pki.pck.certificate.public_bytes(Encoding.DER),
        "decode_pem": b"\x01" + pem_crl,
        "escaped": b"\x02" + platform().pki.pck.pem.replace(b" ", b"%20").replace(b"\n", b"%0A"),
    }


TARGET = FuzzTarget(
    name="collateral_files", modules=MODULES, check=check, seeds=seeds, structure=after_selector, max_bytes=20_000
)
