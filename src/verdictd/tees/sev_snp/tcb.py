"""The TCB version of a report: eight bytes whose meaning depends on the product.

Spec: AMD 56860, SEV Secure Nested Paging Firmware ABI, "TCB_VERSION".
"""

from operator import ge
from typing import NamedTuple

from verdictd.tees.amd.extensions import AMDProduct


class TCBVersion(NamedTuple):
    """Security version numbers of what a processor runs, 0 to 255 each. `fmc` is 0 where the product has none."""

    fmc: int
    bootloader: int
    tee: int
    snp: int
    microcode: int

    def covers(self, other: "TCBVersion") -> bool:
        """Whether no component is below the other's."""
        return all(map(ge, self, other))

    def __str__(self) -> str:
        """Every component by its name, for messages."""
        return (
            f"fmc {self.fmc}, bootloader {self.bootloader}, tee {self.tee}, snp {self.snp}, microcode {self.microcode}"
        )


def read_tcb(raw: bytes, product: AMDProduct) -> TCBVersion | None:
    """Read the eight bytes as a product has them; ``None`` where a reserved one is not zero, so nothing is lost."""
    if product == "Turin":
        fmc, bootloader, tee, snp, *reserved, microcode = raw
    else:
        bootloader, tee, *reserved, snp, microcode = raw
        fmc = 0
    return None if any(reserved) else TCBVersion(fmc, bootloader, tee, snp, microcode)
