"""One entry below /sys/kernel/config/tsm/report: attributes that are written, and a report that is read.

Spec: Linux, Documentation/ABI/testing/configfs-tsm (configfs-tsm-report in later versions), fs/configfs/file.c.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.tees.kernel.interface import KernelFiles

_MAX_TEXT_BYTES: Final = 4096
_READ_BYTES: Final = 64 * 1024


class ReportEntry:
    """An entry of our own, and how often it should have been written to. Not safe to share between threads.

    Every write raises the entry's number, `generation`: where it is not what our writes make it, someone else's inputs
    may have gone into the report.
    """

    __slots__ = ("_expected", "_files", "path")

    def __init__(self, files: KernelFiles, path: PurePosixPath) -> None:
        self._files = files
        self.path = path
        self._expected = self._read_number("generation")

    def read_text(self, attribute: str) -> str:
        """Read an attribute of one line.

        Raises:
            OSError: the kernel refused, or the entry is gone (`errno.EBUSY`).
            MalformedError: it is no ASCII.
        """
        data = self.read(attribute, max_bytes=_MAX_TEXT_BYTES)
        if not data.isascii():
            raise MalformedError(f"{self.path / attribute} is no text: {data[:16].hex()}")
        return data.decode("ascii").strip()

    def read_privilege_floor(self) -> int:
        """Read the lowest privilege level that may be written: the one that the guest itself runs at.

        Raises:
            OSError: see `read_text`.
            MalformedError: it is no number.
        """
        return self._read_number("privlevel_floor")

    def read(self, attribute: str, *, max_bytes: int) -> bytes:
        """Read an attribute to its end, however little comes at once.

        Raises:
            OSError: the kernel refused, or the entry is gone (`errno.EBUSY`).
            LimitExceededError: longer than `max_bytes`.
        """
        data = bytearray()
        with self._present():
            device = self._files.open(self.path / attribute, os.O_RDONLY)
            try:
                while piece := device.read(_READ_BYTES):
                    data += piece
                    if len(data) > max_bytes:
                        raise LimitExceededError(f"{self.path / attribute} is longer than {max_bytes} bytes")
            finally:
                device.close()
        return bytes(data)

    def write(self, attribute: str, data: bytes) -> None:
        """Write an attribute in one call, as configfs wants it.

        Of binary attributes the kernel takes the bytes when the file is closed, and says nothing where it cannot:
        `require_undisturbed` finds that out.

        Raises:
            OSError: the kernel refused, or the entry is gone (`errno.EBUSY`).
        """
        with self._present():
            device = self._files.open(self.path / attribute, os.O_WRONLY)
            try:
                written = device.write(data)
            finally:
                device.close()
        if written != len(data):
            raise OSError(errno.EIO, f"{attribute} took {written} of {len(data)} bytes")
        self._expected += 1

    def require_undisturbed(self) -> None:
        """Refuse where the entry was not written to by us alone, or did not take a write of ours.

        Raises:
            OSError: see `read_text`; or it was not (`errno.EBUSY`).
            MalformedError: `generation` is no number.
        """
        found = self._read_number("generation")
        if found != self._expected:
            raise OSError(errno.EBUSY, f"the entry's generation is {found}, expected {self._expected}")

    def _read_number(self, attribute: str) -> int:
        text = self.read_text(attribute)
        if not text.isdecimal():
            raise MalformedError(f"{self.path / attribute} is {text[:32]!r}, expected a number")
        return int(text)

    @contextmanager
    def _present(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise OSError(errno.EBUSY, "the entry was removed while in use, or lacks an attribute") from error


@contextmanager
def open_entry(files: KernelFiles, path: PurePosixPath) -> Iterator[ReportEntry]:
    """Make an entry for the time being; whatever happens, it is removed.

    Raises:
        OSError: it cannot be made or removed; `errno.EEXIST` where the name is taken.
        MalformedError: `generation` is no number.
    """
    files.make_directory(path)
    try:
        yield ReportEntry(files, path)
    except BaseException:
        with suppress(OSError):  # what went wrong before is what matters
            files.remove_directory(path)
        raise
    with suppress(FileNotFoundError):  # what was to be removed is gone
        files.remove_directory(path)
