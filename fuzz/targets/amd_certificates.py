"""AMD's certificates, chains and CRLs: as they come, and signed by their issuer whatever is in them.

RSA keys cannot be derived from names, so that every run makes its own: seeds hold what is signed, and no signatures.
"""

import warnings
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.parts import after_selector, selector, signed_part
from fuzz.pem import encode_pem
from fuzz.simulated import NOW, encode_der
from fuzz.target import FuzzTarget, attempt
from verdictd.core.der import read_single
from verdictd.simulator.amd_certificates import AMDTCB, PSS, SHA384, issue_amd_crl, issue_endorsement_key
from verdictd.simulator.amd_pki import AMDPKI, create_amd_pki
from verdictd.tees.amd.authorities import parse_authority
from verdictd.tees.amd.certificates import VerifiedAMDChain, VerifiedEndorsementKey, verify_chain, verify_leaf
from verdictd.tees.amd.extensions import AMDKeyType, AMDProduct
from verdictd.tees.amd.key_certificate import parse_key_certificate
from verdictd.tees.amd.revocation import VerifiedAMDCRL, verify_crl
from verdictd.tees.amd.roots import AMDRoots, parse_amd_roots
from verdictd.tees.dcap.x509_names import LIBRARY_ERRORS

_LEAVES: Final[tuple[tuple[AMDProduct, AMDKeyType], ...]] = (("Milan", "vcek"), ("Milan", "vlek"), ("Turin", "vcek"))
_CA, _CRL, _LEAF_AS_IT_COMES, _CA_AS_IT_COMES, _CRL_AS_IT_COMES, _CHAIN, _ROOTS = range(len(_LEAVES), len(_LEAVES) + 7)
_SVNS: Final[dict[AMDProduct, tuple[int, ...]]] = {"Milan": (1, 2, 4, 5, 6, 7, 3, 8), "Turin": (9, 1, 2, 3, 5, 6, 7, 8)}
_ARC: Final = "1.3.6.1.4.1.3704.1."
_TCB: Final = AMDTCB(bootloader=3, tee=1, snp=8, microcode=200)
_CHIP: Final = bytes(range(64))


def check(data: bytes) -> None:
    """What is taken says what the library reads in it; what is not signed by its issuer is not taken."""
    choice, value = selector(data, _ROOTS + 1)
    if choice < len(_LEAVES):
        _check_leaf(*_LEAVES[choice], value)
    elif choice == _CA:
        _check_ca(value)
    elif choice == _CRL:
        _check_crl(value)
    elif choice == _LEAF_AS_IT_COMES:
        attempt(parse_key_certificate, value, "it")
        assert attempt(verify_leaf, value, _chain("Milan", "vcek")) is None
    elif choice == _CA_AS_IT_COMES:
        attempt(parse_authority, value, "it")
        assert attempt(verify_chain, encode_pem(value) + _pki("Milan").ark.pem, _roots()) is None
    elif choice == _CRL_AS_IT_COMES:
        assert attempt(verify_crl, value, _roots()) is None
    elif choice == _CHAIN:
        assert attempt(verify_chain, value, _roots()) is None
    else:
        _check_roots(value)


def _check_roots(pem: bytes) -> None:
    for root in attempt(parse_amd_roots, pem, "it") or ():
        certificate = root.authority.named.certificate
        certificate.verify_directly_issued_by(certificate)
        assert root.authority.common_name == f"ARK-{root.product}"


def _check_leaf(product: AMDProduct, key_type: AMDKeyType, body: bytes) -> None:
    der = _sign(body, _pki(product).issuer(key_type).key)
    found = attempt(verify_leaf, der, _chain(product, key_type))
    if found is not None:
        _compare_leaf(found, der)


def _compare_leaf(found: VerifiedEndorsementKey, der: bytes) -> None:
    product, endorsed = found.chain.product, found.endorsed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the serial number 0
            certificate = x509.load_der_x509_certificate(der)
            extensions = certificate.extensions
    except LIBRARY_ERRORS:  # it also reads what is not looked at here, such as other attributes of the subject's name
        return
    assert certificate.version is x509.Version.v3
    assert found.key == certificate.public_key()
    assert found.not_before == max(certificate.not_valid_before_utc, found.chain.not_before)
    assert found.not_after == min(certificate.not_valid_after_utc, found.chain.not_after)
    values = {
        extension.oid.dotted_string.removeprefix(_ARC): extension.value.value
        for extension in extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    assert not any(extension.critical for extension in extensions)
    assert endorsed.product_name.startswith(product)
    assert endorsed.product_name.encode() in values["2"]
    svns = [int.from_bytes(read_single(values[f"3.{number}"]).value, "big") for number in _SVNS[product]]
    assert list(endorsed.tcb) == svns
    if found.chain.key_type == "vcek":
        assert len(endorsed.chip_id) == (8 if product == "Turin" else 64)
        assert values["4"].endswith(endorsed.chip_id)
    else:
        assert (endorsed.chip_id, values["5"][2:].decode()) == (b"", endorsed.csp_id)


def _check_ca(body: bytes) -> None:
    der = _sign(body, _pki("Milan").ark.key)
    found = attempt(verify_chain, encode_pem(der) + _pki("Milan").ark.pem, _roots())
    if found is None:
        return
    certificate = x509.load_der_x509_certificate(der)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert found.intermediate.common_name == f"SEV-{'' if found.key_type == 'vcek' else 'VLEK-'}Milan"
    assert found.intermediate.serial_number == certificate.serial_number
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 4096
    certificate.verify_directly_issued_by(_pki("Milan").ark.certificate)


def _check_crl(body: bytes) -> None:
    der = _sign(body, _pki("Milan").ark.key)
    found = attempt(verify_crl, der, _roots())
    if found is not None:
        _compare_crl(found, der)


def _compare_crl(found: VerifiedAMDCRL, der: bytes) -> None:
    crl = x509.load_der_x509_crl(der)
    assert crl.is_signature_valid(_pki("Milan").ark.key.public_key())
    assert crl.issuer == _pki("Milan").ark.certificate.subject
    assert found.number == crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert not any(extension.critical for extension in crl.extensions)
    assert (found.issue_date, found.next_update) == (crl.last_update_utc, crl.next_update_utc)
    assert set(found.revoked) == {entry.serial_number for entry in crl}


def _sign(body: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """A certificate or CRL with the signed part given."""
    signature = b"\0" + key.sign(body, PSS, SHA384)
    return encode_der(0x30, body + _algorithm() + encode_der(0x03, signature))


@cache
def _algorithm() -> bytes:
    _, algorithm, _ = read_single(_leaf("Milan", "vcek")).children()
    return algorithm.encoded


@cache
def _pki(product: AMDProduct) -> AMDPKI:
    return create_amd_pki(product, NOW)


@cache
def _roots() -> AMDRoots:
    return AMDRoots(tuple(root for product in _SVNS for root in parse_amd_roots(_pki(product).ark.pem, product)))


@cache
def _chain(product: AMDProduct, key_type: AMDKeyType) -> VerifiedAMDChain:
    return verify_chain(_pki(product).chain(key_type), _roots())


def _leaf(product: AMDProduct, key_type: AMDKeyType) -> bytes:
    chip_id = b"" if key_type == "vlek" else _CHIP[:8] if product == "Turin" else _CHIP
    pki = _pki(product)
    return issue_endorsement_key(pki.spec(key_type, chip_id, _TCB, NOW), pki.issuer(key_type).key)


def _crl(*serial_numbers: int) -> bytes:
    """A CRL that revokes something, which the simulator's do not."""
    pki = _pki("Milan")
    builder = x509.CertificateRevocationListBuilder(pki.ark.certificate.subject, NOW, NOW.replace(year=2027))
    builder = builder.add_extension(x509.CRLNumber(7), critical=False)
    for number in serial_numbers:
        entry = x509.RevokedCertificateBuilder(number, NOW).add_extension(
            x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(pki.ark.key, SHA384, rsa_padding=PSS).public_bytes(Encoding.DER)


def seeds() -> dict[str, bytes]:
    pki = _pki("Milan")
    ask = pki.ask.certificate.tbs_certificate_bytes
    empty = issue_amd_crl(
        pki.ark.certificate.subject, pki.ark.key, number=1, this_update=NOW, next_update=NOW.replace(year=2027)
    )
    return {
        **{
            f"{product.lower()}_{key_type}": bytes([choice]) + signed_part(_leaf(product, key_type))
            for choice, (product, key_type) in enumerate(_LEAVES)
        },
        "ask": bytes([_CA]) + ask,
        "asvk": bytes([_CA]) + pki.asvk.certificate.tbs_certificate_bytes,
        "crl": bytes([_CRL]) + signed_part(_crl(0x10001, 5)),
        "crl_of_nothing": bytes([_CRL]) + signed_part(empty),
        "leaf_of_another": bytes([_LEAF_AS_IT_COMES]) + _leaf("Milan", "vcek"),
        "ca_of_another": bytes([_CA_AS_IT_COMES]) + pki.ask.certificate.public_bytes(Encoding.DER),
        "crl_of_another": bytes([_CRL_AS_IT_COMES]) + empty,
        "chain_of_another": bytes([_CHAIN]) + pki.chain("vcek"),
        "root": bytes([_ROOTS]) + pki.ark.pem,
    }


TARGET = FuzzTarget(
    name="amd_certificates",
    modules=(
        "verdictd.tees.amd.authorities",
        "verdictd.tees.amd.certificates",
        "verdictd.tees.amd.extensions",
        "verdictd.tees.amd.key_certificate",
        "verdictd.tees.amd.pem",
        "verdictd.tees.amd.revocation",
        "verdictd.tees.amd.roots",
        "verdictd.tees.amd.signed",
    ),
    check=check,
    seeds=seeds,
    structure=after_selector,
)
