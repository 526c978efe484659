"""What verdictd keeps of each attestation, and a bounded history of it that others can follow."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

from verdictd.core.result import AppraisalResult
from verdictd.policy.decision import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRecord:
    """One attestation, concluded: the peer was accepted, refused, or failed to complete the handshake.

    Attributes:
        number: counts from 1; orders records also where one certificate attests more than once.
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
        self._changed = Condition()
        self._counts: Counter[str] = Counter()
        self._next = 1
        self._closed = False

    def next_number(self) -> int:
        """Return the number for a new record."""
        with self._changed:
            number = self._next
            self._next += 1
            return number

    def add(self, record: AttestationRecord) -> None:
        """Keep a record, forgetting the oldest beyond the limit, and wake those who follow."""
        with self._changed:
            self._records[record.number] = record
            while len(self._records) > self._limit:
                self._records.popitem(last=False)
            self._counts["accepted" if record.accepted else "refused"] += 1
            self._changed.notify_all()

    def find(self, id_prefix: str, limit: int) -> tuple[AttestationRecord, ...]:
        """Return the newest `limit` records whose id begins with `id_prefix`, the oldest of them first."""
        with self._changed:
            found = [record for record in self._records.values() if record.attestation_id.startswith(id_prefix)]
        return tuple(found[-limit:]) if limit else tuple(found)

    def counts(self) -> dict[str, int]:
        """How many attestations were accepted and refused since the start."""
        with self._changed:
            return {name: self._counts[name] for name in ("accepted", "refused")}

    def follow(self, wait_s: float) -> Iterator[AttestationRecord | None]:
        """Return records concluded from this call on, and ``None`` after each `wait_s` without one; ends when closed.

        Records that are forgotten before a slow follower comes to them are missing.
        """
        with self._changed:
            seen = set(self._records)
        return self._follow(seen, wait_s)

    def _follow(self, seen: set[int], wait_s: float) -> Iterator[AttestationRecord | None]:
        while True:
            with self._changed:
                if self._closed:
                    return
                fresh = [record for number, record in self._records.items() if number not in seen]
                if not fresh:
                    self._changed.wait(wait_s)
                seen = seen & self._records.keys() | {record.number for record in fresh}
            if fresh:
                yield from fresh
            else:
                yield None

    def close(self) -> None:
        """End all followers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
