"""The calls to the kernel that this machine runs, with directories and files that every machine has."""

import os
import struct
import termios
from pathlib import Path, PurePosixPath

import pytest

from verdictd.tees.kernel.interface import KernelFiles, LinuxFiles

FILES: KernelFiles = LinuxFiles()


def test_a_directory_is_made_for_its_owner_alone_and_removed(tmp_path: Path) -> None:
    path = PurePosixPath(tmp_path / "entry")
    FILES.make_directory(path)
    assert (tmp_path / "entry").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        FILES.make_directory(path)
    FILES.remove_directory(path)
    with pytest.raises(FileNotFoundError):
        FILES.remove_directory(path)


def test_a_directory_below_none_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FILES.make_directory(PurePosixPath(tmp_path / "absent" / "entry"))


def test_a_file_is_written_and_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    device = FILES.open(PurePosixPath(tmp_path / "file"), os.O_WRONLY)
    assert device.write(b"twelve bytes") == 12
    device.close()
    device = FILES.open(PurePosixPath(tmp_path / "file"), os.O_RDONLY)
    assert [device.read(7), device.read(7), device.read(7)] == [b"twelve ", b"bytes", b""]
    device.close()


@pytest.mark.parametrize("size", [4, 32, 1024, 1088])
def test_an_argument_of_any_size_is_changed_in_place(size: int, tmp_path: Path) -> None:
    """Python copies up to 1024 bytes and hands on what is longer; a TD report's request is 1088 bytes long."""
    os.mkfifo(tmp_path / "fifo")
    device = FILES.open(PurePosixPath(tmp_path / "fifo"), os.O_RDWR)
    device.write(b"sixsix")
    argument = bytearray(b"\xff" * size)
    device.ioctl(termios.FIONREAD, argument)
    device.close()
    assert struct.unpack_from("=I", argument) == (6,)
    assert argument[4:] == b"\xff" * (size - 4)


def test_the_numbers_of_the_requests_are_those_of_their_structures() -> None:
    """As the macro _IOWR makes them: direction, size of the structure, letter, number."""
    from verdictd.tees.kernel import sev_guest_device, tdx_guest_device

    def iowr(letter: str, number: int, size: int) -> int:
        return 3 << 30 | size << 16 | ord(letter) << 8 | number

    assert struct.calcsize("@BQQQ") == sev_guest_device._ARGUMENT.size == 32
    assert sev_guest_device._EXTENDED_REQUEST.size == 112
    assert iowr("S", 0, 32) == sev_guest_device.SNP_GET_REPORT
    assert iowr("S", 2, 32) == sev_guest_device.SNP_GET_EXT_REPORT
    assert iowr("T", 1, 64 + 1024) == tdx_guest_device.TDX_CMD_GET_REPORT0
