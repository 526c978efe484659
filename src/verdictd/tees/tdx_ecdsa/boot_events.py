"""Which event of a log is the kernel, the command line, the initrd: as firmware, boot loaders and stubs describe them.

What cannot be read is left unnamed; it refuses nothing, as descriptions are hints.

Spec: TCG PC Client Platform Firmware Profile, "Event Types"; systemd, "TPM2 PCR Measurements Made by systemd";
Linux, `efi_measure_tagged_event`; GRUB, "Measuring boot components"; UEFI 2.10, 38.4.1: PCRs 1 and 7 are RTMR0, 2 to
6 RTMR1, 8 to 15 RTMR2.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from verdictd.tees.tdx_ecdsa import efi_structures as efi
from verdictd.tees.tdx_ecdsa.event_log import (
    EV_EFI_BOOT_SERVICES_APPLICATION,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    EV_EVENT_TAG,
    EV_IPL,
    Event,
)

_RTMR0, _RTMR1, _RTMR2 = 1, 2, 3
_LOAD_OPTIONS_TAG: Final = 0x8F3B22ED
_INITRD_TAG: Final = 0x8F3B22EC
_INITRD_ADDON_TAG: Final = 0x49DFFE0F
_UCODE_ADDON_TAG: Final = 0xDAC08E1A
_SYSTEMD_INITRDS: Final = frozenset(
    {"Credentials initrd", "Global credentials initrd", "System extension initrd", "Configuration extension initrd"}
)
_GRUB_KERNEL: Final = b"kernel_cmdline: "
_GRUB_COMMAND: Final = b"grub_cmd: "
_GRUB_INITRD: Final = frozenset({b"initrd", b"initrdefi", b"initrd16"})
FIRMWARE: Final = "firmware"
GRUB: Final = "grub"
LINUX: Final = "linux"
SYSTEMD: Final = "systemd"


class Named(NamedTuple):
    """A digest of 48 bytes and what it is called: a path, a section, or who measured it."""

    digest: bytes
    name: str | None


class CommandLine(NamedTuple):
    """A kernel's command line: its digest, who measured it, and itself where the digest proves it."""

    digest: bytes
    by: str
    text: str | None


class BootEvents(NamedTuple):
    """The events that have a name, each in the log's order. Trust: see `ReplayedLog`.

    Attributes:
        secure_boot: whether it is on; ``None`` where no measured variable tells.
        variables: those of UEFI that configure secure boot, by name; the digests cover name and value.
        applications: EFI images by path, with their Authenticode digest.
        kernel: images of Linux, by who measured them: `FIRMWARE` Authenticode, `GRUB` the file, `SYSTEMD` the section.
        initrd: by who measured them.
        uki_sections: of a unified kernel image, by the section's name.
    """

    secure_boot: bool | None
    variables: tuple[Named, ...]
    applications: tuple[Named, ...]
    kernel: tuple[Named, ...]
    initrd: tuple[Named, ...]
    command_line: tuple[CommandLine, ...]
    uki_sections: tuple[Named, ...]


class _Measured(NamedTuple):
    digest: bytes
    data: bytes


def read_boot_events(events: Sequence[Event]) -> BootEvents:
    """Name what can be named."""
    variables = tuple(_read_variables(_select(events, _RTMR0, EV_EFI_VARIABLE_DRIVER_CONFIG)))
    images = tuple(
        (event.digest, efi.parse_image_load(event.data))
        for event in _select(events, _RTMR1, EV_EFI_BOOT_SERVICES_APPLICATION)
    )
    texts = tuple(_select(events, _RTMR2, EV_IPL))
    tags = tuple((event.digest, efi.parse_tag(event.data)) for event in _select(events, _RTMR2, EV_EVENT_TAG))
    sections = tuple(_read_sections(texts))
    return BootEvents(
        secure_boot=_read_secure_boot(variables),
        variables=tuple(Named(digest, variable.name) for digest, variable in variables),
        applications=tuple(Named(digest, None if image is None else image.path) for digest, image in images),
        kernel=(
            *(Named(digest, FIRMWARE) for digest, image in images if image is not None and image.is_direct_kernel),
            *(Named(digest, GRUB) for digest in _find_grub_files(texts, set(_grub_kernels(texts)))),
            *(Named(each.digest, SYSTEMD) for each in sections if each.name == ".linux"),
        ),
        initrd=(
            *(Named(digest, GRUB) for digest in _find_grub_files(texts, set(_grub_initrds(texts)))),
            *(Named(digest, LINUX) for digest, tag in tags if tag == _INITRD_TAG),
            *(Named(each.digest, SYSTEMD) for each in sections if each.name in {".initrd", ".ucode"}),
            *(Named(digest, SYSTEMD) for digest, tag in tags if tag in {_INITRD_ADDON_TAG, _UCODE_ADDON_TAG}),
            *(Named(each.digest, SYSTEMD) for each in texts if efi.decode_text16(each.data) in _SYSTEMD_INITRDS),
        ),
        command_line=(
            *(CommandLine(each.digest, GRUB, _text(line)) for each, line in _grub_lines(texts, _GRUB_KERNEL)),
            *(CommandLine(digest, LINUX, None) for digest, tag in tags if tag == _LOAD_OPTIONS_TAG),
            *_read_systemd_lines(texts),
            *(CommandLine(each.digest, SYSTEMD, None) for each in sections if each.name == ".cmdline"),
        ),
        uki_sections=sections,
    )


def _select(events: Iterable[Event], register: int, event_type: int) -> Iterator[_Measured]:
    for event in events:
        if (event.register, event.event_type) == (register, event_type) and event.digest is not None:
            yield _Measured(event.digest, event.data)


def _is_digest_of(digest: bytes, data: bytes) -> bool:
    return hashlib.sha384(data).digest() == digest


def _read_variables(events: Iterable[_Measured]) -> Iterator[tuple[bytes, efi.Variable]]:
    """The variables whose name and value the digest proves."""
    for digest, data in events:
        variable = efi.parse_variable(data) if _is_digest_of(digest, data) else None
        if variable is not None:
            yield digest, variable


def _read_secure_boot(variables: Iterable[tuple[bytes, efi.Variable]]) -> bool | None:
    """Secure boot is on where every variable that tells says so."""
    values = [each.value for _, each in variables if (each.vendor, each.name) == efi.SECURE_BOOT]
    return all(value == b"\x01" for value in values) if values else None


def _read_sections(texts: Sequence[_Measured]) -> Iterator[Named]:
    """A section is two events of one description: its name, which the first digest proves, and its content."""
    for first, second in pairwise(texts):
        name = efi.decode_text16(first.data)
        if (
            name is not None
            and name.startswith(".")
            and first.data == second.data
            and _is_digest_of(first.digest, name.encode() + b"\0")
        ):
            yield Named(second.digest, name)


def _read_systemd_lines(texts: Iterable[_Measured]) -> Iterator[CommandLine]:
    """A line is described by itself in UTF-16; the digest covers that, with or without the zero at its end."""
    for digest, data in texts:
        line = efi.decode_text16(data)
        if line and (_is_digest_of(digest, data) or _is_digest_of(digest, line.encode("utf-16-le"))):
            yield CommandLine(digest, SYSTEMD, line)


def _grub_lines(texts: Iterable[_Measured], prefix: bytes) -> Iterator[tuple[_Measured, bytes]]:
    """What GRUB measured as text: its digest covers what stands behind the prefix, without the zero at its end."""
    for each in texts:
        line = each.data.removeprefix(prefix).removesuffix(b"\0")
        if each.data.startswith(prefix) and _is_digest_of(each.digest, line):
            yield each, line


def _grub_kernels(texts: Iterable[_Measured]) -> Iterator[bytes]:
    for _, line in _grub_lines(texts, _GRUB_KERNEL):
        yield line.split(b" ")[0]


def _grub_initrds(texts: Iterable[_Measured]) -> Iterator[bytes]:
    for _, line in _grub_lines(texts, _GRUB_COMMAND):
        words = line.split()
        if words and words[0] in _GRUB_INITRD:
            yield from words[1:]


def _find_grub_files(texts: Iterable[_Measured], names: set[bytes]) -> Iterator[bytes]:
    """GRUB measures each file that it reads, described by its name."""
    return (digest for digest, data in texts if data.removesuffix(b"\0") in names)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
