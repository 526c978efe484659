"""Bounds on what an archive can make us do, and the budget that keeps account of them over all that is nested."""

from dataclasses import dataclass

from verdictd.core.errors import LimitExceededError

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackingLimits:
    """Bounds for one walk. Real packages stay far below.

    Attributes:
        unpacked_bytes: what all decompressors together may put out: a few kilobytes can unpack to anything. Each
            beginning of a compressed stream counts as some bytes, since it takes time.
        opened_bytes: the size of one member that is opened; it is written to a temporary file.
        members: files looked at, in all.
        depth: archives within archives.
        directory_depth: directories within directories; each takes a file descriptor while it is walked.
        name_bytes: of one name.
        header_bytes: of one header of an RPM, or one extended header of a tar archive; they are held in memory.
        window_bytes: what a decompressor may hold in memory, for each archive that is within another.
    """

    unpacked_bytes: int = 4 * _GIB
    opened_bytes: int = _GIB
    members: int = 100_000
    depth: int = 3
    directory_depth: int = 100
    name_bytes: int = 4096
    header_bytes: int = 16 * 1024 * 1024
    window_bytes: int = 128 * 1024 * 1024


class Budget:
    """What is left of the limits of one walk."""

    def __init__(self, limits: UnpackingLimits) -> None:
        self.limits = limits
        self._unpacked = 0
        self._members = 0

    def spend_bytes(self, count: int) -> None:
        """Count what a decompressor put out. Raises LimitExceededError."""
        self._unpacked += count
        if self._unpacked > self.limits.unpacked_bytes:
            raise LimitExceededError(
                f"it unpacks to more than {self.limits.unpacked_bytes} bytes",
                remedy="unpack it yourself, if you trust it, and name the enclave in it",
            )

    def spend_member(self) -> None:
        """Count a file. Raises LimitExceededError."""
        self._members += 1
        if self._members > self.limits.members:
            raise LimitExceededError(
                f"there are more than {self.limits.members} files in it", remedy="name the enclave itself"
            )
