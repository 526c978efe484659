"""Intel's order, restated: levels first, then the higher of those at one level, then what the platform reaches."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from verdictd.pccs.model import PCKCertificate, RawTCB
from verdictd.pccs.selection import is_reached, select_certificate
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel

AT = datetime(2026, 1, 1, tzinfo=UTC)
SVNS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
"""Of two components, and PCESVN: few values, so that TCBs meet."""


def components(one: int, two: int) -> bytes:
    return bytes([one, two]) + bytes(14)


def certificate(svns: tuple[int, int, int]) -> PCKCertificate:
    held = components(*svns[:2])
    return PCKCertificate(tcb=RawTCB(held, svns[2]), pem=repr(svns).encode(), components=held, expires_at=AT)


def tcb_info(levels: list[tuple[int, int, int]]) -> TCBInfo:
    return TCBInfo(
        tee_id="SGX",
        version=3,
        issue_date=AT,
        next_update=AT,
        fmspc=bytes(6),
        pce_id=bytes(2),
        evaluation_data_number=1,
        levels=tuple(TCBLevel(components(*each[:2]), each[2], AT, TCBStatus.UP_TO_DATE, ()) for each in levels),
        component_names=("",) * 16,
    )


def reaches(one: tuple[int, int, int], two: tuple[int, int, int]) -> bool:
    return all(mine >= theirs for mine, theirs in zip(one, two, strict=True))


@given(st.lists(SVNS, max_size=6, unique=True), st.lists(SVNS, max_size=5, unique=True), SVNS)
def test_what_is_selected_is_reached_and_no_reached_one_is_at_a_newer_level_or_above_it(
    held: list[tuple[int, int, int]], levels: list[tuple[int, int, int]], raw: tuple[int, int, int]
) -> None:
    def level_of(svns: tuple[int, int, int]) -> int:
        return next((index for index, level in enumerate(levels) if reaches(svns, level)), len(levels))

    raw_tcb = RawTCB(components(*raw[:2]), raw[2])
    found = select_certificate([certificate(each) for each in held], raw_tcb, tcb_info(levels))
    candidates = [each for each in held if reaches(raw, each)]
    if found is None:
        assert candidates == []
        return
    selected = (found.components[0], found.components[1], found.tcb.pce_svn)
    assert selected in candidates
    assert level_of(selected) == min(map(level_of, candidates))
    same_level = [each for each in candidates if level_of(each) == level_of(selected)]
    assert not any(each != selected and reaches(each, selected) for each in same_level)


def test_each_component_and_the_pcesvn_has_to_be_reached() -> None:
    full = RawTCB(bytes([5] * 16), 7)
    held = PCKCertificate(tcb=full, pem=b"", components=full.cpu_svn, expires_at=AT)
    assert is_reached(held, full)
    for index in range(16):
        low = bytearray(full.cpu_svn)
        low[index] -= 1
        assert not is_reached(held, RawTCB(bytes(low), 7))
    assert not is_reached(held, RawTCB(full.cpu_svn, 6))
    assert is_reached(held, RawTCB(bytes([255] * 16), 0xFFFF))
