"""/dev/sev-guest: SEV-SNP reports where the kernel has no configfs for them, Linux 5.19 and later.

Spec: Linux, Documentation/virt/coco/sev-guest.rst, include/uapi/linux/sev-guest.h.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.kernel.interface import KernelFiles
from verdictd.tees.kernel.refusals import SNP_REFUSALS, explain_refusal
from verdictd.tees.kernel.snp_evidence import REPORT_BYTES, join_evidence
from verdictd.tees.sgx_ecdsa.attester_devices import Device

SEV_GUEST_DEVICE: Final = PurePosixPath("/dev/sev-guest")
PRIVILEGE_LEVEL_FILE: Final = PurePosixPath("/sys/devices/system/cpu/sev/vmpl")
SNP_GET_REPORT: Final = 0xC0205300
"""``_IOWR('S', 0, struct snp_guest_request_ioctl)``: 32 bytes."""
SNP_GET_EXT_REPORT: Final = 0xC0205302
"""``_IOWR('S', 2, struct snp_guest_request_ioctl)``: the same, with certificates."""

_ARGUMENT: Final = struct.Struct("=B7xQQQ")
"""Message version, addresses of request and response, EXITINFO2."""
_REQUEST: Final = struct.Struct("=64sI28x")
_EXTENDED_REQUEST: Final = struct.Struct("=64sI28xQI4x")
"""The same, then address and length of the certificates, which the kernel overwrites where it is too small."""
_LENGTH_FIELD: Final = slice(_REQUEST.size + 8, _REQUEST.size + 12)
_RESPONSE_BYTES: Final = 4000
_RESPONSE_HEADER: Final = struct.Struct("=II24x")
"""The secure processor's status, and the size of the report behind it."""
_MESSAGE_VERSION: Final = 1
_PAGE_BYTES: Final = 4096
_USUAL_CERTIFICATE_BYTES: Final = 4 * _PAGE_BYTES
"""What the kernel takes at most so far."""
_MAX_SIZES: Final = 3
_LEVELS: Final = (b"0", b"1", b"2", b"3")
_STATUSES: Final = {
    0x16: "a parameter is invalid: the privilege level (VMPL) has more rights than the guest",
    0x27: "the key that is to sign the report is not there",
}


class SEVGuestSource:
    """SEV-SNP evidence out of the device, see `SNPReportSource`."""

    def __init__(self, files: KernelFiles, *, privilege_level: int | None = None, certificates: bool = True) -> None:
        self._files = files
        self._privilege_level = privilege_level
        self._certificates = certificates
        self.label = str(SEV_GUEST_DEVICE)
        self.remedy = "see the kernel's log"

    def probe(self) -> None:
        """Find out whether the device is there, without asking it for a report.

        Raises:
            ConfigError: it is not, or this user may not use it.
        """
        with self._opened():
            pass

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Ask for a report, with the host's certificates where they are wanted.

        Raises:
            ConfigError: the kernel, the host or the secure processor refuses.
            LimitExceededError: the host's certificates are longer than `MAX_CHAIN_BYTES`, or than the kernel takes.
            MalformedError: what came is no report, or no certificate table; or the guest's level is no number.
        """
        with self._opened() as device:
            level = self._read_own_level() if self._privilege_level is None else self._privilege_level
            if self._certificates:
                return self._fetch_extended(device, report_data, level)
            request = (ctypes.c_uint8 * _REQUEST.size).from_buffer_copy(_REQUEST.pack(report_data, level))
            return join_evidence(self._ask(device, SNP_GET_REPORT, request), b"")

    def _fetch_extended(self, device: Device, report_data: bytes, level: int) -> bytes:
        size = _USUAL_CERTIFICATE_BYTES
        for _ in range(_MAX_SIZES):
            # Beginning with what usually does: each request counts where the host lets through only so many.
            table = (ctypes.c_uint8 * size)()
            packed = _EXTENDED_REQUEST.pack(report_data, level, ctypes.addressof(table), size)
            request = (ctypes.c_uint8 * _EXTENDED_REQUEST.size).from_buffer_copy(packed)
            try:
                report = self._ask(device, SNP_GET_EXT_REPORT, request)
            except OSError as error:
                if error.errno == errno.EINVAL and size > _USUAL_CERTIFICATE_BYTES:
                    break  # the kernel has no room for that many
                wanted = int.from_bytes(bytes(request)[_LENGTH_FIELD], "little")
                # Linux says EIO, and said ENOSPC within: what tells is that it wrote down another length.
                if error.errno not in {errno.EIO, errno.ENOSPC} or wanted <= size:
                    raise
                size = wanted  # whole pages
                if size > MAX_CHAIN_BYTES:
                    break
            else:
                return join_evidence(report, bytes(table))
        raise LimitExceededError(
            f"the host's certificates need {size} bytes or more: the kernel has no room for them, or the limit of"
            f" {MAX_CHAIN_BYTES} is passed",
            remedy="ask for reports without certificates: a verifier can fetch them from AMD",
        )

    def _ask(self, device: Device, command: int, request: ctypes.Array[ctypes.c_uint8]) -> bytes:
        response = (ctypes.c_uint8 * _RESPONSE_BYTES)()
        addresses = ctypes.addressof(request), ctypes.addressof(response)
        device.ioctl(command, bytearray(_ARGUMENT.pack(_MESSAGE_VERSION, *addresses, 0)))
        data = bytes(response)
        status, size = _RESPONSE_HEADER.unpack_from(data)
        if status:
            raise ConfigError(
                f"the secure processor refused the report with status 0x{status:x}:"
                f" {_STATUSES.get(status, 'see AMD 56860, status codes')}",
                remedy="ask for the guest's own privilege level, or see the host's firmware and its log",
            )
        return data[_RESPONSE_HEADER.size : _RESPONSE_HEADER.size + min(size, REPORT_BYTES + 1)]

    def _read_own_level(self) -> int:
        try:
            device = self._files.open(PRIVILEGE_LEVEL_FILE, os.O_RDONLY)
        except OSError:  # before Linux 6.11 there is no such file, and no guest but at the highest level
            return 0
        try:
            text = device.read(_PAGE_BYTES).strip()
        finally:
            device.close()
        if text not in _LEVELS:
            raise MalformedError(f"{PRIVILEGE_LEVEL_FILE} is {text[:16]!r}, expected one of 0 to 3")
        return int(text)

    @contextmanager
    def _opened(self) -> Iterator[Device]:
        try:
            device = self._files.open(SEV_GUEST_DEVICE, os.O_RDWR)
            try:
                yield device
            finally:
                device.close()
        except OSError as error:
            raise explain_refusal(self.label, error, SNP_REFUSALS) from error
