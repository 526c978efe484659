"""Walks over files, wherever they are: in directories, archives and packages, and in those again.

Names that archives hold are text to show, and never paths: nothing is written but unlinked temporary files.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from verdictd.core.errors import ConfigError, LimitExceededError, VerdictdError
from verdictd.unpacking import deb, rpm, tar
from verdictd.unpacking.cpio import Member
from verdictd.unpacking.decompression import DecompressedStream, find_compression
from verdictd.unpacking.limits import Budget, UnpackingLimits
from verdictd.unpacking.streams import FileStream, PeekedStream, Stream

HEAD_BYTES: Final = 4096

_DEFAULT_LIMITS: Final = UnpackingLimits()
_SEPARATOR: Final = ": "
_COPY_BYTES: Final = 1024 * 1024

_ReadMembers = Callable[[Stream, Budget], Iterator[Member]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file, wherever it is. To be looked at before the walk moves on.

    Attributes:
        name: where it is, for a person: the file's path, and behind it the name in each archive; always one line.
        size: in bytes, as the directory or archive has it.
        head: its first 4,096 bytes, or all of them.
        open: opens it, as a real file; once. Raises ConfigError, MalformedError, LimitExceededError.
    """

    name: str
    size: int
    head: bytes
    open: Callable[[], AbstractContextManager[BinaryIO]]


def walk(path: Path, limits: UnpackingLimits = _DEFAULT_LIMITS) -> Iterator[FoundFile]:
    """Find every regular file at a path: itself, or what is in the directory, archive or package that it is.

    Symbolic links in directories are not followed. Archives are known by their first bytes: RPM, DEB, and tar, as it is
    or compressed.

    Raises:
        ConfigError: a file or directory cannot be read.
        MalformedError, UnsupportedError, LimitExceededError: of an archive; the message begins with its name.
    """
    budget = Budget(limits)
    if not path.is_dir():
        yield from _walk_file(path, budget)
        return
    for file in _list_files(path, budget):
        yield from _walk_file(file, budget)


def show_path(path: Path) -> str:
    """Write a path as `FoundFile.name` has it."""
    return _show(os.fsencode(path))


def _list_files(directory: Path, budget: Budget) -> Iterator[Path]:
    try:
        with os.scandir(directory) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ConfigError(f"{directory} cannot be read: {error.strerror}") from error
    for entry in listed:
        budget.spend_member()
        if entry.is_dir(follow_symlinks=False):
            yield from _list_files(Path(entry.path), budget)
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _walk_file(path: Path, budget: Budget) -> Iterator[FoundFile]:
    name = show_path(path)
    try:
        with path.open("rb") as file:
            peeked = PeekedStream(FileStream(file, name), HEAD_BYTES)
            read_members = _find_reader(peeked.head)
            if read_members is not None:
                yield from _walk_archive(read_members, peeked, name, budget, depth=1)
                return
            size = os.fstat(file.fileno()).st_size
            yield FoundFile(name=name, size=size, head=peeked.head, open=lambda: _open_again(path, name))
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}", remedy="name a file that exists") from error


@contextmanager
def _open_again(path: Path, name: str) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error
    with file:
        yield file


def _find_reader(head: bytes) -> _ReadMembers | None:
    """Find out by its first bytes whether a file is an archive. A compressed file is one if a tar archive is in it."""
    if head.startswith(rpm.MAGIC):
        return rpm.read_rpm
    if head.startswith(deb.MAGIC):
        return deb.read_deb
    if tar.looks_like_tar(head):
        return tar.read_tar
    return None if find_compression(head) is None else _read_compressed_tar


def _read_compressed_tar(stream: Stream, budget: Budget) -> Iterator[Member]:
    peeked = PeekedStream(stream, tar.HEAD_BYTES)
    compression = find_compression(peeked.head)
    assert compression is not None
    unpacked = PeekedStream(DecompressedStream(peeked, compression, budget), tar.HEAD_BYTES)
    if tar.looks_like_tar(unpacked.head):
        yield from tar.read_tar(unpacked, budget)


def _walk_archive(
    read_members: _ReadMembers, stream: Stream, name: str, budget: Budget, *, depth: int
) -> Iterator[FoundFile]:
    try:
        if depth > budget.limits.depth:
            raise LimitExceededError(f"archives are nested more than {budget.limits.depth} deep")
        for member in read_members(stream, budget):
            yield from _walk_member(member, f"{name}{_SEPARATOR}{_show(member.name)}", budget, depth=depth)
    except VerdictdError as error:
        if error.message.startswith(name):
            raise
        raise type(error)(f"{name}{_SEPARATOR}{error.message}", remedy=error.remedy) from error


def _walk_member(member: Member, name: str, budget: Budget, *, depth: int) -> Iterator[FoundFile]:
    peeked = PeekedStream(member.content, HEAD_BYTES)
    read_members = _find_reader(peeked.head)
    if read_members is not None:
        yield from _walk_archive(read_members, peeked, name, budget, depth=depth + 1)
    else:
        yield FoundFile(
            name=name, size=member.size, head=peeked.head, open=lambda: _spool(peeked, member.size, name, budget)
        )


@contextmanager
def _spool(stream: Stream, size: int, name: str, budget: Budget) -> Iterator[BinaryIO]:
    if size > budget.limits.opened_bytes:
        raise LimitExceededError(
            f"{name} is {size} bytes long, the limit within archives is {budget.limits.opened_bytes}",
            remedy="unpack it yourself, and name it",
        )
    with tempfile.TemporaryFile() as file:
        try:
            while data := stream.read(_COPY_BYTES):
                file.write(data)
            file.seek(0)
        except OSError as error:
            raise ConfigError(f"{name} cannot be unpacked into {tempfile.gettempdir()}: {error.strerror}") from error
        yield file


def _show(name: bytes) -> str:
    """Write a name so that it is one line and does nothing to a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
