"""A kernel of a few pages: a PE file with the header of the Linux boot protocol, and nothing to run."""

import struct

PE_AT = 0x80
OPTIONAL_AT = PE_AT + 24
CHECKSUM_AT = OPTIONAL_AT + 64
DIRECTORY_AT = OPTIONAL_AT + 112 + 4 * 8
TABLE_AT = OPTIONAL_AT + 112 + 6 * 8
HEADERS_END = 0x1000
FILE_BYTES = 0x4000


def build_kernel(
    *,
    version: int = 0x20F,
    flags: int = 0x01,
    extended_flags: int = 0x7F,
    trailer: bytes = b"",
    sections: tuple[tuple[int, int], ...] = ((0x2000, 0x2000), (0x1000, 0x1000), (0, 0)),
) -> bytes:
    """The sections are offset and size, in the order of their table, which is not that of the file."""
    image = bytearray(number * 7 % 251 for number in range(FILE_BYTES))
    image[:2] = b"MZ"
    struct.pack_into("<I", image, 0x3C, PE_AT)
    struct.pack_into("<4sHHIIIHH", image, PE_AT, b"PE\0\0", 0x8664, len(sections), 0, 0, 0, 112 + 6 * 8, 0x206)
    image[OPTIONAL_AT:TABLE_AT] = bytes(TABLE_AT - OPTIONAL_AT)
    struct.pack_into("<H", image, OPTIONAL_AT, 0x20B)
    struct.pack_into("<II", image, OPTIONAL_AT + 60, HEADERS_END, 0x1234)
    struct.pack_into("<I", image, OPTIONAL_AT + 108, 6)
    for number, (offset, size) in enumerate(sections):
        struct.pack_into("<8sIIIIIIHHI", image, TABLE_AT + number * 40, b".text", 0, 0, size, offset, 0, 0, 0, 0, 0)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, version)
    image[0x210], image[0x211] = 0, flags
    image[0x218:0x230] = bytes(0x18)
    struct.pack_into("<H", image, 0x236, extended_flags)
    return bytes(image) + trailer


def sign(image: bytes, signature: bytes = b"signature") -> bytes:
    """Add a signature as a tool does, with a checksum that fits it."""
    image += bytes(-len(image) % 8)
    signature = struct.pack("<IHH", len(signature) + 8, 0x200, 2) + signature
    signature += bytes(-len(signature) % 8)
    signed = bytearray(image + signature)
    struct.pack_into("<II", signed, DIRECTORY_AT, len(image), len(signature))
    struct.pack_into("<I", signed, CHECKSUM_AT, sum(signed) & 0xFFFFFFFF)
    return bytes(signed)


class Huge(bytes):
    """Bytes that say they are of another length, so that a test of a limit needs no memory for it."""

    length: int

    @classmethod
    def of(cls, length: int, content: bytes = b"") -> "Huge":
        made = cls(content)
        made.length = length
        return made

    def __len__(self) -> int:
        return self.length
