"""What an SEV-SNP appraisal found, as JSON for policies and people.

Byte strings and 64-bit fields are lower-case hex; small integers are numbers. The original judged no SNP evidence, so
nothing stands at the top level of a policy's input but `snp` and `claims`.
"""

from collections.abc import Mapping

from verdictd.core.result import JSONValue
from verdictd.tees.amd.certificates import VerifiedEndorsementKey
from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.sev_snp.guest_policy import GuestPolicy
from verdictd.tees.sev_snp.platform_info import name_platform_bits
from verdictd.tees.sev_snp.report import SIGNERS, SNPReport
from verdictd.tees.sev_snp.tcb import TCBVersion
from verdictd.tees.sev_snp.tcb_checks import ReportTCBs

_REFERENCE_FIELDS = {"measurement": "measurement", "hostData": "host_data", "idKeyDigest": "id_key_digest"}


def build_claims(
    report: SNPReport,
    product: AMDProduct | None,
    tcbs: ReportTCBs | None,
    key: VerifiedEndorsementKey | None,
) -> dict[str, JSONValue]:
    """Collect everything appraised. What could not be established is ``None``, never guessed."""
    claims = build_report_claims(report)
    claims["product"] = product
    claims["tcb"] = None if tcbs is None else {name: _tcb(tcb) for name, tcb in tcbs._asdict().items()}
    claims["key"] = (
        None
        if key is None
        else {
            "type": key.chain.key_type,
            "product_name": key.endorsed.product_name,
            "chip_id": key.endorsed.chip_id.hex() or None,
            "csp_id": key.endorsed.csp_id or None,
            "root": key.chain.root.label,
        }
    )
    return claims


def build_report_claims(report: SNPReport) -> dict[str, JSONValue]:
    """Collect what a report says of the guest and its platform. Trust: as much as the report."""
    cpuid = report.cpuid
    return {
        "version": report.version,
        "measurement": report.measurement.hex(),
        "report_data": report.report_data.hex(),
        "host_data": report.host_data.hex(),
        "guest_svn": report.guest_svn,
        "vmpl": report.vmpl,
        "family_id": report.family_id.hex(),
        "image_id": report.image_id.hex(),
        "id_key_digest": report.id_key_digest.hex(),
        "author_key_enabled": report.author_key_enabled,
        "author_key_digest": report.author_key_digest.hex(),
        "report_id": report.report_id.hex(),
        "report_id_ma": report.report_id_ma.hex(),
        "debug": report.policy.allows_debug,
        "policy": _policy(report.policy),
        "platform_info": {"value": f"{report.platform_info:016x}", **name_platform_bits(report.platform_info)},
        "chip_id": report.chip_id.hex(),
        "signing_key": SIGNERS.get(report.signing_key),
        "mask_chip_key": report.mask_chip_key,
        "cpuid": None if cpuid is None else dict(cpuid._asdict()),
        "firmware": {
            "current": dict(report.current_version._asdict()),
            "committed": dict(report.committed_version._asdict()),
        },
        "mitigations": {
            "launch": _hex_64(report.launch_mitigations),
            "current": _hex_64(report.current_mitigations),
        },
    }


def build_reference_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """Reference values that this evidence, and no other guest, meets: what `snpData` holds."""
    return {member: [claims[name]] for member, name in _REFERENCE_FIELDS.items()}


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy: everything appraised, and the peer's custom claims."""
    return {"snp": dict(claims), "claims": {name: value.hex() for name, value in custom_claims.items()}}


def _policy(policy: GuestPolicy) -> dict[str, JSONValue]:
    major, minor = policy.abi
    return {
        "value": f"{policy.value:016x}",
        "abi_major": major,
        "abi_minor": minor,
        "smt_allowed": policy.allows_smt,
        "migration_agent_allowed": policy.allows_migration_agent,
        "debug_allowed": policy.allows_debug,
        "single_socket_required": policy.requires_single_socket,
        "cxl_allowed": policy.allows_cxl,
        "aes_256_xts_required": policy.requires_aes_256_xts,
        "rapl_disabled_required": policy.requires_rapl_disabled,
        "ciphertext_hiding_required": policy.requires_ciphertext_hiding,
        "page_swap_disabled": policy.disables_page_swap,
    }


def _tcb(tcb: TCBVersion) -> JSONValue:
    return dict(tcb._asdict())


def _hex_64(value: int | None) -> str | None:
    return None if value is None else f"{value:016x}"
