"""From settings to the service that finds collateral, and to the appraiser that uses it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from verdictd.appraisal.appraiser import Appraiser, Platform, identify_platform
from verdictd.appraisal.guest_tees import GuestTEEs
from verdictd.appraisal.installed_tees import load_tees
from verdictd.appraisal.verifiers import SGX_VERIFIER, Verifiers
from verdictd.collateral.found import FoundCollateral
from verdictd.collateral.open_sources import open_pccs, open_pccs_from_qcnl, open_source
from verdictd.collateral.pccs_urls import alibaba_pccs_url
from verdictd.collateral.qcnl import load_qcnl
from verdictd.collateral.service import CollateralService, OnNewer
from verdictd.collateral.sources import CollateralSource
from verdictd.core.errors import CollateralError
from verdictd.daemon.settings import CollateralSettings
from verdictd.ratstls.evidence import tell_quote_kind
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

CA_FILE_VARIABLE = "SSL_CERT_FILE"


def open_sources(settings: CollateralSettings, environment: Mapping[str, str]) -> list[CollateralSource]:
    """Open every source the settings name; where they name none, the PCCS of `sgx_default_qcnl.conf`, if it is there.

    Args:
        settings: what the operator named.
        environment: for proxies, for the path of that file, and for the CA certificates that a PCCS is checked with.
    Raises:
        VerdictdError: a file or an address that was named cannot be used.
    """
    ca_file = environment.get(CA_FILE_VARIABLE)
    sources: list[CollateralSource] = []
    if settings.source is not None:
        sources.append(open_source(settings.source, environment))
    if settings.pccs_url is not None:
        sources.append(open_pccs(settings.pccs_url, environment, ca_file=ca_file))
    elif settings.alibaba_region is not None:
        url = alibaba_pccs_url(settings.alibaba_region, vpc=settings.alibaba_vpc)
        sources.append(open_pccs(url, environment, ca_file=ca_file))
    elif settings.source is None and (qcnl := load_qcnl(environment)) is not None:
        sources.append(open_pccs_from_qcnl(qcnl, environment, ca_file=ca_file))
    return sources


class AppraisalSetup:
    """An appraiser together with where its collateral comes from.

    Attributes:
        appraiser: roots, acceptance and memory in use.
        service: what is held, and what is asked for the rest.
    """

    def __init__(
        self,
        *,
        roots: TrustRoots,
        acceptance: Acceptance,
        sources: Sequence[CollateralSource],
        on_newer: OnNewer | None = None,
        guests: GuestTEEs | None = None,
        verifiers: Verifiers = SGX_VERIFIER,
        max_waiting: int = 64,
    ) -> None:
        """Put them together.

        Args:
            roots: what the operator trusts.
            acceptance: what of a genuine platform is acceptable.
            sources: asked for collateral, see `open_sources`.
            guests: judges evidence that is no Intel quote.
            verifiers: those that were named: the TEEs of installed packages among them are loaded.
            on_newer: told of collateral that is newer than what was known.
            max_waiting: how many may wait for collateral at once.
        Raises:
            ConfigError: the TEE of an installed package cannot be used.
        """
        memory = FactMemory()
        self.service = CollateralService(
            roots=roots,
            memory=memory,
            sources=sources,
            max_age=acceptance.max_collateral_age,
            on_newer=on_newer,
            max_waiting=max_waiting,
        )
        self.appraiser = Appraiser(
            roots=roots,
            acceptance=acceptance,
            find_collateral=self._find,
            memory=memory,
            guests=guests,
            installed=load_tees(verifiers.kinds),
        )

    @property
    def warnings(self) -> list[str]:
        """What the operator should be told about the sources."""
        return [warning for source in self.service.sources for warning in source.warnings]

    def find_endorsements(self, quote: bytes, at: datetime) -> Collateral:
        """Find the collateral that goes with a quote of our own.

        Raises:
            CollateralError: the quote's platform is not known, or an item is missing; says why.
        """
        kind = tell_quote_kind(quote)
        platform = identify_platform(quote, self.appraiser.roots, self.appraiser.memory, kind)
        if platform is None:
            raise CollateralError(
                "our own quote names no platform whose PCK chain ends in a trusted root",
                remedy="name the platform's root with --trust-root, or leave out --endorsements",
            )
        found = self._find(platform, None, at)
        if found.notes:
            raise CollateralError(
                f"the collateral for our own evidence is not complete: {'; '.join(found.notes)}",
                remedy="name a source with --pccs-url or --collateral, or leave out --endorsements",
            )
        return found.collateral

    def _find(self, platform: Platform, peer: Collateral | None, at: datetime) -> FoundCollateral:
        return self.service.collateral_for(
            root=platform.root, fmspc=platform.fmspc, pck_ca=platform.pck_ca, peer=peer, at=at, tee=platform.tee
        )
