"""The event log of a simulated TD, and the registers that it comes to: written as its firmware and stubs would."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

NO_ACTION, SEPARATOR, EVENT_TAG, IPL = 0x3, 0x4, 0x6, 0xD
VARIABLE_DRIVER_CONFIG, BOOT_APPLICATION = 0x80000001, 0x80000003
RTMR0, RTMR1, RTMR2, RTMR3 = 1, 2, 3, 4
SHA384, SHA384_BYTES = 0xC, 48
GLOBAL_VARIABLE: Final = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
LOG_AREA_BYTES: Final = 64 * 1024


def digest_of(data: bytes) -> bytes:
    """SHA-384, 48 bytes."""
    return hashlib.sha384(data).digest()


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event. Nothing is checked.

    Attributes:
        register: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3.
        event_type: TCG's number of the kind.
        measured: what is hashed.
        data: what the log describes it by; ``None`` for what is hashed.
    """

    register: int
    event_type: int
    measured: bytes
    data: bytes | None = None

    @property
    def digest(self) -> bytes:
        """What the register is extended with."""
        return digest_of(self.measured)

    def encode(self, digests: Sequence[tuple[int, bytes]] | None = None) -> bytes:
        """Write a TCG_PCR_EVENT2, with other digests where some are given, by algorithm."""
        present = ((SHA384, self.digest),) if digests is None else digests
        data = self.measured if self.data is None else self.data
        head = struct.pack("<III", self.register, self.event_type, len(present))
        return head + b"".join(struct.pack("<H", each) + value for each, value in present) + _sized(data)


def encode_log(
    events: Sequence[EventSpec],
    *,
    algorithms: Sequence[tuple[int, int]] = ((SHA384, SHA384_BYTES),),
    vendor_info: bytes = b"",
    area: int = 0,
) -> bytes:
    """Write a log.

    Args:
        events: in the order in which they were measured.
        algorithms: what the log has digests of, with their sizes.
        vendor_info: up to 255 bytes.
        area: how much memory the firmware keeps the log in, in bytes; its unused end is all ones.
    """
    spec = struct.pack("<16sI4BI", b"Spec ID Event03", 0, 0, 2, 0, 2, len(algorithms))
    spec += b"".join(struct.pack("<HH", *each) for each in algorithms) + bytes([len(vendor_info)]) + vendor_info
    log = struct.pack("<II20x", RTMR0, NO_ACTION) + _sized(spec) + b"".join(event.encode() for event in events)
    return log.ljust(area, b"\xff")


def registers_of(events: Sequence[EventSpec]) -> tuple[bytes, bytes, bytes, bytes]:
    """RTMR0 to RTMR3 after the events, as a TDX module extends them."""
    values = [bytes(SHA384_BYTES)] * 4
    for event in events:
        if event.event_type != NO_ACTION and event.register >= RTMR0:
            values[event.register - RTMR0] = digest_of(values[event.register - RTMR0] + event.digest)
    return values[0], values[1], values[2], values[3]


def variable_event(name: str, value: bytes, vendor: UUID = GLOBAL_VARIABLE) -> EventSpec:
    """Firmware measures a variable that configures secure boot."""
    sizes = struct.pack("<QQ", len(name), len(value))
    return EventSpec(RTMR0, VARIABLE_DRIVER_CONFIG, vendor.bytes_le + sizes + name.encode("utf-16-le") + value)


def application_event(image: bytes, path: bytes) -> EventSpec:
    """Firmware measures an image that it starts; its Authenticode digest is that of all bytes here.

    Args:
        image: the image.
        path: a device path, without the node that ends it.
    """
    path += bytes.fromhex("7fff0400")
    return EventSpec(RTMR1, BOOT_APPLICATION, image, struct.pack("<QQQQ", 0x1000, len(image), 0, len(path)) + path)


def path_node(kind: int, sub_kind: int, content: bytes) -> bytes:
    """A node of a device path."""
    return struct.pack("<BBH", kind, sub_kind, 4 + len(content)) + content


def file_node(path: str) -> bytes:
    """The node that names a file."""
    return path_node(4, 4, text16(path))


def tagged_event(tag: int, measured: bytes, description: bytes) -> EventSpec:
    """A stub measures something by the number of a tag."""
    return EventSpec(RTMR2, EVENT_TAG, measured, struct.pack("<I", tag) + _sized(description))


def grub_event(prefix: str, line: bytes) -> EventSpec:
    """GRUB measures a line of text."""
    return EventSpec(RTMR2, IPL, line, prefix.encode() + line + b"\0")


def section_events(name: str, content: bytes) -> tuple[EventSpec, EventSpec]:
    """systemd-stub measures a section of a unified kernel image: its name, and its content."""
    return EventSpec(RTMR2, IPL, name.encode() + b"\0", text16(name)), EventSpec(RTMR2, IPL, content, text16(name))


def text16(text: str) -> bytes:
    """UTF-16 with a zero at its end."""
    return text.encode("utf-16-le") + bytes(2)


def _sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data
