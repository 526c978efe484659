"""Where ASK and ARK for SEV evidence come from: files as AMD hands them out, one for each product."""

from collections.abc import Callable
from pathlib import Path

from verdictd.collateral.item_files import read_item_file
from verdictd.core.errors import VerdictdError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.sev.chain import SEVEndorsements

FindSEVEndorsements = Callable[[str], tuple[SEVEndorsements, str]]
"""Finds ASK and ARK for a product; where there are none, says why. May do I/O, never raises."""


class SEVDirectory:
    """A directory with ``ask_ark_naples.cert``, ``ask_ark_rome.cert`` and ``ask_ark_milan.cert``. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, product: str) -> tuple[SEVEndorsements, str]:
        """Find ASK and ARK; see `FindSEVEndorsements`."""
        path = self._directory / f"ask_ark_{product}.cert"
        try:
            content = read_item_file(path, MAX_CHAIN_BYTES)
        except VerdictdError as error:
            return SEVEndorsements(), str(error)
        return SEVEndorsements(ask_ark=content, source=str(path)), ""
