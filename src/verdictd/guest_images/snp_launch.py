"""The launch digest of an SEV-SNP guest: what its reports have as MEASUREMENT, computed without a CPU that can.

Every page that is put into the guest before it runs is one step: the digest so far, what the page holds, of what kind
it is and where it is are hashed to the next one.

Spec:
    SEV-SNP Firmware ABI (56860), 8.17.2, "PAGE_INFO": what is hashed of a page.
    QEMU, target/i386/sev.c: the order of the pages. The firmware is first, then what its metadata asks for, and the
    CPUs' registers are last.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.firmware_table import FOUR_GIB, PAGE_BYTES
from verdictd.guest_images.sev_kernel_hashes import build_kernel_hashes_page
from verdictd.guest_images.sev_metadata import SectionKind, SevMetadata, SevSection, parse_sev_metadata
from verdictd.guest_images.sev_save_area import Hypervisor, build_save_areas

LAUNCH_DIGEST_BYTES: Final = 48
SNP_ACTIVE: Final = 0x1
"""The bit of SEV_FEATURES without which a guest is not one of SEV-SNP."""

_PAGE_INFO: Final = struct.Struct("<48s48sHBB4xQ")
_NORMAL, _SAVE_AREA, _ZERO, _UNMEASURED, _SECRETS, _CPUID = range(1, 7)
_SAVE_AREA_ADDRESS: Final = 0xFFFFFFFFF000
"""Firmware of the security processor counts these pages as at the highest address there is: 52 bits, page aligned."""
_NOTHING: Final = bytes(LAUNCH_DIGEST_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpGuest:
    """How a guest is started, as far as it decides the launch digest.

    Attributes:
        firmware: the OVMF image, all of it.
        cpus: how many the guest has: 1 to 4,096.
        cpu_signature: of the CPU model, as `amd_cpu_models` has it, 32 bits. Only QEMU's guests depend on it.
        features: SEV_FEATURES, 64 bits. Which they are depends on the host: 0x1, or 0x21 where debug swap is on.
        boot: what the firmware is handed and checks by its hashes; ``None`` where it boots from a disk.
        hypervisor: who starts it.
    """

    firmware: bytes
    cpus: int
    cpu_signature: int
    features: int = SNP_ACTIVE
    boot: BootFiles | None = None
    hypervisor: Hypervisor = Hypervisor.QEMU


def calculate_snp_launch_digest(guest: SnpGuest) -> bytes:
    """Compute the launch digest of a guest.

    Returns:
        48 bytes, as in MEASUREMENT of an attestation report.
    Raises:
        MalformedError: the image does not follow its format, or a number is out of its range.
        UnsupportedError: the image is not made for SEV-SNP, or not for checking a kernel although there is one.
        LimitExceededError: something is larger than may be.
    """
    if not 0 <= guest.features < 1 << 64 or not guest.features & SNP_ACTIVE:
        raise MalformedError(
            f"the guest's SEV features are {guest.features:#x}, expected 64 bits of which the lowest is set"
        )
    metadata = parse_sev_metadata(guest.firmware)
    save_areas = build_save_areas(
        metadata.reset_address,
        cpus=guest.cpus,
        cpu_signature=guest.cpu_signature,
        features=guest.features,
        hypervisor=guest.hypervisor,
    )
    chain = _PageChain()
    chain.add_content(FOUR_GIB - len(guest.firmware), guest.firmware)
    for section in _order_sections(metadata, guest.hypervisor):
        _add_section(chain, section, guest, metadata.hash_table_address)
    if guest.boot is not None and metadata.hash_table_address is None:
        raise UnsupportedError(
            "the firmware does not check a kernel: its metadata has no section for the kernel's hashes",
            remedy="use an image made for it (OvmfPkg/AmdSev), or leave kernel, initrd and command line out",
        )
    for page in save_areas:
        chain.add_save_area(page)
    return chain.digest


def _order_sections(metadata: SevMetadata, hypervisor: Hypervisor) -> Iterable[SevSection]:
    """Order them as they are added: as they stand, but Amazon's hypervisor adds the CPUID page after all others."""
    if hypervisor is not Hypervisor.AMAZON_EC2:
        return metadata.sections
    return sorted(metadata.sections, key=lambda section: section.kind is SectionKind.CPUID)


def _add_section(chain: "_PageChain", section: SevSection, guest: SnpGuest, hash_table_address: int | None) -> None:
    if section.kind is SectionKind.KERNEL_HASHES and guest.boot is not None and hash_table_address is not None:
        chain.add_content(section.address, build_kernel_hashes_page(guest.boot, hash_table_address))
        return
    kind = _ZERO
    if section.kind is SectionKind.SECRETS:
        kind = _SECRETS
    elif section.kind is SectionKind.CPUID:
        kind = _CPUID
    elif section.kind is SectionKind.SEC_MEMORY and guest.hypervisor is Hypervisor.GOOGLE_COMPUTE_ENGINE:
        kind = _UNMEASURED
    chain.add_empty(section, kind)


class _PageChain:
    """The digest while the pages of a guest are added, in the order in which they are."""

    def __init__(self) -> None:
        self.digest = _NOTHING

    def add_content(self, address: int, content: bytes) -> None:
        """Add pages whose content is measured."""
        view = memoryview(content)
        for offset in range(0, len(view), PAGE_BYTES):
            self._step(_NORMAL, address + offset, hashlib.sha384(view[offset : offset + PAGE_BYTES]).digest())

    def add_empty(self, section: SevSection, kind: int) -> None:
        """Add pages of which only the kind and the place are measured."""
        for address in range(section.address, section.address + section.size, PAGE_BYTES):
            self._step(kind, address, _NOTHING)

    def add_save_area(self, page: bytes) -> None:
        """Add the registers of one CPU."""
        self._step(_SAVE_AREA, _SAVE_AREA_ADDRESS, hashlib.sha384(page).digest())

    def _step(self, kind: int, address: int, content: bytes) -> None:
        info = _PAGE_INFO.pack(self.digest, content, _PAGE_INFO.size, kind, 0, address)
        self.digest = hashlib.sha384(info).digest()
