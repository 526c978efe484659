"""What the supervisor holds of its settings: the roots it trusts, and the collateral for all its workers."""

import os
from dataclasses import dataclass
from datetime import datetime

from verdictd.collateral.disk_cache import DiskCache
from verdictd.collateral.service import CollateralService, OnNewer
from verdictd.collateral.store import OfferStatus
from verdictd.configuration.trust_files import load_trust_roots
from verdictd.daemon.collateral_setup import open_sources
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_warnings import warnings
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorState:
    """Everything of the supervisor that a reload replaces.

    Attributes:
        settings: what the operator said.
        roots: what is trusted.
        collateral: what is held, and what is asked for the rest.
        cache: where it outlives the process.
        warnings: what the operator has to know.
    """

    settings: Settings
    roots: TrustRoots
    collateral: CollateralService
    cache: DiskCache
    warnings: tuple[str, ...]


def build_supervisor_state(
    settings: Settings, at: datetime, *, on_newer: OnNewer, previous: SupervisorState | None = None
) -> SupervisorState:
    """Make the state of these settings. May do I/O: files, and a PCCS.

    Args:
        settings: what the operator said.
        at: now.
        on_newer: told of collateral that is newer than what was known.
        previous: the state before a reload; what it knew to be the newest collateral is taken over.

    Raises:
        VerdictdError: something that the settings name cannot be used.
    """
    roots = load_trust_roots(settings.trust_roots)
    sources = open_sources(settings.collateral, os.environ)
    # One for good: to open it removes what seems left over, which another may just be writing.
    cache = DiskCache(settings.data_dir / "collateral") if previous is None else previous.cache
    service = CollateralService(
        roots=roots,
        memory=FactMemory(),
        sources=sources,
        max_age=settings.acceptance.max_collateral_age,
        cache=cache,
        on_newer=on_newer,
    )
    outcomes = service.preload(at)
    if previous is not None:
        service.inherit(previous.collateral, at)
    refused = [
        f"collateral from {outcome.item.source}: {outcome.reason}"
        for outcome in outcomes
        if outcome.status is OfferStatus.REFUSED
    ]
    told = [warning for source in sources for warning in source.warnings]
    return SupervisorState(
        settings=settings,
        roots=roots,
        collateral=service,
        cache=cache,
        warnings=(*warnings(settings), *told, *refused),
    )
