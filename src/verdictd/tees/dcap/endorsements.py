"""Verification of single items of collateral: who signed them, under which root. Time is judged elsewhere.

A `Verified…` value can be had only from the function here that verifies it, so that a type tells what was checked.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import SignatureAlgorithmOID

from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.tees.dcap.certificates import (
    VerifiedChain,
    p256_key,
    require_crl_issuer,
    require_end_entity,
    verify_pem_chain,
)
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.ecdsa import ECDSA_SHA256, verify_raw_signature
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.qe_identity import QEIdentity, parse_qe_identity
from verdictd.tees.dcap.tcb_info import TCBInfo, parse_tcb_info
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots
from verdictd.tees.dcap.x509_names import NamedCertificate, describe_name, parse_crl

TCB_SIGNER_SUFFIX = "SGX TCB Signing"
_MAX_CRL_NUMBER_BITS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTCBInfo:
    """TCB info whose signature and chain hold up to a trusted root. Not judged: time and revocation of its signer."""

    info: TCBInfo
    chain: VerifiedChain

    @property
    def root(self) -> TrustRoot:
        """The root that vouches for it."""
        return self.chain.root

    @property
    def issue_date(self) -> datetime:
        """When it was issued."""
        return self.info.issue_date

    @property
    def next_update(self) -> datetime:
        """When the next one is due: after that it is expired."""
        return self.info.next_update

    @property
    def expires_at(self) -> datetime:
        """The earliest of its own expiry and its chain's."""
        return min(self.info.next_update, self.chain.not_after)

    @property
    def sequence(self) -> tuple[int, datetime]:
        """Orders items of the same kind: higher is newer."""
        return self.info.evaluation_data_number, self.info.issue_date

    @property
    def fmspc(self) -> bytes:
        """The family of platforms, 6 bytes."""
        return self.info.fmspc

    @property
    def pce_id(self) -> bytes:
        """The PCE's id, 2 bytes."""
        return self.info.pce_id

    @property
    def tee_id(self) -> str:
        """``SGX`` or ``TDX``."""
        return self.info.tee_id


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedQEIdentity:
    """A QE identity whose signature and chain hold up to a trusted root. Not judged: time, revocation of its signer."""

    identity: QEIdentity
    chain: VerifiedChain

    @property
    def root(self) -> TrustRoot:
        """The root that vouches for it."""
        return self.chain.root

    @property
    def issue_date(self) -> datetime:
        """When it was issued."""
        return self.identity.issue_date

    @property
    def next_update(self) -> datetime:
        """When the next one is due: after that it is expired."""
        return self.identity.next_update

    @property
    def expires_at(self) -> datetime:
        """The earliest of its own expiry and its chain's."""
        return min(self.identity.next_update, self.chain.not_after)

    @property
    def sequence(self) -> tuple[int, datetime]:
        """Orders items of the same kind: higher is newer."""
        return self.identity.evaluation_data_number, self.identity.issue_date


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCRL:
    """A CRL that its issuer signed, whose chain holds up to a trusted root. Not judged: time.

    Attributes:
        number: the CRL number (RFC 5280, 5.2.3).
        issuer_not_after: when the issuer's certificate, or the root's, expires.
        issuer: the DER of the issuer's name.
    """

    crl: x509.CertificateRevocationList
    root: TrustRoot
    number: int
    issue_date: datetime
    next_update: datetime
    issuer_not_after: datetime
    issuer: bytes

    @property
    def expires_at(self) -> datetime:
        """The earliest of its own expiry and its chain's."""
        return min(self.next_update, self.issuer_not_after)

    @property
    def sequence(self) -> tuple[int, datetime]:
        """Orders items of the same kind: higher is newer."""
        return self.number, self.issue_date

    def revocation_date(self, serial_number: int) -> datetime | None:
        """Since when a certificate of this issuer is revoked, for whatever reason; ``None`` where it is not listed."""
        entry = self.crl.get_revoked_certificate_by_serial_number(serial_number)
        try:
            return None if entry is None else entry.revocation_date_utc
        except ValueError:  # listed with a date of the year 0, which DER can write: it is revoked all the same
            return datetime.min.replace(tzinfo=UTC)


def verify_tcb_info(document: SignedDocument, roots: TrustRoots, memory: FactMemory | None = None) -> VerifiedTCBInfo:
    """Verify who signed TCB info, over its raw text as received, and parse it.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: it does not follow its format.
        AuthenticityError: the signature or the chain does not hold, or its leaf is no TCB signing certificate.
    """
    facts = FactMemory() if memory is None else memory
    key = ("tcb info", document.body, document.signature, document.issuer_chain, roots.key)
    return facts.recall(
        key,
        lambda: VerifiedTCBInfo(
            chain=_verify_document(document, roots, "TCB info", facts), info=parse_tcb_info(document.body)
        ),
    )


def verify_qe_identity(
    document: SignedDocument, roots: TrustRoots, memory: FactMemory | None = None
) -> VerifiedQEIdentity:
    """Verify who signed a QE identity, over its raw text as received, and parse it.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: it does not follow its format.
        AuthenticityError: the signature or the chain does not hold, or its leaf is no TCB signing certificate.
    """
    facts = FactMemory() if memory is None else memory
    key = ("qe identity", document.body, document.signature, document.issuer_chain, roots.key)
    return facts.recall(
        key,
        lambda: VerifiedQEIdentity(
            chain=_verify_document(document, roots, "QE identity", facts), identity=parse_qe_identity(document.body)
        ),
    )


def verify_pck_crl(crl: RevocationList, roots: TrustRoots, memory: FactMemory | None = None) -> VerifiedCRL:
    """Verify a CRL of a PCK CA with the chain that came along with it.

    Raises:
        MalformedError, LimitExceededError: it, or its chain, does not follow its format.
        AuthenticityError: the signature or the chain does not hold, or its issuer is no PCK CA.
    """
    facts = FactMemory() if memory is None else memory
    key = ("pck crl", crl.der, crl.issuer_chain, roots.key)
    return facts.recall(key, lambda: _verify_pck_crl(crl, roots, facts))


def verify_root_ca_crl(crl: RevocationList, roots: TrustRoots, memory: FactMemory | None = None) -> VerifiedCRL:
    """Verify a CRL that one of the trusted roots issued itself.

    Raises:
        MalformedError, LimitExceededError: it does not follow its format.
        AuthenticityError: no trusted root of that name signed it.
    """
    facts = FactMemory() if memory is None else memory
    return facts.recall(("root crl", crl.der, roots.key), lambda: _verify_root_ca_crl(crl, roots))


def verify_crl_by(crl: RevocationList, issuer: NamedCertificate, root: TrustRoot, memory: FactMemory) -> VerifiedCRL:
    """Verify a CRL under a given, already verified issuer, whatever chain came along with it.

    Raises:
        MalformedError, LimitExceededError: it does not follow its format.
        AuthenticityError: another issuer's, or its signature does not verify.
    """
    key = ("crl by", crl.der, issuer.der, root.fingerprint)
    return memory.recall(key, lambda: _verify_crl(crl, issuer, root))


def _verify_document(document: SignedDocument, roots: TrustRoots, what: str, memory: FactMemory) -> VerifiedChain:
    if len(document.body) > MAX_SIGNED_DOCUMENT_BYTES:
        raise LimitExceededError(f"{what} is {len(document.body)} bytes long, the limit is {MAX_SIGNED_DOCUMENT_BYTES}")
    chain = _verify_issuer_chain(document.issuer_chain, roots, what, memory)
    name = chain.leaf.common_name
    if not name.endswith(TCB_SIGNER_SUFFIX) or len(chain.issuers.certificates) != 1:
        raise AuthenticityError(
            f"{what} was signed by {name!r:.100}, expected an SGX TCB Signing certificate of the root"
        )
    require_end_entity(chain.leaf, f"the issuer chain of {what}")
    verify_raw_signature(p256_key(chain.leaf, what), document.signature, document.body, f"the signature of {what}")
    return chain


def _verify_issuer_chain(pem: bytes, roots: TrustRoots, what: str, memory: FactMemory) -> VerifiedChain:
    return memory.recall(  # TCB info and QE identity come with the same
        ("chain", pem, roots.key), lambda: verify_pem_chain(pem, roots, f"the issuer chain of {what}", memory)
    )


def _verify_pck_crl(crl: RevocationList, roots: TrustRoots, memory: FactMemory) -> VerifiedCRL:
    chain = _verify_issuer_chain(crl.issuer_chain, roots, "the PCK CRL", memory)
    name = chain.leaf.common_name
    if not name.endswith(("SGX PCK Platform CA", "SGX PCK Processor CA")):
        raise AuthenticityError(
            f"the PCK CRL comes with the chain of {name!r:.100}, expected a PCK Platform or Processor CA"
        )
    return _verify_crl(crl, chain.leaf, chain.root)


def _verify_root_ca_crl(crl: RevocationList, roots: TrustRoots) -> VerifiedCRL:
    _, _, issuer = _parse_bounded_crl(crl)
    named = [root for root in roots.roots if root.named.subject == issuer]
    for root in named:
        try:
            return _verify_crl(crl, root.named, root)
        except AuthenticityError:
            if root is named[-1]:
                raise
    raise AuthenticityError(f"the root CA CRL was issued by {describe_name(issuer)}, which is no trusted root")


def _verify_crl(crl: RevocationList, issuer: NamedCertificate, root: TrustRoot) -> VerifiedCRL:
    parsed, body, found = _parse_bounded_crl(crl)
    if found != issuer.subject:
        raise AuthenticityError(f"the CRL was issued by {describe_name(found)}, expected {issuer}")
    if parsed.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise AuthenticityError("the CRL is not signed with ECDSA and SHA-256")
    require_crl_issuer(issuer)
    try:
        p256_key(issuer, "the CRL").verify(parsed.signature, body, ECDSA_SHA256)
    except InvalidSignature as error:
        raise AuthenticityError(f"the signature of the CRL does not verify under the key of {issuer}") from error
    issue_date, next_update = _dates(parsed)
    return VerifiedCRL(
        crl=parsed,
        root=root,
        number=_crl_number(parsed),
        issue_date=issue_date,
        next_update=next_update,
        issuer_not_after=min(issuer.certificate.not_valid_after_utc, root.certificate.not_valid_after_utc),
        issuer=found,
    )


def _parse_bounded_crl(crl: RevocationList) -> tuple[x509.CertificateRevocationList, bytes, bytes]:
    if len(crl.der) > MAX_CRL_BYTES:
        raise LimitExceededError(f"the CRL is {len(crl.der)} bytes long, the limit is {MAX_CRL_BYTES}")
    return parse_crl(crl.der)


def _crl_number(crl: x509.CertificateRevocationList) -> int:
    number = None
    for extension in crl.extensions:
        if extension.critical:  # e.g. a partial or indirect CRL: what it does not list would not be known to be good
            raise AuthenticityError(f"the CRL has a critical extension {extension.oid.dotted_string}")
        value = extension.value
        if type(value) is x509.CRLNumber:
            number = value.crl_number
    if number is None:
        raise MalformedError("the CRL has no CRL number")
    if number.bit_length() > _MAX_CRL_NUMBER_BITS:
        raise MalformedError("the CRL number has more than 20 octets (RFC 5280, 5.2.3)")
    return number


def _dates(crl: x509.CertificateRevocationList) -> tuple[datetime, datetime]:
    """Read when the CRL was issued, and when the next one is due."""
    try:
        issue_date, next_update = crl.last_update_utc, crl.next_update_utc
    except ValueError as error:  # a date of the year 0, which DER can write
        raise MalformedError(f"the CRL's dates cannot be read: {error}") from error
    if next_update is None:
        raise MalformedError("the CRL does not say when the next one is due")
    return issue_date, next_update
