"""Has something done by one of the processes on a database, while the others wait for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import get_ident
from typing import Final

from verdictd.collateral.deadline import Deadline
from verdictd.core.errors import CollateralUnavailableError
from verdictd.pccs.ports import Leases

_SLACK_S: Final = 2.0
"""For which a lease outlasts the time to fetch: a holder that was killed holds others up for no longer."""
_POLL_S: Final = 0.05


@contextmanager
def leased(
    leases: Leases,
    name: str,
    holder: str,
    deadline: Deadline,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    is_done: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Wait for a lease, and hold it until the end of the block.

    Args:
        leases: shared with other processes.
        name: of what is done.
        holder: who does it.
        deadline: until when to wait for another holder; what is done in the block has to be done by then as well.
        clock: tells the time (aware).
        sleep: waits for so many seconds.
        is_done: looked at before each try: whether another holder has done it, so that no lease is needed.
    Raises:
        CollateralUnavailableError: another holder still has it at the deadline.
    """
    while not (has_been_done := is_done()):
        if leases.acquire(name, holder, deadline.remaining + _SLACK_S, clock()):
            break
        if not deadline.remaining:
            raise CollateralUnavailableError("another process of this cache is asking for it, and has no answer yet")
        sleep(min(_POLL_S, deadline.remaining))
    try:
        yield
    finally:
        if not has_been_done:
            leases.release(name, holder)


def name_holder(process: str) -> str:
    """Name a thread of a process as the holder of a lease: another thread of the same process is another holder."""
    return f"{process}:{get_ident()}"
