"""What a worker keeps of each attestation, and a bounded history of it."""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from verdictd.core.result import AppraisalResult
from verdictd.policy.decision import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRecord:
    """One attestation, concluded: the peer was accepted, refused, or failed to complete the handshake.

    Attributes:
        number: the number of its record in the audit log; no two attestations share one.
        attestation_id: the first 8 hex digits of the SHA-256 of the peer's certificate.
        at: when it was concluded.
        peer: the peer's address, ``host:port``.
        accepted: whether the peer was served.
        sentence: the verdict in one sentence.
        result: every check; ``None`` where no certificate was judged.
        decision: the policy's decision, where one was made.
        duration_s: time taken by the judgement, collateral and policy included.
    """

    number: int
    attestation_id: str
    at: datetime
    peer: str
    accepted: bool
    sentence: str
    result: AppraisalResult | None
    decision: Decision | None
    duration_s: float


class AttestationHistory:
    """The last `limit` records, and counts of all. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._records: OrderedDict[int, AttestationRecord] = OrderedDict()
        self._changed = Lock()
        self._counts: Counter[str] = Counter()

    def add(self, record: AttestationRecord) -> None:
        """Keep a record, forgetting the oldest beyond the limit."""
        with self._changed:
            self._records[record.number] = record
            while len(self._records) > self._limit:
                self._records.popitem(last=False)
            self._counts["accepted" if record.accepted else "refused"] += 1

    def find(self, id_prefix: str, limit: int) -> tuple[AttestationRecord, ...]:
        """Return the newest `limit` records whose id begins with `id_prefix`, the oldest of them first."""
        with self._changed:
            found = [record for record in self._records.values() if record.attestation_id.startswith(id_prefix)]
        return tuple(found[-limit:]) if limit else tuple(found)

    def counts(self) -> dict[str, int]:
        """How many attestations were accepted and refused since the start."""
        with self._changed:
            return {name: self._counts[name] for name in ("accepted", "refused")}
