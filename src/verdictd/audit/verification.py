"""Proves of an audit log that no record is missing or changed, up to a head that is known from elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from verdictd.audit.lines import NOTHING, AuditRecord, Head, parse_line
from verdictd.core.errors import VerdictdError

MAX_FINDINGS = 50
"""How many are told; more are only counted."""
_COMPARE = "compare with a copy of the log; whoever may write its directory can have done this"


class Line(NamedTuple):
    """A line with its line feed, and where it stands: the file's name and the line's number from 1."""

    file: str
    number: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that does not hold.

    Attributes:
        place: ``file:line``; empty where no line is at fault.
        seq: the number of the record that is concerned, as far as it is known.
        expected, found: for a person.
        remedy: what to do about it.
    """

    place: str
    seq: int | None
    expected: str
    found: str
    remedy: str

    @property
    def sentence(self) -> str:
        """All of it as one sentence."""
        where = f"{self.place}: " if self.place else ""
        return f"{where}found {self.found}, expected {self.expected}; {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification proved.

    Attributes:
        records: how many records were read.
        first: the number of the first of them; ``None`` where there are none. Nothing is said of those before it.
        head: what the log ends with.
        findings: what does not hold, `MAX_FINDINGS` at most.
        more_findings: how many more there are.
    """

    records: int
    first: int | None
    head: Head | None
    findings: tuple[Finding, ...]
    more_findings: int

    @property
    def holds(self) -> bool:
        """Whether none of the records from `first` to `head` is missing or changed."""
        return not self.findings


def verify(lines: Iterable[Line], expected_heads: Sequence[Head] = ()) -> Verification:
    """Verify the lines of a log, given in the order of its segments.

    Args:
        lines: untrusted; any bytes.
        expected_heads: heads known from elsewhere. Without one, a log that was cut at its end, or changed and
            calculated anew, cannot be told from one that was not.
    """
    verifier = _Verifier(expected_heads)
    for line in lines:
        verifier.take(line)
    return verifier.finish()


@dataclass(slots=True)
class _Verifier:
    expected_heads: Sequence[Head]
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    records: int = 0
    first: AuditRecord | None = None
    last: AuditRecord | None = None
    last_place: str = ""
    unreadable: int = 0
    """Lines since the last record that could not be read."""
    seen: dict[int, str] = field(default_factory=dict)
    """The digests of the records of which a head is expected."""

    def take(self, line: Line) -> None:
        place = f"{line.file}:{line.number}"
        try:
            record = parse_line(line.data)
        except VerdictdError as error:
            self._take_unreadable(place, line.data, error)
            return
        self.records += 1
        if any(head.seq == record.seq for head in self.expected_heads):
            self.seen.setdefault(record.seq, record.digest)
        if self.last is None:
            self._take_first(place, record)
        elif record.seq <= self.last.seq:
            self._find(
                place,
                record.seq,
                f"record {self.last.seq + 1}, after record {self.last.seq}",
                f"record {record.seq}, which is out of its order or there twice",
                _COMPARE,
            )
            return
        else:
            self._compare(place, record, self.last)
        self.last, self.last_place, self.unreadable = record, place, 0

    def _take_unreadable(self, place: str, data: bytes, error: VerdictdError) -> None:
        self.unreadable += 1
        seq = None if self.last is None else self.last.seq + self.unreadable
        remedy = _COMPARE
        if not data.endswith(b"\n"):
            remedy = (
                "a writer was killed within it; verdictd moves it away when it next writes, and nothing that it had"
                " recorded is lost"
            )
        self._find(place, seq, "a record" if seq is None else f"record {seq}", f"no record: {error.message}", remedy)

    def _take_first(self, place: str, record: AuditRecord) -> None:
        self.first = record
        if record.seq == 1 and record.previous != NOTHING:
            self._find(place, 1, f"a first record whose previous is {NOTHING}", record.previous, _COMPARE)

    def _compare(self, place: str, record: AuditRecord, last: AuditRecord) -> None:
        missing = record.seq - last.seq - 1
        if missing > self.unreadable:
            first, final = last.seq + 1, record.seq - 1
            which = f"record {first}" if first == final else f"records {first} to {final}"
            self._find(
                place,
                first,
                f"record {first}, after record {last.seq}",
                f"record {record.seq}: {which} missing",
                "where segments were moved away, give them as well; else " + _COMPARE,
            )
        elif missing == 0 and record.previous != last.digest:
            self._find(
                place,
                record.seq,
                f"previous {last.digest}, the SHA-256 of record {last.seq} ({self.last_place})",
                f"previous {record.previous}: record {last.seq} or this one was changed after it was written",
                _COMPARE,
            )

    def finish(self) -> Verification:
        for head in self.expected_heads:
            self._expect(head)
        return Verification(
            records=self.records,
            first=None if self.first is None else self.first.seq,
            head=None if self.last is None else self.last.head,
            findings=tuple(self.findings),
            more_findings=self.more_findings,
        )

    def _expect(self, head: Head) -> None:
        expected = f"record {head.seq} with the SHA-256 {head.digest}, as the expected head says"
        digest = self.seen.get(head.seq)
        if digest is None and self.first is not None and head.seq == self.first.seq - 1:
            digest = self.first.previous
        if digest is not None:
            if digest != head.digest:
                found = f"the SHA-256 {digest}: it, or a record before it, was changed"
                self._find("", head.seq, expected, found, _COMPARE)
        elif self.last is None or head.seq > self.last.seq:
            end = "no record at all" if self.last is None else f"an end at record {self.last.seq}"
            self._find("", head.seq, expected, f"{end}: records at the end are missing", _COMPARE)
        elif self.first is not None and head.seq < self.first.seq:
            found = f"a log that begins with record {self.first.seq}"
            self._find("", head.seq, expected, found, "give the segment with it as well")
        else:
            self._find("", head.seq, expected, "no such record", _COMPARE)

    def _find(self, place: str, seq: int | None, expected: str, found: str, remedy: str) -> None:
        if len(self.findings) >= MAX_FINDINGS:
            self.more_findings += 1
            return
        self.findings.append(Finding(place=place, seq=seq, expected=expected, found=found, remedy=remedy))
