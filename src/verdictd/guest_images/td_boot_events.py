"""What the firmware and the Linux kernel of a TD measure into RTMR1 and RTMR2, where QEMU boots a kernel directly.

RTMR1 has the kernel and how it was started, RTMR2 what it was started with. RTMR3 is left to the workload.

Spec:
    Intel TDX Virtual Firmware Design Guide (344991): which event goes where.
    UEFI 2.11, 38, "Confidential Computing": PCRs 2 to 6 are RTMR1, 8 to 15 are RTMR2.
    edk2, OvmfPkg/Library/X86QemuLoadImageLib, GenericQemuLoadImageLib: the load options, without a shim.
    Linux, drivers/firmware/efi/libstub: load options and initrd are measured, in TDs since Linux 6.9.
"""

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.linux_boot_header import patch_kernel_header, require_linux_kernel
from verdictd.guest_images.pe_image import hash_pe_image

RTMR_BYTES: Final = 48

_CALLING: Final = b"Calling EFI Application from Boot Option"
_SEPARATOR: Final = bytes(4)
_EXIT: Final = b"Exit Boot Services Invocation"
_EXITED: Final = b"Exit Boot Services Returned with Success"
_INITRD_OPTION: Final = "initrd=initrd"


class InitrdOption(enum.Enum):
    """Where firmware puts ``initrd=initrd`` into the load options of a kernel with an initrd."""

    AFTER_COMMAND_LINE = "after"
    """edk2 before it could start a shim (of 2025)."""
    BEFORE_COMMAND_LINE = "before"
    """edk2 since then."""


class BootEvent(NamedTuple):
    """One event of the log. `digest` is what the register is extended with, 48 bytes."""

    what: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectBoot:
    """How QEMU boots a TD.

    Attributes:
        files: what is booted.
        patched_for_memory: the memory of the TD, in bytes, where firmware takes the kernel with the header that QEMU
            changed; ``None`` where it takes the file as it is.
        initrd_option: which firmware it is.
    """

    files: BootFiles
    patched_for_memory: int | None
    initrd_option: InitrdOption


def list_rtmr1_events(boot: DirectBoot) -> tuple[BootEvent, ...]:
    """List what is measured into RTMR1, in order.

    Raises:
        MalformedError: the kernel is no program for UEFI, or the initrd has no room in the guest.
        UnsupportedError: the kernel is not Linux, or of a kind that is not known here.
        LimitExceededError: larger than may be.
    """
    kernel = boot.files.kernel
    require_linux_kernel(kernel)
    if boot.patched_for_memory is not None:
        kernel = patch_kernel_header(boot.files, boot.patched_for_memory)
    return list_rtmr1_events_of(hash_pe_image(kernel))


def list_rtmr1_events_of(kernel_digest: bytes) -> tuple[BootEvent, ...]:
    """List what is measured into RTMR1 where the kernel's own digest, 48 bytes, is known."""
    return (
        BootEvent("kernel", kernel_digest),
        _measure("boot option is called", _CALLING),
        _measure("separator", _SEPARATOR),
        _measure("boot services are left", _EXIT),
        _measure("boot services were left", _EXITED),
    )


def list_rtmr2_events(boot: DirectBoot) -> tuple[BootEvent, ...]:
    """List what is measured into RTMR2, in order: nothing where there is neither a command line nor an initrd.

    It is the kernel that measures: one before Linux 6.9, as released, leaves RTMR2 of a TD as zeros.

    Raises:
        UnsupportedError: the kernel is not Linux, or the command line is not ASCII: what firmware makes of it then is
            not known here.
    """
    require_linux_kernel(boot.files.kernel)
    events = []
    if options := _build_load_options(boot):
        events.append(_measure("load options", options))
    if boot.files.initrd:
        events.append(_measure("initrd", boot.files.initrd))
    return tuple(events)


def replay_events(events: Iterable[BootEvent]) -> bytes:
    """Compute the value, 48 bytes, that a register has after these events.

    Raises:
        MalformedError: a digest is not 48 bytes long.
    """
    register = bytes(RTMR_BYTES)
    for event in events:
        if len(event.digest) != RTMR_BYTES:
            raise MalformedError(f"the digest of {event.what} has {len(event.digest)} bytes, expected {RTMR_BYTES}")
        register = hashlib.sha384(register + event.digest).digest()
    return register


def calculate_rtmr1(boot: DirectBoot) -> bytes:
    """Compute RTMR1, 48 bytes. Raises what `list_rtmr1_events` does."""
    return replay_events(list_rtmr1_events(boot))


def calculate_rtmr2(boot: DirectBoot) -> bytes:
    """Compute RTMR2, 48 bytes. Raises what `list_rtmr2_events` does."""
    return replay_events(list_rtmr2_events(boot))


def _measure(what: str, data: bytes) -> BootEvent:
    return BootEvent(what, hashlib.sha384(data).digest())


def _build_load_options(boot: DirectBoot) -> bytes:
    """Build them as firmware does: UTF-16 with a NUL at the end, or nothing at all."""
    command_line = boot.files.command_line
    if not command_line.isascii():
        raise UnsupportedError("the command line has characters that are not ASCII")
    if boot.files.initrd:
        is_after = boot.initrd_option is InitrdOption.AFTER_COMMAND_LINE
        command_line = f"{command_line} {_INITRD_OPTION}" if is_after else f"{_INITRD_OPTION} {command_line}"
    return f"{command_line}\0".encode("utf-16-le") if command_line else b""
