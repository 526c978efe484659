"""The event log of a TD (CCEL): what was measured into its registers while it started. Parsing only.

A log says of each measurement its register, its kind, its digest, and data that describe it. Only the digests are
measured: kinds and data are what whoever hands the log over says they are.
"""

import struct
from typing import Final, NamedTuple

from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError

MAX_EVENT_LOG_BYTES: Final = 1024 * 1024
"""Firmware reserves 64 to 256 KiB for its log, most of it unused."""
MAX_EVENTS: Final = 2048
"""Real logs have 20 to 300 events."""
MAX_ALGORITHMS: Final = 16
DIGEST_BYTES: Final = 48
MR_TD: Final = 0
FIRST_RTMR: Final = 1
LAST_RTMR: Final = 4

EV_NO_ACTION: Final = 0x3
EV_EVENT_TAG: Final = 0x6
EV_IPL: Final = 0xD
EV_EFI_VARIABLE_DRIVER_CONFIG: Final = 0x80000001
EV_EFI_BOOT_SERVICES_APPLICATION: Final = 0x80000003

_SIGNATURE: Final = b"Spec ID Event03\0"
_VERSION_MAJOR: Final = 2
_SHA384: Final = 0x000C
_HEADER = struct.Struct("<II20sI")
_SPEC_ID = struct.Struct("<16sI4BI")
_ALGORITHM = struct.Struct("<HH")
_EVENT_HEAD = struct.Struct("<III")
_UINT32 = struct.Struct("<I")
_UINT16 = struct.Struct("<H")
_UNUSED: Final = (b"\xff", b"\0")
"""What firmware fills the unused end of its log with."""


class Event(NamedTuple):
    """One measurement. Trust: none in itself; the digests of a register hold together where they replay to it.

    Attributes:
        register: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3.
        event_type: the kind, one of TCG's numbers.
        digest: SHA-384, 48 bytes, as it was measured; ``None`` where nothing was (kind EV_NO_ACTION).
        data: what describes it, in a form that depends on the kind. Never measured itself.
    """

    register: int
    event_type: int
    digest: bytes | None
    data: bytes


class _Reader:
    """Takes fields off the front of bytes and refuses to read past their end."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def unpack(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))

    def take(self, size: int, what: str) -> bytes:
        start, end = self.offset, self.offset + size
        if end > len(self.data):
            raise MalformedError(f"the event log ends within {what}")
        self.offset = end
        return self.data[start:end]


def parse_event_log(data: bytes) -> tuple[Event, ...]:
    """Parse a crypto-agile log, with or without the unused end of the memory that firmware keeps it in.

    Layout, little-endian: TCG_PCClientPCREvent with a Spec ID event: register (4), EV_NO_ACTION (4), digest (20),
    size (4), "Spec ID Event03" and a zero (16), platform class (4), minor and major version, errata, size of UINTN (1
    each), number of algorithms (4), id and digest's size of each (2 + 2), vendor information's size (1), vendor
    information. Then TCG_PCR_EVENT2 each: register (4), kind (4), number of digests (4), id (2) and digest of each,
    size (4), data.

    Args:
        data: a whole log, up to `MAX_EVENT_LOG_BYTES`.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: and nothing else, for any bytes.
    Spec:
        TCG PC Client Platform Firmware Profile, "Event Logging"; UEFI 2.10, 38.4.1 "Intel Trust Domain Extension".
    """
    if len(data) > MAX_EVENT_LOG_BYTES:
        raise LimitExceededError(f"the event log is {len(data)} bytes long, at most {MAX_EVENT_LOG_BYTES} are read")
    reader = _Reader(data)
    sizes = _parse_header(reader)
    events: list[Event] = []
    while not _is_at_end(reader):
        if len(events) == MAX_EVENTS:
            raise LimitExceededError(f"the event log has more than {MAX_EVENTS} events")
        events.append(_parse_event(reader, sizes, len(events)))
    return tuple(events)


def _parse_header(reader: _Reader) -> dict[int, int]:
    """Return how long the digests of each algorithm of the log are."""
    _, event_type, _, size = reader.unpack(_HEADER, "its header")
    if event_type != EV_NO_ACTION:
        raise MalformedError(f"the event log begins with an event of kind {event_type:#x}, expected a Spec ID event")
    spec = _Reader(reader.take(size, "its Spec ID event"))
    signature, _, _, major, _, _, count = _SPEC_ID.unpack(spec.take(_SPEC_ID.size, "its Spec ID event"))
    if signature != _SIGNATURE or major != _VERSION_MAJOR:
        raise UnsupportedError(f"the event log is of no known form: {signature!r}, version {major}")
    if not 0 < count <= MAX_ALGORITHMS:
        raise LimitExceededError(f"the event log has digests of {count} algorithms, expected 1 to {MAX_ALGORITHMS}")
    sizes: dict[int, int] = {}
    for _ in range(count):
        algorithm, digest_size = spec.unpack(_ALGORITHM, "its list of algorithms")
        if algorithm in sizes:
            raise MalformedError(f"the event log names algorithm {algorithm:#x} twice")
        sizes[algorithm] = digest_size
    if sizes.get(_SHA384) != DIGEST_BYTES:
        raise UnsupportedError("the event log has no SHA-384 digests, which the registers of a TD are made of")
    spec.take(spec.take(1, "its Spec ID event")[0], "its vendor information")
    if spec.offset != size:
        raise MalformedError(f"the Spec ID event of the event log has {size - spec.offset} bytes too many")
    return sizes


def _is_at_end(reader: _Reader) -> bool:
    """Whether all events were read. No event begins as the unused end does: each has a known register and a digest."""
    head = reader.data[reader.offset : reader.offset + _EVENT_HEAD.size]
    if head[:4] != b"\xff" * 4 and head.strip(b"\0") and len(head) == _EVENT_HEAD.size:
        return False
    rest = reader.data[reader.offset :]
    if rest and all(rest.strip(filler) for filler in _UNUSED):
        raise MalformedError(f"the event log has bytes at {reader.offset} that are neither an event nor unused")
    return True


def _parse_event(reader: _Reader, sizes: dict[int, int], number: int) -> Event:
    what = f"event {number}"
    register, event_type, count = reader.unpack(_EVENT_HEAD, what)
    if register > LAST_RTMR:
        raise MalformedError(f"{what} of the event log is of register {register}, expected {MR_TD} to {LAST_RTMR}")
    if not 0 < count <= len(sizes):
        raise MalformedError(f"{what} of the event log has {count} digests, expected 1 to {len(sizes)}")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        (algorithm,) = reader.unpack(_UINT16, what)
        if algorithm not in sizes or algorithm in digests:
            raise MalformedError(f"{what} of the event log has a digest of algorithm {algorithm:#x} too many")
        digests[algorithm] = reader.take(sizes[algorithm], what)
    (size,) = reader.unpack(_UINT32, what)
    data = reader.take(size, what)
    if event_type == EV_NO_ACTION:
        return Event(register, event_type, None, data)
    if _SHA384 not in digests:
        raise MalformedError(f"{what} of the event log has no SHA-384 digest")
    return Event(register, event_type, digests[_SHA384], data)
