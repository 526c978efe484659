"""``PUT /platformcollateral`` and ``pccs import platform_collaterals.json``: the same file, taken in the same way."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from verdictd.core.errors import VerdictdError
from verdictd.pccs.importing import Importer, ImportOutcome, ImportStatus
from verdictd.pccs.intel_files import PlatformCollateral, parse_platform_collateral
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
    outcomes = take_platform_collateral(cache, parsed, at)
    return [f"{each.name}: {each.reason}" for each in outcomes if each.status is ImportStatus.REFUSED]


def take_platform_collateral(cache: Cache, parsed: PlatformCollateral, at: datetime) -> Iterator[ImportOutcome]:
    """Take in what such a file holds, and have the certificate chosen for each TCB that it says a platform has."""
    yield from Importer(cache).take_all(parsed.entries, at)
    for registration in parsed.platforms:
        platform, raw_tcb = registration.platform, registration.raw_tcb
        if raw_tcb is None or cache.storage.platforms.get(platform.key) is None:
            continue
        try:
            cache.pck.certificate(platform.key, raw_tcb, platform.enc_ppid, at)
        except VerdictdError as error:
            name = f"certificate for the platform {platform.key.qe_id:.32} at its TCB"
            yield ImportOutcome(name=name, status=ImportStatus.REFUSED, reason=str(error))
