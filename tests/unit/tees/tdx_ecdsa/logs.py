"""Event logs of simulated TDs: one of each way to start, and the quotes that fit them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tests.unit.tees.tdx_ecdsa.inputs import Input, with_report
from verdictd.simulator.event_log import (
    LOG_AREA_BYTES,
    NO_ACTION,
    RTMR0,
    RTMR1,
    RTMR2,
    RTMR3,
    SEPARATOR,
    EventSpec,
    application_event,
    encode_log,
    file_node,
    grub_event,
    path_node,
    registers_of,
    section_events,
    tagged_event,
    text16,
    variable_event,
)

QEMU_KERNEL_LOADER: Final = UUID("1428f772-b64a-441e-b8c3-9ebdd7f893c7")
COMMAND_LINE: Final = "console=ttyS0 root=/dev/vda1"
DIRECT_PATH: Final = path_node(4, 3, QEMU_KERNEL_LOADER.bytes_le) + file_node("kernel")

FIRMWARE: Final = (
    EventSpec(RTMR0, NO_ACTION, b"", b"StartupLocality\0\0"),
    EventSpec(RTMR0, 0x8000000B, b"the TD's hand-off block", b"\x09TdxTable"),
    variable_event("SecureBoot", b"\x01"),
    variable_event("PK", b"a list of keys"),
    EventSpec(RTMR0, SEPARATOR, bytes(4)),
    EventSpec(RTMR1, SEPARATOR, bytes(4)),
)
DIRECT: Final = (
    *FIRMWARE,
    application_event(b"a kernel", DIRECT_PATH),
    tagged_event(0x8F3B22ED, text16(COMMAND_LINE), b"LOADED_IMAGE::LoadOptions\0"),
    tagged_event(0x8F3B22EC, b"an initrd", b"Linux initrd\0"),
)
"""QEMU hands over kernel, command line and initrd."""
WITH_GRUB: Final = (
    *FIRMWARE,
    application_event(b"shim", path_node(1, 1, b"\0\0") + file_node("\\EFI\\BOOT\\") + file_node("BOOTX64.EFI")),
    application_event(b"grub", file_node("grubx64.efi")),
    EventSpec(RTMR2, 0xD, b"some settings", b"/grub.cfg\0"),
    grub_event("grub_cmd: ", b""),
    grub_event("grub_cmd: ", b"set timeout=0"),
    grub_event("grub_cmd: ", b"linux /vmlinuz " + COMMAND_LINE.encode()),
    EventSpec(RTMR2, 0xD, b"a kernel", b"/vmlinuz\0"),
    grub_event("kernel_cmdline: ", b"/vmlinuz " + COMMAND_LINE.encode()),
    grub_event("grub_cmd: ", b"initrd /early.img /initrd.img"),
    EventSpec(RTMR2, 0xD, b"microcode", b"/early.img\0"),
    EventSpec(RTMR2, 0xD, b"an initrd", b"/initrd.img\0"),
)
UNIFIED: Final = (
    *FIRMWARE,
    application_event(b"an image", file_node("\\EFI\\Linux\\os.efi")),
    *section_events(".linux", b"a kernel"),
    *section_events(".osrel", b"ID=os"),
    *section_events(".cmdline", COMMAND_LINE.encode()),
    *section_events(".initrd", b"an initrd"),
    EventSpec(RTMR2, 0xD, text16("more=1"), text16("more=1")),
    EventSpec(RTMR2, 0xD, "more=2".encode("utf-16-le"), text16("more=2")),
    EventSpec(RTMR2, 0xD, b"an archive", text16("Credentials initrd")),
    tagged_event(0x49DFFE0F, b"an addon", text16("a.addon.efi")),
)
EVERY_WAY: Final = {"direct": DIRECT, "grub": WITH_GRUB, "unified": UNIFIED}
AT_RUN_TIME: Final = EventSpec(RTMR3, 0xD, b"a container", b"a container\0")


def with_log(
    events: Sequence[EventSpec] = DIRECT, *, log: bytes | None = None, version: int = 4, **registers: bytes
) -> Input:
    """A TD that measured the events, or has other registers, with their log, or another."""
    values = {f"rtmr{number}": value for number, value in enumerate(registers_of(events))}
    presented = with_report(version, **{**values, **registers})
    return Input(quote=presented.quote, event_log=encode_log(events, area=LOG_AREA_BYTES) if log is None else log)
