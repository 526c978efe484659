"""Verification: any byte that is changed, any line that is dropped, doubled, swapped or put in, is found and named."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.audit.lines import BEGINNING, MAX_LINE_BYTES, Head, build_line, encode_content, parse_head, parse_line
from verdictd.audit.verification import MAX_FINDINGS, Line, Verification, verify
from verdictd.core.errors import MalformedError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
COUNT = 8


def build(count: int = COUNT, start: Head = BEGINNING, says: str = "record") -> tuple[list[bytes], Head]:
    lines, head = [], start
    for number in range(count):
        content = encode_content({"kind": "test", "says": f"{says} {number}"})
        line, head = build_line(content, NOW + timedelta(seconds=number), head)
        lines.append(line)
    return lines, head


LINES, HEAD = build()


def verified(lines: list[bytes], *heads: Head) -> Verification:
    return verify((Line("audit.jsonl", number, line) for number, line in enumerate(lines, 1)), heads)


def test_a_log_that_is_whole_holds() -> None:
    found = verified(LINES, HEAD)
    assert (found.holds, found.records, found.first, found.head) == (True, COUNT, 1, HEAD)
    assert verified([]).holds
    assert verified([]).head is None


@given(position=st.integers(0, len(b"".join(LINES)) - 1), to=st.integers(0, 255))
def test_any_byte_that_is_changed_is_found(position: int, to: int) -> None:
    data = bytearray(b"".join(LINES))
    if data[position] == to:
        return
    data[position] = to
    lines = [part + b"\n" for part in bytes(data).split(b"\n")]
    lines[-1] = lines[-1][:-1]
    found = verified([line for line in lines if line], HEAD)
    assert not found.holds
    changed = b"".join(LINES)[:position].count(b"\n") + 1
    named = {finding.seq or 1 for finding in found.findings}  # what number the first has, nobody knows
    # It is the record itself, or the one whose hash no longer fits; the head, where it is the last.
    assert named & {changed, changed + 1}, found.findings


@given(dropped=st.sets(st.integers(1, COUNT - 1), min_size=1, max_size=COUNT - 1))
def test_any_line_that_is_dropped_is_found(dropped: set[int]) -> None:
    """But the first, without which the log begins later, and says so."""
    found = verified([line for number, line in enumerate(LINES) if number not in dropped], HEAD)
    assert not found.holds
    assert {number + 1 for number in dropped} & {finding.seq for finding in found.findings}


def test_without_its_first_lines_a_log_says_where_it_begins() -> None:
    found = verified(LINES[3:], HEAD)
    assert (found.holds, found.first, found.records) == (True, 4, COUNT - 3)


@given(first=st.integers(0, COUNT - 1), second=st.integers(0, COUNT - 1))
def test_any_two_lines_that_are_swapped_are_found(first: int, second: int) -> None:
    lines = list(LINES)
    lines[first], lines[second] = lines[second], lines[first]
    assert verified(lines, HEAD).holds is (first == second)
    assert verified(lines).holds is (first == second)


@given(which=st.integers(0, COUNT - 1), to=st.integers(0, COUNT))
def test_any_line_that_is_there_twice_is_found(which: int, to: int) -> None:
    lines = list(LINES)
    lines.insert(to, LINES[which])
    found = verified(lines)
    assert not found.holds
    assert found.findings[0].seq in {which + 1, to + 1, to + 2}


@given(to=st.integers(0, COUNT), data=st.binary(max_size=40))
def test_anything_that_is_put_in_is_found(to: int, data: bytes) -> None:
    lines = list(LINES)
    lines.insert(to, data.replace(b"\n", b"") + b"\n")
    found = verified(lines, HEAD)
    assert not found.holds
    assert found.findings[0].place == f"audit.jsonl:{to + 1}"
    assert len(found.findings) == 1


def test_a_record_that_somebody_made_up_is_found() -> None:
    for to in range(1, COUNT):
        record = parse_line(LINES[to - 1])
        forged, _ = build_line(encode_content({"kind": "forged"}), NOW, record.head)
        assert not verified([*LINES[:to], forged, *LINES[to:]]).holds
        assert not verified([*LINES[:to], forged, *LINES[to + 1 :]]).holds or to == COUNT - 1
        assert not verified([*LINES[:to], forged, *LINES[to + 1 :]], HEAD).holds


@given(kept=st.integers(0, COUNT - 1))
def test_a_log_that_is_cut_at_its_end_is_found_by_its_head_alone(kept: int) -> None:
    assert verified(LINES[:kept]).holds
    found = verified(LINES[:kept], HEAD)
    (finding,) = found.findings
    assert finding.seq == COUNT
    assert "missing" in finding.sentence


def test_a_log_that_was_calculated_anew_is_found_by_its_head_alone() -> None:
    anew, _ = build(says="rewritten")
    assert verified(anew).holds
    (finding,) = verified(anew, HEAD).findings
    assert finding.seq == COUNT
    assert "changed" in finding.sentence


def test_a_head_of_the_past_is_proved_as_well() -> None:
    heads = [parse_line(line).head for line in LINES]
    assert verified(LINES, *heads).holds
    assert verified(LINES[4:], heads[3], heads[5]).holds  # what the first line names as the one before it
    wrong = Head(4, "0" * 64)
    assert [finding.seq for finding in verified(LINES[4:], wrong).findings] == [4]
    (finding,) = verified(LINES[4:], heads[1]).findings
    assert "begins with record 5" in finding.sentence
    (finding,) = verified([LINES[0], LINES[2]], heads[1]).findings[1:]
    assert "no such record" in finding.sentence


def test_each_finding_names_the_place_and_what_to_do() -> None:
    changed = [*LINES[:3], LINES[3].replace(b"record 3", b"record x"), *LINES[4:]]
    (finding,) = verified(changed).findings
    assert finding.place == "audit.jsonl:5"
    assert "record 4 (audit.jsonl:4)" in finding.sentence
    assert "compare with a copy" in finding.sentence
    (finding,) = verified([*LINES[:3], *LINES[6:]]).findings
    assert (finding.place, finding.seq) == ("audit.jsonl:4", 4)
    assert "records 4 to 6 missing" in finding.sentence


def test_a_torn_end_is_no_record_and_says_why() -> None:
    (finding,) = verified([*LINES[:3], LINES[3][:-1]]).findings
    assert finding.seq == 4
    assert "killed" in finding.remedy


def test_findings_are_bounded() -> None:
    found = verified([b"x\n"] * (MAX_FINDINGS + 7))
    assert (len(found.findings), found.more_findings, found.records) == (MAX_FINDINGS, 7, 0)


def test_a_first_record_with_something_before_it_is_found() -> None:
    lines, _ = build(3, Head(0, "1" * 64))
    assert [finding.seq for finding in verified(lines).findings] == [1]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]\n",
        b"[" * 20000 + b"\n",
        b'{"at":"","content":{},"previous":"%s","seq":1}\n' % (b"0" * 63),
        b'{"at":"","content":{},"previous":"%s","seq":0}\n' % (b"0" * 64),
        b'{"at":"","content":{},"previous":"%s","seq":true}\n' % (b"0" * 64),
        b'{"at":"","content":{},"previous":"%s","seq":1.0}\n' % (b"0" * 64),
        b'{"at":"","content":{},"previous":"%s","seq":%d}\n' % (b"0" * 64, 2**63),
        b'{"at":1,"content":{},"previous":"%s","seq":1}\n' % (b"0" * 64),
        b'{"at":"","content":[],"previous":"%s","seq":1}\n' % (b"0" * 64),
        b'{"at":"","content":{"x":NaN},"previous":"%s","seq":1}\n' % (b"0" * 64),
        b'{"at":"","content":{"x":1,"x":1},"previous":"%s","seq":1}\n' % (b"0" * 64),
        b'{"at": "","content":{},"previous":"%s","seq":1}\n' % (b"0" * 64),
        b'{"at":"","content":{},"more":1,"previous":"%s","seq":1}\n' % (b"0" * 64),
        '{"at":"é","content":{},"previous":"%s","seq":1}\n'.encode() % (b"0" * 64),
        '{"at":"","content":{},"previous":"'.encode("utf-16"),
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_line(line)
    assert not verified([*LINES, line]).holds


def test_a_line_that_is_too_long_is_one_finding() -> None:
    assert len(verified([b"x" * (MAX_LINE_BYTES + 1)]).findings) == 1


@given(st.binary(max_size=300))
def test_any_bytes_give_a_result(data: bytes) -> None:
    assert not verified([data]).holds


def test_a_head_is_read_as_it_is_written() -> None:
    assert parse_head(str(HEAD)) == HEAD


@pytest.mark.parametrize("text", ["", "1", "0:" + "0" * 64, "1:" + "A" * 64, "1:" + "0" * 63, f"{HEAD}\n", f" {HEAD}"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="verdict audit head"):
        parse_head(text)
