"""Walks over files, wherever they are: in directories, archives and packages, and in those again.

Names that archives hold are text to show, and never paths: nothing is written but unlinked temporary files.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.unpacking import deb, rpm, tar
from verdictd.unpacking.cpio import Member
from verdictd.unpacking.decompression import DecompressedStream, find_compression
from verdictd.unpacking.directories import NamedFile, list_files
from verdictd.unpacking.limits import Budget, UnpackingLimits
from verdictd.unpacking.names import locate_errors, show_name
from verdictd.unpacking.opening import MemberOpener, PlainOpener
from verdictd.unpacking.streams import FileStream, PeekedStream, Preview, Stream, skip_all

HEAD_BYTES: Final = 4096

_DEFAULT_LIMITS: Final = UnpackingLimits()
_SEPARATOR: Final = ": "
_PREVIEW_BYTES: Final = 1024 * 1024
"""So much of a compressed file is looked at, to see what is in it: one block of bzip2, whatever is in that."""

_ReadMembers = Callable[[Stream, Budget], Iterator[Member]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file, wherever it is. To be looked at before the walk moves on.

    Attributes:
        name: where it is, for a person: the file's path, and behind it the name in each archive; always one line.
        size: in bytes, as the directory or archive has it.
        head: its first 4,096 bytes, or all of them.
        open: opens it, as a real file, at its beginning. Once if it is in an archive. Raises ConfigError,
            MalformedError and LimitExceededError, and RuntimeError if the walk has moved on or it was opened before.
    """

    name: str
    size: int
    head: bytes
    open: Callable[[], AbstractContextManager[BinaryIO]]


def walk(path: Path, limits: UnpackingLimits = _DEFAULT_LIMITS) -> Iterator[FoundFile]:
    """Find every regular file at a path: itself, or what is in the directory, archive or package that it is.

    Symbolic links in directories are not followed. Archives are known by their first bytes: RPM, DEB, and tar, as it is
    or compressed. A compressed file with something else in it, or nothing that can be unpacked, is found as it is.

    Args:
        path: of the operator, and trusted; what is in the file is not. A link is followed.
        limits: for all of the walk together.
    Raises:
        ConfigError: a file or directory cannot be read, or `path` is neither.
        MalformedError, UnsupportedError, LimitExceededError: of an archive; the message begins with its name.
    """
    budget = Budget(limits)
    for file in list_files(path, budget):
        yield from _walk_file(file, budget)


def _walk_file(file: NamedFile, budget: Budget) -> Iterator[FoundFile]:
    peeked = PeekedStream(FileStream(file.file, file.name), HEAD_BYTES)
    with locate_errors(file.name):
        read_members = _find_reader(peeked, budget)
    if read_members is not None:
        yield from _walk_archive(read_members, peeked, file.name, budget, depth=1)
        return
    size = os.fstat(file.file.fileno()).st_size
    with PlainOpener(file) as opener:
        yield FoundFile(name=file.name, size=size, head=peeked.head, open=opener.open)


def _find_reader(peeked: PeekedStream, budget: Budget) -> _ReadMembers | None:
    """Find out by its first bytes whether a file is an archive. A compressed file is one if a tar archive is in it."""
    if peeked.head.startswith(rpm.MAGIC):
        return rpm.read_rpm
    if peeked.head.startswith(deb.MAGIC):
        return deb.read_deb
    if tar.looks_like_tar(peeked.head):
        return tar.read_tar
    compression = find_compression(peeked.head)
    if compression is None or not _holds_tar(peeked, compression, budget):
        return None
    return partial(_read_compressed_tar, compression)


def _holds_tar(peeked: PeekedStream, compression: str, budget: Budget) -> bool:
    preview = Preview(peeked, _PREVIEW_BYTES)
    try:
        head = DecompressedStream(preview, compression, budget, piece_bytes=tar.HEAD_BYTES).read(tar.HEAD_BYTES)
    except MalformedError:  # also a file that only begins like a compressed one
        return False
    return tar.looks_like_tar(head)


def _read_compressed_tar(compression: str, stream: Stream, budget: Budget) -> Iterator[Member]:
    unpacked = DecompressedStream(stream, compression, budget)
    yield from tar.read_tar(unpacked, budget)
    skip_all(unpacked)  # the checksum of what was compressed comes last


def _walk_archive(
    read_members: _ReadMembers, stream: Stream, name: str, budget: Budget, *, depth: int
) -> Iterator[FoundFile]:
    with locate_errors(name):
        if depth > budget.limits.depth:
            raise LimitExceededError(
                f"archives are nested more than {budget.limits.depth} deep", remedy="unpack the outermost yourself"
            )
    members = read_members(stream, budget)
    while True:
        with locate_errors(name):
            member = next(members, None)
        if member is None:
            return
        yield from _walk_member(member, f"{name}{_SEPARATOR}{show_name(member.name)}", budget, depth=depth)


def _walk_member(member: Member, name: str, budget: Budget, *, depth: int) -> Iterator[FoundFile]:
    with locate_errors(name):
        peeked = PeekedStream(member.content, HEAD_BYTES)
        read_members = _find_reader(peeked, budget)
    if read_members is not None:
        yield from _walk_archive(read_members, peeked, name, budget, depth=depth + 1)
        return
    with MemberOpener(peeked, member.size, name, budget.limits.opened_bytes) as opener:
        yield FoundFile(name=name, size=member.size, head=peeked.head, open=opener.open)
