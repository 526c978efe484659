"""What a cache answers about AMD's certificates while it does not keep any."""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from verdictd.pccs.errors import NO_CACHE_DATA, UnavailableError
from verdictd.pccs.model import AMDCertificateName, AMDItem


class NoAMDCache:
    """An `AMDCache` that holds nothing, asks nobody, and says so."""

    def held(self, _name: AMDCertificateName, _at: datetime, /) -> AMDItem | None:
        """Return nothing."""

    def find(self, _name: AMDCertificateName, _at: datetime, /) -> AMDItem:
        """Refuse."""
        _refuse()

    def offer(self, _name: AMDCertificateName, _content: bytes, _at: datetime, /) -> AMDItem:
        """Refuse: what cannot be verified is not stored."""
        _refuse()

    def refresh(self, _at: datetime, /) -> Sequence[tuple[str, str]]:
        """Refresh nothing."""
        return ()


def _refuse() -> NoReturn:
    raise UnavailableError(
        "AMD's certificates are not kept here: this version cannot verify them",
        status=NO_CACHE_DATA,
        problem="no-cache-data",
        remedy="ask AMD's key distribution service, https://kdsintf.amd.com",
    )
