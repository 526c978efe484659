import pytest

from tests.unit.guest_images.linux_images import Huge
from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.guest_images.boot_files import MAX_COMMAND_LINE_BYTES, MAX_KERNEL_BYTES, BootFiles


def test_the_command_line_is_utf_8() -> None:
    assert BootFiles(kernel=b"k", command_line="a=\u00e4").encode_command_line() == b"a=\xc3\xa4"


@pytest.mark.parametrize("command_line", ["a\0b", "\0", "a=\udc80"])
def test_a_command_line_that_cannot_be_one_is_refused(command_line: str) -> None:
    with pytest.raises(MalformedError, match="command line"):
        BootFiles(kernel=b"k", command_line=command_line)


def test_no_kernel_is_refused() -> None:
    with pytest.raises(MalformedError, match="kernel is empty"):
        BootFiles(kernel=b"")


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(LimitExceededError, match="command line"):
        BootFiles(kernel=b"k", command_line="\u00e4" * (MAX_COMMAND_LINE_BYTES // 2) + "a")
    with pytest.raises(LimitExceededError, match="kernel"):
        BootFiles(kernel=Huge.of(MAX_KERNEL_BYTES + 1, b"k"))
