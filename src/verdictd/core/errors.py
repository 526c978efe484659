"""The errors of verdictd: one tree, split by what the caller can do about each.

A parser that is fed any bytes whatever returns a value or raises `MalformedError`, `UnsupportedError` or
`LimitExceededError`; nothing else. Appraisal does not raise for evidence that is merely not acceptable: it returns
an `AppraisalResult` that lists every check. Misuse by the programmer is `TypeError`, `ValueError` or `RuntimeError`.
"""


class VerdictdError(Exception):
    """Root of every error that verdictd raises on purpose.

    Messages are sentences for an operator: what was expected, what was found. `remedy` says what to do about it.
    Neither ever holds a secret.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class MalformedError(VerdictdError):
    """Bytes, JSON, CBOR or DER that do not follow their format."""


class UnsupportedError(VerdictdError):
    """Well-formed, but of a version, algorithm or TEE that is not implemented here."""


class LimitExceededError(VerdictdError):
    """Larger, deeper, slower or more numerous than allowed. Probably abuse."""


class AuthenticityError(VerdictdError):
    """A signature, a chain or a key binding does not hold."""


class CollateralError(VerdictdError):
    """Endorsements (vendor collateral) are missing, unusable or cannot be fetched."""


class CollateralUnavailableError(CollateralError):
    """The collateral could not be fetched now. Trying again later may help.

    Attributes:
        retry_after_s: for how long whoever was asked wishes to be left alone, where it says so.
        status: the HTTP status that was answered; 0 where there was no answer.
    """

    def __init__(self, message: str, *, remedy: str = "", retry_after_s: float | None = None, status: int = 0) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s
        self.status = status


class PolicyError(VerdictdError):
    """A policy or a reference that must not be used: it was refused, and what was there before stays."""


class AppraisalRefusedError(VerdictdError):
    """The peer was appraised and turned away. The message names the checks that failed."""


class TransportError(VerdictdError):
    """Sockets, TLS, HTTP or gRPC failed, or the other side refused."""


class ConfigError(VerdictdError):
    """The operator's settings cannot be used as they stand."""
