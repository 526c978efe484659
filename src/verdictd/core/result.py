"""The Attestation Result: the verdict, every check behind it, and the claims that hold if it allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias, Union

from verdictd.core.checks import Check, CheckResult

JSONValue: TypeAlias = Union[bool, int, float, str, list["JSONValue"], dict[str, "JSONValue"], None]  # noqa: UP007 - a recursive alias cannot use |

_PASS = CheckResult.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalResult:
    """What an appraisal found. Returned also for a refusal: it says why.

    Trust: `claims` may be relied upon only where `allowed` is true; before that they are what the peer says of itself.

    Attributes:
        tee: the kind of evidence, named as rats-tls names its instances, e.g. ``sgx_ecdsa``.
        checks: every check, in the order made.
        at: the instant for which was appraised (aware, UTC).
        tcb_status: the converged TCB status, ``None`` where none could be established.
        advisory_ids: the vendor's advisories that apply to the platform and its quoting enclave, sorted, once each.
        claims: everything appraised, as JSON values; byte strings and 64-bit fields as lower-case hex.
        custom_claims: what the peer's certificate claims beside its key; bound to the evidence, not otherwise checked.
        tcb_date: since when the matched TCB level has its status.
        evaluation_data_number: the lower one of TCB info and QE identity.
        earliest_expiry: when the first of the certificates and collateral used expires.
        sources: for each collateral item, where it came from.
    """

    tee: str
    checks: tuple[Check, ...]
    at: datetime
    tcb_status: str | None = None
    advisory_ids: tuple[str, ...] = ()
    claims: Mapping[str, JSONValue] = field(default_factory=dict)
    custom_claims: Mapping[str, bytes] = field(default_factory=dict)
    tcb_date: datetime | None = None
    evaluation_data_number: int | None = None
    earliest_expiry: datetime | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        """True only where there are checks, none failed, and each mandatory one was made."""
        for check in self.checks:
            if check.result is not _PASS and check.refuses:
                return False
        return bool(self.checks)

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that refuse, in the order made."""
        return tuple(check for check in self.checks if check.refuses)

    def with_checks(self, *checks: Check) -> "AppraisalResult":
        """Return the same result with further checks appended."""
        return replace(self, checks=self.checks + checks)
