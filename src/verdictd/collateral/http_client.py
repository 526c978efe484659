"""A small HTTP client for collateral: bounded in bytes and in total time, no redirect to anywhere else.

Why not httpx: its timeouts bound single reads, not a request. This uses the engine below it, httpcore, with sockets
that know the deadline (see `deadline_backend`).
"""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Lock
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpcore

from verdictd import __version__
from verdictd.collateral.attempts import LONGEST_RETRY_AFTER_S
from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.deadline_backend import DeadlineBackend
from verdictd.collateral.shown_urls import show_url
from verdictd.core.errors import CollateralUnavailableError, ConfigError, LimitExceededError, MalformedError

_MAX_REDIRECTS: Final = 3
_MAX_ERROR_BODY_BYTES: Final = 4096
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPAnswer:
    """What a server answered. Untrusted.

    Attributes:
        url: which URL answered (after redirects within the server).
        status: the HTTP status.
        headers: by lower-case name; where one came several times, the last.
        body: whole where the status is 200, else its beginning.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and after how long to try again what may be passing: no connection, 429, 5xx.

    Attributes:
        times: further attempts after the first.
        delay_seconds: before the first of them; doubled each time.
    """

    times: int = 2
    delay_seconds: float = 0.25


class BoundedHTTPClient:
    """Fetches URLs from servers that the operator named. Safe to share between threads.

    A server that could not be reached, or that said when to come back, is left alone for a while: requests to it fail
    at once meanwhile, so that a dead one does not hold up everybody in turn.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        retries: Retries,
        proxy: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        rest_seconds: float = 5.0,
        clock: MonotonicClock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a client; nothing is asked yet.

        Args:
            tls: how servers prove who they are.
            retries: how often to try again.
            proxy: URL of a proxy, with credentials where it wants some.
            headers: sent with every request; never shown.
            rest_seconds: for how long a server that could not be reached is left alone.
            clock: monotonic seconds.
            sleep: waits for so many seconds.
        """
        self._tls = tls
        self._headers = tuple(headers)
        self._proxy = proxy
        self._retries = retries
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._sleep = sleep
        self._resting: dict[str, tuple[float, str, bool]] = {}
        self._lock = Lock()

    def get(self, url: str, *, max_bytes: int, deadline: Deadline, body: bytes | None = None) -> HTTPAnswer:
        """Fetch a URL.

        Args:
            url: without credentials; it appears in messages, but for what names a machine.
            body: JSON to send, with POST, which a server answers as if it were asked with GET.
            max_bytes: how long the body may be.
            deadline: when to give up, retries and their delays included.
        Raises:
            CollateralUnavailableError: no answer in time, or a redirect to another server.
            LimitExceededError: a longer body.
            MalformedError: not HTTP, or a body in an encoding that was not asked for.
        """
        origin = _origin(url)
        self._check_rest(origin)
        attempt = 0
        while True:
            delay = self._retries.delay_seconds * 2**attempt
            last = attempt == self._retries.times or delay >= deadline.remaining
            try:
                answer = self._follow(url, max_bytes, deadline, body)
            except CollateralUnavailableError as error:
                if last:
                    self._rest(origin, self._rest_seconds, error.message)
                    raise
            else:
                pause = read_retry_after(answer)
                if pause is not None and (last or pause >= deadline.remaining):
                    reason = f"{show_url(url)} answered {answer.status} and asked to wait"
                    self._rest(origin, pause, reason, is_wish=True)
                    return answer
                if last or answer.status not in _TRANSIENT:
                    return answer
                delay = max(delay, pause or 0.0)
            self._sleep(delay)
            attempt += 1

    def _check_rest(self, origin: str) -> None:
        with self._lock:
            until, reason, is_wish = self._resting.get(origin, (0.0, "", False))
        left = until - self._clock()
        if reason and left > 0:
            raise CollateralUnavailableError(
                f"{reason}; it is asked again in {left:.1f} s at the earliest", retry_after_s=left if is_wish else None
            )

    def _rest(self, origin: str, seconds: float, reason: str, *, is_wish: bool = False) -> None:
        with self._lock:
            self._resting[origin] = (self._clock() + seconds, reason, is_wish)

    def _follow(self, url: str, max_bytes: int, deadline: Deadline, body: bytes | None) -> HTTPAnswer:
        current = url
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._ask_once(current, max_bytes, deadline, body)
            if answer.status not in _REDIRECTS:
                return answer
            current = _redirection(current, answer.headers.get("location", ""))
            if _origin(current) != _origin(url):
                raise CollateralUnavailableError(
                    f"{show_url(url)} redirects to another server, {_origin(current) or 'with no usable address'}",
                    remedy="if that server is the right one, name it instead",
                )
        raise CollateralUnavailableError(f"{show_url(url)} redirects more than {_MAX_REDIRECTS} times")

    def _ask_once(self, url: str, max_bytes: int, deadline: Deadline, body: bytes | None) -> HTTPAnswer:
        headers = [("User-Agent", f"verdictd/{__version__}"), ("Accept-Encoding", "identity"), *self._headers]
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        method = "GET" if body is None else "POST"
        try:
            with (
                self._connect(deadline) as connection,
                connection.stream(method, url, headers=headers, content=body) as response,
            ):
                return _read_answer(url, response, max_bytes)
        except httpcore.TimeoutException as error:
            raise CollateralUnavailableError(f"{show_url(url)} did not answer in time") from error
        except (httpcore.ProtocolError, UnicodeError) as error:
            raise CollateralUnavailableError(f"{show_url(url)} did not answer in HTTP: {error}") from error
        except (httpcore.NetworkError, httpcore.ProxyError) as error:
            raise CollateralUnavailableError(
                f"{show_url(url)} cannot be reached: {error}", remedy=_remedy(error)
            ) from error

    def _connect(self, deadline: Deadline) -> httpcore.ConnectionPool:
        """Return a pool for a single request: items are fetched once in weeks, and a pool shared by threads races."""
        backend = DeadlineBackend(deadline)
        if self._proxy is None:
            return httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend)
        parts = urlsplit(self._proxy)
        credentials = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
        return httpcore.HTTPProxy(self._proxy, credentials, ssl_context=self._tls, network_backend=backend)


def tls_context(*, verify: bool, ca_file: str | None = None) -> ssl.SSLContext:
    """Return the TLS settings for fetching collateral.

    Args:
        verify: whether the server must prove who it is. Collateral is signed by its vendor, so that without this check
            somebody in between can withhold it or hand out an older set, but not forge any.
        ca_file: certificates (PEM) to trust instead of the system's.
    Raises:
        ConfigError: the file is not there, or holds no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(
            f"the CA certificates in {ca_file} cannot be read: {error}", remedy="name a PEM file of certificates"
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _read_answer(url: str, response: httpcore.Response, max_bytes: int) -> HTTPAnswer:
    headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
    ok = response.status == HTTPStatus.OK
    if ok and headers.get("content-encoding", "identity") != "identity":
        raise MalformedError(
            f"{show_url(url)} answered in the encoding {headers['content-encoding']!r:.20}, not asked for"
        )
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if not ok and len(body) >= _MAX_ERROR_BODY_BYTES:
            break
        if len(body) > max_bytes:
            raise LimitExceededError(f"{show_url(url)} answered with more than {max_bytes} bytes")
    return HTTPAnswer(url=show_url(url), status=response.status, headers=headers, body=bytes(body))


def read_retry_after(answer: HTTPAnswer) -> float | None:
    """Return for how many seconds a server wishes to be left alone; ``None`` where it does not say so.

    It is no longer than `LONGEST_RETRY_AFTER_S`: nobody can have an item not asked for again for years.

    Spec:
        RFC 9110, 10.2.3: seconds, or a date, which counts from the server's own date where it gives one.
    """
    text = answer.headers.get("retry-after", "")
    if answer.status not in _TRANSIENT or not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else datetime.now(UTC)
        seconds: float = (until - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)


def _redirection(url: str, location: str) -> str:
    """Return where a redirect leads; empty where that is no URL."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _origin(url: str) -> str:
    """Return scheme, host and port; empty where the URL cannot be used."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    except (ValueError, KeyError):
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _remedy(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "install the certificate of the server's CA on this machine, or set use_secure_cert to false: the"
            " collateral itself is signed by its vendor"
        )
    return "check that the address is right and the server is up"
