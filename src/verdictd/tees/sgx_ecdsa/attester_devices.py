"""The devices through which an enclave asks for a quote of itself: Gramine's files, Occlum's ioctl.

Neither library OS is needed to read this: a device is four system calls, and whoever provides those four, the kernel
or a test, provides the device.
"""

import ctypes
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Protocol, TypeAlias

from verdictd.core.attester import REPORT_DATA_BYTES
from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.core.limits import MAX_QUOTE_BYTES

GRAMINE_DIRECTORY = PurePosixPath("/dev/attestation")
OCCLUM_DEVICE = PurePosixPath("/dev/sgx")

SGXIOC_GET_DCAP_QUOTE_SIZE = 0x80047307
"""``_IOR('s', 7, uint32_t)``: the argument receives the size of a quote in bytes."""
SGXIOC_GEN_DCAP_QUOTE = 0xC0187308
"""``_IOWR('s', 8, struct { report_data *, uint32_t *quote_len, uint8_t *quote_buf })``: three pointers, 24 bytes."""

_QUOTE_SIZE = struct.Struct("=I")
_GENERATE_ARGUMENT = struct.Struct("=QQQ")
_MAX_TYPE_BYTES = 64
_REMEDY = "see that the platform's quoting service (AESM, or the quoting library in process) runs and reaches its PCCS"


class Device(Protocol):
    """An open device: the system calls of the same names, `OSError` included."""

    def read(self, size: int) -> bytes:
        """Read once, at most `size` bytes."""
        ...

    def write(self, data: bytes) -> int:
        """Write once; return how many bytes were taken."""
        ...

    def ioctl(self, request: int, argument: bytearray) -> None:
        """Make a device request whose argument, at most 1024 bytes, the device reads and writes."""
        ...

    def close(self) -> None:
        """Close it; a device may act only now on what was written."""
        ...


OpenDevice: TypeAlias = Callable[[PurePosixPath, int], Device]
"""Opens a path with flags as of `os.open`; raises `OSError`."""


class _FileDescriptor:
    """The kernel's devices."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)

    def write(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def ioctl(self, request: int, argument: bytearray) -> None:
        fcntl.ioctl(self._descriptor, request, argument, True)  # noqa: FBT003 - fcntl takes it by position only

    def close(self) -> None:
        os.close(self._descriptor)


def open_device(path: PurePosixPath, flags: int) -> Device:
    """Open one of the kernel's (or the library OS's) devices."""
    return _FileDescriptor(os.open(path, flags | os.O_CLOEXEC))


class GramineSource:
    """Gramine's pseudo files: 64 bytes into ``user_report_data``, then a quote out of ``quote``.

    Occlum has the same files since 2023. The two steps are not atomic in either: the caller must take turns.
    """

    def __init__(self, open_device: OpenDevice = open_device, directory: PurePosixPath = GRAMINE_DIRECTORY) -> None:
        self._open = open_device
        self._directory = directory
        self.label = f"{directory} (Gramine)"
        self.remedy = _REMEDY

    def probe(self) -> None:
        """Find out whether this source is there, without asking for a quote.

        Raises:
            OSError: it is not.
            ConfigError: it is there but makes no DCAP quotes.
        """
        # Opened for reading: a library OS may take closing after opening for writing as "write nothing", while another
        # thread of this program is between its two steps.
        self._open(self._directory / "user_report_data", os.O_RDONLY).close()
        kind = self._read("attestation_type", _MAX_TYPE_BYTES)
        if kind.rstrip(b"\0\n") != b"dcap":
            raise ConfigError(
                f"{self._directory}/attestation_type is {kind.decode('ascii', 'backslashreplace')!r}, expected 'dcap'",
                remedy='put sgx.remote_attestation = "dcap" into the Gramine manifest and sign it again',
            )

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Ask for a quote.

        Raises:
            OSError: a device refused.
            LimitExceededError: the quote is longer than `MAX_QUOTE_BYTES`.
        """
        device = self._open(self._directory / "user_report_data", os.O_WRONLY)
        try:
            written = device.write(report_data)
        finally:
            device.close()
        if written != len(report_data):
            raise OSError(f"user_report_data took {written} of {len(report_data)} bytes")
        quote = self._read("quote", MAX_QUOTE_BYTES + 1)
        if len(quote) > MAX_QUOTE_BYTES:
            raise LimitExceededError(f"the quote from {self.label} is longer than {MAX_QUOTE_BYTES} bytes")
        return quote

    def _read(self, name: str, max_bytes: int) -> bytes:
        # One read and no second: Gramine hands out the whole file, and Occlum begins anew at each read, forever.
        device = self._open(self._directory / name, os.O_RDONLY)
        try:
            return device.read(max_bytes)
        finally:
            device.close()


class OcclumSource:
    """Occlum's device: an ioctl that tells the size of a quote, another that makes one."""

    def __init__(self, open_device: OpenDevice = open_device, path: PurePosixPath = OCCLUM_DEVICE) -> None:
        self._open = open_device
        self._path = path
        self.label = f"{path} (Occlum)"
        self.remedy = _REMEDY

    def probe(self) -> None:
        """Find out whether this source is there: drivers of another kind have used the same path.

        Raises:
            OSError: it is not, or it is another kind of device.
            LimitExceededError: it answers, with a size that no quote has.
        """
        device = self._open(self._path, os.O_RDONLY)
        try:
            self._ask_size(device)
        finally:
            device.close()

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Ask for a quote.

        Raises:
            OSError: the device refused.
            LimitExceededError: it announced a quote longer than `MAX_QUOTE_BYTES`.
        Spec:
            Occlum, ``src/libos/src/fs/dev_fs/dev_sgx``: the size is read by the device before it writes the buffer.
        """
        device = self._open(self._path, os.O_RDONLY)
        try:
            size = self._ask_size(device)
            data = (ctypes.c_uint8 * REPORT_DATA_BYTES).from_buffer_copy(report_data)
            length = ctypes.c_uint32(size)
            quote = (ctypes.c_uint8 * size)()
            argument = _GENERATE_ARGUMENT.pack(
                ctypes.addressof(data), ctypes.addressof(length), ctypes.addressof(quote)
            )
            device.ioctl(SGXIOC_GEN_DCAP_QUOTE, bytearray(argument))
        finally:
            device.close()
        return bytes(quote)[: length.value]

    def _ask_size(self, device: Device) -> int:
        argument = bytearray(_QUOTE_SIZE.size)
        device.ioctl(SGXIOC_GET_DCAP_QUOTE_SIZE, argument)
        size = int(_QUOTE_SIZE.unpack(argument)[0])
        if not 0 < size <= MAX_QUOTE_BYTES:
            raise LimitExceededError(f"{self._path} announces a quote of {size} bytes, the limit is {MAX_QUOTE_BYTES}")
        return size
