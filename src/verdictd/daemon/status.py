"""The daemon's answer to `verdict status`."""

import json
from datetime import datetime

from verdictd import __version__
from verdictd.daemon.observation_api import encode_instant
from verdictd.daemon.policies import Policies
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.records import AttestationHistory
from verdictd.daemon.settings_reader import plain_values
from verdictd.daemon.state import State, explain_open_reference


def build_status(
    state: State,
    policies: Policies,
    history: AttestationHistory,
    *,
    started_at: datetime,
    now: datetime,
    connections: int,
) -> messages.GetStatusResponse:
    """Collect what the daemon trusts, holds and has decided. Nothing in it is secret."""
    counts = history.counts()
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
            for item in state.setup.service.held(now)
        ],
        policies=policies.describe(explain_open_reference(state.settings, policies) or ""),
        counts=messages.Counts(accepted=counts["accepted"], refused=counts["refused"], open_connections=connections),
        warnings=state.warnings,
    )
