"""Where HSK and CEK of a CSV chip come from whose evidence brings none: Hygon's service, or a directory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlencode

from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.http_client import BoundedHTTPClient
from verdictd.collateral.item_files import read_item_file
from verdictd.collateral.pccs_client import require_success
from verdictd.collateral.remembered_items import RememberedItems
from verdictd.tees.csv.chain import CSVEndorsements
from verdictd.tees.csv.evidence import HSK_CEK_BYTES

_CALL_S: Final = 8.0

FindCSVEndorsements = Callable[[str], tuple[CSVEndorsements, str]]
"""Finds HSK and CEK for a chip id (letters and digits); where there are none, says why. May do I/O, never raises."""


class HygonSource(Protocol):
    """Gives untrusted bytes for a chip id. Safe to share between threads."""

    @property
    def name(self) -> str:
        """What to call it, for the operator."""

    def fetch(self, chip_id: str, deadline: Deadline) -> bytes:
        """Return HSK and CEK; raises `VerdictdError` where they are not to be had."""


class HygonDirectory:
    """A directory as attesters keep it: ``<chip id>/hsk_cek.cert``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def name(self) -> str:
        """See `HygonSource.name`."""
        return str(self._directory)

    def fetch(self, chip_id: str, deadline: Deadline) -> bytes:
        """See `HygonSource.fetch`."""
        del deadline
        return read_item_file(self._directory / chip_id / "hsk_cek.cert", HSK_CEK_BYTES)


class HygonService:
    """Hygon's service at an address, or what answers like it. Safe to share between threads."""

    def __init__(self, url: str, http: BoundedHTTPClient) -> None:
        """Make a client; nothing is asked yet. The URL is the part before ``?snumber=``."""
        self._url = url
        self._http = http

    @property
    def name(self) -> str:
        """See `HygonSource.name`."""
        return f"Hygon's certificate service {self._url}"

    def fetch(self, chip_id: str, deadline: Deadline) -> bytes:
        """See `HygonSource.fetch`."""
        url = f"{self._url}?{urlencode({'snumber': chip_id})}"
        return require_success(self._http.get(url, max_bytes=HSK_CEK_BYTES, deadline=deadline)).body


class HygonEndorsements:
    """Asks a source for what a report needs. Safe to share between threads."""

    def __init__(self, source: HygonSource, *, max_waiting: int = 8, ticks: MonotonicClock = time.monotonic) -> None:
        """Make it; nothing is asked yet."""
        self._source = source
        self._ticks = ticks
        self._items = RememberedItems(source.fetch, max_waiting=max_waiting, ticks=ticks)

    def find(self, chip_id: str) -> tuple[CSVEndorsements, str]:
        """Find HSK and CEK; see `FindCSVEndorsements`."""
        item = self._items.get(chip_id, Deadline.after(_CALL_S, self._ticks))
        if item.content is None:
            return CSVEndorsements(), item.reason
        return CSVEndorsements(hsk_cek=item.content, source=self._source.name), ""
