"""Flags that several programs share, and what they mean: the same values as in verdictd's configuration file.

The functions that add flags leave everything unset that was not given, so that flags can be laid over a file.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from verdictd.configuration.trust_files import INTEL, load_trust_roots
from verdictd.daemon.guest_settings import GuestSettings
from verdictd.daemon.settings import CollateralSettings
from verdictd.daemon.settings_reader import FORM, build_acceptance, build_collateral_settings, build_guest_settings
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.trust_roots import TrustRoots

ACCEPTANCE_FLAGS = {
    "--accept-tcb-status": "acceptance.tcb_statuses",
    "--allow-debug": "acceptance.allow_debug",
    "--allow-expired-collateral": "acceptance.allow_expired_collateral",
    "--deny-advisory": "acceptance.denied_advisories",
    "--min-evaluation-data-number": "acceptance.min_evaluation_data_number",
    "--max-collateral-age": "acceptance.max_collateral_age_days",
}
TRUST_FLAGS = {"--trust-root": "trust_roots"}
GUEST_FLAGS = {
    "--amd-certificates": "guests.amd_certificates",
    "--amd-root": "guests.amd_roots",
    "--sev-certificates": "guests.sev_certificates",
    "--sev-root": "guests.sev_roots",
    "--hygon-certificates": "guests.hygon_certificates",
    "--hygon-root": "guests.hygon_roots",
    "--accept-unbound-evidence": "guests.accept_unbound_evidence",
    "--accept-vmpl": "guests.vmpls",
    "--allow-migration-agent": "guests.allow_migration_agent",
    "--allow-masked-chip-id": "guests.allow_masked_chip_id",
    "--allow-provisional-firmware": "guests.allow_provisional_firmware",
    "--min-tcb": "guests.min_tcb",
    "--require-mitigations": "guests.required_mitigations",
    "--min-csv-firmware": "guests.min_csv_firmware",
    "--min-sev-firmware": "guests.min_sev_firmware",
}
COLLATERAL_FLAGS = {
    "--collateral": "collateral.source",
    "--pccs-url": "collateral.pccs_url",
    "--alibaba-region": "collateral.alibaba_region",
    "--alibaba-vpc": "collateral.alibaba_vpc",
}
"""The setting that each flag sets."""


def add_acceptance_options(parser: argparse.ArgumentParser) -> None:
    """Add what of a genuine platform is acceptable; read it with `read_acceptance`."""
    group = parser.add_argument_group("what is acceptable (by default the least)")
    group.add_argument(
        "--accept-tcb-status",
        action="append",
        metavar="STATUS[,…]|any",
        help="TCB statuses to accept instead of UpToDate alone; any is every one but Revoked",
    )
    add_switch(group, "--allow-debug", "accept debug enclaves, whose memory their host can read")
    add_switch(group, "--allow-expired-collateral", "accept collateral and certificates past their time")
    group.add_argument(
        "--deny-advisory", action="append", metavar="ID", help="refuse platforms to which this advisory applies; repeat"
    )
    group.add_argument(
        "--min-evaluation-data-number",
        type=int,
        metavar="N",
        help="lowest tcbEvaluationDataNumber of TCB info and QE identity",
    )
    group.add_argument(
        "--max-collateral-age", type=int, metavar="DAYS", help="refuse collateral that was issued longer ago"
    )


def add_trust_options(parser: argparse.ArgumentParser) -> None:
    """Add what is trusted; read it with `read_trust_roots`."""
    group = parser.add_argument_group("what is trusted")
    group.add_argument(
        "--trust-root",
        action="append",
        metavar=f"PEM|{INTEL}",
        help=f"root CA to trust INSTEAD of Intel's; repeat for several, {INTEL} among them to keep Intel's",
    )


def add_collateral_options(parser: argparse.ArgumentParser) -> None:
    """Add where collateral comes from; read it with `read_collateral_settings`."""
    group = parser.add_argument_group("where collateral comes from")
    group.add_argument("--collateral", metavar="PATH|URL", help="a file or directory of collateral, or its URL")
    group.add_argument(
        "--pccs-url", metavar="URL", help="PCCS to ask; by default the one that sgx_default_qcnl.conf names"
    )
    group.add_argument("--alibaba-region", metavar="REGION", help="ask Alibaba Cloud's PCCS of this region")
    add_switch(group, "--alibaba-vpc", "use that region's address inside its VPC")


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """Add what counts for evidence of SEV-SNP, SEV and CSV; read it with `read_guest_settings`."""
    group = parser.add_argument_group("guests: SEV-SNP, SEV, CSV")
    group.add_argument(
        "--amd-certificates", metavar="DIR|URL", help="where AMD's certificates come from, beside what evidence brings"
    )
    group.add_argument("--amd-root", action="append", metavar="PEM|amd", help="ARK to trust INSTEAD of AMD's; repeat")
    group.add_argument("--sev-certificates", metavar="DIR", help="where ask_ark_naples.cert and so on are, for SEV")
    group.add_argument("--sev-root", action="append", metavar="FILE|amd", help="ARK for SEV to trust INSTEAD of AMD's")
    group.add_argument(
        "--hygon-certificates", metavar="DIR|URL", help="where HSK and CEK come from that evidence does not bring"
    )
    group.add_argument(
        "--hygon-root", action="append", metavar="FILE|hygon", help="HRK to trust INSTEAD of Hygon's; repeat"
    )
    group.add_argument(
        "--accept-unbound-evidence", action="append", metavar="KIND", help="accept sev, which anybody can replay"
    )
    group.add_argument("--accept-vmpl", action="append", metavar="N", help="privilege levels of a report (0 and 1)")
    add_switch(group, "--allow-migration-agent", "accept guests that a migration agent can read")
    add_switch(group, "--allow-masked-chip-id", "accept reports that do not say of which chip they are")
    add_switch(group, "--allow-provisional-firmware", "accept firmware that the host may still take back")
    group.add_argument(
        "--min-tcb",
        action="append",
        metavar="PRODUCT:NAME=N,…",
        help="lowest TCB of a product, as Milan:bootloader=4,snp=22,microcode=213; repeat",
    )
    group.add_argument("--require-mitigations", metavar="BITS", help="mitigations that SEV-SNP firmware has to report")
    group.add_argument("--min-csv-firmware", metavar="X.Y", help="lowest API version of a CSV platform's firmware")
    group.add_argument("--min-sev-firmware", metavar="X.Y", help="lowest API version of an SEV platform's firmware")


def read_guest_settings(arguments: argparse.Namespace) -> GuestSettings:
    """Return what counts for guests by the flags of `add_guest_options`.

    Raises:
        ConfigError: a value that cannot be.
    """
    return build_guest_settings(read_flags(arguments, GUEST_FLAGS))


def add_switch(group: argparse._ActionsContainer, flag: str, text: str) -> None:
    """Add a flag without a value (``-s/--long`` where it has a short form), unset where it is not given."""
    group.add_argument(*flag.split("/"), action="store_true", default=None, help=text)


def read_acceptance(arguments: argparse.Namespace) -> Acceptance:
    """Return what is acceptable by the flags of `add_acceptance_options`.

    Raises:
        ConfigError: a value that cannot be; the message begins with the flag.
    """
    return build_acceptance(read_flags(arguments, ACCEPTANCE_FLAGS))


def read_trust_roots(arguments: argparse.Namespace) -> TrustRoots:
    """Load what the flags of `add_trust_options` name: Intel's root, and no other, where none is named.

    Raises:
        ConfigError: a file cannot be read or holds no root certificate.
        LimitExceededError: a file is too long.
    """
    layer = read_flags(arguments, TRUST_FLAGS)
    names = layer.get("trust_roots", (INTEL,))
    assert isinstance(names, tuple)
    return load_trust_roots(names)


def read_collateral_settings(arguments: argparse.Namespace) -> CollateralSettings:
    """Return where collateral comes from by the flags of `add_collateral_options`.

    Raises:
        ConfigError: a value that cannot be, or flags that contradict each other.
    """
    return build_collateral_settings(read_flags(arguments, COLLATERAL_FLAGS))


def read_flags(arguments: argparse.Namespace, flags: Mapping[str, str]) -> dict[str, object]:
    """Read the flags that were given into settings by their keys.

    Args:
        arguments: what argparse made of the command line.
        flags: the key that each flag sets.
    Raises:
        ConfigError: a value that cannot be; the message begins with the flag.
    """
    given = {flag: getattr(arguments, flag.removeprefix("--").replace("-", "_")) for flag in flags}
    raw = {flags[flag]: value for flag, value in given.items() if value is not None}
    names = {key: flag for flag, key in flags.items()}
    return FORM.read_layer(raw, name=names.__getitem__, base=Path())
