"""What a report says of how its platform is set up.

Spec: AMD 56860, SEV Secure Nested Paging Firmware ABI, "PLATFORM_INFO".
"""

from typing import Final

_BITS: Final = {
    "smt_enabled": 0,
    "tsme_enabled": 1,
    "ecc_enabled": 2,
    "rapl_disabled": 3,
    "ciphertext_hiding_enabled": 4,
    "alias_check_complete": 5,
    "iommu_write_safe": 6,
    "tio_enabled": 7,
}


def name_platform_bits(value: int) -> dict[str, bool]:
    """Name each bit that is known: simultaneous multithreading, memory encryption outside guests, ECC memory, ….

    The rest may get a meaning without a new version of the report.
    """
    return {name: bool(value >> bit & 1) for name, bit in _BITS.items()}
