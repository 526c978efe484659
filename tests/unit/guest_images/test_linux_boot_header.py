import struct

import pytest

from tests.unit.guest_images.linux_images import build_kernel
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.linux_boot_header import patch_kernel_header
from verdictd.guest_images.qemu_memory import list_memory_ranges, split_memory

GIB = 1 << 30
KERNEL = build_kernel()


@pytest.mark.parametrize(
    ("memory", "place"),
    [
        (GIB, 0x3FFD6000),
        (2 * GIB, 0x7FFD6000),
        (0xB0000000 - 4096, 0xAFFD5000),
        (0xB0000000, 0x7FFD6000),
        (16 * GIB, 0x7FFD6000),
    ],
)
def test_the_header_is_changed_as_qemu_does(memory: int, place: int) -> None:
    patched = patch_kernel_header(BootFiles(kernel=KERNEL, initrd=bytes(0x1234)), memory)
    assert (patched[0x210], patched[0x211]) == (0xB0, 0x81)
    assert struct.unpack_from("<II", patched, 0x218) == (place, 0x1234)
    assert struct.unpack_from("<HBBI", patched, 0x224) == (0xFE00, 0, 0, 0x20000)
    places = {number for number, pair in enumerate(zip(patched, KERNEL, strict=True)) if pair[0] != pair[1]}
    assert places <= {0x210, 0x211, *range(0x218, 0x220), 0x224, 0x225, *range(0x228, 0x22C)}


def test_without_an_initrd_the_memory_does_not_matter() -> None:
    boot = BootFiles(kernel=KERNEL)
    assert patch_kernel_header(boot, GIB) == patch_kernel_header(boot, 2 * GIB)
    assert patch_kernel_header(boot, GIB)[0x218:0x220] == bytes(8)


@pytest.mark.parametrize(
    ("kernel", "command_line", "error", "message"),
    [
        (KERNEL[:0xFFF], "", UnsupportedError, "no header"),
        (KERNEL.replace(b"HdrS", b"Hdrs"), "", UnsupportedError, "no header"),
        (build_kernel(version=0x20B), "", UnsupportedError, "version 2.11"),
        (build_kernel(flags=0), "", UnsupportedError, "boot protocol"),
        (build_kernel(extended_flags=0x7D), "", UnsupportedError, "above 4 GiB"),
        (KERNEL, "vga=791 quiet", UnsupportedError, "vga="),
    ],
)
def test_what_qemu_treats_otherwise_is_refused(
    kernel: bytes, command_line: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        patch_kernel_header(BootFiles(kernel=kernel, initrd=b"i", command_line=command_line), GIB)


def test_an_initrd_has_to_have_room() -> None:
    low = 16 * 1024 * 1024
    largest = low - 0x28000 - 2
    patched = patch_kernel_header(BootFiles(kernel=KERNEL, initrd=bytes(largest)), low)
    assert struct.unpack_from("<II", patched, 0x218) == (0, largest)
    with pytest.raises(MalformedError, match="no room"):
        patch_kernel_header(BootFiles(kernel=KERNEL, initrd=bytes(largest + 1)), low)


def test_memory_is_split_below_4_gib() -> None:
    assert split_memory(0xB0000000 - 4096) == (0xB0000000 - 4096, 0)
    assert split_memory(0xB0000000) == (0x80000000, 0x30000000)
    assert list_memory_ranges(2 * GIB) == ((0, 2 * GIB),)
    assert list_memory_ranges(3 * GIB) == ((0, 2 * GIB), (4 * GIB, 5 * GIB))


@pytest.mark.parametrize("memory", [-4096, 0, 16 * 1024 * 1024 - 4096, GIB + 1])
def test_memory_that_no_guest_has_is_refused(memory: int) -> None:
    with pytest.raises(MalformedError):
        split_memory(memory)


def test_more_memory_than_a_cpu_addresses_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        split_memory((1 << 52) + 4096)
