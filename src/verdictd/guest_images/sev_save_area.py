"""The registers that a CPU of an SEV-ES or SEV-SNP guest begins with: the page (VMSA) that is part of the launch.

Spec:
    AMD64 APM vol. 2 (24593), table B-4: the layout; appendix A.3 for PAT, 14.1.3 for the state after reset.
    Linux, arch/x86/kvm/svm: it sets EFER.SVME and CR4.MCE. What else differs is each hypervisor's own.
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.guest_images.firmware_table import PAGE_BYTES

MAX_CPUS: Final = 4096
"""As many as KVM gives a guest."""
BOOT_ADDRESS: Final = 0xFFFFFFF0
"""Where the first CPU begins, as any x86 CPU does."""

_SEGMENT: Final = struct.Struct("<HHIQ")
_WORD16: Final = struct.Struct("<H")
_WORD32: Final = struct.Struct("<I")
_WORD64: Final = struct.Struct("<Q")
_LIMIT: Final = 0xFFFF
_CS_SELECTOR: Final = 0xF000
_DATA, _LDT = 0x93, 0x82
_EFER_SVME: Final = 0x1000
_CR4_MCE: Final = 0x40
_CR0_ET: Final = 0x10
_DR6, _DR7 = 0xFFFF0FF0, 0x400
_RFLAGS: Final = 0x2
_XCR0_X87: Final = 0x1
_AMAZON_RESET_CS: Final = 0x9A


class Hypervisor(enum.Enum):
    """Who starts the guest: they do not begin with quite the same registers."""

    QEMU = "qemu"
    AMAZON_EC2 = "ec2"
    GOOGLE_COMPUTE_ENGINE = "gce"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResetState:
    cs: int
    ss: int
    tr: int
    pat: int
    mxcsr: int
    x87_control: int
    rdx: int | None
    """``None`` where it is the CPU's signature."""


_RESET_PAT: Final = 0x0007040600070406
_RESET_STATES: Final = {
    Hypervisor.QEMU: _ResetState(cs=0x9B, ss=0x93, tr=0x8B, pat=_RESET_PAT, mxcsr=0x1F80, x87_control=0x37F, rdx=None),
    Hypervisor.AMAZON_EC2: _ResetState(cs=0x9B, ss=0x92, tr=0x83, pat=_RESET_PAT, mxcsr=0, x87_control=0, rdx=0x600),
    Hypervisor.GOOGLE_COMPUTE_ENGINE: _ResetState(
        cs=0x9B, ss=0x93, tr=0x8B, pat=0x00070106, mxcsr=0, x87_control=0, rdx=0x600
    ),
}


def build_save_areas(
    reset_address: int, *, cpus: int, cpu_signature: int, features: int, hypervisor: Hypervisor
) -> Iterator[bytes]:
    """Build the pages of all CPUs of a guest, 4,096 bytes each, in their order.

    Args:
        reset_address: where CPUs other than the first begin, 32 bits.
        cpus: how many there are.
        cpu_signature: of the CPU model. Only QEMU puts it into a register.
        features: SEV_FEATURES, 64 bits.
        hypervisor: whose initial state.
    Raises:
        MalformedError: a number is out of its range.
        LimitExceededError: more CPUs than may be.
    """
    if cpus > MAX_CPUS:
        raise LimitExceededError(f"the guest has {cpus} CPUs, the limit is {MAX_CPUS}")
    if cpus < 1:
        raise MalformedError(f"the guest has {cpus} CPUs, expected one and more")
    if not 0 <= cpu_signature < 1 << 32:
        raise MalformedError(f"the CPU's signature is {cpu_signature:#x}, expected 32 bits")
    first, other = (
        build_save_area(address, cpu_signature=cpu_signature, features=features, hypervisor=hypervisor)
        for address in (BOOT_ADDRESS, reset_address)
    )
    return chain((first,), repeat(other, cpus - 1))


def build_save_area(address: int, *, cpu_signature: int, features: int, hypervisor: Hypervisor) -> bytes:
    """Build the page of one CPU.

    Args:
        address: where it begins, 32 bits.
        cpu_signature: 32 bits. Only QEMU puts it into a register.
        features: SEV_FEATURES, 64 bits.
        hypervisor: whose initial state.
    Returns:
        4,096 bytes.
    """
    state = _RESET_STATES[hypervisor]
    cs = _AMAZON_RESET_CS if hypervisor is Hypervisor.AMAZON_EC2 and address == BOOT_ADDRESS else state.cs
    page = bytearray(PAGE_BYTES)
    segments = {
        0x00: (0, _DATA, 0),  # ES
        0x10: (_CS_SELECTOR, cs, address & 0xFFFF0000),  # CS
        0x20: (0, state.ss, 0),  # SS
        0x30: (0, _DATA, 0),  # DS
        0x40: (0, _DATA, 0),  # FS
        0x50: (0, _DATA, 0),  # GS
        0x60: (0, 0, 0),  # GDTR
        0x70: (0, _LDT, 0),  # LDTR
        0x80: (0, 0, 0),  # IDTR
        0x90: (0, state.tr, 0),  # TR
    }
    for offset, (selector, attributes, base) in segments.items():
        _SEGMENT.pack_into(page, offset, selector, attributes, _LIMIT, base)
    registers = {
        0x0D0: _EFER_SVME,
        0x148: _CR4_MCE,
        0x158: _CR0_ET,
        0x160: _DR7,
        0x168: _DR6,
        0x170: _RFLAGS,
        0x178: address & 0xFFFF,  # RIP
        0x268: state.pat,
        0x310: cpu_signature if state.rdx is None else state.rdx,  # RDX
        0x3B0: features,
        0x3E8: _XCR0_X87,
    }
    for offset, value in registers.items():
        _WORD64.pack_into(page, offset, value)
    _WORD32.pack_into(page, 0x408, state.mxcsr)
    _WORD16.pack_into(page, 0x410, state.x87_control)
    return bytes(page)
