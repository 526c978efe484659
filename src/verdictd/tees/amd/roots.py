"""The roots of AMD's that are trusted: one ARK for each product, pinned here, unless the operator names others."""

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, get_args

from verdictd.core.errors import AuthenticityError, ConfigError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.amd.authorities import Authority, parse_authority, verify_authority
from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.amd.pem import decode_pem

ARK_SHA256: Final[dict[AMDProduct, str]] = {
    "Milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "Genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "Turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
}
"""Fingerprints of AMD's ARKs (valid 25 years from 2020, 2022 and 2023), which roots/ holds."""


@dataclass(frozen=True, slots=True)
class AMDRoot:
    """A self-signed ARK that is trusted for one product, and what to call it."""

    authority: Authority
    product: AMDProduct
    label: str
    fingerprint: str = field(init=False)
    """SHA-256 of the certificate's DER, lower-case hex."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", sha256(self.authority.der).hexdigest())

    @property
    def is_amd(self) -> bool:
        """Whether this is AMD's own, the only one that vouches for real processors."""
        return self.fingerprint == ARK_SHA256[self.product]


@dataclass(frozen=True, slots=True)
class AMDRoots:
    """All the roots that are trusted; several for one product are allowed. Empty roots are refused."""

    roots: tuple[AMDRoot, ...]
    key: str = field(init=False)
    """Tells one set of roots from another: facts that were established under a set are remembered under its key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", ",".join(f"{root.product} {root.fingerprint}" for root in self.roots))
        if not self.roots:
            raise ConfigError("no root of AMD's is given", remedy="name at least one with --amd-root, or leave it out")

    def find(self, der: bytes) -> AMDRoot | None:
        """Return the root that a certificate is, byte for byte."""
        return next((root for root in self.roots if root.authority.der == der), None)

    def of(self, product: AMDProduct) -> tuple[AMDRoot, ...]:
        """Return those of a product."""
        return tuple(root for root in self.roots if root.product == product)


@cache
def amd_roots() -> tuple[AMDRoot, ...]:
    """Return AMD's ARKs as shipped, after comparing them with the pinned fingerprints.

    Raises:
        ConfigError: one was altered.
    """
    found: list[AMDRoot] = []
    for product in ARK_SHA256:
        pem = files("verdictd.tees.amd").joinpath("roots", f"ark_{product.lower()}.pem").read_bytes()
        (root,) = parse_amd_roots(pem, f"AMD ARK-{product}")
        if root.product != product or not root.is_amd:
            raise ConfigError(
                f"the shipped root of {product} has the fingerprint {root.fingerprint}, expected {ARK_SHA256[product]}",
                remedy="this installation was altered: install it again",
            )
        found.append(root)
    return tuple(found)


def parse_amd_roots(pem: bytes, label: str) -> tuple[AMDRoot, ...]:
    """Read the ARKs of a PEM file that the operator names as trusted.

    Args:
        pem: one or more certificates named ``ARK-<product>``, self-signed.
        label: what to call them, e.g. the file's name.
    Raises:
        ConfigError: no certificate, or one that is no ARK.
        LimitExceededError: longer than `MAX_CHAIN_BYTES`.
    """
    if len(pem) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"AMD root {label} is {len(pem)} bytes long, the limit is {MAX_CHAIN_BYTES}")
    try:
        return tuple(_parse_root(der, label) for der in decode_pem(pem, "the file"))
    except (MalformedError, AuthenticityError, LimitExceededError) as error:
        raise ConfigError(
            f"AMD root {label} is not a PEM file of self-signed ARKs: {error}",
            remedy="give the ARK's own certificate (of a simulated AMD: amd/milan/ark.pem in its directory)",
        ) from error


def _parse_root(der: bytes, label: str) -> AMDRoot:
    authority = parse_authority(der, "the root")
    product = next((known for known in get_args(AMDProduct) if authority.common_name == f"ARK-{known}"), None)
    if product is None:
        raise AuthenticityError(f"it is named {authority}, expected ARK- and one of {', '.join(get_args(AMDProduct))}")
    verify_authority(authority, authority, "the root")
    if not authority.may_sign_crls:
        raise AuthenticityError("its key usage is not to sign CRLs")
    if authority.not_before > authority.not_after:
        raise AuthenticityError("it is never valid")
    return AMDRoot(authority, product, label)
