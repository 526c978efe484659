"""What the registers of a TD are, if its event log is true, and the checks that compare them with the quote."""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from verdictd.core.errors import VerdictdError
from verdictd.tees.checklist import Checklist
from verdictd.tees.tdx_ecdsa.event_log import DIGEST_BYTES, FIRST_RTMR, LAST_RTMR, Event, parse_event_log
from verdictd.tees.tdx_ecdsa.td_report import TDReport

EVENT_LOG_REQUIREMENTS: Final = {
    "event_log.format": "an event log with SHA-384 digests, where one is given",
    "event_log.rtmr0": "the event log gives RTMR0",
    "event_log.rtmr1": "the event log gives RTMR1",
    "event_log.rtmr2": "the event log gives RTMR2",
    "event_log.rtmr3": "the event log gives RTMR3; only reported, as the TD extends it without logging",
}
"""Every check of an event log, in the order made, and what it requires."""

_FORMAT, *_ENFORCED, _REPORTED = EVENT_LOG_REQUIREMENTS
_WHOLE_LOG: Final = (
    "let the attester send its log whole and unaltered (/sys/firmware/acpi/tables/data/CCEL), with a quote of the same "
    "start, and nothing extend RTMR0 to RTMR2 after it"
)


class ReplayedLog(NamedTuple):
    """An event log, and what it comes to.

    Trust: of each register that matches, the digests and their order are what was measured, as far as the quote is
    genuine. Nothing vouches for the kinds and descriptions of the events.

    Attributes:
        events: all of them, in the log's order.
        rtmrs: what RTMR0 to RTMR3 are by the log, 48 bytes each.
        matches: whether each of them is the quote's.
    """

    events: tuple[Event, ...]
    rtmrs: tuple[bytes, ...]
    matches: tuple[bool, ...]


def replay(events: Sequence[Event]) -> tuple[bytes, ...]:
    """Extend RTMR0 to RTMR3, from 48 zeros each, with the digests of the events, and return them.

    Spec:
        Intel TDX Module Base Architecture Specification, on RTMRs; UEFI 2.10, 38.4.1.
    """
    registers = [bytes(DIGEST_BYTES)] * (LAST_RTMR + 1)
    for event in events:
        if event.digest is not None:
            registers[event.register] = hashlib.sha384(registers[event.register] + event.digest).digest()
    return tuple(registers[FIRST_RTMR:])


def check_event_log(data: bytes | None, report: TDReport | None, checklist: Checklist) -> ReplayedLog | None:
    """Make every check of `EVENT_LOG_REQUIREMENTS`, each exactly once.

    Args:
        data: an untrusted log; ``None`` where none is given, which refuses nothing.
        report: what the quote says of the TD; ``None`` where it cannot be read.
        checklist: where the checks are recorded.

    Returns:
        ``None`` where there is nothing to compare.
    """
    if data is None:
        for name in EVENT_LOG_REQUIREMENTS:
            checklist.leave_open(name, "no event log is given")
        return None
    try:
        events = parse_event_log(data)
    except VerdictdError as error:
        checklist.failed(_FORMAT, error.message, _WHOLE_LOG)
        _skip("the event log cannot be read", checklist)
        return None
    checklist.passed(_FORMAT, f"{len(events)} events")
    if report is None:
        _skip("the quote cannot be read", checklist)
        return None
    quoted = (report.rtmr0, report.rtmr1, report.rtmr2, report.rtmr3)
    rtmrs = replay(events)
    for name, logged, measured in zip(_ENFORCED, rtmrs, quoted, strict=False):
        checklist.require(logged == measured, name, _compare(logged, measured), _WHOLE_LOG)
    if rtmrs[-1] == quoted[-1]:
        checklist.passed(_REPORTED, rtmrs[-1].hex())
    else:
        checklist.leave_open(_REPORTED, _compare(rtmrs[-1], quoted[-1]))
    return ReplayedLog(events, rtmrs, tuple(logged == measured for logged, measured in zip(rtmrs, quoted, strict=True)))


def _skip(why: str, checklist: Checklist) -> None:
    checklist.skip(why, *_ENFORCED)
    checklist.leave_open(_REPORTED, why)


def _compare(logged: bytes, measured: bytes) -> str:
    return logged.hex() if logged == measured else f"{logged.hex()}, the quote has {measured.hex()}"
