"""A TDX appraisal with an event log: each of its checks proven alone, and what is then claimed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.simulated import flipped
from tests.unit.tees.tdx_ecdsa.inputs import Input
from tests.unit.tees.tdx_ecdsa.logs import (
    AT_RUN_TIME,
    COMMAND_LINE,
    DIRECT,
    EVERY_WAY,
    FIRMWARE,
    UNIFIED,
    WITH_GRUB,
    with_log,
)
from verdictd.core.checks import CheckResult
from verdictd.simulator.event_log import (
    RTMR0,
    RTMR1,
    RTMR2,
    RTMR3,
    EventSpec,
    application_event,
    digest_of,
    encode_log,
    file_node,
    grub_event,
    section_events,
    text16,
    variable_event,
)
from verdictd.tees.tdx_ecdsa.replay import EVENT_LOG_REQUIREMENTS
from verdictd.tees.tdx_ecdsa.verifier import REQUIREMENTS

ENFORCED = ("event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2")
NEEDS_LOG = frozenset(EVENT_LOG_REQUIREMENTS) - {"event_log.format"}


def outcomes(given_input: Input) -> dict[str, CheckResult]:
    return {check.name: check.result for check in given_input.appraise().checks}


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("way", EVERY_WAY)
def test_a_log_that_gives_the_registers_is_accepted(way: str, version: int) -> None:
    result = with_log(EVERY_WAY[way], version=version).appraise()
    assert result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert {check.result for check in result.checks} == {CheckResult.PASS}


def test_without_a_log_its_checks_are_open_and_refuse_nothing() -> None:
    result = replace(with_log(), event_log=None).appraise()
    assert result.allowed
    assert result.claims["event_log"] is None
    found = {check.name: (check.result, check.mandatory, check.found) for check in result.checks}
    for name in EVENT_LOG_REQUIREMENTS:
        assert found[name] == (CheckResult.NOT_MADE, False, "no event log is given")


class Case(NamedTuple):
    """An input, the one check that fails, and the checks that then cannot be made."""

    name: str
    how: str
    make: Callable[[], Input]
    not_made: frozenset[str] = frozenset()


def without(number: int) -> Input:
    """The log leaves one event out."""
    return with_log(DIRECT, log=encode_log(DIRECT[:number] + DIRECT[number + 1 :]))


def with_register(name: str) -> Input:
    registers = {name: b"\x01" * 48}
    return with_log(DIRECT, log=encode_log(DIRECT), version=4, **registers)


def swapped(first: int, second: int) -> Input:
    events = list(DIRECT)
    events[first], events[second] = events[second], events[first]
    return with_log(DIRECT, log=encode_log(events))


CASES = [
    Case("event_log.format", "empty", lambda: with_log(log=b""), NEEDS_LOG),
    Case("event_log.format", "cut off", lambda: with_log(log=encode_log(DIRECT)[:-1]), NEEDS_LOG),
    *[Case(name, "another register", partial(with_register, name[-5:])) for name in ENFORCED],
    *[Case(name, "one event more", partial(with_log, log=encode_log((*DIRECT, EventSpec(number, 0xD, b"x")))))
      for name, number in zip(ENFORCED, (RTMR0, RTMR1, RTMR2), strict=True)],
    Case("event_log.rtmr0", "one event less", lambda: without(2)),
    Case("event_log.rtmr1", "one event less", lambda: without(6)),
    Case("event_log.rtmr2", "one event less", lambda: without(8)),
    Case("event_log.rtmr0", "two events in another order", lambda: swapped(1, 2)),
    Case("event_log.rtmr1", "two events in another order", lambda: swapped(5, 6)),
    Case("event_log.rtmr2", "two events in another order", lambda: swapped(7, 8)),
    Case("event_log.rtmr2", "extended while the TD runs", lambda: with_log(
        (*DIRECT, EventSpec(RTMR2, 0xD, b"x")), log=encode_log(DIRECT))),
]  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.how}")


@each_case
def test_only_this_check_refuses(case: Case) -> None:
    result = case.make().appraise()
    assert not result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    (failed,) = [check for check in result.checks if check.result is CheckResult.FAIL]
    assert failed.name == case.name
    assert {check.name for check in result.checks if check.result is CheckResult.NOT_MADE} == case.not_made
    assert failed.expected == REQUIREMENTS[case.name]
    assert failed.found
    assert "CCEL" in failed.remedy


def test_rtmr3_is_reported_and_never_refuses() -> None:
    given_input = with_log((*DIRECT, AT_RUN_TIME), log=encode_log(DIRECT))
    result = given_input.appraise()
    assert result.allowed
    (check,) = [check for check in result.checks if check.result is not CheckResult.PASS]
    assert (check.name, check.result, check.mandatory) == ("event_log.rtmr3", CheckResult.NOT_MADE, False)
    assert "the quote has" in check.found
    assert event_log_claims(given_input)["rtmr3"] == {"matches": False, "replayed": "00" * 48, "digests": []}
    assert outcomes(with_log((*DIRECT, AT_RUN_TIME)))["event_log.rtmr3"] is CheckResult.PASS
    unreadable = replace(with_log(log=b""), quote=b"").appraise()
    assert [check.name for check in unreadable.refusals][-1] == "event_log.rtmr2"


def test_a_log_is_judged_also_where_the_quote_cannot_be_read() -> None:
    found = outcomes(replace(with_log(), quote=b""))
    assert found["event_log.format"] is CheckResult.PASS
    assert {found[name] for name in NEEDS_LOG} == {CheckResult.NOT_MADE}
    assert not replace(with_log(), quote=b"").appraise().allowed


@given(st.data(), st.sampled_from(sorted(EVERY_WAY)))
def test_any_flipped_bit_of_a_digest_is_refused(data: st.DataObject, way: str) -> None:
    events = EVERY_WAY[way]
    log = encode_log(events)
    number = data.draw(st.integers(1, len(events) - 1))  # the first one extends nothing
    offset = len(encode_log(events[:number])) + 14
    assert log[offset : offset + 48] == events[number].digest
    bit = data.draw(st.integers(0, 8 * 48 - 1))
    assert not with_log(events, log=flipped(log, 8 * offset + bit)).appraise().allowed


@given(st.binary(max_size=512))
def test_any_bytes_for_a_log_give_a_refusal_that_lists_every_check(data: bytes) -> None:
    result = with_log(log=data).appraise()
    assert not result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)


def event_log_claims(given_input: Input) -> dict[str, Any]:
    claims = given_input.appraise().claims["event_log"]
    assert isinstance(claims, dict)
    return claims


def named(measured: bytes, **names: Any) -> dict[str, Any]:
    return {"digest": digest_of(measured).hex(), **names}


def test_a_kernel_that_qemu_hands_over_is_named() -> None:
    claims = event_log_claims(with_log(DIRECT))
    assert claims["kernel"] == [named(b"a kernel", by="firmware")]
    assert claims["initrd"] == [named(b"an initrd", by="linux")]
    assert claims["command_line"] == [named(text16(COMMAND_LINE), by="linux", text=None)]
    assert claims["boot_applications"] == [named(b"a kernel", path="kernel")]
    assert claims["uki_sections"] == []


def test_what_grub_loads_is_named() -> None:
    claims = event_log_claims(with_log(WITH_GRUB))
    line = "/vmlinuz " + COMMAND_LINE
    assert claims["kernel"] == [named(b"a kernel", by="grub")]
    assert claims["initrd"] == [named(b"microcode", by="grub"), named(b"an initrd", by="grub")]
    assert claims["command_line"] == [named(line.encode(), by="grub", text=line)]
    assert claims["boot_applications"] == [
        named(b"shim", path="\\EFI\\BOOT\\BOOTX64.EFI"),
        named(b"grub", path="grubx64.efi"),
    ]


def test_the_sections_of_a_unified_kernel_image_are_named() -> None:
    claims = event_log_claims(with_log(UNIFIED))
    assert claims["uki_sections"] == [
        named(b"a kernel", name=".linux"),
        named(b"ID=os", name=".osrel"),
        named(COMMAND_LINE.encode(), name=".cmdline"),
        named(b"an initrd", name=".initrd"),
    ]
    assert claims["kernel"] == [named(b"a kernel", by="systemd")]
    assert claims["initrd"] == [
        named(b"an initrd", by="systemd"),
        named(b"an addon", by="systemd"),
        named(b"an archive", by="systemd"),
    ]
    assert claims["command_line"] == [
        named(text16("more=1"), by="systemd", text="more=1"),
        named("more=2".encode("utf-16-le"), by="systemd", text="more=2"),
        named(COMMAND_LINE.encode(), by="systemd", text=None),
    ]


def test_every_digest_of_a_register_is_claimed_in_its_order() -> None:
    claims = event_log_claims(with_log(DIRECT))
    assert claims["rtmr2"]["digests"] == [event.digest.hex() for event in DIRECT if event.register == RTMR2]
    assert claims["rtmr2"]["matches"] is True
    assert claims["rtmr0"]["digests"] == [event.digest.hex() for event in FIRMWARE[1:] if event.register == RTMR0]


def test_a_register_that_does_not_match_names_nothing() -> None:
    claims = event_log_claims(with_log(DIRECT, rtmr2=bytes(48)))
    assert claims["rtmr2"]["matches"] is False
    assert claims["initrd"] == claims["command_line"] == []
    assert claims["kernel"] == [named(b"a kernel", by="firmware")]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((variable_event("SecureBoot", b"\x01"),), True),
        ((variable_event("SecureBoot", b"\x00"),), False),
        ((variable_event("SecureBoot", b""),), False),
        ((variable_event("SecureBoot", b"\x01"), variable_event("SecureBoot", b"\x00")), False),
        ((), None),
        ((variable_event("SecureBoot2", b"\x01"),), None),
        ((replace(variable_event("SecureBoot", b"\x01"), register=RTMR1),), None),
        ((replace(variable_event("SecureBoot", b"\x00"), data=variable_event("SecureBoot", b"\x01").measured),), None),
    ],
)
def test_secure_boot_is_on_where_a_measured_variable_says_so(
    events: tuple[EventSpec, ...], expected: bool | None
) -> None:
    assert event_log_claims(with_log(events))["secure_boot"] is expected


@pytest.mark.parametrize(
    "event",
    [
        replace(grub_event("kernel_cmdline: ", b"/vmlinuz a"), measured=b"/vmlinuz b"),
        replace(grub_event("kernel_cmdline: ", b"/vmlinuz a"), register=RTMR3),
        EventSpec(RTMR2, 0xD, b"other=1", text16("more=1")),
        section_events(".linux", b"a kernel")[1],
        replace(application_event(b"a kernel", file_node("kernel")), register=RTMR2),
        application_event(b"a kernel", file_node("kernel")),
        EventSpec(RTMR2, 0x6, b"x", bytes.fromhex("ec223b8f0d000000") + b"short\0"),
        EventSpec(RTMR2, 0x6, b"x", b"\xec"),
    ],
)
def test_what_does_not_hold_together_is_left_unnamed(event: EventSpec) -> None:
    claims = event_log_claims(with_log((event,)))
    assert claims["kernel"] == claims["initrd"] == claims["command_line"] == claims["uki_sections"] == []
