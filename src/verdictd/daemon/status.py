"""The daemon's answer to `verdict status`."""

import json
from datetime import datetime

from verdictd import __version__
from verdictd.collateral.service import CollateralService
from verdictd.daemon.attestation_messages import encode_instant
from verdictd.daemon.figures import Counts
from verdictd.daemon.open_reference import explain_open_reference
from verdictd.daemon.policies import Policies
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.settings_reader import plain_values
from verdictd.daemon.supervisor_state import SupervisorState


def build_status(
    state: SupervisorState,
    policies: Policies,
    counts: Counts,
    *,
    audit_head: str,
    workers: int,
    started_at: datetime,
    now: datetime,
    connections: int,
) -> messages.GetStatusResponse:
    """Collect what the daemon trusts, holds and has decided. Nothing in it is secret."""
    return messages.GetStatusResponse(
        version=__version__,
        started_at=encode_instant(started_at),
        trust_roots=[
            messages.TrustRoot(label=root.label, fingerprint=root.fingerprint, is_intel=root.is_intel)
            for root in state.roots.roots
        ],
        settings={name: json.dumps(value) for name, value in plain_values(state.settings).items()},
        collateral=[
            messages.HeldCollateral(
                kind=item.kind.value,
                key=f"{item.name} under {item.root.label}",
                source=item.source,
                issue_date=encode_instant(item.issue_date),
                next_update=encode_instant(item.expires_at),
            )
            for item in state.collateral.held(now)
        ],
        policies=policies.describe(explain_open_reference(state.settings, is_open=policies.is_open()) or ""),
        counts=messages.Counts(accepted=counts.accepted, refused=counts.refused, open_connections=connections),
        warnings=state.warnings,
        audit_head=audit_head,
        last_collateral_failure=_last_failure(state.collateral),
        workers=workers,
    )


def _last_failure(service: CollateralService) -> str:
    """Say which item could not be refreshed, and why."""
    own, _ = service.known()
    failures = ((str(item.key.name), service.describe_attempts(item.key)[1]) for item in own)
    return "; ".join(f"{name}: {failure}" for name, failure in failures if failure)
