"""A simulated AMD of SEV's first generation and one processor of its: certificates in the firmware's form, reports."""

import hashlib
import secrets
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from verdictd.tees.psp.certificate import KeyUsage

_SHA256 = hashes.SHA256()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32)
_RSA_BITS = 2048
_RSA_SHA256, _ECDSA_SHA256 = 1, 2
_CURVE_P384 = 2
NAPLES = 1
NO_DEBUG = 0x01
"""A guest's policy: NODBG."""


def _generate_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def _generate_ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@dataclass(frozen=True, slots=True, kw_only=True)
class SEVReportSpec:
    """What a report says.

    Attributes:
        launch_digest: 32 bytes.
        policy: the guest's.
        mnonce: 16 bytes.
        signature_usage, signature_algorithm: what the report says of its signature.
    """

    launch_digest: bytes = hashlib.sha256(b"a simulated guest").digest()
    policy: int = NO_DEBUG
    mnonce: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    signature_usage: int = KeyUsage.PEK
    signature_algorithm: int = _ECDSA_SHA256


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCertificateSpec:
    """What the certificate of a CEK, PEK or OCA says."""

    usage: int
    key: ec.EllipticCurvePublicKey
    version: int = 1
    api_version: tuple[int, int] = (0, 24)
    algorithm: int = _ECDSA_SHA256
    curve: int = _CURVE_P384


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs a certificate of a platform, and how the certificate names that."""

    usage: int
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    algorithm: int = _ECDSA_SHA256


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSEV:
    """A vendor's two keys and a platform's three. Making them takes a moment.

    Attributes:
        ark, ask: RSA with 2048 bits, as of Naples.
        cek, pek, oca: P-384.
        key_ids: of ARK and ASK, 16 bytes each.
    """

    ark: rsa.RSAPrivateKey = field(default_factory=_generate_rsa_key)
    ask: rsa.RSAPrivateKey = field(default_factory=_generate_rsa_key)
    cek: ec.EllipticCurvePrivateKey = field(default_factory=_generate_ec_key)
    pek: ec.EllipticCurvePrivateKey = field(default_factory=_generate_ec_key)
    oca: ec.EllipticCurvePrivateKey = field(default_factory=_generate_ec_key)
    key_ids: tuple[bytes, bytes] = field(default_factory=lambda: (secrets.token_bytes(16), secrets.token_bytes(16)))

    @property
    def ark_certificate(self) -> bytes:
        """The root's certificate: what a verifier is told to trust."""
        root_id = self.key_ids[0]
        return issue_vendor_certificate(KeyUsage.VENDOR_ROOT, self.ark, self.ark, key_id=root_id, issuer_id=root_id)

    @property
    def ask_ark(self) -> bytes:
        """ASK ‖ ARK, as the vendor hands them out."""
        root_id, key_id = self.key_ids
        ask = issue_vendor_certificate(KeyUsage.VENDOR_SIGNING, self.ask, self.ark, key_id=key_id, issuer_id=root_id)
        return ask + self.ark_certificate

    def spec(self, usage: KeyUsage) -> PlatformCertificateSpec:
        """What the certificate of CEK, PEK or OCA says."""
        keys = {KeyUsage.CEK: self.cek, KeyUsage.PEK: self.pek, KeyUsage.OCA: self.oca}
        return PlatformCertificateSpec(usage=usage, key=keys[usage].public_key())

    @property
    def cek_certificate(self) -> bytes:
        """The certificate of the CEK, signed by the ASK."""
        signer = Signer(KeyUsage.VENDOR_SIGNING, self.ask, _RSA_SHA256)
        return issue_platform_certificate(self.spec(KeyUsage.CEK), signer)

    @property
    def pek_certificate(self) -> bytes:
        """The certificate of the PEK, signed by owner and chip."""
        by = (Signer(KeyUsage.OCA, self.oca), Signer(KeyUsage.CEK, self.cek))
        return issue_platform_certificate(self.spec(KeyUsage.PEK), *by)

    @property
    def oca_certificate(self) -> bytes:
        """The certificate of the OCA, which signs itself."""
        return issue_platform_certificate(self.spec(KeyUsage.OCA), Signer(KeyUsage.OCA, self.oca))

    def report(self, spec: SEVReportSpec) -> bytes:
        """Write and sign a report: 208 bytes."""
        signed = spec.mnonce + spec.launch_digest + struct.pack("<I", spec.policy)
        tail = struct.pack("<II4x", spec.signature_usage, spec.signature_algorithm)
        return signed + tail + _sign(self.pek, signed)[:144]

    def evidence(self, spec: SEVReportSpec, **certificates: bytes) -> bytes:
        """Make evidence as rats-tls carries it, 6461 bytes; `cek`, `pek` and `oca` can be other certificates."""
        shown = {"cek": self.cek_certificate, "pek": self.pek_certificate, "oca": self.oca_certificate, **certificates}
        return self.report(spec) + shown["cek"] + shown["pek"] + shown["oca"] + bytes([NAPLES])


def issue_vendor_certificate(
    usage: int, key: rsa.RSAPrivateKey, issuer: rsa.RSAPrivateKey, *, key_id: bytes, issuer_id: bytes, version: int = 1
) -> bytes:
    """Write and sign the certificate of an ARK or ASK: 832 bytes."""
    numbers = key.public_key().public_numbers()
    header = struct.pack("<I16s16sI16xII", version, key_id, issuer_id, usage, _RSA_BITS, _RSA_BITS)
    body = header + numbers.e.to_bytes(256, "little") + numbers.n.to_bytes(256, "little")
    return body + issuer.sign(body, _PSS, _SHA256)[::-1]


def issue_platform_certificate(spec: PlatformCertificateSpec, *signers: Signer) -> bytes:
    """Write the certificate of a CEK, PEK or OCA and let one or two sign it: 2084 bytes."""
    numbers = spec.key.public_numbers()
    header = struct.pack("<IBBHII", spec.version, *spec.api_version, 0, spec.usage, spec.algorithm)
    x, y = (number.to_bytes(72, "little") for number in (numbers.x, numbers.y))
    body = header + struct.pack("<I72s72s880x", spec.curve, x, y)
    signatures = [struct.pack("<II512s", signer.usage, signer.algorithm, _sign(signer.key, body)) for signer in signers]
    empty = struct.pack("<II512x", KeyUsage.NONE, 0)
    return body + b"".join([*signatures, empty][:2])


def _sign(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, message: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, _PSS, _SHA256)[::-1]
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(_SHA256)))
    return r.to_bytes(72, "little") + s.to_bytes(72, "little")
