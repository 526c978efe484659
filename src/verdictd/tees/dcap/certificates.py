"""Certificate chains of Intel's PKI: from PEM in any order to a path that ends in a root the operator trusts.

What is established here does not change with time, and may be remembered: names, signatures, CA flags. Validity in time
and revocation are judged by the appraisal.
"""

from binascii import a2b_base64
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CHAIN_CERTIFICATES
from verdictd.tees.dcap.ecdsa import ECDSA_SHA256
from verdictd.tees.dcap.memory import FactKey, FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots
from verdictd.tees.dcap.x509_names import LIBRARY_ERRORS, NamedCertificate, describe_name, parse_certificate

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_PEM_END = b"-----END CERTIFICATE-----"
_UNDERSTOOD_CRITICAL = {x509.BasicConstraints.oid, x509.KeyUsage.oid}


class VerifiedIssuers(NamedTuple):
    """The CAs above a leaf, up to a trusted root, as far as they hold by themselves.

    Attributes:
        certificates: the leaf's issuer first, the root last.
        serial_numbers: theirs.
        root: the trusted root in which they end.
        not_before: when the last of them becomes valid.
        not_after: when the first of them expires.
    """

    certificates: tuple[NamedCertificate, ...]
    serial_numbers: tuple[int, ...]
    root: TrustRoot
    not_before: datetime
    not_after: datetime

    def have_room_for(self, leaf: NamedCertificate) -> bool:
        """Whether a certificate names the first of them as its issuer, and bears the name of none."""
        return leaf.issuer == self.certificates[0].subject and all(
            leaf.subject != certificate.subject for certificate in self.certificates
        )


class VerifiedChain(NamedTuple):
    """A path whose signatures and CA flags hold up to a trusted root. Not judged: time and revocation.

    Attributes:
        leaf: the certificate at its beginning.
        serial_number: the leaf's.
        issuers: the CAs above it, the root included.
        not_before: when the last of the chain's certificates, the root's included, becomes valid.
        not_after: when the first of the chain's certificates, the root's included, expires.
    """

    leaf: NamedCertificate
    serial_number: int
    issuers: VerifiedIssuers
    not_before: datetime
    not_after: datetime

    @property
    def issuer(self) -> NamedCertificate:
        """The certificate that issued the leaf; the root's where there is no other."""
        return self.issuers.certificates[0]

    @property
    def root(self) -> TrustRoot:
        """The trusted root in which the path ends."""
        return self.issuers.root


def verify_pem_chain(pem: bytes, roots: TrustRoots, what: str, memory: FactMemory) -> VerifiedChain:
    """Order the certificates of `pem`, which may come in any order, and verify the path to a trusted root.

    The path begins at the one certificate that issued none of the others. Each link: names match, ECDSA P-256 with
    SHA-256, the issuer is a CA that may sign certificates. A root that the PEM brings along is compared with the
    trusted ones and never trusted for being there. Certificates that are not on the path are refused.

    Args:
        pem: untrusted; a NUL at its end is ignored, as quotes and endorsements carry one.
        roots: what the operator trusts.
        what: how to call the chain in messages.
        memory: remembers CAs that hold, as they stand behind a leaf; not the chain.
    Raises:
        MalformedError, LimitExceededError: not PEM certificates, or too many.
        AuthenticityError: the path does not hold, or does not end in a trusted root.
    """
    blocks = _split_pem(pem, what)
    key: FactKey = ("issuers", roots.key, *blocks[1:])
    known = memory.find(key, VerifiedIssuers)
    if known is not None:
        (leaf,) = _parse_blocks(blocks[:1], roots, what)
        if known.have_room_for(leaf):
            _verify_link(leaf, known.certificates[0], None, what)
            return _build_chain(leaf, known, what)
    entries = _parse_blocks(blocks, roots, what)
    path, root = _find_path(entries, roots, what)
    for depth, (child, issuer) in enumerate(pairwise((*path, root.named))):
        _verify_link(child, issuer, depth, what)
    issuers = _build_issuers((*path[1:], root.named), root, what)
    if entries[0] is path[0] and len(path) > 1 and len(entries) == len(blocks):  # behind the leaf only CAs, once each
        memory.keep(key, issuers)
    return _build_chain(path[0], issuers, what)


def _build_issuers(certificates: tuple[NamedCertificate, ...], root: TrustRoot, what: str) -> VerifiedIssuers:
    try:
        return VerifiedIssuers(
            certificates=certificates,
            serial_numbers=tuple([entry.certificate.serial_number for entry in certificates]),
            root=root,
            not_before=max([entry.certificate.not_valid_before_utc for entry in certificates]),
            not_after=min([entry.certificate.not_valid_after_utc for entry in certificates]),
        )
    except ValueError as error:  # a date of the year 0, which DER can write
        raise MalformedError(f"{what}: the validity of a CA cannot be read: {error}") from error


def _build_chain(leaf: NamedCertificate, issuers: VerifiedIssuers, what: str) -> VerifiedChain:
    try:
        return VerifiedChain(
            leaf=leaf,
            serial_number=leaf.certificate.serial_number,
            issuers=issuers,
            not_before=max(leaf.certificate.not_valid_before_utc, issuers.not_before),
            not_after=min(leaf.certificate.not_valid_after_utc, issuers.not_after),
        )
    except ValueError as error:
        raise MalformedError(f"{what}: the validity of {leaf} cannot be read: {error}") from error


def _split_pem(pem: bytes, what: str) -> list[bytes]:
    """Split PEM into what follows the beginning of each certificate."""
    if len(pem) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"{what} is {len(pem)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    _, *blocks = pem.split(_PEM_BEGIN)
    if not blocks:
        raise MalformedError(f"{what} is not a sequence of PEM certificates")
    if len(blocks) > MAX_CHAIN_CERTIFICATES:
        raise LimitExceededError(f"{what} holds {len(blocks)} certificates, the limit is {MAX_CHAIN_CERTIFICATES}")
    return blocks


def _parse_blocks(blocks: list[bytes], roots: TrustRoots, what: str) -> list[NamedCertificate]:
    try:
        ders = dict.fromkeys([_decode_block(block) for block in blocks])
        return [roots.by_der.get(der) or parse_certificate(der) for der in ders]
    except (ValueError, MalformedError) as error:
        raise MalformedError(f"{what} is not a sequence of PEM certificates: {error}") from error


def _decode_block(block: bytes) -> bytes:
    text, end, _ = block.partition(_PEM_END)
    if not end:
        raise ValueError("a certificate has no end")
    return a2b_base64(text)


def _find_path(
    entries: list[NamedCertificate], roots: TrustRoots, what: str
) -> tuple[tuple[NamedCertificate, ...], TrustRoot]:
    """Find the path, the leaf first, without its root, and the trusted root by the names and keys that there are."""
    path = _order([entry for entry in entries if entry.issuer != entry.subject], what)
    brought = [entry for entry in entries if entry.issuer == entry.subject]
    return path, _find_root(path[-1], brought, roots, what)


def _order(entries: list[NamedCertificate], what: str) -> tuple[NamedCertificate, ...]:
    """Bring certificates that are not self-issued into the order leaf, issuer, issuer's issuer."""
    by_subject = {entry.subject: entry for entry in entries}
    issuers = {entry.issuer for entry in entries}
    leaves = [entry for entry in entries if entry.subject not in issuers]
    if len(leaves) != 1 or len(by_subject) != len(entries):
        raise AuthenticityError(f"{what} holds {len(leaves)} certificates that issued no other, expected one path")
    path = [leaves[0]]
    while (issuer := by_subject.pop(path[-1].issuer, None)) is not None:  # each once: CAs may name each other in a loop
        path.append(issuer)
    if len(path) != len(entries):
        raise AuthenticityError(f"{what} holds {len(entries) - len(path)} certificates that are not on its path")
    return tuple(path)


def _find_root(last: NamedCertificate, brought: list[NamedCertificate], roots: TrustRoots, what: str) -> TrustRoot:
    """Find the trusted root that the path ends in: its name, its key's signature, and no other root beside it.

    A root that came along and is not among the trusted ones byte for byte is accepted only as the same name and key
    (Intel has issued its root's certificate more than once).
    """
    candidates = [root for root in roots.roots if root.named.subject == last.issuer]
    for entry in brought:
        if not any(entry.der == root.named.der for root in candidates):
            key = p256_key(entry, what)
            candidates = [
                root
                for root in candidates
                if root.named.subject == entry.subject and root.certificate.public_key() == key
            ]
    if len(candidates) > 1:  # roots of one name, as simulated platforms have: the one whose key signed
        candidates = [root for root in candidates if _is_signed_by(last, root, what)]
    if not candidates:
        trusted = ", ".join(f"{root.label} ({root.fingerprint[:16]}…)" for root in roots.roots)
        raise AuthenticityError(
            f"{what} ends in a root named {describe_name(last.issuer)} that is not trusted; trusted: {trusted}",
            remedy="if this platform is to be trusted, name its root with --trust-root",
        )
    return candidates[0]


def _is_signed_by(child: NamedCertificate, root: TrustRoot, what: str) -> bool:
    try:
        return _verify_link(child, root.named, 0, what)
    except AuthenticityError:
        return False


def _verify_link(child: NamedCertificate, issuer: NamedCertificate, depth: int | None, what: str) -> bool:
    """Verify that `issuer`, `depth` CAs above the leaf's own issuer, may have issued and did issue `child`.

    Without `depth` it is known already that it may.
    """
    certificate = child.certificate
    try:
        if child.issuer != issuer.subject:
            raise AuthenticityError(f"{what}: {child} names another issuer than {issuer}")
        if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
            raise AuthenticityError(f"{what}: {child} is not signed with ECDSA and SHA-256")
        p256_key(issuer, what).verify(certificate.signature, child.body, ECDSA_SHA256)
        if depth is not None:
            _check_ca(issuer, depth, what)
        _check_critical_extensions(child, what)
    except InvalidSignature as error:
        raise AuthenticityError(f"{what}: the signature of {child} does not verify under its issuer's key") from error
    except LIBRARY_ERRORS as error:
        raise AuthenticityError(f"{what}: {child} cannot be checked against its issuer: {error}") from error
    return True


def p256_key(entry: NamedCertificate, what: str) -> ec.EllipticCurvePublicKey:
    """Return a certificate's key, which must be on P-256: Intel's PKI uses nothing else.

    Raises:
        AuthenticityError: another kind of key.
    """
    try:
        key = entry.certificate.public_key()
    except LIBRARY_ERRORS as error:
        raise AuthenticityError(f"{what}: the key of {entry} cannot be read: {error}") from error
    curve = getattr(key, "curve", None)  # asking whether it is an instance of the abstract class takes far longer
    if not isinstance(curve, ec.SECP256R1):
        raise AuthenticityError(f"{what}: {entry} has no P-256 key")
    return cast("ec.EllipticCurvePublicKey", key)


def require_end_entity(entry: NamedCertificate, what: str) -> None:
    """Require that a certificate whose key signs reports or documents is no CA's, and that its key may sign.

    Raises:
        AuthenticityError: it is a CA, or states another use of its key.
    """
    constraints, usage = _read_usage(entry)
    if constraints is not None and constraints.ca:
        raise AuthenticityError(f"{what}: {entry} is a CA, expected a certificate that issues no others")
    if usage is not None and not usage.digital_signature:
        raise AuthenticityError(f"{what}: the key usage of {entry} is not to make signatures")


def require_crl_issuer(entry: NamedCertificate) -> None:
    """Require that a CA states that it issues CRLs (RFC 5280, 6.3.3 f).

    Raises:
        AuthenticityError: it does not.
    """
    _, usage = _read_usage(entry)
    if usage is None or not usage.crl_sign:
        raise AuthenticityError(f"the key usage of {entry} is not to sign CRLs")


def _read_usage(entry: NamedCertificate) -> tuple[x509.BasicConstraints | None, x509.KeyUsage | None]:
    constraints, usage = None, None
    for extension in entry.certificate.extensions:
        value = extension.value
        if type(value) is x509.BasicConstraints:
            constraints = value
        elif type(value) is x509.KeyUsage:
            usage = value
    return constraints, usage


def _check_ca(issuer: NamedCertificate, depth: int, what: str) -> None:
    constraints, usage = _read_usage(issuer)
    if constraints is None or usage is None:
        raise AuthenticityError(f"{what}: {issuer} does not say that it is a CA")
    if not constraints.ca or not usage.key_cert_sign:
        raise AuthenticityError(f"{what}: {issuer} is no CA that may sign certificates")
    if constraints.path_length is not None and depth > constraints.path_length:
        raise AuthenticityError(f"{what}: more CAs stand below {issuer} than it allows ({constraints.path_length})")


def _check_critical_extensions(entry: NamedCertificate, what: str) -> None:
    for extension in entry.certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD_CRITICAL:
            raise AuthenticityError(f"{what}: {entry} has a critical extension {extension.oid.dotted_string}")
