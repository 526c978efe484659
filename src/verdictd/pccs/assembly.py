"""Puts a cache together from its settings: for the server, and for each command that works on the same database."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from typing import Final

from verdictd.collateral.http_client import BoundedHTTPClient, Retries, tls_context
from verdictd.collateral.kds import KDSUpstream
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.pccs_urls import PCCSAddress
from verdictd.collateral.proxies import proxy_for
from verdictd.configuration.amd_trust_files import load_amd_roots
from verdictd.configuration.trust_files import load_trust_roots
from verdictd.core.errors import ConfigError
from verdictd.pccs.amd.cache import StoredAMDCache
from verdictd.pccs.amd.fetching import AMDFetcher
from verdictd.pccs.amd.held import HeldAMD
from verdictd.pccs.amd.verification import AMDVerifier
from verdictd.pccs.asking import Asking, OnUpstream, UnknownBudget, ignore_upstream
from verdictd.pccs.collateral_cache import StoredCollateralCache
from verdictd.pccs.database import open_storage
from verdictd.pccs.intel_import import import_platform_collateral
from verdictd.pccs.model import Edition, Mode
from verdictd.pccs.pck_cache import StoredPCKCache, build_pck_cache
from verdictd.pccs.pck_fetching import PCKFetcher
from verdictd.pccs.pck_upstream import PCKUpstream
from verdictd.pccs.ports import Storage
from verdictd.pccs.refreshing import BackgroundRefresh
from verdictd.pccs.settings import Settings, warnings
from verdictd.pccs.web.app import Services, build_app
from verdictd.pccs.web.http.tokens import TokenHashes
from verdictd.pccs.web.listening import ListenAddress
from verdictd.pccs.web.protocol import ConnectionLimits
from verdictd.pccs.web.server import WebServer
from verdictd.pccs.web.tls import TLSFiles
from verdictd.pccs.web.upstream_metrics import UpstreamMetrics
from verdictd.tees.dcap.trust_roots import TrustRoots

_LOGGER: Final = logging.getLogger(__name__)
_KEY_HEADER: Final = "Ocp-Apim-Subscription-Key"
_RETRIES: Final = Retries(times=2, delay_seconds=0.25)
_AMD_RETRIES: Final = Retries(times=0)
"""AMD's service counts requests, and refuses for a while whoever made too many."""
_AMD_REFRESH_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCache:
    """A cache put together; see `verdictd.pccs.parts.Cache`."""

    storage: Storage
    collateral: StoredCollateralCache
    pck: StoredPCKCache
    amd: StoredAMDCache
    roots: TrustRoots
    mode: Mode


@contextmanager
def open_cache(
    settings: Settings, clock: Callable[[], datetime], on_upstream: OnUpstream = ignore_upstream
) -> Iterator[OpenedCache]:
    """Open the cache that settings describe, until the end of the block. Nothing is asked of upstream by itself.

    Args:
        settings: see `Settings`.
        clock: tells the time (aware).
        on_upstream: told of each request to an upstream.
    Raises:
        ConfigError: a root, the database or an upstream cannot be used as it is set.
    """
    roots = load_trust_roots(settings.trust_roots)
    upstreams = [(address, _client(address, settings)) for address in settings.upstream_addresses]
    if settings.database is None:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    verifier = AMDVerifier(load_amd_roots(settings.amd_roots))
    storage = open_storage(settings.database_url, roots, verify_amd=verifier)
    verifier.read_chains_from(storage.amd)
    try:
        asking = Asking(
            storage.attempts,
            clock,
            on_upstream=on_upstream,
            budget=UnknownBudget(settings.limits.unknown_per_second),
        )
        yield _put_together(settings, storage, upstreams, asking, roots=roots, verifier=verifier, clock=clock)
    finally:
        storage.close()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: it cannot start.
    """
    clock = partial(datetime.now, UTC)
    for warning in warnings(settings):
        _LOGGER.warning(warning)
    upstream_metrics = UpstreamMetrics()
    with open_cache(settings, clock, upstream_metrics.observe) as cache:
        services = Services(
            storage=cache.storage,
            collateral=cache.collateral,
            pck=cache.pck,
            amd=cache.amd,
            import_platform_collateral=partial(import_platform_collateral, cache),
            mode=cache.mode,
        )
        tokens = TokenHashes(user=settings.user_token_hash, admin=settings.admin_token_hash)
        server = _listen(settings, services, tokens, upstream_metrics, clock)
        with (
            BackgroundRefresh(cache.collateral, clock),
            BackgroundRefresh(cache.pck, clock),
            BackgroundRefresh(cache.amd, clock, interval_s=_AMD_REFRESH_S),
        ):
            server.run(lambda: _announce(server))


def _listen(
    settings: Settings,
    services: Services,
    tokens: TokenHashes,
    upstream_metrics: UpstreamMetrics,
    clock: Callable[[], datetime],
) -> WebServer:
    tls = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = TLSFiles(settings.tls_certificate, settings.tls_key)
    limits = ConnectionLimits(
        head_s=settings.limits.headers_timeout_s,
        request_s=settings.limits.request_timeout_s,
        keep_alive_s=settings.limits.keep_alive_s,
        connections=settings.limits.max_connections,
    )
    address = ListenAddress(settings.listen.host, settings.listen.port)
    app = build_app(
        services,
        tokens,
        clock,
        with_metrics=settings.metrics,
        collectors=upstream_metrics.collectors,
        max_body_bytes=settings.limits.max_request_bytes,
    )
    return WebServer(app, [address], tls=tls, limits=limits)


def _announce(server: WebServer) -> None:
    scheme = "https" if server.has_tls else "http"
    for address in server.addresses:
        _LOGGER.info("serving collateral at %s://%s/sgx/certification/v4/", scheme, address)


def _put_together(
    settings: Settings,
    storage: Storage,
    upstreams: list[tuple[PCCSAddress, BoundedHTTPClient]],
    asking: Asking,
    *,
    roots: TrustRoots,
    verifier: AMDVerifier,
    clock: Callable[[], datetime],
) -> OpenedCache:
    holder = f"{socket.gethostname()}:{os.getpid()}:{token_hex(8)}"

    def make_sources(edition: Edition) -> Iterator[PCCSClient]:
        for address, http in upstreams:
            if address.version == edition.version:
                yield PCCSClient(address, http, update=edition.update)

    collateral = StoredCollateralCache(
        storage,
        make_sources,
        roots=roots,
        mode=settings.mode,
        holder=holder,
        clock=clock,
        refresh_period=settings.refresh_period,
        asking=asking,
    )
    fetcher = PCKFetcher(
        storage,
        [PCKUpstream(address, http, clock) for address, http in upstreams],
        roots=roots,
        holder=holder,
        clock=clock,
        asking=asking,
    )
    pck = build_pck_cache(
        storage,
        collateral,
        fetcher,
        roots=roots,
        mode=settings.mode,
        holder=holder,
        refresh_period=settings.refresh_period,
    )
    return OpenedCache(
        storage=storage,
        collateral=collateral,
        pck=pck,
        amd=_put_amd_together(settings, storage, verifier, holder=holder, asking=asking, clock=clock),
        roots=roots,
        mode=settings.mode,
    )


def _put_amd_together(
    settings: Settings,
    storage: Storage,
    verifier: AMDVerifier,
    *,
    holder: str,
    asking: Asking,
    clock: Callable[[], datetime],
) -> StoredAMDCache:
    url = settings.amd_upstream
    http = BoundedHTTPClient(tls=tls_context(verify=True), retries=_AMD_RETRIES, proxy=proxy_for(url, os.environ))
    held = HeldAMD(storage.amd, verifier)
    fetcher = AMDFetcher(storage, held, KDSUpstream(url, http), verifier, holder=holder, clock=clock, asking=asking)
    return StoredAMDCache(
        storage.amd, held, fetcher, verifier, mode=settings.mode, refresh_period=settings.refresh_period
    )


def _client(address: PCCSAddress, settings: Settings, env: Mapping[str, str] = os.environ) -> BoundedHTTPClient:
    headers = [(_KEY_HEADER, settings.upstream_key)] if settings.upstream_key else []
    if headers and address.warning:
        raise ConfigError(
            f"the upstream {address} is asked without TLS, and its key would pass in the clear",
            remedy="write the upstream with https://, or leave the key out: collateral needs none",
        )
    return BoundedHTTPClient(
        tls=tls_context(verify=True), retries=_RETRIES, proxy=proxy_for(str(address), env), headers=headers
    )
