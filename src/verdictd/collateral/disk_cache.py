"""Collateral on disk: what was once known to be newest is known again after a restart, whatever its source does.

Each item is a file of its own, replaced whole. Nothing in it counts because it is there: whoever loads an item verifies
it as if it came from a peer.

Trust: whoever may write the directory can take items away, or put older ones that are still in time in their place.
"""

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verdictd.collateral.item_parts import ItemParts, put_together, take_apart
from verdictd.collateral.items import CollateralItem, ItemKey, VerifiedItem
from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.durable.files import make_directory, read_file, remove_leftovers, replace_file

_LOGGER: Final = logging.getLogger(__name__)
_SUFFIX: Final = ".json"
_FORM: Final = 1
_MAX_FILE_BYTES: Final = 2 * (MAX_CHAIN_BYTES + max(MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES))
_REMEDY: Final = "remove it: the item is fetched again"


@dataclass(frozen=True, slots=True)
class KeptItem:
    """An item as it was found on disk, unverified.

    Attributes:
        item: the item.
        is_from_peer: whether a peer had brought it.
        path: the file.
    """

    item: CollateralItem
    is_from_peer: bool
    path: Path

    def explain_refusal(self, reason: str) -> str:
        """Say why it does not count, and what to do."""
        return f"as it is kept in {self.path} it is of no use: {reason}; {_REMEDY}"


class DiskCache:
    """The items in one directory. Its methods may be called from any thread."""

    def __init__(self, directory: Path, *, max_files: int = 4096, max_bytes: int = 256 * 1024 * 1024) -> None:
        """Open a directory, which is made where it is missing.

        Args:
            directory: ``<data-dir>/collateral``.
            max_files: how many files are read, and beyond how many none is added.
            max_bytes: the same for what is in the directory altogether.
        Raises:
            ConfigError: it cannot be made, read or cleaned up.
        """
        make_directory(directory)
        remove_leftovers(directory)
        self._directory = directory
        self._max_files = max_files
        self._max_bytes = max_bytes

    def load(self) -> Iterator[KeptItem]:
        """Read what is there. A file that cannot be used is passed over, with a warning that says what to do."""
        try:
            files = sorted(path for path in self._directory.iterdir() if path.suffix == _SUFFIX)
        except OSError as error:
            _LOGGER.warning("no collateral is read from %s: %s", self._directory, error.strerror)
            return
        if len(files) > self._max_files:
            _LOGGER.warning("%s holds %d files, only %d are read", self._directory, len(files), self._max_files)
        left = self._max_bytes
        for number, path in enumerate(files[: self._max_files]):
            left -= _size(path)
            if left < 0:
                _LOGGER.warning(
                    "%s holds more than %d bytes, only %d files are read", self._directory, self._max_bytes, number
                )
                return
            try:
                yield _read(path)
            except VerdictdError as error:
                _LOGGER.warning("%s is passed over: %s; %s", path, error, _REMEDY)

    def keep(self, key: ItemKey, item: CollateralItem, *, is_from_peer: bool) -> None:
        """Keep an item that was verified, in the place of what was kept under its name. Where that fails, say so.

        What a peer brought never takes the place of what a source gave.
        """
        try:
            path, content = self._locate(key, is_from_peer=is_from_peer), _encode(item, is_from_peer=is_from_peer)
            full = self._explain_full(path, len(content))
            if full:
                _LOGGER.warning("%s is not kept on disk: %s; remove what is not needed there", key.name, full)
                return
            replace_file(path, content)
        except (VerdictdError, OSError) as error:
            _LOGGER.warning("%s cannot be kept on disk: %s", key.name, error)

    def keep_newest(
        self, taken: VerifiedItem, verify: Callable[[CollateralItem], VerifiedItem], *, is_from_peer: bool
    ) -> None:
        """Keep an item, unless what is kept under its name is a later statement of the vendor's.

        It may be although nobody knows of it: because the clock was behind when it was loaded, or as it was forgotten.

        Args:
            taken: what is to be kept.
            verify: verifies what is on disk, or raises an error of ours.
            is_from_peer: whether a peer brought it.
        """
        try:
            content = read_file(self._locate(taken.key, is_from_peer=is_from_peer), _MAX_FILE_BYTES)
            known = None if content is None else verify(_decode(content)[0])
        except VerdictdError:  # it is nothing, so that it can be replaced
            known = None
        if known is None or known.key != taken.key or known.sequence <= taken.sequence:
            self.keep(taken.key, taken.item, is_from_peer=is_from_peer)

    def _locate(self, key: ItemKey, *, is_from_peer: bool) -> Path:
        name = hashlib.sha256(repr((key, is_from_peer)).encode("utf-8")).hexdigest()
        return self._directory / f"{name}{_SUFFIX}"

    def _explain_full(self, path: Path, size: int) -> str:
        """Say why a file of so many bytes may not be added or replaced; empty where it may."""
        others = [_size(each) for each in self._directory.iterdir() if each != path]
        if len(others) >= self._max_files:
            return f"{self._directory} holds {len(others)} files already"
        if sum(others) + size > self._max_bytes:
            return f"{self._directory} holds {sum(others)} bytes already, of {self._max_bytes}"
        return ""


def _size(path: Path) -> int:
    """Return the size of a file, or of a link itself; 0 where it has gone meanwhile."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _encode(item: CollateralItem, *, is_from_peer: bool) -> bytes:
    parts = take_apart(item)
    members = {
        "form": _FORM,
        "kind": parts.kind,
        "source": parts.source,
        "is_from_peer": is_from_peer,
        "body": base64.b64encode(parts.body).decode("ascii"),
        "signature": parts.signature.hex(),
        "issuer_chain": base64.b64encode(parts.issuer_chain).decode("ascii"),
    }
    return json.dumps(members, indent=1).encode("ascii")


def _read(path: Path) -> KeptItem:
    if path.is_symlink():
        raise MalformedError("it is a symbolic link, which is never made here")
    content = read_file(path, _MAX_FILE_BYTES)
    if content is None:
        raise MalformedError("it is gone")
    item, is_from_peer = _decode(content)
    return KeptItem(item, is_from_peer, path)


def _decode(content: bytes) -> tuple[CollateralItem, bool]:
    try:
        match json.loads(content):
            case {
                "form": int(form),
                "kind": str(kind),
                "source": str(source),
                "is_from_peer": bool(is_from_peer),
                "body": str(body),
                "signature": str(signature),
                "issuer_chain": str(chain),
            } if form == _FORM and source.isprintable():  # it goes to the log, and where text must be Unicode
                raw_body, raw_chain = (base64.b64decode(text, validate=True) for text in (body, chain))
                parts = ItemParts(kind, raw_body, bytes.fromhex(signature), raw_chain, source)
                return put_together(parts), is_from_peer
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"it is no kept collateral: {error}") from error
    raise MalformedError("it is no kept collateral")
