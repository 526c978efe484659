"""Collateral and PCK certificates that the vendor signs whatever is in them: what lies behind the signatures.

The first byte chooses what is replaced, the rest is what is signed.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.parts import after_selector, selector, signed_part
from fuzz.pem import encode_pem
from fuzz.simulated import LENIENT, NOW, collateral, encode_der, platform, private_key, roots, sign_der
from fuzz.target import FuzzTarget, attempt
from fuzz.verdicts import check_result
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.sgx_extension import encode_sgx_extension
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument
from verdictd.tees.dcap.endorsements import verify_pck_crl
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS, appraise_sgx

_TCB_INFO, _QE_IDENTITY, _PCK_CRL, _ROOT_CA_CRL, _PCK, _EXTENSION, _SIGNER, _CRL_ISSUER, _MISSING = range(9)
_ITEMS = ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl")
_MODULES = (
    "certificates",
    "context",
    "document_checks",
    "endorsements",
    "json_reader",
    "pck",
    "pck_checks",
    "platform",
    "qe_identity",
    "tcb_checks",
    "tcb_info",
    "tcb_level",
    "x509_names",
)
_SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")


def check(data: bytes) -> None:
    """Every check is made; what is accepted is in time and for this platform by an independent reading."""
    choice, body = selector(data, 9)
    quote, given = _replace(choice, body)
    if choice == _CRL_ISSUER and given.pck_crl is not None:
        verified = attempt(verify_pck_crl, given.pck_crl, roots(), FactMemory())
        issuer = sign_der(body, private_key("root-ca"))
        assert verified is None or private_key("platform-ca").public_key() == _key_of(issuer)
    result = appraise_sgx(
        quote, collateral=given, roots=roots(), acceptance=LENIENT, at=NOW, memory=FactMemory(max_facts=64)
    )
    assert [each.name for each in result.checks] == list(REQUIREMENTS)
    check_result(result)
    if result.allowed:
        _check_accepted(choice, body, given)


@cache
def _quote() -> bytes:
    return platform().quote(report_data=bytes(64))


def _replace(choice: int, body: bytes) -> tuple[bytes, Collateral]:
    ours = collateral()
    if choice in {_PCK, _EXTENSION}:
        sim = platform()
        chain = _certificate(body if choice == _PCK else _with_extension(body), "platform-ca")
        return sim.sign(replace(sim.quote_parts(report_data=bytes(64)), certification_data=chain)), ours
    if choice == _MISSING:
        absent = [item for number, item in enumerate(_ITEMS) if body[:1] and body[0] >> number & 1]
        return _quote(), replace(ours, **dict.fromkeys(absent))
    return _quote(), replace(ours, **_item(choice, body))


def _item(choice: int, body: bytes) -> dict[str, Any]:
    """The item that is replaced, signed anew."""
    sim, ours = platform(), collateral()
    if choice in {_TCB_INFO, _QE_IDENTITY}:
        return {"tcb_info" if choice == _TCB_INFO else "qe_identity": sim.sign_document(body)}
    if choice == _SIGNER:
        assert ours.tcb_info is not None
        return {"tcb_info": replace(ours.tcb_info, issuer_chain=_certificate(body, "root-ca"))}
    if choice == _CRL_ISSUER:
        assert ours.pck_crl is not None
        return {"pck_crl": replace(ours.pck_crl, issuer_chain=_certificate(body, "root-ca"))}
    if choice == _PCK_CRL:
        der = sign_der(body, private_key("platform-ca"))
        return {"pck_crl": RevocationList(der=der, issuer_chain=sim.pki.chain("platform-ca"), source="fuzz")}
    return {"root_ca_crl": RevocationList(der=sign_der(body, private_key("root-ca")), issuer_chain=b"", source="fuzz")}


def _certificate(body: bytes, issuer: CertificateRole) -> bytes:
    """The chain of a certificate that its issuer signed whatever is in it."""
    return encode_pem(sign_der(body, private_key(issuer))) + platform().pki.chain(issuer)


def _with_extension(value: bytes) -> bytes:
    """The signed part of a PCK certificate with another SGX extension."""
    present = platform().pki.pck.certificate
    builder = x509.CertificateBuilder(
        present.issuer,
        present.subject,
        present.public_key(),
        present.serial_number,
        present.not_valid_before_utc,
        present.not_valid_after_utc,
    )
    for extension in present.extensions:
        is_it = extension.oid == _SGX_EXTENSION
        replaced = x509.UnrecognizedExtension(_SGX_EXTENSION, value) if is_it else extension.value
        builder = builder.add_extension(replaced, extension.critical)
    algorithm = x509.load_der_x509_certificate(present.public_bytes(Encoding.DER)).signature_hash_algorithm
    return builder.sign(private_key("platform-ca"), algorithm).tbs_certificate_bytes  # type: ignore[arg-type]


def _check_accepted(choice: int, body: bytes, given: Collateral) -> None:
    if choice in {_TCB_INFO, _QE_IDENTITY}:
        document: Mapping[str, Any] = json.loads(body)
        assert _instant(document["issueDate"]) <= NOW < _instant(document["nextUpdate"])
        if choice == _TCB_INFO:
            assert bytes.fromhex(document["fmspc"]) == platform().hardware.fmspc
            assert bytes.fromhex(document["pceId"]) == platform().hardware.pce_id
            assert document.get("id", "SGX") == "SGX"
        else:
            assert document["id"] == "QE"
        return
    crl = given.pck_crl if choice == _PCK_CRL else given.root_ca_crl
    if choice in {_PCK_CRL, _ROOT_CA_CRL}:
        assert crl is not None
        issuer, subject = ("platform-ca", "pck") if choice == _PCK_CRL else ("root-ca", "platform-ca")
        read = x509.load_der_x509_crl(crl.der)
        assert read.is_signature_valid(private_key(issuer).public_key())
        assert read.next_update_utc is not None
        assert read.last_update_utc <= NOW < read.next_update_utc
        serial = platform().pki.credential(subject).certificate.serial_number  # type: ignore[arg-type]
        assert all(entry.serial_number != serial for entry in read)
        return
    if choice == _CRL_ISSUER:
        return  # an appraisal knows the issuer already: it verified the quote's chain
    if choice == _SIGNER:
        certificate = x509.load_der_x509_certificate(sign_der(body, private_key("root-ca")))
        assert certificate.not_valid_before_utc <= NOW <= certificate.not_valid_after_utc
        assert certificate.public_key() == private_key("tcb-signing").public_key()
        return
    assert choice != _MISSING or not body[:1] or body[0] & 15 == 0, "accepted without an item"
    if choice == _MISSING:
        return
    if choice == _PCK:
        leaf = x509.load_der_x509_certificate(sign_der(body, private_key("platform-ca")))
        assert leaf.not_valid_before_utc <= NOW <= leaf.not_valid_after_utc
        assert leaf.public_key() == private_key("pck").public_key()
        body = leaf.extensions.get_extension_for_oid(_SGX_EXTENSION).value.public_bytes()
    assert platform().hardware.fmspc in body
    assert encode_der(0x04, platform().hardware.pce_id) in body


def _key_of(der: bytes) -> object:
    return x509.load_der_x509_certificate(der).public_key()


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def seeds() -> dict[str, bytes]:
    sim, pki = platform(), platform().pki
    found = {
        **_items_of("", sim),
        **_items_of("_expired", sim, NOW - timedelta(days=60)),
        **_items_of("_revoked", sim.with_revoked("pck").with_revoked("platform-ca")),
        "tcb_info_v2": _document(_TCB_INFO, sim.collateral(NOW, tcb_info_version=2).tcb_info),
        "extension": bytes([_EXTENSION]) + encode_sgx_extension(sim.sgx_extension_spec()),
        "nothing_missing": bytes([_MISSING, 0]),
        "all_missing": bytes([_MISSING, 15]),
    }
    for choice, role in ((_PCK, pki.pck), (_SIGNER, pki.tcb_signing), (_CRL_ISSUER, pki.platform_ca)):
        body = signed_part(role.certificate.public_bytes(Encoding.DER))
        found[f"certificate_{choice}"] = bytes([choice]) + body
    for status in (TCBStatus.OUT_OF_DATE, TCBStatus.REVOKED, TCBStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED):
        changed = sim.with_tcb_status(status).collateral(NOW)
        found[f"tcb_info_{status.value}"] = _document(_TCB_INFO, changed.tcb_info)
    return found


def _items_of(suffix: str, sim: SimulatedPlatform, at: datetime = NOW) -> dict[str, bytes]:
    """All items of a platform's collateral."""
    ours = sim.collateral(at)
    return {
        f"tcb_info{suffix}": _document(_TCB_INFO, ours.tcb_info),
        f"qe_identity{suffix}": _document(_QE_IDENTITY, ours.qe_identity),
        f"pck_crl{suffix}": _crl(_PCK_CRL, ours.pck_crl),
        f"root_ca_crl{suffix}": _crl(_ROOT_CA_CRL, ours.root_ca_crl),
    }


def _document(choice: int, document: SignedDocument | None) -> bytes:
    assert document is not None
    return bytes([choice]) + document.body


def _crl(choice: int, crl: RevocationList | None) -> bytes:
    assert crl is not None
    return bytes([choice]) + signed_part(crl.der)


TARGET = FuzzTarget(
    name="signed_collateral",
    modules=tuple(f"verdictd.tees.dcap.{name}" for name in _MODULES),
    check=check,
    seeds=seeds,
    structure=after_selector,
)
