"""What an operator is willing to accept of a genuine enclave on this machine. The defaults accept the least."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SGXLocalAcceptance:
    """The operator's settings.

    Attributes:
        allow_debug: whether an enclave whose memory its host can read is acceptable.
    """

    allow_debug: bool = False
