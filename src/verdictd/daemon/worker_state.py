"""What a worker judges with, made as a whole of what the supervisor says: at start, and at each reload."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verdictd.collateral.service import OnNewer
from verdictd.collateral.sources import CollateralSource
from verdictd.daemon.attesters import EVIDENCE_TAGS, open_attester
from verdictd.daemon.collateral_setup import AppraisalSetup
from verdictd.daemon.guest_setup import make_guest_tees
from verdictd.daemon.identity import IdentityMaker
from verdictd.daemon.judging import JudgingSettings
from verdictd.daemon.listener import Serving
from verdictd.daemon.open_reference import explain_open_reference
from verdictd.daemon.policies import Decisions
from verdictd.daemon.settings import Settings, TLSName
from verdictd.ratstls.channel import Role
from verdictd.ratstls.tls_context import RATSTLSContext
from verdictd.tees.dcap.trust_roots import TrustRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """Everything of a worker that a reload replaces.

    Attributes:
        settings: what the operator said.
        setup: the appraiser, and the collateral it has.
        identities: makes our own identities.
        serving: with what new connections are met.
    """

    settings: Settings
    setup: AppraisalSetup
    identities: IdentityMaker
    serving: Serving


def build_worker_state(
    settings: Settings,
    roots: TrustRoots,
    decisions: Decisions,
    at: datetime,
    *,
    sources: Sequence[CollateralSource],
    on_newer: OnNewer | None = None,
    previous: WorkerState | None = None,
) -> WorkerState:
    """Make the state of these settings. May do I/O: files, devices, and questions to the sources.

    Args:
        settings: what the operator said.
        roots: what is trusted.
        decisions: what decides.
        at: now.
        sources: asked for collateral.
        on_newer: told of collateral that is newer than what was known.
        previous: the state before a reload; what it knew to be the newest collateral is taken over.

    Raises:
        VerdictdError: something that the settings name cannot be used.
    """
    max_waiting = max(1, settings.limits.handshake_threads // 2)
    setup = AppraisalSetup(
        roots=roots,
        acceptance=settings.acceptance,
        sources=sources,
        on_newer=on_newer,
        guests=make_guest_tees(settings.guests, settings.acceptance, max_waiting=max_waiting),
        verifiers=settings.enforced_verifier,
        max_waiting=max_waiting,
    )
    if previous is not None:
        setup.service.inherit(previous.setup.service, at)
    attester = open_attester(settings.attester, quote_command=settings.quote_command, simulate=settings.simulate)
    identities = IdentityMaker(
        attester=attester,
        evidence_tag=EVIDENCE_TAGS[settings.attester],
        certificate_format=settings.certificate_format,
        find_endorsements=setup.find_endorsements if settings.endorsements else None,
    )
    judging = JudgingSettings(
        appraiser=setup.appraiser,
        verifier=settings.enforced_verifier,
        decide=decisions.decide,
        still_holds=decisions.still_holds,
        shipped_reference_remedy=lambda tee: explain_open_reference(settings, is_open=decisions.is_open(tee)),
        is_guarded=not settings.allow_any_enclave,
    )
    return WorkerState(
        settings=settings,
        setup=setup,
        identities=identities,
        serving=Serving(judging=judging, context=make_context(settings, identities, at)),
    )


def make_context(settings: Settings, identities: IdentityMaker, at: datetime) -> RATSTLSContext | None:
    """Make a new identity and the TLS settings for it; ``None`` for `nulltls`."""
    if settings.tls is TLSName.NULL:
        return None
    return RATSTLSContext(Role.SERVER, identities.make(at), mutual=settings.mutual)
