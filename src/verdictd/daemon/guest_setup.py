"""From settings to what judges the evidence of guests: SEV-SNP, SEV and CSV."""

import os
from collections.abc import Mapping
from pathlib import Path

from verdictd.appraisal.guest_tees import (
    GuestAcceptance,
    GuestRoots,
    GuestTEEs,
    find_no_csv,
    find_no_sev,
    find_no_snp,
)
from verdictd.collateral.amd_endorsements import AMDDirectory, AMDEndorsements, AMDSource, FindSNPEndorsements
from verdictd.collateral.http_client import BoundedHTTPClient, Retries, tls_context
from verdictd.collateral.hygon_endorsements import (
    FindCSVEndorsements,
    HygonDirectory,
    HygonEndorsements,
    HygonService,
    HygonSource,
)
from verdictd.collateral.kds import KDSUpstream
from verdictd.collateral.proxies import proxy_for
from verdictd.collateral.sev_endorsements import SEVDirectory
from verdictd.configuration.amd_trust_files import AMD, load_amd_roots
from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.daemon.guest_fields import parse_firmware, parse_min_tcbs
from verdictd.daemon.guest_settings import HYGON, GuestSettings
from verdictd.tees.csv.roots import HygonRoots, hygon_root, parse_hygon_root
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.sev.roots import SEVRoots, amd_sev_roots, parse_sev_root


def make_guest_tees(
    settings: GuestSettings,
    acceptance: Acceptance,
    *,
    max_waiting: int = 8,
    environment: Mapping[str, str] = os.environ,
) -> GuestTEEs:
    """Put together what judges guests.

    Args:
        settings: what the operator says.
        acceptance: what is acceptable of all TEEs.
        max_waiting: how many may wait at once for certificates of each vendor.
        environment: for proxies.
    Raises:
        ConfigError: a root or a source cannot be used.
    """
    return GuestTEEs(
        acceptance=acceptance,
        guests=GuestAcceptance(
            accept_unbound_evidence=settings.accept_unbound_evidence,
            vmpls=settings.vmpls,
            allow_migration_agent=settings.allow_migration_agent,
            allow_masked_chip_id=settings.allow_masked_chip_id,
            allow_provisional_firmware=settings.allow_provisional_firmware,
            min_tcb=parse_min_tcbs(settings.min_tcb),
            required_mitigations=settings.required_mitigations,
            min_csv_firmware=parse_firmware(settings.min_csv_firmware),
            min_sev_firmware=parse_firmware(settings.min_sev_firmware),
        ),
        roots=GuestRoots(
            amd=load_amd_roots(settings.amd_roots),
            sev=_load_sev_roots(settings.sev_roots),
            hygon=_load_hygon_roots(settings.hygon_roots),
        ),
        find_snp_endorsements=_find_snp(settings.amd_certificates, max_waiting, environment),
        find_csv_endorsements=_find_csv(settings.hygon_certificates, max_waiting, environment),
        find_sev_endorsements=find_no_sev
        if settings.sev_certificates is None
        else SEVDirectory(_directory(settings.sev_certificates, "ASKs and ARKs of AMD's")).find,
    )


def _find_snp(place: str | None, max_waiting: int, environment: Mapping[str, str]) -> FindSNPEndorsements:
    if place is None:
        return find_no_snp
    source: AMDSource
    if _is_url(place):
        source = KDSUpstream(place.rstrip("/"), _http_client(place, environment))
    else:
        source = AMDDirectory(_directory(place, "AMD's certificates"))
    return AMDEndorsements(source, max_waiting=max_waiting).find


def _find_csv(place: str | None, max_waiting: int, environment: Mapping[str, str]) -> FindCSVEndorsements:
    if place is None:
        return find_no_csv
    source: HygonSource
    if _is_url(place):
        source = HygonService(place, _http_client(place, environment))
    else:
        source = HygonDirectory(_directory(place, "Hygon's certificates"))
    return HygonEndorsements(source, max_waiting=max_waiting).find


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _http_client(url: str, environment: Mapping[str, str]) -> BoundedHTTPClient:
    return BoundedHTTPClient(tls=tls_context(verify=True), retries=Retries(times=0), proxy=proxy_for(url, environment))


def _directory(place: str, what: str) -> Path:
    directory = Path(place)
    if not directory.is_dir():
        raise ConfigError(f"{place} is no directory of {what}", remedy="name one that is there")
    return directory


def _load_hygon_roots(names: tuple[str, ...]) -> HygonRoots:
    own = {HYGON: (hygon_root(),)}
    roots = [root for name in names for root in own.get(name) or (parse_hygon_root(_load(name, HYGON), name),)]
    return HygonRoots(tuple({root.fingerprint: root for root in roots}.values()))


def _load_sev_roots(names: tuple[str, ...]) -> SEVRoots:
    own = {AMD: amd_sev_roots()}
    roots = [root for name in names for root in own.get(name) or (parse_sev_root(_load(name, AMD), name),)]
    return SEVRoots(tuple({root.fingerprint: root for root in roots}.values()))


def _load(path: str, vendor: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_CHAIN_BYTES)
    except OSError as error:
        raise ConfigError(
            f"the root {path} cannot be read: {error.strerror}",
            remedy=f"name a root's certificate, or {vendor!r} for the vendor's own",
        ) from error
