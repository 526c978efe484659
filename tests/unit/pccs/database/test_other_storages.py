"""Registrations, policies, AMD's items, leases and attempts in the database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import DAY, START, Endorser
from tests.unit.pccs.database.samples import ENC_PPID, change, raw_tcb
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError, VerdictdError
from verdictd.core.limits import MAX_CRL_BYTES, MAX_POLICY_BYTES
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.attempts import DatabaseAttempts
from verdictd.pccs.database.registrations import DatabaseRegistrations
from verdictd.pccs.database.row_warnings import RowWarnings
from verdictd.pccs.database.sizes import MAX_FAILURE_CHARACTERS, MAX_NAME_CHARACTERS
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import (
    AMDItem,
    AMDSummary,
    AppraisalPolicy,
    Attempt,
    Platform,
    PlatformKey,
    Registration,
    RegistrationState,
)

NEW, NOT_AVAILABLE = RegistrationState.NEW, RegistrationState.NOT_AVAILABLE


# --- registrations ---


def registration(qe_id: str, svn: int | None = 1, *, state: RegistrationState = NEW) -> Registration:
    manifest = b"manifest" if svn is None else b""
    platform = Platform(key=PlatformKey(qe_id, "0000"), enc_ppid=b"" if svn is None else ENC_PPID, manifest=manifest)
    return Registration(platform=platform, raw_tcb=None if svn is None else raw_tcb(svn), state=state)


def test_of_registrations_there_are_not_more_than_can_be_kept(storage: DatabaseStorage) -> None:
    few = DatabaseRegistrations(storage._database, RowWarnings(), most=2)
    for qe_id in ("01", "02"):
        few.add(registration(qe_id))
    with pytest.raises(UnavailableError, match="2 platforms wait already") as caught:
        few.add(registration("03"))
    assert (caught.value.status, caught.value.problem) == (503, "busy")
    assert caught.value.remedy
    few.add(registration("02"))  # one that is there is replaced
    few.take(NEW)
    few.add(registration("03"))


def test_registrations_are_taken_once_in_their_order(storage: DatabaseStorage) -> None:
    added = [registration("03"), registration("01", None), registration("03", 2), registration("02")]
    other = registration("04", state=NOT_AVAILABLE)
    for each in (*added, other):
        storage.registrations.add(each)
    assert (storage.registrations.count(NEW), storage.registrations.count(NOT_AVAILABLE)) == (4, 1)
    assert storage.registrations.take(NEW) == added
    assert storage.registrations.take(NEW) == []
    assert storage.registrations.take(NOT_AVAILABLE) == [other]


def test_a_registration_replaces_that_of_the_same_platform_and_tcb(storage: DatabaseStorage) -> None:
    storage.registrations.add(registration("01"))
    again = registration("01", state=NOT_AVAILABLE)
    storage.registrations.add(again)
    assert storage.registrations.count(NEW) == 0
    assert storage.registrations.take(NOT_AVAILABLE) == [again]


def test_of_several_that_take_at_once_each_registration_goes_to_one(storage: DatabaseStorage) -> None:
    for number in range(20):
        storage.registrations.add(registration(f"{number:02}"))
    with ThreadPoolExecutor(4) as pool:
        taken = [each for some in pool.map(storage.registrations.take, [NEW] * 4) for each in some]
    assert sorted(each.platform.key.qe_id for each in taken) == [f"{number:02}" for number in range(20)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pccs_registrations SET ca = 'other'",
        "UPDATE pccs_registrations SET fmspc = 'zz'",
        "UPDATE pccs_registrations SET raw_tcb = 'zz'",
    ],
)
def test_a_registration_that_cannot_be_read_is_left_out(storage: DatabaseStorage, damage: str) -> None:
    storage.registrations.add(registration("01"))
    assert change(storage, damage) == 1
    storage.registrations.add(registration("02"))
    assert storage.registrations.take(NEW) == [registration("02")]


# --- policies ---


def policy(name: str, fmspc: bytes = bytes(6), *, is_default: bool = True) -> AppraisalPolicy:
    return AppraisalPolicy(policy_id=name * 96, fmspc=fmspc, is_default=is_default, text=f"jwt.{name}.ü")


def test_default_policies_come_in_their_order(storage: DatabaseStorage) -> None:
    for each in (policy("c"), policy("a"), policy("b", is_default=False), policy("c", b"FAMILY")):
        storage.policies.keep(each)
    assert storage.policies.defaults(bytes(6)) == [policy("c"), policy("a")]
    assert storage.policies.defaults(b"FAMILY") == [policy("c", b"FAMILY")]
    assert storage.policies.defaults(b"\1" * 6) == []
    storage.policies.keep(policy("c", is_default=False))
    storage.policies.keep(policy("b"))
    assert storage.policies.defaults(bytes(6)) == [policy("a"), policy("b")]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (replace(policy("a"), text="x" * (MAX_POLICY_BYTES + 1)), LimitExceededError),
        (replace(policy("a"), policy_id="a" * 97), LimitExceededError),
        (replace(policy("a"), fmspc=bytes(7)), MalformedError),
        (replace(policy("a"), text="\0"), MalformedError),
    ],
)
def test_policies_that_cannot_be_stored_are_refused(
    storage: DatabaseStorage, wrong: AppraisalPolicy, error: type[VerdictdError]
) -> None:
    with pytest.raises(error):
        storage.policies.keep(wrong)


# --- AMD ---


LEAF = AMDCertificateName("vcek", "Milan", "leaf", b"\xc1" * 64, b"\x03" * 8)
CRL = AMDCertificateName("vlek", "Genoa", "crl")


def amd_item(name: AMDCertificateName = CRL, sequence: int = 1, content: bytes = b"good") -> AMDItem:
    return AMDItem(name=name, content=content, expires_at=START + DAY, sequence=sequence, fetched_at=START)


def verify_amd(item: AMDItem) -> None:
    if not item.content.startswith(b"good"):
        raise AuthenticityError("it does not hold")


@pytest.fixture
def amd(url: str, endorser: Endorser) -> DatabaseStorage:
    opened = open_storage(url, endorser.roots, verify_amd=verify_amd)
    opened.close()  # connections are opened anew where they are needed
    return opened


def test_items_of_amds_come_back_as_they_were(amd: DatabaseStorage) -> None:
    items = [amd_item(LEAF, 0), amd_item(), amd_item(AMDCertificateName("vcek", "Turin", "cert_chain"))]
    assert [amd.amd.keep(item) for item in items] == [True, True, True]
    assert [amd.amd.get(item.name) for item in items] == items
    assert list(amd.amd.items()) == items
    assert amd.amd.get(LEAF._replace(chip_id=b"\xc2" * 64)) is None
    amd.close()


def test_all_of_amds_items_are_gone_through_in_pages(amd: DatabaseStorage) -> None:
    items = [amd_item(LEAF._replace(tcb=number.to_bytes(8, "little")), 0) for number in range(130)]
    for item in items:
        amd.amd.keep(item)
    assert list(amd.amd.items()) == items
    amd.close()


def test_amds_items_are_counted_by_kind(amd: DatabaseStorage) -> None:
    leaves = [amd_item(LEAF._replace(tcb=number.to_bytes(8, "little")), 0) for number in range(3)]
    leaves[1] = replace(leaves[1], fetched_at=START - DAY, expires_at=START + 5 * DAY)
    for item in (*leaves, amd_item()):
        amd.amd.keep(item)
    assert amd.amd.summaries() == [
        AMDSummary("vcek", "leaf", 3, START - DAY, START + DAY),
        AMDSummary("vlek", "crl", 1, START, START + DAY),
    ]
    amd.close()


@pytest.mark.parametrize("high", [2, 2**63, 2**159])
def test_a_higher_sequence_wins(amd: DatabaseStorage, high: int) -> None:
    newer = amd_item(sequence=high, content=b"good 2")
    assert amd.amd.keep(amd_item())
    assert amd.amd.keep(newer)
    assert not amd.amd.keep(amd_item(sequence=high - 1, content=b"good 3"))
    assert amd.amd.get(CRL) == newer
    again = replace(newer, fetched_at=START + DAY)
    assert not amd.amd.keep(again)
    assert amd.amd.get(CRL) == again
    amd.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE pccs_amd_items SET content = 'bad'",
        "UPDATE pccs_amd_items SET key_type = 'ark'",
        "UPDATE pccs_amd_items SET product = 'Rome'",
        "UPDATE pccs_amd_items SET what = 'thing'",
        "UPDATE pccs_amd_items SET sequence = 'x'",
        "UPDATE pccs_amd_items SET chip_id = 'zz'",
    ],
)
def test_an_item_of_amds_that_does_not_verify_is_passed_over_and_displaced(amd: DatabaseStorage, damage: str) -> None:
    amd.amd.keep(amd_item(sequence=9))
    assert change(amd, damage) == 1
    assert amd.amd.get(CRL) is None
    assert list(amd.amd.items()) == []
    assert amd.amd.keep(amd_item(sequence=1, content=b"good 2"))
    assert amd.amd.get(CRL) == amd_item(sequence=1, content=b"good 2")
    amd.close()


def test_of_several_that_keep_at_once_the_highest_sequence_wins(amd: DatabaseStorage) -> None:
    with ThreadPoolExecutor(8) as pool:
        for turn in range(20):
            name = LEAF._replace(tcb=turn.to_bytes(8, "little"))
            assert amd.amd.keep(amd_item(name, 0))
            offered = [amd_item(name, sequence) for sequence in (3, 8, 1, 6, 2, 7, 5, 4)]
            list(pool.map(amd.amd.keep, offered))
            assert amd.amd.get(name) == amd_item(name, 8)
    amd.close()


def test_without_a_verifier_none_of_amds_items_is_read(storage: DatabaseStorage) -> None:
    assert storage.amd.keep(amd_item())
    assert storage.amd.get(CRL) is None


@pytest.mark.parametrize(
    "wrong",
    [
        amd_item(content=bytes(MAX_CRL_BYTES + 1)),
        amd_item(LEAF._replace(chip_id=bytes(65))),
        amd_item(LEAF._replace(tcb=bytes(9))),
        amd_item(sequence=10**50),
    ],
)
def test_items_of_amds_that_are_too_large_are_refused(amd: DatabaseStorage, wrong: AMDItem) -> None:
    with pytest.raises(LimitExceededError):
        amd.amd.keep(wrong)
    amd.close()


# --- leases ---


def test_a_lease_has_one_holder_until_its_end(storage: DatabaseStorage) -> None:
    leases = storage.leases
    assert leases.acquire("refresh", "one", 60, START)
    assert not leases.acquire("refresh", "two", 60, START)
    assert leases.acquire("other", "two", 60, START)
    assert leases.acquire("refresh", "one", 60, START + DAY / 2400), "one's own is prolonged"
    assert not leases.acquire("refresh", "two", 60, START + DAY / 1440)
    assert leases.acquire("refresh", "two", 60, START + DAY / 2400 + DAY / 1440), "it ended by itself"
    assert not leases.acquire("refresh", "one", 60, START + DAY / 1000)


def test_a_lease_is_given_back_by_its_holder_alone(storage: DatabaseStorage) -> None:
    assert storage.leases.acquire("refresh", "one", 60, START)
    storage.leases.release("refresh", "two")
    assert not storage.leases.acquire("refresh", "two", 60, START)
    storage.leases.release("refresh", "one")
    assert storage.leases.acquire("refresh", "two", 60, START)


def test_of_many_that_want_a_lease_at_once_one_has_it(storage: DatabaseStorage) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda holder: storage.leases.acquire("x", f"{holder}", 60, START), range(16)))
    assert sum(taken) == 1


@pytest.mark.parametrize(("name", "holder"), [("x" * (MAX_NAME_CHARACTERS + 1), "h"), ("x", "h\0")])
def test_leases_of_names_that_cannot_be_stored_are_refused(storage: DatabaseStorage, name: str, holder: str) -> None:
    with pytest.raises((LimitExceededError, MalformedError)):
        storage.leases.acquire(name, holder, 1, START)


# --- attempts ---


def test_the_last_attempt_is_known_and_since_when_all_failed(storage: DatabaseStorage) -> None:
    attempts = storage.attempts
    assert attempts.get("tcb") is None
    attempts.failed("tcb", START, "503", START + DAY)
    attempts.failed("tcb", START + DAY, "429", None)
    assert attempts.get("tcb") == Attempt("tcb", START + DAY, "429", None, START)
    attempts.succeeded("tcb", START + 2 * DAY)
    assert attempts.get("tcb") == Attempt("tcb", START + 2 * DAY, "", None, None)
    attempts.failed("tcb", START + 3 * DAY, "503", None)
    assert attempts.get("tcb") == Attempt("tcb", START + 3 * DAY, "503", None, START + 3 * DAY)


def test_an_attempt_that_was_before_the_known_one_changes_nothing(storage: DatabaseStorage) -> None:
    storage.attempts.succeeded("tcb", START + DAY)
    storage.attempts.failed("tcb", START, "503", None)
    assert storage.attempts.get("tcb") == Attempt("tcb", START + DAY, "", None, None)


def test_the_longest_standing_failures_come_first(storage: DatabaseStorage) -> None:
    for name in ("b", "d"):
        storage.attempts.failed(name, START - DAY, "why", None)
        storage.attempts.succeeded(name, START)
    for days, name in enumerate(("c", "a", "e")):
        storage.attempts.failed(name, START + days * DAY, "why", None)
    storage.attempts.failed("f", START, "why", None)
    assert [each.name for each in storage.attempts.failures(9)] == ["c", "f", "a", "e"]
    assert [each.name for each in storage.attempts.failures(2)] == ["c", "f"]
    assert storage.attempts.count_failures() == 4


def test_a_reason_is_a_line_of_bounded_length(storage: DatabaseStorage) -> None:
    storage.attempts.failed("a", START, "one\ntwo\0" + "x" * 9000, None)
    attempt = storage.attempts.get("a")
    assert attempt is not None
    assert attempt.failure.isprintable()
    assert len(attempt.failure) == MAX_FAILURE_CHARACTERS
    storage.attempts.failed("b", START, "", None)
    empty = storage.attempts.get("b")
    assert empty is not None
    assert empty.failure, "a failure without a reason is no success"
    with pytest.raises(LimitExceededError):
        storage.attempts.succeeded("x" * (MAX_NAME_CHARACTERS + 1), START)


def test_the_oldest_attempts_are_forgotten(storage: DatabaseStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verdictd.pccs.database.attempts._BETWEEN_CLEANINGS", 1)
    attempts = DatabaseAttempts(storage._database, most=3)
    for day in (3, 1, 5, 2, 4):
        attempts.failed(f"{day}", START + day * DAY, "why", None)
    assert [each.name for each in attempts.failures(9)] == ["3", "4", "5"]


def test_it_is_reached_again_after_it_was_closed(tmp_path: Path, endorser: Endorser) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/pccs.db", endorser.roots)
    storage.close()
    storage.ping()
    storage.close()
