"""Stand-ins for the devices of Gramine and Occlum, fed with quotes recorded or built beforehand.

They behave as the library OSes' own sources say theirs do, down to the pointers of the ioctl. They do not make quotes:
a report data for which none was recorded is refused as a quoting service that is down would refuse it.
"""

import ctypes
import errno
import os
import struct
import time
from collections.abc import Mapping
from pathlib import PurePosixPath

from verdictd.tees.sgx_ecdsa.attester_devices import SGXIOC_GEN_DCAP_QUOTE, SGXIOC_GET_DCAP_QUOTE_SIZE, Device

REPORT_DATA = bytes(range(64))
OTHER_REPORT_DATA = bytes(64)


def build_quote(report_data: bytes = REPORT_DATA, *, version: int = 3, padding: int = 0) -> bytes:
    """A quote of the right form whose signatures are nothing but zeros."""
    header = struct.pack("<HHIHH16s20s", version, 2, 0, 0, 0, bytes(16), bytes(20))
    body_header = struct.pack("<HI", 1, 384) if version == 5 else b""
    inner = bytes(384) + bytes(64) + struct.pack("<H", 0) + struct.pack("<HI", 5, 4) + b"PEM\n"
    if version != 3:
        inner = struct.pack("<HI", 6, len(inner)) + inner
    signature_data = bytes(64) + bytes(64) + inner
    size = struct.pack("<I", len(signature_data))
    return header + body_header + bytes(320) + report_data + size + signature_data + bytes(padding)


class FakeGramine:
    """Gramine's /dev/attestation: what was written last decides which of the recorded quotes is read."""

    def __init__(self, recorded: Mapping[bytes, bytes], *, attestation_type: bytes = b"dcap") -> None:
        self.recorded = recorded
        self.attestation_type = attestation_type
        self.user_report_data = bytes(64)
        self.takes_bytes = 64
        self.pause_s = 0.0

    def open(self, path: PurePosixPath, flags: int) -> Device:
        if path.parent != PurePosixPath("/dev/attestation"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if path.name == "quote" and self.attestation_type == b"none":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return _GramineFile(self, path.name, flags)


class _GramineFile:
    def __init__(self, gramine: FakeGramine, name: str, flags: int) -> None:
        self.gramine = gramine
        self.written: bytes | None = b"" if flags & os.O_ACCMODE == os.O_WRONLY else None
        if name == "quote":
            # Gramine makes the quote when the file is opened.
            time.sleep(gramine.pause_s)
            quote = gramine.recorded.get(gramine.user_report_data)
            if quote is None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self.content = quote
        else:
            self.content = {"attestation_type": gramine.attestation_type, "user_report_data": b""}[name]

    def read(self, size: int) -> bytes:
        return self.content[:size]

    def write(self, data: bytes) -> int:
        if self.written is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.written = data[: self.gramine.takes_bytes]
        return len(self.written)

    def ioctl(self, request: int, argument: bytearray) -> None:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    def close(self) -> None:
        if self.written is not None:
            # Only now, and padded with zeros, the way Gramine's pseudo files are saved.
            self.gramine.user_report_data = self.written.ljust(64, b"\0")


class FakeOcclum:
    """Occlum's /dev/sgx, which follows the three pointers it is given."""

    def __init__(self, recorded: Mapping[bytes, bytes], *, announced_bytes: int | None = None) -> None:
        self.recorded = recorded
        self.announced_bytes = max(map(len, recorded.values())) if announced_bytes is None else announced_bytes

    def open(self, path: PurePosixPath, flags: int) -> Device:
        if path != PurePosixPath("/dev/sgx"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return _OcclumDevice(self)


class _OcclumDevice:
    def __init__(self, occlum: FakeOcclum) -> None:
        self.occlum = occlum

    def read(self, size: int) -> bytes:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def write(self, data: bytes) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def ioctl(self, request: int, argument: bytearray) -> None:
        if request == SGXIOC_GET_DCAP_QUOTE_SIZE:
            argument[:] = struct.pack("=I", self.occlum.announced_bytes)
        elif request == SGXIOC_GEN_DCAP_QUOTE:
            self._generate(*struct.unpack("=QQQ", argument))
        else:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _generate(self, report_data: int, quote_size: int, quote_buffer: int) -> None:
        (size,) = struct.unpack("=I", ctypes.string_at(quote_size, 4))
        if size < self.occlum.announced_bytes:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        quote = self.occlum.recorded.get(ctypes.string_at(report_data, 64))
        if quote is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        ctypes.memmove(quote_buffer, quote, len(quote))

    def close(self) -> None:
        pass


class LegacyDriver:
    """What Intel's first SGX drivers put at /dev/sgx: a device, or a directory, that knows nothing of quotes."""

    @staticmethod
    def open(path: PurePosixPath, flags: int) -> Device:
        if path != PurePosixPath("/dev/sgx"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return _GramineFile(FakeGramine({}), "attestation_type", flags)
