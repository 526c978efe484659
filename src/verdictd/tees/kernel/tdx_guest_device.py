"""/dev/tdx_guest: reports of a trust domain (TD) for its own machine, of which only the host makes quotes.

Spec: Linux, Documentation/virt/coco/tdx-guest.rst, include/uapi/linux/tdx-guest.h; Intel TDX Module ABI, TDREPORT.
"""

import os
from pathlib import PurePosixPath
from typing import Final, NoReturn

from verdictd.core.attester import REPORT_DATA_BYTES
from verdictd.core.errors import AuthenticityError, ConfigError
from verdictd.tees.kernel.interface import KernelFiles
from verdictd.tees.kernel.refusals import TDX_DEVICE_REFUSALS, explain_refusal

TDX_GUEST_DEVICE: Final = PurePosixPath("/dev/tdx_guest")
TDX_CMD_GET_REPORT0: Final = 0xC4405401
"""``_IOWR('T', 1, struct tdx_report_req)``: 64 bytes of report data, then room for the report."""
TD_LOCAL_REPORT_BYTES: Final = 1024
_REPORT_DATA: Final = slice(128, 192)


class TDXGuestDevice:
    """The device of Linux 6.2 and later. Its reports carry a MAC that only the machine itself can check."""

    def __init__(self, files: KernelFiles) -> None:
        self._files = files
        self.label = str(TDX_GUEST_DEVICE)

    def fetch_local_report(self, report_data: bytes) -> bytes:
        """Return a TDREPORT, 1024 bytes, that carries 64 bytes of report data.

        Trust: the report data is compared, nothing else is checked.

        Raises:
            ConfigError: the device is not there, or it refuses.
            AuthenticityError: the report is for other report data.
        """
        argument = bytearray(report_data + bytes(TD_LOCAL_REPORT_BYTES))
        try:
            device = self._files.open(TDX_GUEST_DEVICE, os.O_RDWR)
            try:
                device.ioctl(TDX_CMD_GET_REPORT0, argument)
            finally:
                device.close()
        except OSError as error:
            raise explain_refusal(self.label, error, TDX_DEVICE_REFUSALS) from error
        report = bytes(argument[REPORT_DATA_BYTES:])
        if report[_REPORT_DATA] != report_data:
            raise AuthenticityError(
                f"the report from {self.label} carries the report data {report[_REPORT_DATA].hex()},"
                f" asked for was {report_data.hex()}"
            )
        return report

    def refuse(self) -> NoReturn:
        """Say why there are no quotes: whether this is no TD at all, or one whose kernel makes local reports only.

        Raises:
            ConfigError, AuthenticityError: always.
        """
        self.fetch_local_report(bytes(REPORT_DATA_BYTES))
        raise ConfigError(
            f"{self.label} makes TD reports for this machine alone, and a quote of one is made by the host",
            remedy="run Linux 6.7 or later with configfs mounted at /sys/kernel/config, or name a program that has the"
            " host's quote generation service make quotes, with --quote-command",
        )
