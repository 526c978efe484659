"""Whole TLS records are found however their bytes arrive, and nothing is lost or changes its place."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from verdictd.ratstls.records import RecordCollector

HANDSHAKE, CHANGE = 0x16, 0x14


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def test_a_record_is_held_until_it_is_whole() -> None:
    collector, whole = RecordCollector(), record(HANDSHAKE, b"hello")
    assert [collector.collect(bytes((byte,))) for byte in whole] == [b""] * (len(whole) - 1) + [whole]


def test_the_beginning_of_the_next_record_is_held_back() -> None:
    collector, whole = RecordCollector(), record(HANDSHAKE, b"hello")
    assert collector.collect(whole + whole[:6]) == whole
    assert collector.collect(whole[6:]) == whole


def test_what_says_nothing_waits_for_what_does() -> None:
    collector, nothing, whole = RecordCollector(), record(CHANGE, b"\x01"), record(HANDSHAKE, b"hello")
    assert collector.collect(nothing * 3) == b""
    assert collector.collect(nothing + whole) == nothing * 4 + whole
    assert collector.collect(nothing) == b"", "each time anew"


def test_what_is_no_record_is_handed_on_with_all_before_it() -> None:
    collector = RecordCollector()
    assert collector.collect(record(CHANGE, b"\x01") + b"GET /") == record(CHANGE, b"\x01") + b"GET /"


def test_what_is_held_can_be_released() -> None:
    collector = RecordCollector()
    assert collector.collect(b"\x16\x03\x03\x00\x09half") == b""
    assert (collector.release(), collector.release()) == (b"\x16\x03\x03\x00\x09half", b"")


@given(
    st.lists(st.tuples(st.sampled_from([CHANGE, 0x15, HANDSHAKE, 0x17]), st.binary(max_size=40)), max_size=12),
    st.lists(st.integers(min_value=0), max_size=40),
)
def test_however_the_bytes_arrive_whole_records_come_out_in_their_order(
    records: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(record(kind, body) for kind, body in records)
    ends = {0}
    for kind, body in records:
        ends.add(max(ends) + len(record(kind, body)))
    collector, out = RecordCollector(), b""
    for piece in pieces(data, cuts):
        out += collector.collect(piece)
        assert len(out) in ends
    says = [number for number, (kind, _) in enumerate(records) if kind != CHANGE]
    said = b"".join(record(*each) for each in records[: max(says, default=-1) + 1])
    assert out.startswith(said), "what says something is not held back"
    assert out + collector.release() == data
