"""Stand-ins for /dev/sev-guest and /dev/tdx_guest, which follow the pointers they are given as the drivers do."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.unit.tees.kernel.configfs_fake import failure
from verdictd.tees.sgx_ecdsa.attester_devices import Device

PAGE = 4096
KERNEL_LIMIT = 4 * PAGE


class _Device:
    def read(self, size: int) -> bytes:
        raise failure(errno.EINVAL)

    def write(self, data: bytes) -> int:
        raise failure(errno.EINVAL)

    def ioctl(self, request: int, argument: bytearray) -> None:
        raise failure(errno.ENOTTY)

    def close(self) -> None:
        pass


@dataclass
class FakeDevices:
    """A kernel with devices and files of one answer, and no configfs."""

    devices: dict[str, Callable[[], Device]] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def make_directory(self, path: PurePosixPath) -> None:
        raise failure(errno.ENOENT, path)

    def remove_directory(self, path: PurePosixPath) -> None:
        raise failure(errno.ENOENT, path)

    def open(self, path: PurePosixPath, flags: int) -> Device:
        if str(path) not in self.devices:
            raise failure(errno.ENOENT, path)
        self.opened.append(str(path))
        return self.devices[str(path)]()


class FakeFile(_Device):
    """A small file of sysfs."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int) -> bytes:
        return self.content[:size]


@dataclass
class FakeSEVGuest(_Device):
    """sev-guest.c: `snp_guest_ioctl`, `get_report` and `get_ext_report`.

    Attributes:
        make_report: from report data and privilege level to a report of 1184 bytes.
        certificates: the host's table; it takes whole pages.
        status: of the secure processor, in place of a report where it is not 0.
        kernel_limit: how many bytes of certificates the kernel has room for.
        too_small: what the kernel says where the room given is too small.
        is_growing: whether the host asks for a page more each time.
    """

    make_report: Callable[[bytes, int], bytes]
    certificates: bytes = b""
    status: int = 0
    kernel_limit: int = KERNEL_LIMIT
    too_small: int = errno.EIO
    is_growing: bool = False
    fails_with: int = 0
    requests: list[tuple[int, int]] = field(default_factory=list)
    is_closed: bool = False

    def ioctl(self, request: int, argument: bytearray) -> None:
        version, asked, answer, _ = struct.unpack("=B7xQQQ", argument)
        if not version:
            raise failure(errno.EINVAL)
        argument[-8:] = (0xFF).to_bytes(8, "little")
        if self.fails_with:
            raise failure(self.fails_with)
        if request == 0xC0205300:
            user_data, level, reserved = struct.unpack("=64sI28s", ctypes.string_at(asked, 96))
            self.requests.append((request, 0))
        elif request == 0xC0205302:
            packed = ctypes.string_at(asked, 112)
            user_data, level, reserved, address, length, _ = struct.unpack("=64sI28sQII", packed)
            self.requests.append((request, length))
            self._give_certificates(asked, address, length, argument)
        else:
            raise failure(errno.ENOTTY)
        assert not any(reserved)
        report = b"" if self.status else self.make_report(user_data, level)
        response = struct.pack("=II24x", self.status, len(report)) + report
        ctypes.memmove(answer, response.ljust(4000, b"\0"), 4000)
        argument[-8:] = bytes(8)

    def _give_certificates(self, asked: int, address: int, length: int, argument: bytearray) -> None:
        if length > self.kernel_limit or length % PAGE:
            raise failure(errno.EINVAL)
        room = length if address else 0
        needed = PAGE * -(-len(self.certificates) // PAGE)
        if self.is_growing:
            needed = room + PAGE
        if needed > room:
            ctypes.memmove(asked + 104, struct.pack("=I", needed), 4)
            argument[-8:] = (1 << 32).to_bytes(8, "little")
            raise failure(self.too_small)
        ctypes.memmove(address, self.certificates.ljust(room, b"\0"), room)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeTDXGuest(_Device):
    """tdx-guest.c: `tdx_get_report0`."""

    fails_with: int = 0
    changes: Callable[[bytes], bytes] = lambda report_data: report_data

    def ioctl(self, request: int, argument: bytearray) -> None:
        if request != 0xC4405401:
            raise failure(errno.ENOTTY)
        assert len(argument) == 64 + 1024
        if self.fails_with:
            raise failure(self.fails_with)
        report = bytearray(os.urandom(1024))
        report[128:192] = self.changes(bytes(argument[:64]))
        argument[64:] = report
