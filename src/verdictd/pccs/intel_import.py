"""``PUT /platformcollateral``: the file that ``pccs import`` takes as well, in the same way."""

from collections.abc import Sequence
from datetime import datetime

from verdictd.pccs.importing import Importer, ImportStatus
from verdictd.pccs.intel_files import parse_platform_collateral
from verdictd.pccs.parts import Cache


def import_platform_collateral(cache: Cache, data: bytes, at: datetime) -> Sequence[str]:
    """Take in a file of Intel's tools: verified, and kept unless what is there is newer.

    Args:
        cache: where it goes.
        data: untrusted.
        at: the instant (aware).
    Returns:
        A sentence for each piece that was refused; what was right about the file is kept all the same.
    Raises:
        MalformedError, UnsupportedError, LimitExceededError: the file does not follow its form; nothing of it is kept.
    """
    parsed = parse_platform_collateral(data, at)
    outcomes = Importer(cache).take_all(parsed.entries, at)
    return [f"{each.name}: {each.reason}" for each in outcomes if each.status is ImportStatus.REFUSED]
