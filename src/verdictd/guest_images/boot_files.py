"""What a VM is booted with directly, without a boot loader: a kernel, an initrd and a command line."""

from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError

MAX_KERNEL_BYTES: Final = 512 * 1024 * 1024
MAX_INITRD_BYTES: Final = (1 << 32) - 1
"""Its size has 32 bits in the header of a kernel."""
MAX_COMMAND_LINE_BYTES: Final = 64 * 1024
"""A kernel for x86-64 reads 2,047 bytes, other programs that are booted so may read more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    """What the operator boots. Checked by its size and form alone.

    Attributes:
        kernel: the file, all of it.
        initrd: the file, all of it; empty where there is none.
        command_line: without a NUL at its end; empty where there is none.

    Raises:
        MalformedError: there is no kernel, or the command line cannot be one.
        LimitExceededError: one of them is larger than may be.
    """

    kernel: bytes
    initrd: bytes = b""
    command_line: str = ""

    def __post_init__(self) -> None:
        if not self.kernel:
            raise MalformedError("the kernel is empty")
        sizes = (
            ("kernel", len(self.kernel), MAX_KERNEL_BYTES),
            ("initrd", len(self.initrd), MAX_INITRD_BYTES),
            ("command line", len(self.encode_command_line()), MAX_COMMAND_LINE_BYTES),
        )
        for what, size, limit in sizes:
            if size > limit:
                raise LimitExceededError(f"the {what} has {size} bytes, the limit is {limit}")

    def encode_command_line(self) -> bytes:
        """Return it as UTF-8, without a NUL at its end."""
        if "\0" in self.command_line:
            raise MalformedError("the command line has a NUL in it: what comes after it would not be used")
        try:
            return self.command_line.encode()
        except UnicodeEncodeError as error:
            raise MalformedError("the command line is no text in UTF-8") from error
