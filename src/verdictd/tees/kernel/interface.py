"""What is used of the kernel: directories that make entries, and files that are devices.

Nothing of it needs a confidential guest: whoever provides these calls, the kernel or a test, provides the guest.
"""

from pathlib import Path, PurePosixPath
from typing import Protocol

from verdictd.tees.sgx_ecdsa.attester_devices import Device, open_device


class KernelFiles(Protocol):
    """The system calls of the same meaning, `OSError` included. Safe to share between threads."""

    def make_directory(self, path: PurePosixPath) -> None:
        """Make one directory whose parent is there."""
        ...

    def remove_directory(self, path: PurePosixPath) -> None:
        """Remove one directory; configfs takes the attributes inside along."""
        ...

    def open(self, path: PurePosixPath, flags: int) -> Device:
        """Open a file with flags as of `os.open`."""
        ...


class LinuxFiles:
    """The `KernelFiles` of the kernel that this process runs on."""

    @staticmethod
    def make_directory(path: PurePosixPath) -> None:
        """Make one directory, with no permissions for others than its owner."""
        Path(path).mkdir(0o700)

    @staticmethod
    def remove_directory(path: PurePosixPath) -> None:
        """Remove one directory."""
        Path(path).rmdir()

    @staticmethod
    def open(path: PurePosixPath, flags: int) -> Device:
        """Open a file."""
        return open_device(path, flags)
