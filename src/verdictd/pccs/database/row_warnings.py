"""Says once what is wrong with a row, however often it is read."""

import hashlib
import logging
from collections import OrderedDict
from threading import Lock
from typing import Final

_LOGGER: Final = logging.getLogger(__name__)
_MOST: Final = 10_000


class RowWarnings:
    """What was warned of already, as far as remembered. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def warn(self, row: tuple[object, ...], what: str, reason: str) -> None:
        """Say that a row is passed over.

        Args:
            row: tells it, as it is now, from all others and from what it was before.
            what: what it should hold, for the operator.
            reason: why it is not used.
        """
        digest = hashlib.sha256(repr(row).encode("utf-8", "backslashreplace")).digest()  # a row may be large
        with self._lock:
            is_known = digest in self._known
            self._known[digest] = None
            self._known.move_to_end(digest)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        if not is_known:
            _LOGGER.warning("%s is passed over, as it stands in the database: %s", what, reason)
