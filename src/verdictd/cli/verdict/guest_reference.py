"""`verdict reference --tee …`: reference values of a confidential VM, computed from what it is started with."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TextIO

from verdictd.cli.files import read_bounded, write_whole
from verdictd.core.errors import ConfigError
from verdictd.guest_images.amd_cpu_models import find_cpu_signature
from verdictd.guest_images.boot_files import MAX_KERNEL_BYTES, BootFiles
from verdictd.guest_images.firmware_table import MAX_FIRMWARE_BYTES
from verdictd.guest_images.mrtd import PageOrder, calculate_mrtd
from verdictd.guest_images.sev_launch import SevGeneration, SevGuest, calculate_sev_launch_digest
from verdictd.guest_images.sev_save_area import Hypervisor
from verdictd.guest_images.snp_launch import SnpGuest, calculate_snp_launch_digest
from verdictd.guest_images.td_boot_events import DirectBoot, InitrdOption, calculate_rtmr1, calculate_rtmr2
from verdictd.policy.pair_files import load_shipped

_DONE: Final = 0
_STDOUT: Final = "-"
_MAX_INITRD_BYTES: Final = 1024 * 1024 * 1024
_SGX_ONLY: Final = ("member", "evidence", "json", "compat_dump", "cssfile", "merge", "merge_held", "remove", "name")

Values = Mapping[str, list[str]]


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what FILE, a guest's firmware, is started with."""
    group = parser.add_argument_group("a confidential VM, whose firmware (OVMF, the whole image) FILE is")
    group.add_argument("--tee", choices=tuple(_CALCULATIONS), help="what measures it")
    group.add_argument("--kernel", metavar="PATH", help="booted directly; else it boots what it finds, unmeasured")
    group.add_argument("--initrd", metavar="PATH", help="beside the kernel")
    group.add_argument("--append", default="", metavar="TEXT", help="the kernel's command line")
    group.add_argument("--vcpus", type=int, metavar="N", help="snp, sev-es: how many CPUs the guest has")
    group.add_argument("--cpu-model", metavar="NAME", help="snp, sev-es: of QEMU, as EPYC-Milan")
    group.add_argument(
        "--guest-features", type=_number, default=1, metavar="BITS", help="snp: SEV_FEATURES, 0x1 or as the host has it"
    )
    group.add_argument("--hypervisor", choices=[each.value for each in Hypervisor], default=Hypervisor.QEMU.value)
    group.add_argument(
        "--page-order",
        choices=[each.value for each in PageOrder],
        default=PageOrder.PAGE_BY_PAGE.value,
        help="tdx: how the host adds pages; page-by-page since Linux 6.16",
    )
    group.add_argument(
        "--memory", type=_number, metavar="BYTES", help="tdx: the TD's memory, where QEMU changes the kernel's header"
    )
    group.add_argument(
        "--initrd-option",
        choices=[each.value for each in InitrdOption],
        default=InitrdOption.BEFORE_COMMAND_LINE.value,
        help="tdx: where the firmware puts initrd=initrd (edk2 of 2025 and later: before)",
    )


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number such as 1 or 0x21") from error


def run_guest_reference(arguments: argparse.Namespace, out: TextIO) -> int:
    """Compute and write reference values.

    Raises:
        ConfigError: the flags do not go together, or a file cannot be read.
        VerdictdError: a file does not follow its format.
    """
    given = [name for name in _SGX_ONLY if getattr(arguments, name)]
    if given or arguments.signer_only or arguments.dry_run or len(arguments.files) != 1:
        raise ConfigError(
            f"--tee {arguments.tee} takes one firmware, and no flag of enclaves",
            remedy="write the values with -o, and upload them with verdict --set-opa-reference",
        )
    if arguments.kernel is None and (arguments.initrd is not None or arguments.append):
        raise ConfigError("--initrd and --append go with a kernel", remedy="name it with --kernel")
    reference_name, calculate = _CALCULATIONS[arguments.tee]
    values = calculate(arguments, read_bounded(arguments.files[0], MAX_FIRMWARE_BYTES), _read_boot(arguments))
    content = json.dumps(json.loads(load_shipped(reference_name)) | dict(values), indent=4) + "\n"
    if arguments.output is None or arguments.output == _STDOUT:
        out.write(content)
        return _DONE
    write_whole(Path(arguments.output), content.encode())
    out.writelines(f"{name}: {', '.join(each)}\n" for name, each in values.items())
    out.write(
        f"written to {arguments.output}; upload it: verdict --set-opa-reference {reference_name} {arguments.output}\n"
    )
    return _DONE


def _read_boot(arguments: argparse.Namespace) -> BootFiles | None:
    if arguments.kernel is None:
        return None
    return BootFiles(
        kernel=read_bounded(arguments.kernel, MAX_KERNEL_BYTES),
        initrd=b"" if arguments.initrd is None else read_bounded(arguments.initrd, _MAX_INITRD_BYTES),
        command_line=arguments.append,
    )


def _calculate_snp(arguments: argparse.Namespace, firmware: bytes, boot: BootFiles | None) -> Values:
    cpus, signature = _read_cpus(arguments)
    guest = SnpGuest(
        firmware=firmware,
        cpus=cpus,
        cpu_signature=signature,
        features=arguments.guest_features,
        boot=boot,
        hypervisor=Hypervisor(arguments.hypervisor),
    )
    return {"measurement": [calculate_snp_launch_digest(guest).hex()]}


def _calculate_sev(_: argparse.Namespace, firmware: bytes, boot: BootFiles | None) -> Values:
    guest = SevGuest(firmware=firmware, generation=SevGeneration.SEV, boot=boot)
    return {"launchDigest": [calculate_sev_launch_digest(guest).hex()]}


def _calculate_sev_es(arguments: argparse.Namespace, firmware: bytes, boot: BootFiles | None) -> Values:
    cpus, signature = _read_cpus(arguments)
    guest = SevGuest(firmware=firmware, generation=SevGeneration.SEV_ES, boot=boot, cpus=cpus, cpu_signature=signature)
    return {"launchDigest": [calculate_sev_launch_digest(guest).hex()]}


def _calculate_tdx(arguments: argparse.Namespace, firmware: bytes, boot: BootFiles | None) -> Values:
    values = {"mr_td": [calculate_mrtd(firmware, PageOrder(arguments.page_order)).hex()]}
    if boot is None:
        return values
    direct = DirectBoot(
        files=boot, patched_for_memory=arguments.memory, initrd_option=InitrdOption(arguments.initrd_option)
    )
    return values | {"rtmr1": [calculate_rtmr1(direct).hex()], "rtmr2": [calculate_rtmr2(direct).hex()]}


def _read_cpus(arguments: argparse.Namespace) -> tuple[int, int]:
    """How many CPUs, and their model's signature: both are measured, so neither is guessed."""
    if arguments.vcpus is None:
        raise ConfigError("each CPU's first registers are measured", remedy="say how many there are with --vcpus")
    if arguments.cpu_model is None and arguments.hypervisor == Hypervisor.QEMU.value:
        raise ConfigError("QEMU's CPU model is measured", remedy="name it with --cpu-model, as EPYC-Milan")
    return arguments.vcpus, 0 if arguments.cpu_model is None else find_cpu_signature(arguments.cpu_model)


_CALCULATIONS: Final[Mapping[str, tuple[str, Callable[[argparse.Namespace, bytes, BootFiles | None], Values]]]] = {
    "snp": ("snpData", _calculate_snp),
    "sev": ("sevData", _calculate_sev),
    "sev-es": ("sevData", _calculate_sev_es),
    "tdx": ("tdxData", _calculate_tdx),
}
"""For each TEE the reference that its policy reads, and what makes its values."""
