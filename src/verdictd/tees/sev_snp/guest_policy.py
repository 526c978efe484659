"""The guest policy: what a guest's owner let the host do with it, fixed at launch.

Spec: AMD 56860, SEV Secure Nested Paging Firmware ABI, "Guest Policy".
"""

from typing import Final, NamedTuple

_SMT: Final = 1 << 16
_MUST_BE_ONE: Final = 1 << 17
_MIGRATION_AGENT: Final = 1 << 18
_DEBUG: Final = 1 << 19
_SINGLE_SOCKET: Final = 1 << 20
_CXL: Final = 1 << 21
_AES_256_XTS: Final = 1 << 22
_RAPL_DISABLED: Final = 1 << 23
_CIPHERTEXT_HIDING: Final = 1 << 24
_PAGE_SWAP_DISABLED: Final = 1 << 25
_RESERVED: Final = ~((1 << 26) - 1)


class GuestPolicy(NamedTuple):
    """The 64 bits of a guest policy."""

    value: int

    @property
    def abi(self) -> tuple[int, int]:
        """The lowest ABI version of a firmware that may run the guest: major, minor."""
        return (self.value >> 8) & 0xFF, self.value & 0xFF

    @property
    def allows_smt(self) -> bool:
        """Whether the host may use simultaneous multithreading."""
        return bool(self.value & _SMT)

    @property
    def allows_migration_agent(self) -> bool:
        """Whether a migration agent, which can read the guest, may be bound to it."""
        return bool(self.value & _MIGRATION_AGENT)

    @property
    def allows_debug(self) -> bool:
        """Whether the host may read and write the guest's memory."""
        return bool(self.value & _DEBUG)

    @property
    def requires_single_socket(self) -> bool:
        """Whether the guest runs on one socket only."""
        return bool(self.value & _SINGLE_SOCKET)

    @property
    def allows_cxl(self) -> bool:
        """Whether CXL devices or memory may be there."""
        return bool(self.value & _CXL)

    @property
    def requires_aes_256_xts(self) -> bool:
        """Whether memory has to be encrypted with AES-256-XTS."""
        return bool(self.value & _AES_256_XTS)

    @property
    def requires_rapl_disabled(self) -> bool:
        """Whether power may not be measured (RAPL)."""
        return bool(self.value & _RAPL_DISABLED)

    @property
    def requires_ciphertext_hiding(self) -> bool:
        """Whether the host may not see the ciphertext of the guest's memory."""
        return bool(self.value & _CIPHERTEXT_HIDING)

    @property
    def disables_page_swap(self) -> bool:
        """Whether the host may not move or swap out the guest's pages."""
        return bool(self.value & _PAGE_SWAP_DISABLED)

    @property
    def is_well_formed(self) -> bool:
        """Whether bit 17 is one and no reserved bit is set."""
        return bool(self.value & _MUST_BE_ONE) and not self.value & _RESERVED
