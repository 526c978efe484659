import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.guest_images.ovmf_images import Ovmf
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.guest_images.amd_cpu_models import find_cpu_signature
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.sev_kernel_hashes import build_kernel_hashes
from verdictd.guest_images.sev_launch import SevGeneration, SevGuest, calculate_sev_launch_digest
from verdictd.guest_images.sev_save_area import MAX_CPUS

BOOT = BootFiles(kernel=b"kernel" * 999, initrd=b"initrd" * 777, command_line="console=ttyS0")
IMAGE = Ovmf().build()
SEV = SevGuest(firmware=IMAGE, generation=SevGeneration.SEV)
SEV_ES = SevGuest(
    firmware=IMAGE, generation=SevGeneration.SEV_ES, cpus=2, cpu_signature=find_cpu_signature("EPYC-Rome")
)


def test_the_digest_of_sev_is_that_of_the_firmware_and_the_hashes() -> None:
    assert calculate_sev_launch_digest(SEV) == hashlib.sha256(IMAGE).digest()
    expected = hashlib.sha256(IMAGE + build_kernel_hashes(BOOT)).digest()
    assert calculate_sev_launch_digest(replace(SEV, boot=BOOT)) == expected


def test_the_cpus_matter_to_sev_es_alone() -> None:
    for guest, is_same in ((SEV, True), (SEV_ES, False)):
        digest = calculate_sev_launch_digest(guest)
        assert (calculate_sev_launch_digest(replace(guest, cpus=3)) == digest) is is_same
        assert (calculate_sev_launch_digest(replace(guest, cpu_signature=1)) == digest) is is_same


def test_a_known_answer_of_sev_es() -> None:
    """Computed by sev-snp-measure 0.0.13 from the same bytes."""
    assert calculate_sev_launch_digest(replace(SEV_ES, boot=BOOT)).hex() == (
        "733f020569358e7fad1e6d80b93bb759119f02ad63bb0a98c9b28948fd5a8d6f"
    )


@pytest.mark.parametrize("address", [None, 0])
def test_a_kernel_needs_firmware_that_checks_it(address: int | None) -> None:
    guest = replace(SEV, firmware=Ovmf(hash_table_at=address).build(), boot=BOOT)
    with pytest.raises(UnsupportedError, match="does not check a kernel"):
        calculate_sev_launch_digest(guest)
    assert calculate_sev_launch_digest(replace(guest, boot=None))


@pytest.mark.parametrize(
    ("guest", "error"),
    [
        (replace(SEV_ES, firmware=Ovmf(reset_at=None).build()), UnsupportedError),
        (replace(SEV_ES, firmware=Ovmf(reset_at=0).build()), MalformedError),
        (replace(SEV_ES, cpus=0), MalformedError),
        (replace(SEV_ES, cpus=MAX_CPUS + 1), LimitExceededError),
        (replace(SEV_ES, cpu_signature=1 << 32), MalformedError),
        (replace(SEV, firmware=bytes(4096)), MalformedError),
    ],
)
def test_what_cannot_be_is_refused(guest: SevGuest, error: type[Exception]) -> None:
    with pytest.raises(error):
        calculate_sev_launch_digest(guest)


@pytest.fixture(scope="module")
def peer() -> Any:
    return pytest.importorskip("sevsnpmeasure.guest", reason="sev-snp-measure is not installed")


@pytest.mark.parametrize("guest", [SEV, SEV_ES, replace(SEV_ES, cpus=1)])
@pytest.mark.parametrize("boot", [None, BOOT, BootFiles(kernel=b"alone")])
def test_an_independent_calculator_agrees(peer: Any, tmp_path: Path, guest: SevGuest, boot: BootFiles | None) -> None:
    modes = pytest.importorskip("sevsnpmeasure.sev_mode")
    files = {"firmware": IMAGE, "kernel": boot.kernel if boot else b"", "initrd": boot.initrd if boot else b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    firmware, kernel, initrd = (str(tmp_path / name) if content else "" for name, content in files.items())
    mode = modes.SevMode[guest.generation.name]
    command_line = boot.command_line if boot else ""
    expected = peer.calc_launch_digest(mode, guest.cpus, guest.cpu_signature, firmware, kernel, initrd, command_line, 0)
    assert calculate_sev_launch_digest(replace(guest, boot=boot)) == expected
