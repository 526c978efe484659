"""Why the cache could not answer: each with the status that Intel's clients know how to take."""

from http import HTTPStatus
from typing import Final

from verdictd.core.errors import ConfigError, VerdictdError

NO_CACHE_DATA: Final = int(HTTPStatus.NOT_FOUND)
INTEGRITY: Final = 460
PLATFORM_UNKNOWN: Final = 461
CERTIFICATES_UNAVAILABLE: Final = 462
UPSTREAM_FAILED: Final = int(HTTPStatus.BAD_GATEWAY)
NOT_NOW: Final = int(HTTPStatus.SERVICE_UNAVAILABLE)


class UnavailableError(VerdictdError):
    """What was asked for cannot be handed out.

    Attributes:
        status: what an HTTP client is answered.
        problem: a word for the kind of reason, stable, for programs: ``platform-unknown``, ``ppid-refused``,
            ``rate-limited``, ``upstream-down``, ``no-cache-data``, ``certificates-unavailable``, ``integrity``,
            ``offline``, ``expired``, ``revoked``, ``busy``.
        retry_after_s: when to come back, where that is known.
    """

    def __init__(
        self, message: str, *, status: int, problem: str, remedy: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s


class StorageError(ConfigError):
    """The database failed, or cannot be used as it is."""
