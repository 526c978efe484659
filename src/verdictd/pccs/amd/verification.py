"""Whether an item of AMD's is what its name says, and holds up to the pinned root of its product."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.pccs.errors import NO_CACHE_DATA, UnavailableError
from verdictd.pccs.model import AMDItem, AMDKeyType, AMDProduct
from verdictd.pccs.ports import AMDStorage
from verdictd.tees.amd.certificates import VerifiedAMDChain, verify_chain, verify_leaf
from verdictd.tees.amd.revocation import verify_crl
from verdictd.tees.amd.roots import AMDRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAMD:
    """What verification found. Not judged: time and revocation.

    Attributes:
        not_before: since when it is good (aware).
        expires_at: until when (aware); the earliest in it and its chain.
        sequence: CRL number, else 0.
        issuer: of a leaf, and in a chain: the fingerprint of the root and the serial number of the ASK or ASVK, by
            which a CRL of that root lists it; else ``None``.
        revoked: of a CRL: what it lists, in the same form.
    """

    not_before: datetime
    expires_at: datetime
    sequence: int = 0
    issuer: tuple[str, int] | None = None
    revoked: frozenset[tuple[str, int]] = frozenset()


class AMDVerifier:
    """Verifies items, the leaves under the chain that is held. Safe to share between threads.

    It is given to `open_storage`, so that what is read is verified again. Chains that were seen to hold are remembered:
    whoever stores a leaf has verified it here before, and nothing is read while something is being stored.
    """

    def __init__(self, roots: AMDRoots) -> None:
        self._roots = roots
        self._storage: AMDStorage | None = None
        self._chains: dict[tuple[AMDKeyType, AMDProduct], VerifiedAMDChain] = {}

    def read_chains_from(self, storage: AMDStorage) -> None:
        """Name where chains are held. Without that, only those count that were verified here."""
        self._storage = storage

    def __call__(self, item: AMDItem) -> None:
        """Verify a stored item.

        Raises:
            VerdictdError: it does not hold, or is not as it says.
        """
        found = self.verify(item.name, item.content)
        if (found.expires_at, found.sequence) != (item.expires_at, item.sequence):
            raise MalformedError("it expires at another time, or has another number, than is said beside it")

    def verify(self, name: AMDCertificateName, content: bytes) -> VerifiedAMD:
        """Verify what is said to have a name.

        Raises:
            MalformedError, LimitExceededError: it does not follow its format.
            AuthenticityError: it does not hold, or is something else than its name says.
            UnavailableError: it is a leaf, and the chain above it is not held.
        """
        match name.what:
            case "cert_chain":
                return self._verify_chain(name, content)
            case "crl":
                return self._verify_crl(name, content)
            case "leaf":
                return self._verify_leaf(name, content)

    def _verify_chain(self, name: AMDCertificateName, content: bytes) -> VerifiedAMD:
        chain = verify_chain(content, self._roots)
        if (chain.key_type, chain.product) != (name.key_type, name.product):
            raise AuthenticityError(
                f"the chain is that of a {chain.product} {chain.key_type.upper()}, expected that of a"
                f" {name.product} {name.key_type.upper()}"
            )
        self._chains[name.key_type, name.product] = chain
        return VerifiedAMD(not_before=chain.not_before, expires_at=chain.not_after, issuer=_issuer(chain))

    def _verify_crl(self, name: AMDCertificateName, content: bytes) -> VerifiedAMD:
        crl = verify_crl(content, self._roots)
        if crl.product != name.product:
            raise AuthenticityError(f"the CRL is that of {crl.product}, expected that of {name.product}")
        return VerifiedAMD(
            not_before=crl.issue_date,
            expires_at=crl.expires_at,
            sequence=crl.number,
            revoked=_listed(crl.root.fingerprint, crl.revoked),
        )

    def _verify_leaf(self, name: AMDCertificateName, content: bytes) -> VerifiedAMD:
        known = self._chains.get((name.key_type, name.product))
        try:
            if known is not None:
                return _verify_named_leaf(name, content, known)
        except AuthenticityError:
            chain = self._read_chain(name)
            if chain is None or chain == known:
                raise
        else:
            chain = self._read_chain(name)
        if chain is None:
            raise UnavailableError(
                f"the chain above a {name.product} {name.key_type.upper()} is not held, which has to vouch for it",
                status=NO_CACHE_DATA,
                problem="no-cache-data",
                remedy="bring the chain (cert_chain) first",
            )
        return _verify_named_leaf(name, content, chain)

    def _read_chain(self, name: AMDCertificateName) -> VerifiedAMDChain | None:
        """Read the chain that is held now, which another process may have stored."""
        if self._storage is not None:
            self._storage.get(AMDCertificateName(name.key_type, name.product, "cert_chain"))  # remembers it
        return self._chains.get((name.key_type, name.product))


def _verify_named_leaf(name: AMDCertificateName, content: bytes, chain: VerifiedAMDChain) -> VerifiedAMD:
    leaf = verify_leaf(content, chain)
    for what, found, expected in (
        ("chip id", leaf.endorsed.chip_id, name.chip_id),
        ("TCB", leaf.endorsed.tcb, name.tcb),
    ):
        if found != expected:
            raise AuthenticityError(
                f"the certificate has the {what} {found.hex()[:16]}, expected {expected.hex()[:16]}"
                f" ({len(found)} and {len(expected)} bytes)"
            )
    return VerifiedAMD(not_before=leaf.not_before, expires_at=leaf.not_after, issuer=_issuer(chain))


def _issuer(chain: VerifiedAMDChain) -> tuple[str, int]:
    return chain.root.fingerprint, chain.intermediate.serial_number


def _listed(fingerprint: str, revoked: Mapping[int, datetime]) -> frozenset[tuple[str, int]]:
    return frozenset((fingerprint, serial_number) for serial_number in revoked)
