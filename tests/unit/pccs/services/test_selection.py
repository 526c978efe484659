"""Which PCK certificate is selected, against a direct restatement of the vendor's rule, and each part of it alone."""

from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.pccs.model import PCKCertificate, RawTCB
from verdictd.pccs.selection import is_reached, select_certificate
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel

DATE = datetime(2026, 1, 1, tzinfo=UTC)
TEN = bytes([10] * 16)
FIVE = bytes([5] * 16)
ONE = bytes([1] * 16)


def info(*levels: tuple[bytes, int]) -> TCBInfo:
    return TCBInfo(
        tee_id="SGX",
        version=3,
        issue_date=DATE,
        next_update=DATE,
        fmspc=bytes(6),
        pce_id=bytes(2),
        evaluation_data_number=17,
        levels=tuple(
            TCBLevel(components=components, pce_svn=pce_svn, date=DATE, status=TCBStatus.UP_TO_DATE, advisory_ids=())
            for components, pce_svn in levels
        ),
        component_names=("",) * 16,
    )


def certificate(components: bytes = TEN, pce_svn: int = 10) -> PCKCertificate:
    tcb = RawTCB(components, pce_svn)
    return PCKCertificate(tcb=tcb, pem=str(tcb).encode(), components=components, expires_at=DATE)


def with_component(components: bytes, position: int, svn: int) -> bytes:
    return components[:position] + bytes([svn]) + components[position + 1 :]


LEVELS = info((TEN, 10), (FIVE, 5))


def test_of_what_it_reaches_the_newest_level_is_taken() -> None:
    newer, older, foreign = certificate(), certificate(FIVE, 5), certificate(ONE, 1)
    for order in permutations((newer, older, foreign)):
        assert select_certificate(order, RawTCB(TEN, 10), LEVELS) == newer
        assert select_certificate(order, RawTCB(bytes([9] * 16), 10), LEVELS) == older
        assert select_certificate(order, RawTCB(TEN, 9), LEVELS) == older
        assert select_certificate(order, RawTCB(ONE, 1), LEVELS) == foreign
        assert select_certificate(order, RawTCB(bytes(16), 1), LEVELS) is None
    assert select_certificate((), RawTCB(TEN, 10), LEVELS) is None


@pytest.mark.parametrize("position", range(16))
def test_each_component_of_the_platform_counts(position: int) -> None:
    lower = RawTCB(with_component(TEN, position, 9), 10)
    assert not is_reached(certificate(), lower)
    assert select_certificate((certificate(), certificate(FIVE, 5)), lower, LEVELS) == certificate(FIVE, 5)


def test_the_pcesvn_of_the_platform_counts() -> None:
    assert not is_reached(certificate(), RawTCB(TEN, 9))
    assert is_reached(certificate(), RawTCB(TEN, 10))


@pytest.mark.parametrize("position", range(16))
def test_each_component_of_a_certificate_counts_for_its_level(position: int) -> None:
    """One that falls short of the newest level in a component is of the older, whatever else it has."""
    almost = certificate(with_component(bytes([90] * 16), position, 9), 90)
    for order in permutations((almost, certificate())):
        assert select_certificate(order, RawTCB(bytes([255] * 16), 255), LEVELS) == certificate()


def test_the_pcesvn_of_a_certificate_counts_for_its_level() -> None:
    almost = certificate(bytes([90] * 16), 9)
    for order in permutations((almost, certificate())):
        assert select_certificate(order, RawTCB(bytes([255] * 16), 255), LEVELS) == certificate()


def test_a_certificate_below_every_level_comes_last() -> None:
    below = certificate(bytes([200] * 15) + b"\0", 200)
    for order in permutations((below, certificate(FIVE, 5))):
        assert select_certificate(order, RawTCB(bytes([255] * 16), 255), LEVELS) == certificate(FIVE, 5)
    assert select_certificate((below,), RawTCB(bytes([255] * 16), 255), LEVELS) == below


def test_within_a_level_the_higher_comes_first() -> None:
    higher = certificate(with_component(TEN, 3, 11))
    for order in permutations((higher, certificate())):
        assert select_certificate(order, RawTCB(bytes([255] * 16), 255), LEVELS) == higher


def test_of_two_in_a_level_that_cannot_be_compared_the_first_is_taken() -> None:
    """As by the vendor's library: an order of bytes would prefer one of them whatever was there first."""
    one, two = certificate(with_component(TEN, 0, 11)), certificate(with_component(TEN, 1, 11))
    everything = RawTCB(bytes([255] * 16), 255)
    assert select_certificate((one, two), everything, LEVELS) == one
    assert select_certificate((two, one), everything, LEVELS) == two
    assert select_certificate((one, two), two.tcb, LEVELS) == two


SVNS = st.integers(0, 3)
COMPONENTS = st.lists(SVNS, min_size=3, max_size=3).map(lambda some: bytes(some) + bytes(13))
TCBS = st.tuples(COMPONENTS, SVNS)


def reaches(one: tuple[bytes, int], other: tuple[bytes, int]) -> bool:
    return one[1] >= other[1] and all(has >= wanted for has, wanted in zip(one[0], other[0], strict=True))


@given(st.lists(TCBS, max_size=6, unique=True), TCBS, st.lists(TCBS, min_size=1, max_size=4))
def test_it_is_the_vendors_rule(
    tcbs: list[tuple[bytes, int]], raw_tcb: tuple[bytes, int], levels: list[tuple[bytes, int]]
) -> None:
    def level_of(tcb: tuple[bytes, int]) -> int:
        return min((index for index, level in enumerate(levels) if reaches(tcb, level)), default=len(levels))

    found = select_certificate([certificate(*tcb) for tcb in tcbs], RawTCB(*raw_tcb), info(*levels))
    fitting = [tcb for tcb in tcbs if reaches(raw_tcb, tcb)]
    best = min(map(level_of, fitting), default=None)
    candidates = [tcb for tcb in fitting if level_of(tcb) == best]
    highest = [tcb for tcb in candidates if not any(reaches(other, tcb) for other in candidates if other != tcb)]
    if found is None:
        assert not fitting
    else:
        assert tuple(found.tcb) in highest
