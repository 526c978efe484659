"""What whoever watches verdictd is told over HTTP: `/metrics`, `/healthz` and `/readyz`, nothing else."""

import asyncio
import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from verdictd.configuration.address import Address
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.core.result import JSONValue
from verdictd.daemon.bounded_http import BoundedHTTPServer, Page

_LOOP_TIMEOUT_S: Final = 3.0
"""In which the supervisor's event loop has to come round. What blocks it so long blocks everybody who connects."""
_TEXT: Final = "text/plain; charset=utf-8"


class MetricsServer:
    """Serves in threads of its own from `start` to `stop`; so many clients at once, the others are hung up on.

    Made in the event loop of whose health it tells.
    """

    def __init__(self, address: Address, metrics: Callable[[], bytes], why_not_ready: Callable[[], list[str]]) -> None:
        """Listen.

        Args:
            address: where.
            metrics: writes the metrics.
            why_not_ready: a sentence for each reason for which nobody could be accepted now; none where somebody could.
        Raises:
            ConfigError: it is not possible to listen there.
        """
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._why_not_ready = why_not_ready
        try:
            self._server = BoundedHTTPServer(address, self._find_page)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"the metrics cannot be served on {address}: {error}", remedy="name a free address with --metrics"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return Address(str(host), int(port))

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _find_page(self, path: str) -> Page:
        match path:
            case "/metrics":
                return self._write_metrics()
            case "/healthz":
                is_alive = comes_round(self._loop, _LOOP_TIMEOUT_S)
                return _make_page({"alive": is_alive}, is_good=is_alive)
            case "/readyz":
                reasons = self._why_not_ready()
                return _make_page({"ready": not reasons, "why_not": [*reasons]}, is_good=not reasons)
            case _:
                return Page(HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics, /healthz and /readyz\n")

    def _write_metrics(self) -> Page:
        try:
            return Page(HTTPStatus.OK, CONTENT_TYPE_LATEST, self._metrics())
        except VerdictdError as error:
            return Page(HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, f"{error}\n".encode())


def comes_round(loop: asyncio.AbstractEventLoop, timeout_s: float) -> bool:
    """Whether an event loop comes to a new callback in time. Called from another thread."""
    came = threading.Event()
    try:
        loop.call_soon_threadsafe(came.set)
    except RuntimeError:  # it is closed
        return False
    return came.wait(timeout_s)


def _make_page(document: dict[str, JSONValue], *, is_good: bool) -> Page:
    status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(status, "application/json", json.dumps(document).encode("ascii") + b"\n")
