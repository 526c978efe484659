"""A stand-in for the kernel's configfs reports, which behaves as fs/configfs/file.c and tsm.c of Linux say.

It makes no evidence: a function that the test gives does, in the place of the host or the secure processor.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from verdictd.tees.sgx_ecdsa.attester_devices import Device

DIRECTORY = PurePosixPath("/sys/kernel/config/tsm/report")
TEXT, BINARY = "text", "binary"
ATTRIBUTES = {
    "provider": (TEXT, os.O_RDONLY),
    "generation": (TEXT, os.O_RDONLY),
    "privlevel_floor": (TEXT, os.O_RDONLY),
    "privlevel": (TEXT, os.O_WRONLY),
    "inblob": (BINARY, os.O_WRONLY),
    "outblob": (BINARY, os.O_RDONLY),
    "auxblob": (BINARY, os.O_RDONLY),
}
OF_TDX = {"provider", "generation", "inblob", "outblob"}


def failure(number: int, what: object = "") -> OSError:
    return OSError(number, os.strerror(number), str(what))


@dataclass
class Entry:
    """What tsm.c calls a report's state."""

    inblob: bytes = b""
    privlevel: int = 0
    generation: int = 0
    read_generation: int = 0
    blobs: tuple[bytes, bytes] | None = None
    is_dead: bool = False


@dataclass
class FakeConfigfs:
    """The directory of reports of one kernel.

    Attributes:
        make_report: from report data and privilege level to `outblob` and `auxblob`; may raise `OSError`.
        provider: ``None`` where no module provides reports.
        piece_bytes: how much one read gives at most.
        disturb: called before each system call with its name, the attribute or entry, and the entry's state.
    """

    make_report: Callable[[bytes, int], tuple[bytes, bytes]]
    provider: str | None = "tdx_guest"
    privlevel_floor: int = 0
    piece_bytes: int = 4096
    is_mounted: bool = True
    is_root: bool = True
    disturb: Callable[[str, str, Entry | None], None] = lambda call, name, entry: None
    entries: dict[str, Entry] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    reports: int = 0

    def make_directory(self, path: PurePosixPath) -> None:
        self.disturb("mkdir", path.name, None)
        if not self.is_mounted or path.parent != DIRECTORY:
            raise failure(errno.ENOENT, path)
        if not self.is_root:
            raise failure(errno.EACCES, path)
        if path.name in self.entries:
            raise failure(errno.EEXIST, path)
        if self.provider is None:
            raise failure(errno.ENXIO, path)
        self.entries[path.name] = Entry()
        self.made.append(path.name)

    def remove_directory(self, path: PurePosixPath) -> None:
        self.disturb("rmdir", path.name, self.entries.get(path.name))
        if path.name not in self.entries or path.parent != DIRECTORY:
            raise failure(errno.ENOENT, path)
        self.forget(path.name)

    def forget(self, name: str) -> None:
        self.entries.pop(name).is_dead = True

    def open(self, path: PurePosixPath, flags: int) -> Device:
        self.disturb("open", path.name, self.entries.get(path.parent.name))
        entry = self.entries.get(path.parent.name)
        visible = set(ATTRIBUTES) if self.provider == "sev_guest" else OF_TDX
        if entry is None or path.parent.parent != DIRECTORY or path.name not in visible:
            raise failure(errno.ENOENT, path)
        kind, mode = ATTRIBUTES[path.name]
        if flags & os.O_ACCMODE != mode:
            raise failure(errno.EACCES, path)
        return (_TextFile if kind == TEXT else _BinaryFile)(self, entry, path.name)

    def show(self, entry: Entry, name: str) -> bytes:
        shown = {
            "provider": self.provider,
            "generation": entry.generation,
            "privlevel_floor": self.privlevel_floor,
        }
        return f"{shown[name]}\n".encode()

    def store(self, entry: Entry, name: str, data: bytes) -> None:
        assert name == "privlevel"
        if not data.strip().isdigit() or not self.privlevel_floor <= int(data) <= 3:
            raise failure(errno.EINVAL)
        entry.generation += 1
        entry.privlevel = int(data)

    def blob(self, entry: Entry, name: str) -> bytes:
        if not entry.inblob:
            raise failure(errno.EINVAL)
        if entry.blobs is None or entry.read_generation != entry.generation:
            entry.blobs = None
            if len(entry.inblob) != 64:
                raise failure(errno.EINVAL)
            self.reports += 1
            entry.blobs = self.make_report(entry.inblob, entry.privlevel)
            entry.read_generation = entry.generation
        return entry.blobs[("outblob", "auxblob").index(name)]


class _File:
    def __init__(self, configfs: FakeConfigfs, entry: Entry, name: str) -> None:
        self.configfs = configfs
        self.entry = entry
        self.name = name
        self.content: bytes | None = None
        self.position = 0
        self.is_open = True

    def fill(self) -> bytes:
        raise NotImplementedError

    def read(self, size: int) -> bytes:
        self.configfs.disturb("read", self.name, self.entry)
        assert self.is_open
        if self.content is None:
            if self.entry.is_dead:
                raise failure(errno.ENOENT, self.name)
            self.content = self.fill()
        piece = self.content[self.position : self.position + min(size, self.configfs.piece_bytes)]
        self.position += len(piece)
        return piece

    def ioctl(self, request: int, argument: bytearray) -> None:
        raise failure(errno.ENOTTY, self.name)

    def write(self, data: bytes) -> int:
        raise NotImplementedError

    def close(self) -> None:
        assert self.is_open
        self.is_open = False


class _TextFile(_File):
    """Takes at once what is written, in whole, and says what is wrong with it."""

    def fill(self) -> bytes:
        return self.configfs.show(self.entry, self.name)

    def write(self, data: bytes) -> int:
        self.configfs.disturb("write", self.name, self.entry)
        if self.entry.is_dead:
            raise failure(errno.ENOENT, self.name)
        self.configfs.store(self.entry, self.name, data)
        return len(data)


class _BinaryFile(_File):
    """Keeps what is written until it is closed; whatever goes wrong then, nobody is told."""

    written = b""

    def fill(self) -> bytes:
        return self.configfs.blob(self.entry, self.name)

    def write(self, data: bytes) -> int:
        self.configfs.disturb("write", self.name, self.entry)
        if len(self.written) + len(data) > 64:
            raise failure(errno.EFBIG, self.name)
        self.written += data
        return len(data)

    def close(self) -> None:
        super().close()
        try:
            self.configfs.disturb("close", self.name, self.entry)
        except OSError:
            return
        if self.written and not self.entry.is_dead:
            self.entry.inblob = self.written
            self.entry.generation += 1
