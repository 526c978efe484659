"""An independent verifier, dcap-qvl, asked what it makes of a simulated platform; and our own, asked the same."""

from datetime import UTC, datetime

import dcap_qvl
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.core.result import AppraisalResult
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots
from verdictd.tees.sgx_ecdsa.verifier import appraise_sgx

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))


def root_der(platform: SimulatedPlatform) -> bytes:
    return platform.pki.root_ca.certificate.public_bytes(Encoding.DER)


def oracle_verdict(
    quote: bytes, collateral: Collateral, platform: SimulatedPlatform, at: datetime = AT
) -> tuple[str, list[str]]:
    """The oracle's status and advisories; raises `ValueError` where it refuses."""
    given = dcap_qvl.QuoteCollateralV3.from_json(encode_collateral_file(collateral).decode("utf-8"))
    report = dcap_qvl.verify_with_root_ca(quote, given, root_der(platform), int(at.timestamp()))
    return report.status, list(report.advisory_ids)


def appraise(quote: bytes, collateral: Collateral, platform: SimulatedPlatform, at: datetime = AT) -> AppraisalResult:
    """Our appraisal under the platform's own root, with any status accepted and nothing else."""
    return appraise_sgx(
        quote,
        collateral=collateral,
        roots=TrustRoots(parse_trust_roots(platform.trust_root_pem, "simulated root")),
        acceptance=Acceptance(tcb_statuses=frozenset(TCBStatus)),
        at=at,
    )
