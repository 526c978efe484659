"""What a file in a directory of collateral is, told from its content and never from its name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from verdictd.collateral.collateral_file import (
    COLLATERAL_MEMBERS,
    SETS_MEMBER,
    parse_collateral_set,
    parse_collateral_sets,
)
from verdictd.collateral.encodings import (
    PEM_CERTIFICATE,
    PEM_CRL,
    decode_crl,
    decode_issuer_chain,
    is_der,
    is_hex_of_der,
    is_issuer_chain,
)
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.core.errors import MalformedError
from verdictd.tees.dcap.collateral import SignedDocument, parse_signed_document
from verdictd.tees.dcap.x509_names import common_name, parse_certificate, parse_crl

_MARKS = (b'"tcbInfo"', b'"enclaveIdentity"', b'"tcb_info_signature"', b'"qe_identity_signature"', b'"collateral_sets"')
"""Members by which JSON that does not parse is still known to be meant as collateral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralSet:
    """A file in the form of `dcap-qvl`, or of several such sets."""

    items: tuple[CollateralItem, ...]

    @property
    def taken_for(self) -> str:
        """What the file was taken for."""
        return f"a set of collateral ({', '.join(dict.fromkeys(item.kind.value for item in self.items))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseDocument:
    """TCB info or QE identity as the PCS answers, without the chain of its signer."""

    kind: ItemKind
    document: SignedDocument

    @property
    def taken_for(self) -> str:
        """What the file was taken for."""
        return "TCB info" if self.kind is ItemKind.TCB_INFO else "QE identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseCRL:
    """A CRL without the chain of its issuer."""

    kind: ItemKind
    der: bytes

    @property
    def taken_for(self) -> str:
        """What the file was taken for."""
        return "the CRL of a PCK CA" if self.kind is ItemKind.PCK_CRL else "the CRL of a root CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseCertificates:
    """Certificates in PEM."""

    pem: bytes

    @property
    def taken_for(self) -> str:
        """What the file was taken for."""
        return f"{self.pem.count(PEM_CERTIFICATE)} certificates"


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseCertificate:
    """One certificate in DER."""

    der: bytes

    @property
    def taken_for(self) -> str:
        """What the file was taken for."""
        return "a certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCollateral:
    """Something else, and why it is thought to be."""

    reason: str


Content: TypeAlias = CollateralSet | LooseDocument | LooseCRL | LooseCertificates | LooseCertificate | NotCollateral


def recognise(data: bytes, source: str) -> tuple[Content, ...]:
    """Tell what a file holds; a PEM file may hold several things.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: it is collateral, but broken.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if text.startswith(b"{"):
        return (_recognise_json(text, source),)
    if is_der(data):
        return (_recognise_der(data),)
    # Quotes and enclaves hold PEM inside; they also hold zero bytes, which PEM does not.
    if b"\0" not in text and (PEM_CRL in text or is_issuer_chain(text)):
        return tuple(_split_pem(text, source))
    if is_hex_of_der(text):
        return (_recognise_der(decode_crl(text, source)),)
    return (NotCollateral(reason="neither JSON, PEM, DER nor hex"),)


def _recognise_json(text: bytes, source: str) -> Content:
    try:
        members: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        if any(mark in text for mark in _MARKS):
            raise MalformedError(f"it holds collateral, but is not JSON: {error}") from error
        return NotCollateral(reason="not JSON")
    if SETS_MEMBER in members or COLLATERAL_MEMBERS & members.keys():
        parse = parse_collateral_sets if SETS_MEMBER in members else parse_collateral_set
        return CollateralSet(items=parse(members, source))
    if "tcbInfo" in members:
        document = parse_signed_document(text, "tcbInfo", issuer_chain=b"", source=source)
        return LooseDocument(kind=ItemKind.TCB_INFO, document=document)
    identity = members.get("enclaveIdentity")
    if not isinstance(identity, dict):
        return NotCollateral(reason="JSON, but no collateral")
    if identity.get("id") not in ("QE", "TD_QE"):
        return NotCollateral(reason="the identity of another enclave than a quoting enclave")
    document = parse_signed_document(text, "enclaveIdentity", issuer_chain=b"", source=source)
    return LooseDocument(kind=ItemKind.QE_IDENTITY, document=document)


def _split_pem(text: bytes, source: str) -> Iterator[Content]:
    head, *crls = text.split(PEM_CRL)
    rests = [head]
    for block in crls:
        body, end, rest = block.partition(b"-----END X509 CRL-----")
        yield _crl(decode_crl(PEM_CRL + body + end, source))
        rests.append(rest)
    certificates = b"".join(rests)
    if is_issuer_chain(certificates):
        yield LooseCertificates(pem=decode_issuer_chain(certificates, source))


def _recognise_der(der: bytes) -> Content:
    try:
        return _crl(der)
    except MalformedError:
        pass
    try:
        parse_certificate(der)
    except MalformedError:
        return NotCollateral(reason="DER, but neither a CRL nor a certificate")
    return LooseCertificate(der=der)


def _crl(der: bytes) -> LooseCRL:
    issuer = common_name(parse_crl(der)[2])
    is_pck = issuer.endswith(("PCK Platform CA", "PCK Processor CA"))
    return LooseCRL(kind=ItemKind.PCK_CRL if is_pck else ItemKind.ROOT_CA_CRL, der=der)
