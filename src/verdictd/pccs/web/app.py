"""The application: which path is answered by what."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from verdictd.collateral.pccs_urls import APIVersion
from verdictd.pccs.model import Mode
from verdictd.pccs.ports import AMDCache, CollateralCache, PCKCache, Storage
from verdictd.pccs.web.held_items import HeldItems
from verdictd.pccs.web.http.answers import Answer, Header
from verdictd.pccs.web.http.endpoint import ANY, Endpoint, Handler, Observer
from verdictd.pccs.web.http.exchange import MAX_BODY_BYTES, Exchange
from verdictd.pccs.web.http.refusals import NO_SUCH_PATH, RequestRefusedError
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.http.tokens import TokenHashes
from verdictd.pccs.web.metrics import Metrics
from verdictd.pccs.web.routes.administration import ImportPlatformCollateral, PlatformCollateralRoute, RefreshRoute
from verdictd.pccs.web.routes.amd import AMDRoutes
from verdictd.pccs.web.routes.appraisal_policies import AppraisalPolicyRoutes
from verdictd.pccs.web.routes.collateral import CollateralRoutes
from verdictd.pccs.web.routes.pck_certificates import PCKCertificateRoute
from verdictd.pccs.web.routes.platforms import PlatformRoutes
from verdictd.pccs.web.routes.watching import WatchingRoutes

V3_WARNING: Final = (
    b'299 - "PCS API version 3 is no longer available. Cached collateral downloaded from API version 3 is deprecated,'
    b' will not be refreshed, and may expire. Please migrate to API version 4."'
)
_AMD_THREADS: Final = 16
_LOOK_UP_THREADS: Final = 8
"""For what the database answers by itself: no upstream that stalls holds these up."""
_V3_HEADERS: Final[tuple[Header, ...]] = ((b"warning", V3_WARNING),)
_Paths: TypeAlias = Mapping[str, Mapping[str, Handler]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes ask.

    Attributes:
        storage: for registrations, policies and what is shown of the cache.
        collateral: TCB info, identities, CRLs.
        pck: PCK certificates.
        amd: AMD's certificates.
        import_platform_collateral: takes in what ``platformcollateral`` is given.
        mode: when upstream is asked.
    """

    storage: Storage
    collateral: CollateralCache
    pck: PCKCache
    amd: AMDCache
    import_platform_collateral: ImportPlatformCollateral
    mode: Mode


def build_app(
    services: Services,
    tokens: TokenHashes,
    clock: Callable[[], datetime],
    *,
    with_metrics: bool = True,
    collectors: Sequence[Collector] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Starlette:
    """Build the application.

    Args:
        services: what the routes ask.
        tokens: hashes of the tokens of users and administrators.
        clock: gives the time (aware).
        with_metrics: whether ``/metrics`` is served.
        collectors: what else is written there.
        max_body_bytes: of a request.
    """
    metrics = Metrics()
    # One pool for each kind of wait: who waits for what upstream is slow with keeps nobody else waiting.
    look_up_threads = Threads(threads=_LOOK_UP_THREADS)
    collateral_threads, pck_threads, amd_threads = Threads(), Threads(), Threads(threads=_AMD_THREADS)
    administration_threads = Threads(threads=4, max_waiting=64)
    watching_threads = Threads(threads=2, max_waiting=16)
    held = HeldItems(services.storage, clock)
    for collector in (held, *collectors):
        metrics.add(collector)
    collateral = CollateralRoutes(services.collateral, clock, collateral_threads, metrics)
    refresh = RefreshRoute((services.collateral, services.pck, services.amd), tokens, clock)
    intel = _IntelPaths(
        collateral=collateral,
        pck=PCKCertificateRoute(services.pck, clock, look_up_threads, pck_threads, metrics),
        platforms=PlatformRoutes(services.storage, services.pck, tokens, clock, (pck_threads, administration_threads)),
        platform_collateral=PlatformCollateralRoute(
            services.import_platform_collateral, tokens, clock, administration_threads
        ),
        refresh=refresh,
        policies=AppraisalPolicyRoutes(services.storage, tokens, administration_threads),
    )
    watching = WatchingRoutes(services.storage, held, metrics.write, watching_threads)
    endpoints = _Endpoints(metrics, max_body_bytes)
    # The paths that are asked for most come first: they are tried in this order.
    exact = [
        *endpoints.at("/sgx/certification/v4", intel.sgx(4)),
        *endpoints.at("/tdx/certification/v4", intel.tdx()),
        *endpoints.at("/sgx/certification/v3", intel.sgx(3), _V3_HEADERS),
        *endpoints.at("", _watching_paths(watching, with_metrics=with_metrics)),
    ]
    amd = endpoints.at("", _amd_paths(AMDRoutes(services.amd, clock, amd_threads, metrics)))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        for closing in (
            collateral_threads,
            look_up_threads,
            pck_threads,
            amd_threads,
            administration_threads,
            watching_threads,
            refresh,
        ):
            closing.close()

    routes: list[BaseRoute] = [Route(path, endpoint) for path, endpoint in (*exact, *amd)]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = _Elsewhere(dict(exact), Endpoint("unknown", {ANY: _refuse_path}, metrics))
    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class _IntelPaths:
    collateral: CollateralRoutes
    pck: PCKCertificateRoute
    platforms: PlatformRoutes
    platform_collateral: PlatformCollateralRoute
    refresh: RefreshRoute
    policies: AppraisalPolicyRoutes

    def sgx(self, version: APIVersion) -> _Paths:
        return {
            "tcb": {"GET": self.collateral.tcb("SGX", version)},
            "pckcert": {"GET": self.pck.handle},
            "qe/identity": {"GET": self.collateral.qe_identity("SGX", version)},
            "pckcrl": {"GET": self.collateral.pck_crl()},
            "rootcacrl": {"GET": self.collateral.root_ca_crl()},
            "crl": {"GET": self.collateral.crl},
            "qve/identity": {"GET": self.collateral.qve_identity(version)},
            "platforms": {"POST": self.platforms.register, "GET": self.platforms.show},
            "platformcollateral": {"PUT": self.platform_collateral.handle},
            "refresh": {"POST": self.refresh.handle, "GET": self.refresh.handle},
            "appraisalpolicy": {"PUT": self.policies.keep, "GET": self.policies.show},
        }

    def tdx(self) -> _Paths:
        return {
            "tcb": {"GET": self.collateral.tcb("TDX", 4)},
            "qe/identity": {"GET": self.collateral.qe_identity("TDX", 4)},
        }


def _watching_paths(watching: WatchingRoutes, *, with_metrics: bool) -> _Paths:
    paths: dict[str, Mapping[str, Handler]] = {
        "healthz": {"GET": watching.health},
        "readyz": {"GET": watching.readiness},
    }
    if with_metrics:
        paths["metrics"] = {"GET": watching.metrics}
    return paths


def _amd_paths(amd: AMDRoutes) -> _Paths:
    return {
        "vcek/v1/{product}/cert_chain": {"GET": amd.chain("vcek")},
        "vcek/v1/{product}/crl": {"GET": amd.crl("vcek")},
        "vcek/v1/{product}/{chip_id}": {"GET": amd.vcek},
        "vlek/v1/{product}/cert_chain": {"GET": amd.chain("vlek")},
        "vlek/v1/{product}/crl": {"GET": amd.crl("vlek")},
        "vlek/v1/{product}/cert": {"GET": amd.vlek},
    }


@dataclass(frozen=True, slots=True)
class _Endpoints:
    observer: Observer
    max_body_bytes: int

    def at(self, prefix: str, paths: _Paths, headers: tuple[Header, ...] = ()) -> list[tuple[str, Endpoint]]:
        named = ((f"{prefix}/{path}", handlers) for path, handlers in paths.items())
        return [
            (name, Endpoint(name, handlers, self.observer, headers=headers, max_body_bytes=self.max_body_bytes))
            for name, handlers in named
        ]


async def _refuse_path(exchange: Exchange) -> Answer:
    raise RequestRefusedError(
        f"nothing is served at {exchange.scope['path'][:120]!a}",
        status=HTTPStatus.NOT_FOUND,
        problem=NO_SUCH_PATH,
        remedy="see docs/pccs-api.md for the routes; TDX has tcb and qe/identity of version 4 alone",
    )


class _Elsewhere:
    """Answers for the paths that no route has: Intel's service takes a slash at the end, and capitals."""

    def __init__(self, endpoints: Mapping[str, Endpoint], unknown: Endpoint) -> None:
        self._endpoints = endpoints
        self._unknown = unknown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the path that is meant."""
        endpoint = self._endpoints.get(str(scope["path"]).lower().removesuffix("/"), self._unknown)
        await endpoint(scope, receive, send)
