"""What an operator is willing to accept of a genuine CSV guest. The defaults accept the least."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CSVAcceptance:
    """The operator's settings.

    Attributes:
        allow_debug: whether a guest whose memory its host may read is acceptable.
        min_firmware: the lowest acceptable API version of the platform's firmware, major and minor.
    """

    allow_debug: bool = False
    min_firmware: tuple[int, int] = (0, 0)
