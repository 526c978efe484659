"""Says once what is wrong with a row, however often it is read."""

import logging
from collections import OrderedDict
from threading import Lock
from typing import Final

_LOGGER: Final = logging.getLogger(__name__)
_MOST: Final = 10_000


class RowWarnings:
    """What was warned of already, as far as remembered. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self._lock = Lock()

    def warn(self, row: tuple[object, ...], what: str, reason: str) -> None:
        """Say that a row is passed over.

        Args:
            row: tells it, as it is now, from all others and from what it was before.
            what: what it should hold, for the operator.
            reason: why it is not used.
        """
        with self._lock:
            is_known = row in self._known
            self._known[row] = None
            self._known.move_to_end(row)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        if not is_known:
            _LOGGER.warning("%s is passed over, as it stands in the database: %s", what, reason)
