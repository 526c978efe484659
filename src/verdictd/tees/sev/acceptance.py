"""What an operator is willing to accept of a genuine SEV guest. The defaults accept the least, which is no evidence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SEVAcceptance:
    """The operator's settings.

    Attributes:
        accept_unbound_evidence: kinds of evidence that are accepted though nothing binds them to the peer's key;
            ``sev`` is the one that there is.
        allow_debug: whether a guest whose memory its host may read is acceptable.
        min_firmware: the lowest acceptable API version of the platform's firmware, major and minor.
    """

    accept_unbound_evidence: frozenset[str] = frozenset()
    allow_debug: bool = False
    min_firmware: tuple[int, int] = (0, 0)
