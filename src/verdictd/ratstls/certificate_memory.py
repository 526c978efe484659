"""What is remembered of certificates, so that a peer that comes again costs less.

Only what their bytes determine, and nothing else: what they parse to, whether their signature verifies, whether their
key is written as TLS uses it. Whether they are in time and what their evidence is worth is judged anew each time.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from verdictd.tees.dcap.memory import FactMemory

T = TypeVar("T")

_MEMORY: Final = FactMemory(max_facts=2048, max_bytes=8 * 1024 * 1024)
"""Three facts for each certificate, which has 5 to 6 KiB. Apart from those about platforms: anybody can make one up."""


def recall(kind: str, certificate_der: bytes, compute: Callable[[], T]) -> T:
    """Return what is remembered of a certificate, or compute it; what raises is not remembered.

    Args:
        kind: a word for the fact.
        certificate_der: what determines it.
        compute: finds it out.
    """
    return _MEMORY.recall((kind, certificate_der), compute)
