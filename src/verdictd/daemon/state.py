"""What a running daemon judges with, made from its settings as a whole: at start, at each reload, at each rotation."""

from dataclasses import dataclass
from datetime import datetime

from verdictd.appraisal.verifiers import VerifierName
from verdictd.collateral.store import OfferStatus
from verdictd.daemon.attesters import open_attester
from verdictd.daemon.collateral_setup import AppraisalSetup
from verdictd.daemon.identity import IdentityMaker
from verdictd.daemon.judging import JudgingSettings
from verdictd.daemon.listener import Serving
from verdictd.daemon.policies import Policies
from verdictd.daemon.settings import Settings, TLSName
from verdictd.daemon.settings_trust import load_trust_roots
from verdictd.daemon.settings_warnings import warnings
from verdictd.ratstls.channel import Role
from verdictd.ratstls.tls_context import RATSTLSContext
from verdictd.tees.dcap.trust_roots import TrustRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a reload replaces.

    Attributes:
        settings: what the operator said.
        roots: what is trusted.
        setup: the appraiser, and the collateral it has.
        identities: makes our own identities.
        serving: with what new connections are met.
        warnings: what the operator has to know.
    """

    settings: Settings
    roots: TrustRoots
    setup: AppraisalSetup
    identities: IdentityMaker
    serving: Serving
    warnings: tuple[str, ...]


def build_state(settings: Settings, policies: Policies, at: datetime, previous: State | None = None) -> State:
    """Make the state of these settings. May do I/O: files, devices, and a PCCS.

    Args:
        settings: what the operator said.
        policies: what decides.
        at: now.
        previous: the state before a reload; what it knew to be the newest collateral is taken over.

    Raises:
        VerdictdError: something that the settings name cannot be used.
    """
    roots = load_trust_roots(settings.trust_roots)
    setup = AppraisalSetup(roots=roots, acceptance=settings.acceptance, collateral=settings.collateral)
    outcomes = setup.service.preload(at)
    if previous is not None:
        setup.service.inherit(previous.setup.service, at)
    refused = [
        f"collateral from {outcome.item.source}: {outcome.reason}"
        for outcome in outcomes
        if outcome.status is OfferStatus.REFUSED
    ]
    attester = open_attester(settings.attester, quote_command=settings.quote_command, simulate=settings.simulate)
    identities = IdentityMaker(
        attester=attester,
        certificate_format=settings.certificate_format,
        find_endorsements=setup.find_endorsements if settings.endorsements else None,
    )
    judging = JudgingSettings(
        appraiser=setup.appraiser,
        verifier=settings.enforced_verifier,
        decide=policies.decide,
        still_holds=policies.still_holds,
        shipped_reference_remedy=lambda: explain_open_reference(settings, policies),
    )
    return State(
        settings=settings,
        roots=roots,
        setup=setup,
        identities=identities,
        serving=Serving(judging=judging, context=make_context(settings, identities, at)),
        warnings=(*warnings(settings), *setup.warnings, *refused),
    )


def make_context(settings: Settings, identities: IdentityMaker, at: datetime) -> RATSTLSContext | None:
    """Make a new identity and the TLS settings for it; ``None`` for `nulltls`."""
    if settings.tls is TLSName.NULL:
        return None
    return RATSTLSContext(Role.SERVER, identities.make(at), mutual=settings.mutual)


def explain_open_reference(settings: Settings, policies: Policies) -> str | None:
    """What to do while the reference values let in any enclave; ``None`` where they do not, or where that is meant."""
    if settings.allow_any_enclave or settings.enforced_verifier is VerifierName.NULL or not policies.is_open():
        return None
    return (
        f"name yours: verdict --client-api {settings.client_api} --set-opa-reference sgxData FILE"
        " (verdict show QUOTE --as reference writes such a file); or start verdictd with --allow-any-enclave"
    )
