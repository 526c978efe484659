"""OVMF images of a few pages, with all that a hypervisor reads of them. What they hold otherwise is no code."""

import struct
from dataclasses import dataclass
from uuid import UUID

FOOTER = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
RESET_BLOCK = UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")
SEV_METADATA = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
HASH_TABLE = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
TDX_METADATA = UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")

SEC_MEMORY, SECRETS, CPUID, CALLING_AREA, KERNEL_HASHES = 1, 2, 3, 4, 0x10
BOOT_FIRMWARE, CONFIGURATION, TD_HOB, TEMPORARY_MEMORY = range(4)

SEV_SECTIONS = (
    (0x800000, 0x9000, SEC_MEMORY),
    (0x80A000, 0x3000, SEC_MEMORY),
    (0x80D000, 0x1000, SECRETS),
    (0x80E000, 0x1000, CPUID),
    (0x80F000, 0x1000, CALLING_AREA),
    (0x810000, 0x1000, KERNEL_HASHES),
    (0x811000, 0x2000, SEC_MEMORY),
)
HASH_TABLE_AT = 0x810C00
RESET_AT = 0x80B004

_SEV_FROM_END, _TDX_FROM_END = 0x600, 0xC00


def td_sections(pages: int) -> tuple[tuple[int, ...], ...]:
    """Offset, data size, address, size, kind, attributes: variables in the first page, firmware in all others."""
    size = pages * 0x1000
    base = (1 << 32) - size
    return (
        (0x1000, size - 0x1000, base + 0x1000, size - 0x1000, BOOT_FIRMWARE, 1),
        (0, 0x1000, base, 0x1000, CONFIGURATION, 0),
        (0, 0, 0x810000, 0x10000, TEMPORARY_MEMORY, 0),
        (0, 0, 0x80B000, 0x2000, TEMPORARY_MEMORY, 0),
        (0, 0, 0x809000, 0x2000, TD_HOB, 0),
        (0, 0, 0x800000, 0x6000, TEMPORARY_MEMORY, 0),
    )


@dataclass
class Ovmf:
    """What an image says; each member can be changed before it is built. ``None`` leaves a block out."""

    pages: int = 4
    sev_sections: tuple[tuple[int, int, int], ...] = SEV_SECTIONS
    sev_header: tuple[bytes, int | None, int, int | None] = (b"ASEV", None, 1, None)
    sev_from_end: int | None = _SEV_FROM_END
    reset_at: int | None = RESET_AT
    hash_table_at: int | None = HASH_TABLE_AT
    td_sections: tuple[tuple[int, ...], ...] | None = None
    td_header: tuple[bytes, int | None, int, int | None] = (b"TDVF", None, 1, None)
    td_from_end: int | None = _TDX_FROM_END
    more_blocks: tuple[tuple[UUID, bytes], ...] = ()
    footer: UUID = FOOTER
    table_size: int | None = None

    def build(self) -> bytes:
        image = bytearray(bytes(range(256)) * 16 * self.pages)
        for page in range(self.pages):  # no page is like another
            struct.pack_into("<I", image, page * 4096, page)
        sev = self._metadata(self.sev_header, [struct.pack("<III", *each) for each in self.sev_sections])
        sections = td_sections(self.pages) if self.td_sections is None else self.td_sections
        tdx = self._metadata(self.td_header, [struct.pack("<IIQQII", *each) for each in sections])
        image[len(image) - _SEV_FROM_END : len(image) - _SEV_FROM_END + len(sev)] = sev
        image[len(image) - _TDX_FROM_END : len(image) - _TDX_FROM_END + len(tdx)] = tdx
        table = self._table()
        image[len(image) - 32 - len(table) : len(image) - 32] = table
        return bytes(image)

    def _metadata(self, header: tuple[bytes, int | None, int, int | None], entries: list[bytes]) -> bytes:
        signature, size, version, count = header
        body = b"".join(entries)
        size = 16 + len(body) if size is None else size
        return struct.pack("<4sIII", signature, size, version, len(entries) if count is None else count) + body

    def _table(self) -> bytes:
        words = (
            (RESET_BLOCK, self.reset_at),
            (HASH_TABLE, self.hash_table_at),
            (SEV_METADATA, self.sev_from_end),
            (TDX_METADATA, self.td_from_end),
        )
        blocks = [(guid, struct.pack("<I", word)) for guid, word in words if word is not None]
        table = b"".join(entry(guid, data) for guid, data in (*blocks, *self.more_blocks))
        size = len(table) + 18 if self.table_size is None else self.table_size
        return table + struct.pack("<H16s", size, self.footer.bytes_le)


def entry(guid: UUID, data: bytes) -> bytes:
    """One block of the table, which is read from its end."""
    return data + struct.pack("<H16s", len(data) + 18, guid.bytes_le)
