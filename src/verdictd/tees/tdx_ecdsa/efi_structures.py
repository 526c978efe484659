"""What describes the events of EFI firmware, boot loaders and stubs. ``None`` stands for what cannot be read.

Spec: TCG PC Client Platform Firmware Profile: UEFI_VARIABLE_DATA, UEFI_IMAGE_LOAD_EVENT, TCG_PCClientTaggedEvent;
UEFI 2.10, 10.3 "Device Path Nodes".
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

_GLOBAL_VARIABLE: Final = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURE_BOOT: Final = (_GLOBAL_VARIABLE, "SecureBoot")
_QEMU_KERNEL_LOADER: Final = UUID("1428f772-b64a-441e-b8c3-9ebdd7f893c7")
"""The medium from which OVMF loads a kernel that QEMU was given (-kernel)."""
_VARIABLE = struct.Struct("<16sQQ")
_IMAGE_LOAD = struct.Struct("<QQQQ")
_TAG = struct.Struct("<II")
_NODE = struct.Struct("<BBH")
_MEDIA, _MEDIA_VENDOR, _MEDIA_FILE = 4, 3, 4


class Variable(NamedTuple):
    """A variable of UEFI: whose it is, its name, and its value."""

    vendor: UUID
    name: str
    value: bytes


class ImageLoad(NamedTuple):
    """Where an image was loaded from: its file's path, empty where there is none, and whether QEMU handed it over."""

    path: str
    is_direct_kernel: bool


def decode_text16(data: bytes) -> str | None:
    """Decode UTF-16 text with one zero at its end."""
    try:
        text = data.decode("utf-16-le")
    except UnicodeDecodeError:
        return None
    return text[:-1] if text.endswith("\0") and "\0" not in text[:-1] else None


def parse_variable(data: bytes) -> Variable | None:
    """Read a variable: vendor (16), name's length in characters (8), value's in bytes (8), name in UTF-16, value."""
    if len(data) < _VARIABLE.size:
        return None
    vendor, characters, size = _VARIABLE.unpack_from(data)
    value_at = _VARIABLE.size + 2 * characters
    if value_at + size != len(data):
        return None
    try:
        name = data[_VARIABLE.size : value_at].decode("utf-16-le")
    except UnicodeDecodeError:
        return None
    return Variable(UUID(bytes_le=vendor), name, data[value_at:])


def parse_tag(data: bytes) -> int | None:
    """Read the number of a tagged event: number (4), size (4), data."""
    if len(data) < _TAG.size:
        return None
    number, size = _TAG.unpack_from(data)
    return number if _TAG.size + size == len(data) else None


def parse_image_load(data: bytes) -> ImageLoad | None:
    """Read an image: address, length, link-time address (8 each), device path's length (8), device path."""
    if len(data) < _IMAGE_LOAD.size:
        return None
    *_, size = _IMAGE_LOAD.unpack_from(data)
    if _IMAGE_LOAD.size + size != len(data):
        return None
    path, is_qemu = "", False
    for kind, content in _media_nodes(data[_IMAGE_LOAD.size :]):
        if kind == _MEDIA_FILE:
            path += decode_text16(content) or ""
        elif kind == _MEDIA_VENDOR and content[:16] == _QEMU_KERNEL_LOADER.bytes_le:
            is_qemu = True
    return ImageLoad(path, is_qemu and path == "kernel")


def _media_nodes(path: bytes) -> Iterator[tuple[int, bytes]]:
    """The nodes of a device path that name media, by sub-type; nothing after what is no node."""
    offset = 0
    while offset + _NODE.size <= len(path):
        kind, sub_kind, size = _NODE.unpack_from(path, offset)
        if size < _NODE.size or offset + size > len(path):
            return
        if kind == _MEDIA:
            yield sub_kind, path[offset + _NODE.size : offset + size]
        offset += size
