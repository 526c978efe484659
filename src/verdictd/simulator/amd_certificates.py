"""Issues certificates and CRLs with the profile of AMD's: RSA-4096 with PSS and SHA-384, and AMD's own extensions.

Whatever the certificate of an endorsement key says can be replaced in its spec. Genuine ones have the serial number 0,
which X.509 does not allow and no library writes: it is put in place afterwards, and what comes of it is signed.

Spec: AMD publication 57230, VCEK Certificate and KDS Interface Specification, chapter 3; 58217 for VLEK.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from verdictd.simulator.der_encoding import encode_ia5_string, encode_integer

AMDProduct = Literal["Milan", "Genoa", "Turin"]
AMDKeyType = Literal["vcek", "vlek"]

SHA384 = hashes.SHA384()
PSS = padding.PSS(mgf=padding.MGF1(SHA384), salt_length=48)
_ARC = "1.3.6.1.4.1.3704.1."
_SIGNATURE_BYTES = 512
_PLACEHOLDER_SERIAL = b"\xa0\x03\x02\x01\x02\x02\x01\x01"
_SERIAL_ZERO = b"\xa0\x03\x02\x01\x02\x02\x01\x00"
"""Version 3 and the serial number, as they stand at the beginning of what is signed."""


class AMDTCB(NamedTuple):
    """The SVNs of a TCB, 0 to 255 each. `fmc` is Turin's alone."""

    bootloader: int = 0
    tee: int = 0
    snp: int = 0
    microcode: int = 0
    fmc: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementKeySpec:
    """Everything the certificate of a VCEK or VLEK is to say. Nothing is checked.

    Attributes:
        product_name: with the stepping in Milan's and Genoa's VCEK, e.g. ``Milan-B0``.
        struct_version: of the extensions: 0, or 1 for Turin.
        tcb: the TCB that the key is of.
        has_fmc: whether the SVN of the FMC is stated.
        hardware_id: the chip's id, for a VCEK; ``None`` leaves it out.
        csp_id: the cloud provider's id, for a VLEK; ``None`` leaves it out.
        omitted: numbers of extensions to leave out, such as ``3.1``.
    """

    subject: x509.Name
    issuer: x509.Name
    public_key: ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime
    product_name: str
    struct_version: int
    tcb: AMDTCB
    has_fmc: bool = False
    hardware_id: bytes | None = None
    csp_id: str | None = None
    omitted: frozenset[str] = frozenset()


def amd_name(common_name: str) -> x509.Name:
    """A distinguished name with the attributes of AMD's, in their order, whose organisation is not AMD."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Simulated"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Simulated"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "verdictd tee-sim, not real hardware"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def issue_endorsement_key(spec: EndorsementKeySpec, signer: rsa.RSAPrivateKey) -> bytes:
    """Write the certificate that `spec` describes and sign it; DER."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(spec.subject)
        .issuer_name(spec.issuer)
        .serial_number(1)
        .not_valid_before(spec.not_before)
        .not_valid_after(spec.not_after)
        .public_key(spec.public_key)
    )
    for number, value in _extensions(spec).items():
        if number not in spec.omitted:
            oid = x509.ObjectIdentifier(_ARC + number)
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return _with_serial_zero(builder.sign(signer, SHA384, rsa_padding=PSS), signer)


def issue_amd_crl(
    issuer: x509.Name,
    signer: rsa.RSAPrivateKey,
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    """Write and sign a CRL that revokes nothing; DER."""
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(authority, critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
        .sign(signer, SHA384, rsa_padding=PSS)
        .public_bytes(Encoding.DER)
    )


def _extensions(spec: EndorsementKeySpec) -> dict[str, bytes]:
    """The extensions by number, in the order of genuine certificates, which differs from product to product."""
    tcb = spec.tcb
    if spec.has_fmc:
        svns = {"3.9": tcb.fmc, "3.1": tcb.bootloader, "3.2": tcb.tee, "3.3": tcb.snp, "3.5": 0, "3.6": 0, "3.7": 0}
    else:
        svns = {"3.1": tcb.bootloader, "3.2": tcb.tee, "3.4": 0, "3.5": 0, "3.6": 0, "3.7": 0, "3.3": tcb.snp}
    extensions = {
        "1": encode_integer(spec.struct_version),
        "2": encode_ia5_string(spec.product_name),
        **{number: encode_integer(svn) for number, svn in svns.items()},
        "3.8": encode_integer(tcb.microcode),
    }
    if spec.hardware_id is not None:
        extensions["4"] = spec.hardware_id  # as it is, without a tag
    if spec.csp_id is not None:
        extensions["5"] = encode_ia5_string(spec.csp_id)
    return extensions


def _with_serial_zero(certificate: x509.Certificate, signer: rsa.RSAPrivateKey) -> bytes:
    whole, before = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    after = before.replace(_PLACEHOLDER_SERIAL, _SERIAL_ZERO, 1)
    signature = signer.sign(after, PSS, SHA384)
    return whole.replace(before, after, 1)[:-_SIGNATURE_BYTES] + signature
