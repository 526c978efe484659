"""The launch digest against known answers, and against an independent calculator where one is installed."""

import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest_images.ovmf_images import KERNEL_HASHES, SEC_MEMORY, SEV_SECTIONS, Ovmf
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images import snp_launch
from verdictd.guest_images.amd_cpu_models import CPU_SIGNATURES, find_cpu_signature
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.sev_kernel_hashes import build_kernel_hashes, build_kernel_hashes_page
from verdictd.guest_images.sev_metadata import SectionKind, SevSection
from verdictd.guest_images.sev_save_area import BOOT_ADDRESS, MAX_CPUS, Hypervisor, build_save_area
from verdictd.guest_images.snp_launch import SnpGuest, calculate_snp_launch_digest

BOOT = BootFiles(kernel=b"kernel" * 999, initrd=b"initrd" * 777, command_line="console=ttyS0 root=/dev/vda")
GUEST = SnpGuest(firmware=Ovmf().build(), cpus=2, cpu_signature=find_cpu_signature("EPYC-Milan"), boot=BOOT)
WITHOUT_HASHES = Ovmf(sev_sections=tuple(section for section in SEV_SECTIONS if section[2] != KERNEL_HASHES))

KNOWN = [
    (
        GUEST,
        "13e46b4f43b1f106621bedb191eadf871ade891a0cd552c50adf0c66ab423c7745aea53ce47c6570c960610add7a8283",
    ),
    (
        replace(GUEST, boot=None, cpus=1, features=0x21),
        "1c06c2a20ba08831a750a811de7e105367220abd2bba0beb4340481ad93b7577e05a60b3a7aa977a593acfd3178439d5",
    ),
    (
        replace(GUEST, hypervisor=Hypervisor.AMAZON_EC2),
        "7b05b3c55e51c8e696512abc675c4e63d9124b696c0287ff4bc40a5b377c7f2ecbe7221ff8fa3273a614eb5aa666f10b",
    ),
    (
        replace(GUEST, hypervisor=Hypervisor.GOOGLE_COMPUTE_ENGINE),
        "32737c1ee51095f5809e710b79cc07aaf29c03abf08f872a515fef3a507c41a9f81cfd3f3f0bb3347ddc7634c13a7839",
    ),
]
"""Computed by sev-snp-measure 0.0.13 from the same bytes."""


@pytest.mark.parametrize(("guest", "digest"), KNOWN)
def test_known_answers(guest: SnpGuest, digest: str) -> None:
    assert calculate_snp_launch_digest(guest).hex() == digest


def test_each_input_is_part_of_the_digest() -> None:
    variants = [
        GUEST,
        replace(GUEST, firmware=Ovmf(pages=5).build()),
        replace(GUEST, firmware=Ovmf(reset_at=0x80B014).build()),
        replace(GUEST, firmware=Ovmf(hash_table_at=0x810C10).build()),
        replace(GUEST, firmware=Ovmf(sev_sections=SEV_SECTIONS[1:]).build()),
        replace(GUEST, firmware=Ovmf(sev_sections=(*SEV_SECTIONS[1:], SEV_SECTIONS[0])).build()),
        replace(GUEST, cpus=3),
        replace(GUEST, cpu_signature=GUEST.cpu_signature + 1),
        replace(GUEST, features=0x21),
        replace(GUEST, boot=None),
        replace(GUEST, boot=replace(BOOT, kernel=b"other")),
        replace(GUEST, boot=replace(BOOT, initrd=b"")),
        replace(GUEST, boot=replace(BOOT, command_line="")),
        replace(GUEST, hypervisor=Hypervisor.AMAZON_EC2),
        replace(GUEST, hypervisor=Hypervisor.GOOGLE_COMPUTE_ENGINE),
    ]
    digests = {calculate_snp_launch_digest(guest) for guest in variants}
    assert len(digests) == len(variants)
    assert {len(digest) for digest in digests} == {48}


def test_only_qemu_depends_on_the_cpu_model() -> None:
    for hypervisor in (Hypervisor.AMAZON_EC2, Hypervisor.GOOGLE_COMPUTE_ENGINE):
        guest = replace(GUEST, hypervisor=hypervisor)
        assert calculate_snp_launch_digest(guest) == calculate_snp_launch_digest(replace(guest, cpu_signature=0))


@given(st.integers(0, 4 * 4096 - 1), st.integers(0, 7))
def test_any_bit_of_the_firmware_changes_the_digest(offset: int, bit: int) -> None:
    image = bytearray(GUEST.firmware)
    image[offset] ^= 1 << bit
    try:
        digest = calculate_snp_launch_digest(replace(GUEST, firmware=bytes(image)))
    except (MalformedError, UnsupportedError, LimitExceededError):
        return
    assert digest != calculate_snp_launch_digest(GUEST)


def test_a_kernel_needs_firmware_that_checks_it() -> None:
    guest = replace(GUEST, firmware=WITHOUT_HASHES.build())
    with pytest.raises(UnsupportedError, match="does not check a kernel"):
        calculate_snp_launch_digest(guest)
    assert calculate_snp_launch_digest(replace(guest, boot=None))


@pytest.mark.parametrize(
    ("guest", "error"),
    [
        (replace(GUEST, cpus=0), MalformedError),
        (replace(GUEST, cpus=MAX_CPUS + 1), LimitExceededError),
        (replace(GUEST, cpu_signature=-1), MalformedError),
        (replace(GUEST, cpu_signature=1 << 32), MalformedError),
        (replace(GUEST, features=0x20), MalformedError),
        (replace(GUEST, features=(1 << 64) + 1), MalformedError),
        (replace(GUEST, features=-1), MalformedError),
    ],
)
def test_numbers_out_of_range_are_refused(guest: SnpGuest, error: type[Exception]) -> None:
    with pytest.raises(error):
        calculate_snp_launch_digest(guest)


def test_numbers_at_the_end_of_their_range_are_accepted() -> None:
    for guest in (
        replace(GUEST, cpus=MAX_CPUS),
        replace(GUEST, cpu_signature=(1 << 32) - 1),
        replace(GUEST, features=(1 << 64) - 1),
    ):
        assert calculate_snp_launch_digest(guest) != calculate_snp_launch_digest(GUEST)


def test_the_kernel_hashes_are_laid_out_as_qemu_does() -> None:
    table = build_kernel_hashes(BOOT)
    assert len(table) == 176
    assert struct.unpack_from("<H", table, 16) == (168,)
    hashes = [table[18 + number * 50 + 18 : 18 + number * 50 + 50] for number in range(3)]
    assert hashes == [
        hashlib.sha256(content).digest() for content in (BOOT.command_line.encode() + b"\0", BOOT.initrd, BOOT.kernel)
    ]
    assert build_kernel_hashes_page(BOOT, 0x810F50)[0xF50:] == table
    with pytest.raises(MalformedError, match="within one page"):
        build_kernel_hashes_page(BOOT, 0x810F51)


def test_a_recorded_guest_has_the_measurement_that_is_computed() -> None:
    """Of a report signed by a CPU: a guest of QEMU 10.0 with two CPUs EPYC-v4, from what was published with it.

    The firmware itself was not: the digest after its pages was, and the hashes of kernel and initrd.
    """
    command_line = (
        "console=ttyS0 init=/init panic=1 net.ifnames=0 biosdevname=0 mce=off oops=panic pci=noearly pci=nommconf "
        "random.trust_cpu=y random.trust_bootloader=n tsc=reliable no-kvmclock "
        "dstack.rootfs_hash=ca5adaef0ac3a36108035925763b48a5818f634e700fbaab561d419fd30d7121 "
        "dstack.rootfs_size=490713088"
    )
    stand_in = BootFiles(kernel=b"kernel", initrd=b"initrd", command_line=command_line)
    page = build_kernel_hashes_page(stand_in, 0x810C00)
    for content, digest in (
        (stand_in.kernel, "dd9ea274ce9a07090b22e8284b0c841b65c021c2d15ca57d0f16731089dd226c"),
        (stand_in.initrd, "5f844c4a2ca5a3d0711b3db38293b21ba929bb8e0b3c5bc1a779a57f69221c19"),
    ):
        page = page.replace(hashlib.sha256(content).digest(), bytes.fromhex(digest))
    guest = SnpGuest(firmware=b"", cpus=2, cpu_signature=find_cpu_signature("EPYC-v4"))
    chain = snp_launch._PageChain()
    chain.digest = bytes.fromhex(
        "ffb57e393469a497c0e3b07bd1c97d8611e555f464d14491837665893ac642b263a71f9507ff100a847897fe0c3f8c6f"
    )
    for section in (*SEV_SECTIONS[:5], (0x811000, 0xF000, SEC_MEMORY)):
        snp_launch._add_section(chain, SevSection(section[0], section[1], SectionKind(section[2])), guest, None)
    chain.add_content(0x810000, page)
    for address in (BOOT_ADDRESS, 0x80B004):
        chain.add_save_area(
            build_save_area(
                address, cpu_signature=guest.cpu_signature, features=guest.features, hypervisor=guest.hypervisor
            )
        )
    assert chain.digest.hex() == (
        "7f51e17f72a04d5422cb2c00998166536019a217376f3aa45a630e59c805a599847ff250dbffcd07e1ba639771d6f05d"
    )


def _install_files(directory: Path, guest: SnpGuest) -> tuple[str, str, str, str]:
    names = {"firmware": guest.firmware, "kernel": b"", "initrd": b""}
    if guest.boot is not None:
        names |= {"kernel": guest.boot.kernel, "initrd": guest.boot.initrd}
    for name, content in names.items():
        (directory / name).write_bytes(content)
    paths = [str(directory / name) if content else "" for name, content in names.items()]
    return paths[0], paths[1], paths[2], "" if guest.boot is None else guest.boot.command_line


@pytest.fixture(scope="module")
def peer() -> Any:
    return pytest.importorskip("sevsnpmeasure.guest", reason="sev-snp-measure is not installed")


PEER_GUESTS = [
    SnpGuest(
        firmware=Ovmf(pages=6).build(),
        cpus=cpus,
        cpu_signature=find_cpu_signature(model),
        features=features,
        boot=boot,
        hypervisor=hypervisor,
    )
    for hypervisor in Hypervisor
    for cpus in (1, 3)
    for features in (0x1, 0x21)
    for boot in (None, BOOT, BootFiles(kernel=b"alone"))
    for model in ("EPYC-v4", "EPYC-Genoa")
]


@pytest.mark.parametrize("guest", PEER_GUESTS)
def test_an_independent_calculator_agrees(peer: Any, tmp_path: Path, guest: SnpGuest) -> None:
    vmm_types, modes = pytest.importorskip("sevsnpmeasure.vmm_types"), pytest.importorskip("sevsnpmeasure.sev_mode")
    names = {Hypervisor.QEMU: "QEMU", Hypervisor.AMAZON_EC2: "ec2", Hypervisor.GOOGLE_COMPUTE_ENGINE: "gce"}
    firmware, kernel, initrd, command_line = _install_files(tmp_path, guest)
    expected = peer.calc_launch_digest(
        modes.SevMode.SEV_SNP,
        guest.cpus,
        guest.cpu_signature,
        firmware,
        kernel,
        initrd,
        command_line,
        guest.features,
        vmm_type=vmm_types.VMMType[names[guest.hypervisor]],
    )
    assert calculate_snp_launch_digest(guest) == expected


def test_an_independent_calculator_knows_the_same_cpus() -> None:
    vcpu_types = pytest.importorskip("sevsnpmeasure.vcpu_types", reason="sev-snp-measure is not installed")
    assert vcpu_types.CPU_SIGS.items() <= CPU_SIGNATURES.items()
