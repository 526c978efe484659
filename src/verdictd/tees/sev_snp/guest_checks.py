"""Checks of what the guest's owner lets the host do, and of who inside the guest asked for the report."""

from verdictd.tees.sev_snp.context import SNPContext
from verdictd.tees.sev_snp.report import SIGNERS, SigningKey, SNPReport


def check_signing_key(report: SNPReport, context: SNPContext) -> None:
    """Check what the report says of the key that signs it.

    A host that masks the chip key has the firmware write zeros in place of a VCEK's signature.
    """
    found = SIGNERS.get(report.signing_key, f"number {report.signing_key}, which is not known")
    is_masked = report.mask_chip_key and report.signing_key == SigningKey.VCEK
    context.require(
        report.key_type is not None and not is_masked,
        "report.signing_key",
        f"{found}, which the host masks (MASK_CHIP_KEY)" if is_masked else found,
        "let the host not mask the chip's key, or load a VLEK",
    )


def check_guest(report: SNPReport, context: SNPContext) -> None:
    """Check the guest's policy, and the privilege level at which the report was asked for."""
    policy, acceptance = report.policy, context.acceptance
    found = f"policy 0x{policy.value:x}"
    context.require(policy.is_well_formed, "guest.policy", found)
    context.require_or_accept(
        not policy.allows_debug,
        "guest.debug",
        f"{found}, which {'allows' if policy.allows_debug else 'forbids'} debugging",
        accepted=acceptance.allow_debug,
        flag="--allow-debug",
        remedy="launch the guest with a policy that forbids debugging",
    )
    context.require_or_accept(
        not policy.allows_migration_agent,
        "guest.migration_agent",
        f"{found}, which {'allows' if policy.allows_migration_agent else 'forbids'} a migration agent",
        accepted=acceptance.allow_migration_agent,
        flag="--allow-migration-agent",
        remedy="launch the guest with a policy that forbids migration agents",
    )
    context.require(
        report.vmpl in acceptance.vmpls,
        "guest.vmpl",
        f"VMPL {report.vmpl}, accepted is {', '.join(map(str, sorted(acceptance.vmpls))) or 'none'}",
        f"let the report be asked for at an accepted level, or accept it with --accept-vmpl {report.vmpl}",
    )
