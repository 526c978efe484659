"""The launch digest of a guest of SEV or SEV-ES, which came before SEV-SNP: one SHA-256 of all that it begins with.

Spec:
    SEV API Specification (55766), LAUNCH_UPDATE_DATA, LAUNCH_UPDATE_VMSA: what is hashed.
    QEMU, target/i386/sev.c: the firmware, the kernel's hashes, and for SEV-ES the registers of each CPU.
"""

import enum
import hashlib
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import UnsupportedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.firmware_table import parse_firmware_table
from verdictd.guest_images.sev_kernel_hashes import build_kernel_hashes
from verdictd.guest_images.sev_metadata import HASH_TABLE, read_reset_address
from verdictd.guest_images.sev_save_area import Hypervisor, build_save_areas

_NO_FEATURES: Final = 0


class SevGeneration(enum.Enum):
    """Whether the registers of the CPUs are encrypted, and so part of the launch."""

    SEV = "sev"
    SEV_ES = "sev-es"


@dataclass(frozen=True, slots=True, kw_only=True)
class SevGuest:
    """How QEMU starts a guest, as far as it decides the launch digest.

    Attributes:
        firmware: the OVMF image, all of it.
        generation: of SEV or SEV-ES.
        boot: what the firmware is handed and checks by its hashes; ``None`` where it boots from a disk.
        cpus: how many the guest has: 1 to 4,096. Only SEV-ES depends on it.
        cpu_signature: of the CPU model, as `amd_cpu_models` has it, 32 bits. Only SEV-ES depends on it.
    """

    firmware: bytes
    generation: SevGeneration
    boot: BootFiles | None = None
    cpus: int = 1
    cpu_signature: int = 0


def calculate_sev_launch_digest(guest: SevGuest) -> bytes:
    """Compute the launch digest of a guest.

    Returns:
        32 bytes, as the launch digest in an attestation report of SEV.
    Raises:
        MalformedError: the image does not follow its format, or a number is out of its range.
        UnsupportedError: the image is not made for SEV-ES, or not for checking a kernel although there is one.
        LimitExceededError: something is larger than may be.
    """
    table = parse_firmware_table(guest.firmware)
    digest = hashlib.sha256(guest.firmware)
    if guest.boot is not None:
        if not table.has(HASH_TABLE) or not table.read_word(HASH_TABLE, "place of the kernel's hashes"):
            raise UnsupportedError(
                "the firmware does not check a kernel: its table has no place for the kernel's hashes",
                remedy="use an image made for it (OvmfPkg/AmdSev), or leave kernel, initrd and command line out",
            )
        digest.update(build_kernel_hashes(guest.boot))
    if guest.generation is SevGeneration.SEV_ES:
        save_areas = build_save_areas(
            read_reset_address(table),
            cpus=guest.cpus,
            cpu_signature=guest.cpu_signature,
            features=_NO_FEATURES,
            hypervisor=Hypervisor.QEMU,
        )
        for page in save_areas:
            digest.update(page)
    return digest.digest()
