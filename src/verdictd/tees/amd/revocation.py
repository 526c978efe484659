"""AMD's CRLs: which ASKs and ASVKs an ARK has revoked. A VCEK or VLEK is never listed by itself.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, 4.2; RFC 5280, chapter 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from verdictd.core.der import INTEGER
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CRL_BYTES
from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.amd.roots import AMDRoot, AMDRoots
from verdictd.tees.amd.signed import read_envelope, require_algorithm, verify_signature
from verdictd.tees.dcap.x509_names import LIBRARY_ERRORS, describe_name, parse_crl

_MAX_CRL_NUMBER_BITS: Final = 160
_VERSION_2: Final = b"\1"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAMDCRL:
    """A CRL that a trusted ARK signed. Not judged: time.

    Attributes:
        root: who signed it.
        number: the CRL number; higher is newer.
        issue_date: since when it is good (aware).
        next_update: when the next one is due (aware).
        revoked: since when (aware), by serial number.
    """

    root: AMDRoot
    number: int
    issue_date: datetime
    next_update: datetime
    revoked: Mapping[int, datetime] = field(repr=False)

    @property
    def product(self) -> AMDProduct:
        """Whose CAs it is about."""
        return self.root.product

    @property
    def expires_at(self) -> datetime:
        """The earlier of its own expiry and its issuer's."""
        return min(self.next_update, self.root.authority.not_after)


def verify_crl(der: bytes, roots: AMDRoots) -> VerifiedAMDCRL:
    """Verify a CRL that one of the trusted roots issued.

    Raises:
        MalformedError, LimitExceededError: it does not follow its format.
        AuthenticityError: no trusted root of its issuer's name signed it, or it is not a complete CRL.
    """
    if len(der) > MAX_CRL_BYTES:
        raise LimitExceededError(f"the CRL is {len(der)} bytes long, the limit is {MAX_CRL_BYTES}")
    members, body, algorithm, signature = read_envelope(der, "the CRL")
    if len(members) < len(("version", "algorithm")) or members[0].expect(INTEGER, "the version").value != _VERSION_2:
        raise MalformedError("the CRL is not of version 2")
    require_algorithm(algorithm, members[1], "the CRL")
    crl, _, issuer = parse_crl(der)
    named = [root for root in roots.roots if root.authority.named.subject == issuer]
    if not named:
        raise AuthenticityError(f"the CRL was issued by {describe_name(issuer)}, which is no trusted root")
    root = _find_signer(named, signature, body)
    try:
        return _read(crl, root)
    except LIBRARY_ERRORS as error:
        raise MalformedError(f"the CRL cannot be read: {error}") from error


def _find_signer(named: list[AMDRoot], signature: bytes, body: bytes) -> AMDRoot:
    """Find which of the roots of one name signed; simulated ones are named like AMD's own, or like each other."""
    for root in named[:-1]:
        try:
            verify_signature(root.authority.key, signature, body, "the CRL", str(root.authority))
        except AuthenticityError:
            continue
        return root
    verify_signature(named[-1].authority.key, signature, body, "the CRL", str(named[-1].authority))
    return named[-1]


def _read(crl: x509.CertificateRevocationList, root: AMDRoot) -> VerifiedAMDCRL:
    number: int | None = None
    for extension in crl.extensions:
        _require_not_critical(extension)  # e.g. a partial CRL: what it does not list would not be known to be good
        if isinstance(extension.value, x509.CRLNumber):
            number = extension.value.crl_number
    if number is None or number.bit_length() > _MAX_CRL_NUMBER_BITS:
        raise MalformedError("the CRL has no CRL number of at most 20 octets (RFC 5280, 5.2.3)")
    if crl.next_update_utc is None:
        raise MalformedError("the CRL does not say when the next one is due")
    revoked: dict[int, datetime] = {}
    for entry in crl:
        for extension in entry.extensions:
            _require_not_critical(extension)  # e.g. one that names another issuer
        revoked[entry.serial_number] = _date(entry)
    return VerifiedAMDCRL(
        root=root,
        number=number,
        issue_date=crl.last_update_utc,
        next_update=crl.next_update_utc,
        revoked=revoked,
    )


def _date(entry: x509.RevokedCertificate) -> datetime:
    try:
        return entry.revocation_date_utc
    except ValueError:  # a date of the year 0, which DER can write: it is revoked all the same
        return _LONG_AGO


def _require_not_critical(extension: x509.Extension[x509.ExtensionType]) -> None:
    if extension.critical:
        raise AuthenticityError(f"the CRL has a critical extension {extension.oid.dotted_string}")
