"""A cache put together, as the commands and the routes that work on it need it."""

from typing import Protocol

from verdictd.pccs.model import Mode
from verdictd.pccs.ports import AMDCache, CollateralCache, PCKCache, Storage
from verdictd.tees.dcap.trust_roots import TrustRoots


class Cache(Protocol):
    """All parts of one cache, over one database."""

    @property
    def storage(self) -> Storage:
        """What is kept."""

    @property
    def collateral(self) -> CollateralCache:
        """TCB info, identities and CRLs."""

    @property
    def pck(self) -> PCKCache:
        """PCK certificates."""

    @property
    def amd(self) -> AMDCache:
        """AMD's certificates."""

    @property
    def roots(self) -> TrustRoots:
        """The vendor's roots that are trusted."""

    @property
    def mode(self) -> Mode:
        """When upstream is asked."""
