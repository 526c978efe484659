"""Event logs: what is read of them, and that nothing else than a log is."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.tdx_ecdsa.logs import AT_RUN_TIME, DIRECT, EVERY_WAY
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.simulator.event_log import (
    NO_ACTION,
    RTMR2,
    SHA384,
    EventSpec,
    digest_of,
    encode_log,
    registers_of,
)
from verdictd.tees.tdx_ecdsa.boot_events import read_boot_events
from verdictd.tees.tdx_ecdsa.event_log import (
    MAX_ALGORITHMS,
    MAX_EVENT_LOG_BYTES,
    MAX_EVENTS,
    Event,
    parse_event_log,
)
from verdictd.tees.tdx_ecdsa.replay import replay

EMPTY = encode_log(())
SHA256 = 0xB
ONE = EventSpec(RTMR2, 0xD, b"x", b"what it is")
event_specs = st.builds(
    EventSpec,
    st.integers(0, 4),
    st.sampled_from([NO_ACTION, 0x4, 0x6, 0xD, 0x80000001, 0x80000003]) | st.integers(0, 2**32 - 1),
    st.binary(max_size=64),
    st.none() | st.binary(max_size=64),
)


def after_header(tail: bytes) -> bytes:
    return EMPTY + tail


@given(st.lists(event_specs, max_size=12), st.integers(0, 4096))
def test_what_is_written_is_read_and_replays(events: list[EventSpec], area: int) -> None:
    read = parse_event_log(encode_log(events, area=area))
    assert read == tuple(
        Event(
            each.register,
            each.event_type,
            None if each.event_type == NO_ACTION else each.digest,
            each.measured if each.data is None else each.data,
        )
        for each in events
    )
    assert replay(read) == registers_of(events)


@pytest.mark.parametrize("filler", [b"\xff", b"\0"])
@pytest.mark.parametrize("size", [0, 1, 4, 11, 12, 4096])
def test_the_unused_end_may_be_all_ones_or_all_zeros(filler: bytes, size: int) -> None:
    assert len(parse_event_log(encode_log(DIRECT) + filler * size)) == len(DIRECT)


@pytest.mark.parametrize(
    "tail", [b"\xff" * 64 + b"\x01", bytes(64) + b"\x01", b"\xff\0", b"\x01", b"\xff" * 4 + bytes(60)]
)
def test_nothing_may_stand_behind_the_events(tail: bytes) -> None:
    with pytest.raises(MalformedError, match="neither an event nor unused"):
        parse_event_log(encode_log(DIRECT) + tail)


def test_a_log_cut_off_within_an_event_is_malformed() -> None:
    log = encode_log(DIRECT)
    ends = {len(encode_log(DIRECT[:count])) for count in range(len(DIRECT) + 1)}
    for size in range(len(log)):
        if size not in ends:
            with pytest.raises(MalformedError):
                parse_event_log(log[:size])


def test_digests_of_other_algorithms_are_passed_over() -> None:
    both = ((SHA256, bytes(32)), (SHA384, ONE.digest))
    log = encode_log((), algorithms=((SHA256, 32), (SHA384, 48)), vendor_info=b"vendor") + ONE.encode(both)
    assert [event.digest for event in parse_event_log(log)] == [digest_of(b"x")]


@pytest.mark.parametrize(
    ("log", "error", "why"),
    [
        (b"", MalformedError, "ends within its header"),
        (after_header(EventSpec(5, 0xD, b"").encode()), MalformedError, "of register 5, expected 0 to 4"),
        (after_header(ONE.encode(())), MalformedError, "has 0 digests"),
        (after_header(ONE.encode(((SHA384, bytes(48)),) * 2)), MalformedError, "has 2 digests"),
        (after_header(ONE.encode(((SHA256, bytes(32)),))), MalformedError, "algorithm 0xb too many"),
        (
            encode_log((), algorithms=((SHA256, 32), (SHA384, 48))) + ONE.encode(((SHA384, bytes(48)),) * 2),
            MalformedError,
            "algorithm 0xc too many",
        ),
        (
            encode_log((), algorithms=((SHA256, 32), (SHA384, 48))) + ONE.encode(((SHA256, bytes(32)),)),
            MalformedError,
            "no SHA-384 digest",
        ),
        (encode_log((), algorithms=((SHA256, 32),)), UnsupportedError, "no SHA-384 digests"),
        (encode_log((), algorithms=((SHA384, 32),)), UnsupportedError, "no SHA-384 digests"),
        (encode_log((), algorithms=((SHA384, 48),) * 2), MalformedError, "names algorithm 0xc twice"),
        (encode_log((), algorithms=()), LimitExceededError, "digests of 0 algorithms"),
        (
            encode_log((), algorithms=tuple((number, 1) for number in range(MAX_ALGORITHMS + 1))),
            LimitExceededError,
            "digests of 17 algorithms",
        ),
        (EMPTY.replace(b"Event03", b"Event02"), UnsupportedError, "of no known form"),
        (EMPTY.replace(b"\0\x02\0\x02\x01", b"\0\x03\0\x02\x01"), UnsupportedError, "version 3"),
        (EMPTY[:4] + b"\x04" + EMPTY[5:], MalformedError, "kind 0x4"),
        (EMPTY[:28] + struct.pack("<I", len(EMPTY) - 31) + EMPTY[32:] + b"\0", MalformedError, "1 bytes too many"),
        (EMPTY[:-1] + b"\x01", MalformedError, "within its vendor information"),
        (bytes(MAX_EVENT_LOG_BYTES + 1), LimitExceededError, "at most"),
        (encode_log((ONE,) * (MAX_EVENTS + 1)), LimitExceededError, "more than 2048 events"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused(log: bytes, error: type[VerdictdError], why: str) -> None:
    with pytest.raises(error, match=why):
        parse_event_log(log)


def test_as_many_events_and_bytes_as_allowed_are_read() -> None:
    log = encode_log((ONE,) * MAX_EVENTS, area=MAX_EVENT_LOG_BYTES)
    assert len(log) == MAX_EVENT_LOG_BYTES
    assert len(parse_event_log(log)) == MAX_EVENTS


def test_an_event_that_measures_nothing_extends_nothing() -> None:
    marker = EventSpec(RTMR2, NO_ACTION, b"")
    assert replay(parse_event_log(encode_log((ONE, marker)))) == replay(parse_event_log(encode_log((ONE,))))


def test_the_order_counts() -> None:
    one, two = EventSpec(RTMR2, 0xD, b"1"), EventSpec(RTMR2, 0xD, b"2")
    expected = digest_of(digest_of(bytes(48) + digest_of(b"1")) + digest_of(b"2"))
    assert replay(parse_event_log(encode_log((one, two)))) == (bytes(48), bytes(48), expected, bytes(48))
    assert replay(parse_event_log(encode_log((two, one))))[2] != expected


def test_what_extends_mr_td_changes_no_register() -> None:
    assert replay(parse_event_log(encode_log((EventSpec(0, 0xD, b"x"),)))) == (bytes(48),) * 4


@given(st.binary(max_size=1024), st.sampled_from(sorted(EVERY_WAY)), st.integers(0, 2000))
def test_any_bytes_give_a_value_or_our_error(data: bytes, way: str, offset: int) -> None:
    genuine = encode_log((*EVERY_WAY[way], AT_RUN_TIME))
    for given_bytes in (data, EMPTY + data, genuine[:offset] + data + genuine[offset + len(data) :]):
        with suppress(MalformedError, UnsupportedError, LimitExceededError):
            read_boot_events(parse_event_log(given_bytes))


@given(st.lists(event_specs, max_size=12))
def test_any_events_can_be_named_or_left_unnamed(events: list[EventSpec]) -> None:
    named = read_boot_events(parse_event_log(encode_log(events)))
    measured = {each.digest for each in events}
    assert {each.digest for each in (*named.kernel, *named.initrd, *named.uki_sections)} <= measured
