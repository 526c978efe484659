"""What is appraised: quotes of a simulated platform, and, where they are at hand, recorded quotes of real hardware."""

import json
import os
import secrets
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.crl_builder import RevokedCertificate
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.keys import generate_key
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import sign_quote
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots, intel_trust_root, parse_trust_roots

_VECTORS = Path(os.environ.get("VERDICTD_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))

_TCB_LEVELS, _QE_LEVELS, _REVOCATIONS = 11, 6, 44
"""How many there are in Intel's TCB info and QE identity for a server, and in its PCK CRL, in 2025."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Genuine quotes that share collateral and a root.

    Attributes:
        quotes: of one platform, each with another report and signature.
        others: of other platforms of the same model, whose PCK certificates come from the same CA: each with its own
            PCK certificate and key, quoting enclave's report and attestation key.
        collateral: JSON text in the form of dcap-qvl.
        root: what to trust.
        at: the instant to appraise for.
    """

    quotes: tuple[bytes, ...]
    others: tuple[bytes, ...]
    collateral: str
    root: TrustRoot
    at: datetime

    @property
    def roots(self) -> TrustRoots:
        return TrustRoots((self.root,))

    @property
    def root_der(self) -> bytes:
        return self.root.certificate.public_bytes(Encoding.DER)


def simulate_evidence(count: int) -> Evidence:
    """Make `count` quotes of one simulated platform, and one of each of `count` others."""
    at = datetime.now(UTC)
    platform = SimulatedPlatform.create(at=at)
    (root,) = parse_trust_roots(platform.trust_root_pem, "simulated root CA")
    return Evidence(
        quotes=_quote_often(platform, count),
        others=tuple(_sibling_of(platform).quote(report_data=_report_data()) for _ in range(count)),
        collateral=encode_collateral_file(_issue_collateral(platform, at)).decode("utf-8"),
        root=root,
        at=at,
    )


def load_recorded_evidence() -> Evidence | None:
    """Read the recorded platform with the most quotes that dcap-qvl accepts; ``None`` without the recordings."""
    directory = _VECTORS / "dcap-cases"
    if not directory.is_dir():
        return None
    cases = json.loads((directory / "cases.json").read_text(encoding="utf-8"))
    platforms: dict[tuple[str, str, bytes], list[bytes]] = defaultdict(list)
    for case in cases:
        if case["tee"] == "sgx_ecdsa" and case["oracle"]["accepted"]:
            quote = (directory / case["quote"]).read_bytes()
            platforms[case["collateral"], case["at"], parse_quote(quote).certification_data].append(quote)
    (collateral, at, _), quotes = max(platforms.items(), key=lambda item: len(item[1]))
    return Evidence(
        quotes=tuple(quotes),
        others=(),
        collateral=(directory / collateral).read_text(encoding="utf-8"),
        root=intel_trust_root(),
        at=datetime.fromisoformat(at),
    )


def _issue_collateral(platform: SimulatedPlatform, at: datetime) -> Collateral:
    """Issue collateral that is as large as Intel's is for a server: as many levels, as many revocations."""
    tcb_info, qe_identity, pck_crl = platform.tcb_info_spec(), platform.qe_identity_spec(), platform.pck_crl_spec()
    oldest, oldest_qe = tcb_info.levels[-1], qe_identity.levels[-1]
    older = [replace(oldest, pce_svn=oldest.pce_svn - number) for number in range(_TCB_LEVELS - len(tcb_info.levels))]
    older_qe = [
        replace(oldest_qe, isv_svn=oldest_qe.isv_svn - number) for number in range(_QE_LEVELS - len(qe_identity.levels))
    ]
    revoked = [
        RevokedCertificate(serial_number=x509.random_serial_number(), since=at - timedelta(days=30))
        for _ in range(_REVOCATIONS)
    ]
    return replace(
        platform.collateral(at),
        tcb_info=platform.issue_tcb_info(replace(tcb_info, levels=(*tcb_info.levels, *older)), at),
        qe_identity=platform.issue_qe_identity(replace(qe_identity, levels=(*qe_identity.levels, *older_qe)), at),
        pck_crl=platform.issue_pck_crl(replace(pck_crl, revoked=tuple(revoked)), at),
    )


def _quote_often(platform: SimulatedPlatform, count: int) -> tuple[bytes, ...]:
    """Quote again and again. As on hardware, the PCK key signs the QE's report once for each attestation key."""
    first = sign_quote(
        platform.quote_parts(report_data=_report_data()),
        attestation_key=platform.attestation_key,
        pck_key=platform.pki.pck.key,
    )
    return tuple(
        platform.sign(
            replace(
                platform.quote_parts(report_data=_report_data()),
                qe_report=first.qe_report,
                qe_report_signature=first.qe_report_signature,
            )
        )
        for _ in range(count)
    )


def _report_data() -> bytes:
    return secrets.token_bytes(64)


def _sibling_of(platform: SimulatedPlatform) -> SimulatedPlatform:
    """Make another machine of the same model under the same vendor: only what the vendor says is shared."""
    other = replace(platform, hardware=Hardware(), attestation_key=generate_key())
    spec = replace(other.certificate_spec("pck"), serial_number=x509.random_serial_number())
    return other.with_certificate("pck", spec, key=generate_key())
