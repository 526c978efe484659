"""The application: which path is answered by what."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from verdictd.collateral.items import TEE
from verdictd.collateral.pccs_urls import APIVersion
from verdictd.pccs.model import Mode
from verdictd.pccs.ports import AMDCache, CollateralCache, PCKCache, Storage
from verdictd.pccs.web.http.answers import Answer, Header
from verdictd.pccs.web.http.endpoint import ANY, Endpoint, Handler
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.refusals import RequestRefusedError
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.http.tokens import TokenHashes
from verdictd.pccs.web.metrics import Metrics
from verdictd.pccs.web.routes.collateral import CollateralRoutes
from verdictd.pccs.web.routes.pck_certificates import PCKCertificateRoute

V3_WARNING: Final = (
    b'299 - "PCS API version 3 is no longer available. Cached collateral downloaded from API version 3 is deprecated,'
    b' will not be refreshed, and may expire. Please migrate to API version 4."'
)
_V3_HEADERS: Final[tuple[Header, ...]] = ((b"warning", V3_WARNING),)
ImportPlatformCollateral: TypeAlias = Callable[[bytes, datetime], Sequence[str]]
"""Takes Intel's JSON document of collateral in; returns notes for the operator. Raises VerdictdError."""

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


def build_app(services: Services, tokens: TokenHashes, clock: Callable[[], datetime]) -> Starlette:
    """Build the application.

    Args:
        services: what the routes ask.
        tokens: hashes of the tokens of users and administrators.
        clock: gives the time (aware).
    """
    metrics, threads = Metrics(), Threads()
    collateral = CollateralRoutes(services.collateral, clock, threads, metrics)
    pck = PCKCertificateRoute(services.pck, clock, threads, metrics)
    endpoints: dict[str, Endpoint] = {}

    def add(prefix: str, paths: _Paths, headers: tuple[Header, ...] = ()) -> None:
        for path, handlers in paths.items():
            name = f"{prefix}/{path}"
            endpoints[name] = Endpoint(name, handlers, metrics, headers=headers)

    def sgx(version: APIVersion) -> _Paths:
        return {
            "tcb": {"GET": collateral.tcb("SGX", version)},
            "pckcert": {"GET": pck.handle},
            "qe/identity": {"GET": collateral.qe_identity("SGX", version)},
            "pckcrl": {"GET": collateral.pck_crl()},
            "rootcacrl": {"GET": collateral.root_ca_crl()},
            "crl": {"GET": collateral.crl},
            "qve/identity": {"GET": collateral.qve_identity(version)},
        }

    tdx: TEE = "TDX"
    tdx_paths: _Paths = {
        "tcb": {"GET": collateral.tcb(tdx, 4)},
        "qe/identity": {"GET": collateral.qe_identity(tdx, 4)},
    }
    # The paths that are asked for most come first: they are tried in this order.
    add("/tdx/certification/v4", tdx_paths)
    add("/sgx/certification/v4", sgx(4))
    add("/sgx/certification/v3", sgx(3), _V3_HEADERS)
    return _assemble(endpoints, metrics, threads)


def _assemble(endpoints: dict[str, Endpoint], metrics: Metrics, threads: Threads) -> Starlette:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        threads.close()

    routes: list[BaseRoute] = [Route(path, endpoint) for path, endpoint in endpoints.items()]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = _Elsewhere(endpoints, Endpoint("unknown", {ANY: _refuse_path}, metrics))
    return app


async def _refuse_path(exchange: Exchange) -> Answer:
    raise RequestRefusedError(
        f"nothing is served at {exchange.scope['path'][:120]!a}",
        status=HTTPStatus.NOT_FOUND,
        problem="no-such-path",
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
