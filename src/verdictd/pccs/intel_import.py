"""``PUT /platformcollateral``: the file that ``pccs import`` takes as well, in the same way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from verdictd.core.errors import AuthenticityError
from verdictd.pccs.importing import Importer, ImportStatus
from verdictd.pccs.intel_files import parse_platform_collateral
from verdictd.pccs.parts import Cache

_SHOWN: Final = 5
_SHOWN_CHARACTERS: Final = 300


def import_platform_collateral(cache: Cache, data: bytes, at: datetime) -> Sequence[str]:
    """Take in a file of Intel's tools: verified, and kept unless what is there is newer.

    Args:
        cache: where it goes.
        data: untrusted.
        at: the instant (aware).
    Returns:
        A sentence for each thing that the operator should know: what is expired, or left out, and TCBs without a
        certificate.
    Raises:
        MalformedError, UnsupportedError, LimitExceededError: the file does not follow its form; nothing of it is kept.
        AuthenticityError: some of it was refused; the rest is kept all the same.
    """
    parsed = parse_platform_collateral(data, at)
    outcomes = list(Importer(cache).take_all(parsed.entries, at))
    refused = [f"{each.name}: {each.reason}" for each in outcomes if each.status is ImportStatus.REFUSED]
    if refused:
        shown = "; ".join(sentence[:_SHOWN_CHARACTERS] for sentence in refused[:_SHOWN])
        raise AuthenticityError(
            f"{len(refused)} of {len(outcomes)} pieces were refused, the others are kept: {shown}",
            remedy="fetch those anew, and see that their root is trusted (--trust-root)",
        )
    notes = [f"{each.name}: {each.reason}" for each in outcomes if each.status is ImportStatus.UNFIT]
    return [*parsed.left_out, *notes, *(f"{each.name} is expired" for each in outcomes if each.is_expired(at))]
