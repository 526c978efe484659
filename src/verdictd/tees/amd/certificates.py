"""Verification of what AMD's key distribution service gives: who signed it, under which root. Time is judged elsewhere.

A `Verified…` value can be had only from the function here that verifies it, so that a type tells what was checked.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, chapters 2 and 3; 58217 for VLEK.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES
from verdictd.tees.amd.authorities import Authority, parse_authority, verify_authority
from verdictd.tees.amd.extensions import ARC, AMDKeyType, AMDProduct, EndorsedKey, parse_extensions
from verdictd.tees.amd.key_certificate import parse_key_certificate
from verdictd.tees.amd.pem import decode_pem
from verdictd.tees.amd.roots import AMDRoot, AMDRoots
from verdictd.tees.amd.signed import require_algorithm, verify_signature

_CHAIN_LENGTH: Final = 2
_ISSUERS: Final[dict[AMDKeyType, str]] = {"vcek": "SEV-", "vlek": "SEV-VLEK-"}
_SUBJECTS: Final[dict[AMDKeyType, str]] = {"vcek": "SEV-VCEK", "vlek": "SEV-VLEK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAMDChain:
    """An ASK or ASVK that a trusted root issued. Not judged: time and revocation.

    Attributes:
        product, key_type: of the keys that it issues certificates for.
        intermediate: the ASK or ASVK.
        root: the trusted ARK.
        not_before: when the later of both becomes valid.
        not_after: when the first of both expires.
    """

    product: AMDProduct
    key_type: AMDKeyType
    intermediate: Authority
    root: AMDRoot
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEndorsementKey:
    """A VCEK or VLEK whose certificate holds up to a trusted root. Not judged: time and revocation.

    Attributes:
        chain: what vouches for it.
        endorsed: of which chip (or cloud provider), product and TCB it is.
        key: P-384; signs reports.
        not_before: when the last certificate of the chain becomes valid, this one included.
        not_after: when the first of the chain expires.
    """

    chain: VerifiedAMDChain
    endorsed: EndorsedKey
    key: ec.EllipticCurvePublicKey = field(repr=False)
    not_before: datetime
    not_after: datetime


def verify_chain(pem: bytes, roots: AMDRoots) -> VerifiedAMDChain:
    """Verify the chain above endorsement keys, as it is served: the ASK or ASVK, then the ARK.

    The ARK is compared with the trusted roots and never trusted for being there.

    Raises:
        MalformedError, LimitExceededError: not two PEM certificates.
        AuthenticityError: it does not hold, or does not end in a trusted root.
    """
    return verify_chain_certificates(decode_pem(pem, "the chain"), roots)


def verify_chain_certificates(ders: Sequence[bytes], roots: AMDRoots) -> VerifiedAMDChain:
    """Like `verify_chain`, for the certificates' DER.

    Raises:
        MalformedError, LimitExceededError: not two certificates.
        AuthenticityError: it does not hold, or does not end in a trusted root.
    """
    if len(ders) != _CHAIN_LENGTH:
        raise MalformedError(f"the chain holds {len(ders)} certificates, expected an ASK or ASVK and an ARK")
    root = roots.find(ders[1])
    if root is None:
        brought = parse_authority(ders[1], "the chain")
        raise AuthenticityError(
            f"the chain ends in {brought}, which is none of the trusted roots",
            remedy="see whether it comes from the right upstream, and which roots are trusted (--amd-root)",
        )
    intermediate = parse_authority(ders[0], "the chain")
    names = {f"{prefix}{root.product}": key_type for key_type, prefix in _ISSUERS.items()}
    key_type = names.get(intermediate.common_name)
    if key_type is None:
        raise AuthenticityError(f"the chain begins with {intermediate}, expected one of {', '.join(names)}")
    if intermediate.path_length != 0:
        raise AuthenticityError(f"the chain: {intermediate} may issue CAs, expected that it issues none")
    verify_authority(intermediate, root.authority, "the chain")
    return VerifiedAMDChain(
        product=root.product,
        key_type=key_type,
        intermediate=intermediate,
        root=root,
        not_before=max(intermediate.not_before, root.authority.not_before),
        not_after=min(intermediate.not_after, root.authority.not_after),
    )


def verify_leaf(der: bytes, chain: VerifiedAMDChain) -> VerifiedEndorsementKey:
    """Verify the certificate of a VCEK or VLEK under the chain above it, and read of what it is.

    Raises:
        MalformedError, LimitExceededError: not such a certificate, or AMD's extensions do not follow their format.
        AuthenticityError: its issuer is another, or its signature does not verify.
    """
    what = f"the certificate of a {chain.product} {chain.key_type.upper()}"
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise LimitExceededError(f"{what} is {len(der)} bytes long, the limit is {MAX_CERTIFICATE_BYTES}")
    found = parse_key_certificate(der, what)
    if found.issuer != chain.intermediate.named.subject:
        raise AuthenticityError(f"{what} names another issuer than {chain.intermediate}")
    if found.common_name != _SUBJECTS[chain.key_type]:
        raise AuthenticityError(f"{what} is named {found.common_name!r:.60}, expected {_SUBJECTS[chain.key_type]}")
    require_algorithm(found.algorithm, found.inner_algorithm, what)
    verify_signature(chain.intermediate.key, found.signature, found.body, what, chain.intermediate)
    own = {name: value for name, value in found.extensions.items() if name.startswith(ARC)}
    return VerifiedEndorsementKey(
        chain=chain,
        endorsed=parse_extensions(own, chain.product, chain.key_type),
        key=found.key,
        not_before=max(found.not_before, chain.not_before),
        not_after=min(found.not_after, chain.not_after),
    )
