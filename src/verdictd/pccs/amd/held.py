"""What of AMD's is held: in memory for a while, else in the database. Nothing here asks upstream."""

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, get_args

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import VerdictdError
from verdictd.pccs.amd.refusals import revoked
from verdictd.pccs.amd.verification import AMDVerifier, VerifiedAMD
from verdictd.pccs.model import AMDItem, AMDKeyType
from verdictd.pccs.ports import AMDStorage

_MEMORY_LASTS: Final = timedelta(seconds=60)
"""After which the database is asked again: another process may have taken in a CRL."""
_MAX_IN_MEMORY: Final = 4096


class HeldAMD:
    """Items that are in time and not revoked. Safe to share between threads."""

    def __init__(self, storage: AMDStorage, verifier: AMDVerifier, *, max_in_memory: int = _MAX_IN_MEMORY) -> None:
        self._storage = storage
        self._verifier = verifier
        self._max_in_memory = max_in_memory
        self._lock = Lock()
        self._memory: OrderedDict[AMDCertificateName, tuple[AMDItem, datetime]] = OrderedDict()

    def in_memory(self, name: AMDCertificateName, at: datetime) -> AMDItem | None:
        """Return an item at once, if it was read or stored lately."""
        with self._lock:
            item, read_at = self._memory.get(name, (None, at))
            if item is None or at >= item.expires_at or not read_at <= at < read_at + _MEMORY_LASTS:
                return None
            self._memory.move_to_end(name)
            return item

    def stored(self, name: AMDCertificateName, at: datetime) -> AMDItem | None:
        """Return an item from the database.

        Raises:
            UnavailableError: what issued it is revoked by a CRL that is held.
            StorageError: the database failed.
        """
        item = self._storage.get(name)
        if item is None or at >= item.expires_at:
            return None
        found = self._verifier.verify(name, item.content)
        if at < found.not_before:
            return None
        self.require_not_revoked(name, found)
        self._remember(item, at)
        return item

    def keep(self, item: AMDItem) -> None:
        """Store an item. What is in memory, and would no longer be read from the database, is forgotten."""
        self._storage.keep(item)
        with self._lock:
            if item.name.what == "leaf":
                self._memory.pop(item.name, None)
            else:  # a CRL or a chain may take the ground from under all others
                self._memory.clear()

    def require_not_revoked(self, name: AMDCertificateName, found: VerifiedAMD) -> None:
        """Refuse what stands under an ASK or ASVK that a CRL lists which is held, be it past its time.

        Raises:
            UnavailableError: it does.
        """
        if found.issuer is None:
            return
        for key_type in get_args(AMDKeyType):  # the root issues both: either may list either
            crl_name = AMDCertificateName(key_type, name.product, "crl")
            crl = self._storage.get(crl_name)
            if crl is not None and found.issuer in self._verifier.verify(crl_name, crl.content).revoked:
                raise revoked(name)

    def is_usable(self, name: AMDCertificateName, at: datetime) -> bool:
        """Whether an item is held that could be handed out."""
        try:
            return self.stored(name, at) is not None
        except VerdictdError:
            return False

    def _remember(self, item: AMDItem, at: datetime) -> None:
        with self._lock:
            self._memory[item.name] = (item, at)
            self._memory.move_to_end(item.name)
            while len(self._memory) > self._max_in_memory:
                self._memory.popitem(last=False)
