"""Certificate chains of Intel's PKI: from PEM in any order to a path that ends in a root the operator trusts.

What is established here does not change with time, and may be remembered: names, signatures, CA flags. Validity in time
and revocation are judged by the appraisal.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CHAIN_CERTIFICATES
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots

_UNDERSTOOD_CRITICAL = {x509.BasicConstraints.oid, x509.KeyUsage.oid}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """A path whose signatures and CA flags hold up to a trusted root. Not judged: time and revocation.

    Attributes:
        path: the leaf first, then its issuers; without the root.
        root: the trusted root in which the path ends.
    """

    path: tuple[x509.Certificate, ...]
    root: TrustRoot

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate at the chain's beginning."""
        return self.path[0]

    @property
    def issuer(self) -> x509.Certificate:
        """The certificate that issued the leaf; the root's where there is no other."""
        return self.path[1] if len(self.path) > 1 else self.root.certificate

    @property
    def not_before(self) -> datetime:
        """When the last of the chain's certificates, the root's included, becomes valid."""
        return max(certificate.not_valid_before_utc for certificate in (*self.path, self.root.certificate))

    @property
    def not_after(self) -> datetime:
        """When the first of the chain's certificates, the root's included, expires."""
        return min(certificate.not_valid_after_utc for certificate in (*self.path, self.root.certificate))


def verify_pem_chain(pem: bytes, roots: TrustRoots, what: str, memory: FactMemory) -> VerifiedChain:
    """Order the certificates of `pem`, which may come in any order, and verify the path to a trusted root.

    The path begins at the one certificate that issued none of the others. Each link: names match, ECDSA P-256 with
    SHA-256, the issuer is a CA that may sign certificates. A root that the PEM brings along is compared with the
    trusted ones and never trusted for being there. Certificates that are not on the path are refused.

    Args:
        pem: untrusted; a NUL at its end is ignored, as quotes and endorsements carry one.
        roots: what the operator trusts.
        what: how to call the chain in messages.
        memory: remembers links that hold.
    Raises:
        MalformedError, LimitExceededError: not PEM certificates, or too many.
        AuthenticityError: the path does not hold, or does not end in a trusted root.
    """
    certificates = _parse_pem(pem, what)
    root_certificates = [certificate for certificate in certificates if certificate.issuer == certificate.subject]
    path = _order([certificate for certificate in certificates if certificate not in root_certificates], what)
    root = _find_root(path[-1], root_certificates, roots, what)
    issuers = (*path[1:], root.certificate)
    for depth, (child, issuer) in enumerate(zip(path, issuers, strict=True)):
        key = ("link", child.public_bytes(Encoding.DER), issuer.public_bytes(Encoding.DER), str(depth))
        memory.recall(key, partial(_verify_link, child, issuer, depth, what))
    return VerifiedChain(path=path, root=root)


def common_name(name: x509.Name) -> str:
    """The name's common name; empty where there is none, or several."""
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if len(attributes) == 1 else ""


def _parse_pem(pem: bytes, what: str) -> tuple[x509.Certificate, ...]:
    if len(pem) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"{what} is {len(pem)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    try:
        certificates = tuple(dict.fromkeys(x509.load_pem_x509_certificates(pem.removesuffix(b"\0"))))
        for certificate in certificates:  # names are parsed late by the library: find bad ones here
            _ = certificate.subject, certificate.issuer, certificate.not_valid_after_utc, certificate.serial_number
    except ValueError as error:
        raise MalformedError(f"{what} is not a sequence of PEM certificates: {error}") from error
    if len(certificates) > MAX_CHAIN_CERTIFICATES:
        raise LimitExceededError(
            f"{what} holds {len(certificates)} certificates, the limit is {MAX_CHAIN_CERTIFICATES}"
        )
    return certificates


def _order(certificates: list[x509.Certificate], what: str) -> tuple[x509.Certificate, ...]:
    """Bring certificates that are not self-issued into the order leaf, issuer, issuer's issuer."""
    by_subject = {certificate.subject: certificate for certificate in certificates}
    issuers = {certificate.issuer for certificate in certificates}
    leaves = [certificate for certificate in certificates if certificate.subject not in issuers]
    if len(leaves) != 1 or len(by_subject) != len(certificates):
        raise AuthenticityError(f"{what} holds {len(leaves)} certificates that issued no other, expected one path")
    path = [leaves[0]]
    while (issuer := by_subject.get(path[-1].issuer)) is not None:
        path.append(issuer)
    if len(path) != len(certificates):
        raise AuthenticityError(f"{what} holds {len(certificates) - len(path)} certificates that are not on its path")
    return tuple(path)


def _find_root(last: x509.Certificate, brought: list[x509.Certificate], roots: TrustRoots, what: str) -> TrustRoot:
    """Find the trusted root that the path ends in: same name and key as the one brought along, if one was."""
    candidates = [root for root in roots.roots if root.certificate.subject == last.issuer]
    for certificate in brought:
        candidates = [root for root in candidates if root.certificate.public_key() == certificate.public_key()]
    if len(candidates) > 1:  # roots of one name (several simulated platforms): the one whose key signed
        candidates = [root for root in candidates if _is_issued_by(last, root.certificate)]
    if not candidates:
        trusted = ", ".join(f"{root.label} ({root.fingerprint[:16]}…)" for root in roots.roots)
        raise AuthenticityError(
            f"{what} ends in a root named {last.issuer.rfc4514_string()!r} that is not trusted; trusted: {trusted}",
            remedy="if this platform is to be trusted, name its root with --trust-root",
        )
    return candidates[0]


def _is_issued_by(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _verify_link(child: x509.Certificate, issuer: x509.Certificate, depth: int, what: str) -> bool:
    """Verify that `issuer`, `depth` CAs above the leaf's own issuer, may have issued and did issue `child`."""
    name = child.subject.rfc4514_string()
    try:
        key = issuer.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise AuthenticityError(f"{what}: the issuer of {name!r} has no P-256 key")
        if child.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
            raise AuthenticityError(f"{what}: {name!r} is not signed with ECDSA and SHA-256")
        child.verify_directly_issued_by(issuer)
        _check_ca(issuer, depth, what)
        _check_critical_extensions(child, what)
    except InvalidSignature as error:
        raise AuthenticityError(f"{what}: the signature of {name!r} does not verify under its issuer's key") from error
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        raise AuthenticityError(f"{what}: {name!r} cannot be checked against its issuer: {error}") from error
    return True


def _check_ca(issuer: x509.Certificate, depth: int, what: str) -> None:
    name = issuer.subject.rfc4514_string()
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise AuthenticityError(f"{what}: {name!r} does not say that it is a CA") from error
    if not constraints.ca or not usage.key_cert_sign:
        raise AuthenticityError(f"{what}: {name!r} is no CA that may sign certificates")
    if constraints.path_length is not None and depth > constraints.path_length:
        raise AuthenticityError(f"{what}: more CAs stand below {name!r} than it allows ({constraints.path_length})")


def _check_critical_extensions(certificate: x509.Certificate, what: str) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD_CRITICAL:
            name = certificate.subject.rfc4514_string()
            raise AuthenticityError(f"{what}: {name!r} has a critical extension {extension.oid.dotted_string}")
