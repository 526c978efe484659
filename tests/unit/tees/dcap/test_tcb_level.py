"""Levels and statuses: the whole table of convergence, and which level a platform reaches."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus
from verdictd.tees.dcap.pck import PlatformIdentity
from verdictd.tees.dcap.qe_identity import QEIdentity, QETCBLevel
from verdictd.tees.dcap.tcb_info import TCBInfo, TCBLevel
from verdictd.tees.dcap.tcb_level import converge, describe_shortfall, find_level, find_qe_level

DATE = datetime(2026, 1, 31, tzinfo=UTC)
UP_TO_DATE, SW, CONFIG, CONFIG_SW, OUT, OUT_CONFIG, REVOKED = LEVEL_STATUSES

# Intel's quote verification library, `convergeTcbStatusWithQeTcbStatus`, row by row: the platform's status, and what
# becomes of it with a quoting enclave that is up to date, out of date, and revoked.
CONVERGENCE: dict[TCBStatus, tuple[TCBStatus, TCBStatus, TCBStatus]] = {
    UP_TO_DATE: (UP_TO_DATE, OUT, REVOKED),
    SW: (SW, OUT, REVOKED),
    CONFIG: (CONFIG, OUT_CONFIG, REVOKED),
    CONFIG_SW: (CONFIG_SW, OUT_CONFIG, REVOKED),
    OUT: (OUT, OUT, REVOKED),
    OUT_CONFIG: (OUT_CONFIG, OUT_CONFIG, REVOKED),
    REVOKED: (REVOKED, REVOKED, REVOKED),
}


@pytest.mark.parametrize("platform", LEVEL_STATUSES)
def test_the_whole_table(platform: TCBStatus) -> None:
    assert tuple(converge(platform, qe) for qe in (UP_TO_DATE, OUT, REVOKED)) == CONVERGENCE[platform]


@pytest.mark.parametrize("quoting_enclave", [SW, CONFIG, CONFIG_SW, OUT_CONFIG])
@pytest.mark.parametrize("platform", LEVEL_STATUSES)
def test_a_status_that_quoting_enclaves_do_not_have_means_nothing(
    platform: TCBStatus, quoting_enclave: TCBStatus
) -> None:
    """Intel's library calls these out of date; here they make no status, which nothing accepts."""
    assert converge(platform, quoting_enclave) == (REVOKED if platform is REVOKED else None)


def test_a_quoting_enclave_never_makes_a_status_better() -> None:
    order = (UP_TO_DATE, SW, CONFIG, CONFIG_SW, OUT, OUT_CONFIG, REVOKED)
    for platform in LEVEL_STATUSES:
        for quoting_enclave in LEVEL_STATUSES:
            together = converge(platform, quoting_enclave)
            assert together is None or order.index(together) >= order.index(platform)
            assert (
                together is None or quoting_enclave is UP_TO_DATE or together not in {UP_TO_DATE, SW, CONFIG, CONFIG_SW}
            )


def platform(components: bytes = bytes([5] * 16), pce_svn: int = 10) -> PlatformIdentity:
    return PlatformIdentity(
        ppid=bytes(16),
        cpu_svn=bytes(16),
        components=components,
        pce_svn=pce_svn,
        pce_id=bytes(2),
        fmspc=bytes(6),
        sgx_type="standard",
        platform_instance_id=None,
        configuration=(),
    )


def level(components: bytes = bytes(16), pce_svn: int = 0, status: TCBStatus = UP_TO_DATE) -> TCBLevel:
    return TCBLevel(components=components, pce_svn=pce_svn, date=DATE, status=status, advisory_ids=())


def info(*levels: TCBLevel, names: tuple[str, ...] = ("",) * 16) -> TCBInfo:
    return TCBInfo(
        tee_id="SGX",
        version=3,
        issue_date=DATE,
        next_update=DATE,
        fmspc=bytes(6),
        pce_id=bytes(2),
        evaluation_data_number=1,
        levels=levels,
        component_names=names,
    )


def identity(*svns: int) -> QEIdentity:
    fields: dict[str, Any] = {
        "misc_select": bytes(4),
        "misc_select_mask": bytes(4),
        "attributes": bytes(16),
        "attributes_mask": bytes(16),
        "mr_signer": bytes(32),
        "isv_prod_id": 1,
    }
    levels = tuple(QETCBLevel(isv_svn=svn, date=DATE, status=UP_TO_DATE, advisory_ids=()) for svn in svns)
    return QEIdentity(
        enclave_id="QE", issue_date=DATE, next_update=DATE, evaluation_data_number=1, levels=levels, **fields
    )


@pytest.mark.parametrize("number", range(16))
def test_every_component_must_be_reached(number: int) -> None:
    own = bytes([5] * 16)
    above = own[:number] + b"\6" + own[number + 1 :]
    assert find_level(info(level(own)), platform(own)) == level(own)
    assert find_level(info(level(above)), platform(own)) is None
    assert find_level(info(level(own)), platform(above)) == level(own)


def test_one_component_does_not_make_up_for_another() -> None:
    required = bytes([5] * 16)
    assert find_level(info(level(required)), platform(b"\xff" * 15 + b"\4")) is None
    assert find_level(info(level(required)), platform(b"\4" + b"\xff" * 15)) is None


def test_the_pcesvn_must_be_reached() -> None:
    assert find_level(info(level(pce_svn=10)), platform(pce_svn=10)) == level(pce_svn=10)
    assert find_level(info(level(pce_svn=11)), platform(pce_svn=10)) is None
    assert find_level(info(level(pce_svn=11)), platform(b"\xff" * 16, pce_svn=10)) is None


svns = st.binary(min_size=16, max_size=16)
levels = st.builds(level, st.lists(st.integers(0, 3), min_size=16, max_size=16).map(bytes), st.integers(0, 3))


@given(
    st.lists(levels, min_size=1, max_size=5), st.lists(st.integers(0, 4), min_size=16, max_size=16), st.integers(0, 4)
)
def test_it_is_the_first_that_is_reached(known: list[TCBLevel], components: list[int], pce_svn: int) -> None:
    found = find_level(info(*known), platform(bytes(components), pce_svn))
    reached = [
        each
        for each in known
        if each.pce_svn <= pce_svn and all(need <= have for need, have in zip(each.components, components, strict=True))
    ]
    assert found == (reached[0] if reached else None)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4), st.integers(0, 20))
def test_of_a_quoting_enclave_too(known: list[int], isv_svn: int) -> None:
    found = find_qe_level(identity(*known), isv_svn)
    reached = [svn for svn in known if svn <= isv_svn]
    assert (found.isv_svn if found else None) == (reached[0] if reached else None)


@given(svns, svns, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_the_shortfall_names_everything_that_is_short_and_nothing_else(
    have: bytes, need: bytes, have_pce: int, need_pce: int
) -> None:
    text = describe_shortfall(info(level(need, need_pce)), platform(have, have_pce))
    short = [number for number in range(16) if have[number] < need[number]]
    for number in range(16):
        part = f"component {number + 1} has SVN {have[number]}, required {need[number]}"
        assert (part in text) is (number in short)
    assert (f"PCESVN is {have_pce}, required {need_pce}" in text) is (have_pce < need_pce)
    assert bool(text) is bool(short or have_pce < need_pce)
    assert not text or text.startswith("behind the level of 2026-01-31: ")


def test_the_shortfall_names_the_kind_of_component_and_speaks_of_the_newest_level() -> None:
    newest, reached = level(b"\6" + bytes(15)), level(bytes(16))
    names = ("Early Microcode Update", *("",) * 15)
    text = describe_shortfall(info(newest, reached, names=names), platform(bytes([5] * 16)))
    assert text == "behind the level of 2026-01-31: component 1 (Early Microcode Update) has SVN 5, required 6"
    assert describe_shortfall(info(newest, reached), platform(bytes([6] * 16))) == ""
