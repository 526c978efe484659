"""The simulated services, Intel's and AMD's, without sockets: what is answered, and what is to be wrong with it.

The platform's directory is read again for each request, so that what `tee-sim set-tcb-status` and `revoke` change
takes effect while the service runs. Below ``/tee-sim/`` it is told how to behave, and tells what it was asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

from verdictd.core.errors import ConfigError
from verdictd.simulator.amd_certificates import AMDProduct
from verdictd.simulator.amd_pki import AMDPKI
from verdictd.simulator.amd_store import load_amd_pki
from verdictd.simulator.behaviour import Behaviour, Fault, encode_behaviour, parse_behaviour
from verdictd.simulator.kds_api import KDS_PATHS, answer_kds
from verdictd.simulator.pcs_answers import JSON, PCSAnswer, refuse
from verdictd.simulator.pcs_api import answer
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.request_log import RequestLog

BEHAVIOUR_PATH: Final = "/tee-sim/behaviour"
REQUESTS_PATH: Final = "/tee-sim/requests"
_CONTROL_PREFIX: Final = "/tee-sim/"
_USUAL: Final = Fault()
_RATE_WINDOW: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRequest:
    """A request as it came.

    Attributes:
        method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
        target: untrusted; path and query as in the request line.
        body: untrusted.
        key: the subscription key, empty where there is none.
    """

    method: str
    target: str
    body: bytes = b""
    key: str = ""

    @property
    def path(self) -> str:
        """The target without its query."""
        try:
            return urlsplit(self.target).path
        except ValueError:
            return self.target

    @property
    def is_control(self) -> bool:
        """Whether it is not for the service, but for whoever runs it."""
        return self.path.startswith(_CONTROL_PREFIX)


class SimulatedService:
    """Answers requests for one platform's directory. Safe to share between threads."""

    def __init__(
        self, directory: Path, clock: Callable[[], datetime], *, behaviour: Behaviour, required_key: str = ""
    ) -> None:
        """Prepare.

        Args:
            directory: a platform's, as `SimulatedPlatform.save` made it.
            clock: gives the instant to issue collateral for; aware.
            behaviour: how to behave until told otherwise.
            required_key: the key without which PCK certificates are refused; empty for none.

        Raises:
            ConfigError: no platform's directory.
        """
        SimulatedPlatform.load(directory)
        self.log = RequestLog()
        self._directory = directory
        self._clock = clock
        self._required_key = required_key
        self._lock = Lock()
        self._behaviour = behaviour
        self._uses: dict[int, int] = {}
        self._recent: list[datetime] = []
        self._frozen: dict[ServiceRequest, PCSAnswer] = {}
        self._amd: dict[AMDProduct, AMDPKI] = {}

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        with self._lock:
            self._behaviour = behaviour
            self._uses.clear()
            self._recent.clear()
            self._frozen.clear()

    def respond(self, request: ServiceRequest) -> tuple[PCSAnswer, Fault]:
        """Return the answer to a request, with the fault by which it is to be delayed, dripped or reset."""
        if request.is_control:
            return self._control(request), _USUAL
        fault = self._take_fault(request.path)
        headers = () if fault.retry_after_s is None else (("Retry-After", str(fault.retry_after_s)),)
        if fault.status:
            return refuse(HTTPStatus(fault.status), "tee-sim was told to answer so", headers=headers), fault
        if not self._is_within_rate():
            reason = "more requests came within a second than tee-sim was told to take"
            return refuse(HTTPStatus.TOO_MANY_REQUESTS, reason, headers=(("Retry-After", "1"),)), fault
        found = self._answer(request)
        if fault.body is not None:
            found = replace(found, body=fault.body.encode())
        return replace(found, headers=(*found.headers, *headers)), fault

    def _control(self, request: ServiceRequest) -> PCSAnswer:
        match request.method, request.path:
            case "GET", str(path) if path == BEHAVIOUR_PATH:
                return PCSAnswer(content_type=JSON, body=encode_behaviour(self.behaviour))
            case "PUT", str(path) if path == BEHAVIOUR_PATH:
                try:
                    self.behaviour = parse_behaviour(request.body)
                except ConfigError as error:
                    return refuse(HTTPStatus.BAD_REQUEST, str(error))
                return PCSAnswer(content_type=JSON, body=encode_behaviour(self.behaviour))
            case "GET", str(path) if path == REQUESTS_PATH:
                return PCSAnswer(content_type=JSON, body=self.log.encode())
            case "DELETE", str(path) if path == REQUESTS_PATH:
                self.log.clear()
                return PCSAnswer(content_type=JSON, body=self.log.encode())
        reason = f"tee-sim has GET and PUT {BEHAVIOUR_PATH}, GET and DELETE {REQUESTS_PATH}"
        return refuse(HTTPStatus.NOT_FOUND, reason)

    def _take_fault(self, path: str) -> Fault:
        with self._lock:
            for index, fault in enumerate(self._behaviour.faults):
                used = self._uses.get(index, 0)
                if fault.concerns(path) and (fault.times is None or used < fault.times):
                    self._uses[index] = used + 1
                    return fault
        return _USUAL

    def _is_within_rate(self) -> bool:
        limit = self._behaviour.rate_per_s
        if limit is None:
            return True
        now = self._clock()
        with self._lock:
            self._recent = [instant for instant in self._recent if now - instant < _RATE_WINDOW]
            if len(self._recent) >= limit:
                return False
            self._recent.append(now)
        return True

    def _answer(self, request: ServiceRequest) -> PCSAnswer:
        behaviour = self._behaviour
        if not behaviour.frozen:
            return self._issue(request, behaviour)
        with self._lock:
            found = self._frozen.get(request)
        if found is None:
            issued = self._issue(request, behaviour)
            with self._lock:
                found = self._frozen.setdefault(request, issued)
        return found

    def _issue(self, request: ServiceRequest, behaviour: Behaviour) -> PCSAnswer:
        if request.method not in {"GET", "POST"}:
            return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "the service is asked with GET or POST")
        lifetime = None if behaviour.lifetime_s is None else timedelta(seconds=behaviour.lifetime_s)
        try:
            if request.path.startswith(KDS_PATHS) and request.method == "GET":
                return answer_kds(request.target, self._find_amd_pki, self._clock(), lifetime=lifetime)
            return answer(
                request.target,
                SimulatedPlatform.load(self._directory),
                self._clock(),
                method="POST" if request.method == "POST" else "GET",
                body=request.body,
                lifetime=lifetime,
                is_subscriber=self._is_subscriber(request.key),
            )
        except ConfigError as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _find_amd_pki(self, product: AMDProduct) -> AMDPKI:
        """Return what never changes once it was made, so that it need not be read for each request."""
        found = self._amd.get(product)
        if found is None:
            created_at = SimulatedPlatform.load(self._directory).created_at
            found = self._amd[product] = load_amd_pki(self._directory, product, created_at)
        return found

    def _is_subscriber(self, key: str) -> bool:
        return not self._required_key or compare_digest(key.encode(), self._required_key.encode())
