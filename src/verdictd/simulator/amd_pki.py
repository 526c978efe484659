"""The PKI of a simulated AMD, one for each product, with the shape of AMD's: ARK -> ASK -> VCEK, ARK -> ASVK -> VLEK.

Names of certificates are those of AMD's, as verifiers compare them; their organisation says that they are simulated.
Making the keys of a product takes about a second.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.simulator.amd_certificates import (
    AMDTCB,
    PSS,
    SHA384,
    AMDKeyType,
    AMDProduct,
    EndorsementKeySpec,
    amd_name,
)
from verdictd.simulator.pki import years_after

_CA_YEARS = 25
_CA_BACKDATED = timedelta(days=1)
_LEAF_YEARS: dict[AMDKeyType, int] = {"vcek": 7, "vlek": 1}
_STEPPINGS: dict[AMDProduct, str] = {"Milan": "-B0", "Genoa": "-B0", "Turin": ""}
_CSP_ID = "CN=tee-sim.invalid"
_P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)


@dataclass(frozen=True, slots=True)
class RSACredential:
    """A certificate and the private key of its subject."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate in PEM, with a newline at its end."""
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class AMDPKI:
    """The three certificates above the endorsement keys of a product, with their keys.

    Attributes:
        product: whose.
        ark: the root; what a verifier is told to trust. Signs the CRLs.
        ask: issues VCEKs.
        asvk: issues VLEKs.
    """

    product: AMDProduct
    ark: RSACredential
    ask: RSACredential
    asvk: RSACredential

    def issuer(self, key_type: AMDKeyType) -> RSACredential:
        """Return what issues the certificates of a kind of key."""
        return self.ask if key_type == "vcek" else self.asvk

    def chain(self, key_type: AMDKeyType) -> bytes:
        """Return the chain above a kind of key in PEM: the intermediate, then the root."""
        return self.issuer(key_type).pem + self.ark.pem

    def endorsement_key(self, key_type: AMDKeyType, chip_id: bytes, tcb: AMDTCB) -> ec.EllipticCurvePrivateKey:
        """Derive the private VCEK of a chip at a TCB, or the VLEK at a TCB: P-384, always the same."""
        secret = self.ark.key.private_numbers().d.to_bytes(512, "big")
        seed = hashlib.shake_256(secret + key_type.encode("ascii") + chip_id + bytes(tcb)).digest(72)
        return ec.derive_private_key(int.from_bytes(seed, "big") % (_P384_ORDER - 1) + 1, ec.SECP384R1())

    def spec(self, key_type: AMDKeyType, chip_id: bytes, tcb: AMDTCB, at: datetime) -> EndorsementKeySpec:
        """What the certificate of a VCEK or VLEK says that is issued at an instant.

        Args:
            key_type: whose chip id, or cloud provider's, is stated.
            chip_id: 64 bytes, 8 for Turin; empty for a VLEK.
            tcb: the TCB that is asked for.
            at: from when on it is valid.
        """
        is_vcek, is_turin = key_type == "vcek", self.product == "Turin"
        return EndorsementKeySpec(
            subject=amd_name(f"SEV-{key_type.upper()}"),
            issuer=self.issuer(key_type).certificate.subject,
            public_key=self.endorsement_key(key_type, chip_id, tcb).public_key(),
            not_before=at,
            not_after=years_after(at, _LEAF_YEARS[key_type]),
            product_name=self.product + (_STEPPINGS[self.product] if is_vcek else ""),
            struct_version=1 if is_turin else 0,
            tcb=tcb,
            has_fmc=is_turin,
            hardware_id=chip_id if is_vcek else None,
            csp_id=None if is_vcek else _CSP_ID,
        )


def create_amd_pki(product: AMDProduct, at: datetime) -> AMDPKI:
    """Make the keys and certificates of a product as of `at`, for 25 years."""
    root_name, root_key = amd_name(f"ARK-{product}"), _generate_key()

    def issue(common_name: str, key: rsa.RSAPrivateKey, serial_number: int, key_type: AMDKeyType) -> RSACredential:
        not_before = at - _CA_BACKDATED
        builder = (
            x509.CertificateBuilder()
            .subject_name(amd_name(common_name))
            .issuer_name(root_name)
            .serial_number(serial_number)
            .not_valid_before(not_before)
            .not_valid_after(years_after(not_before, _CA_YEARS))
            .public_key(key.public_key())
        )
        for extension, critical in _ca_extensions(product, key, root_key, key_type):
            builder = builder.add_extension(extension, critical=critical)
        return RSACredential(builder.sign(root_key, SHA384, rsa_padding=PSS), key)

    return AMDPKI(
        product=product,
        ark=issue(f"ARK-{product}", root_key, 0x10000, "vcek"),
        ask=issue(f"SEV-{product}", _generate_key(), 0x10001, "vcek"),
        asvk=issue(f"SEV-VLEK-{product}", _generate_key(), 0x10101, "vlek"),
    )


def _generate_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=4096)


def _ca_extensions(
    product: AMDProduct, key: rsa.RSAPrivateKey, root_key: rsa.RSAPrivateKey, key_type: AMDKeyType
) -> list[tuple[x509.ExtensionType, bool]]:
    is_root = key is root_key
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=is_root,
        encipher_only=False,
        decipher_only=False,
    )
    url = x509.UniformResourceIdentifier(f"https://tee-sim.invalid/{key_type}/v1/{product}/crl")
    point = x509.DistributionPoint(full_name=[url], relative_name=None, reasons=None, crl_issuer=None)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        *(() if is_root else ((authority, False),)),
        (x509.BasicConstraints(ca=True, path_length=None if is_root else 0), True),
        (usage, True),
        (x509.CRLDistributionPoints([point]), False),
    ]
