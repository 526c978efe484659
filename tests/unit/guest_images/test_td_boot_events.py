import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.guest_images.linux_images import build_kernel
from tests.vectors import needs_vectors, vector
from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.guest_images.boot_files import BootFiles
from verdictd.guest_images.pe_image import hash_pe_image
from verdictd.guest_images.td_boot_events import (
    BootEvent,
    DirectBoot,
    InitrdOption,
    calculate_rtmr1,
    calculate_rtmr2,
    list_rtmr1_events,
    list_rtmr1_events_of,
    list_rtmr2_events,
    replay_events,
)

FILES = BootFiles(kernel=build_kernel(), initrd=b"initrd" * 999, command_line="console=ttyS0")
BOOT = DirectBoot(files=FILES, patched_for_memory=1 << 31, initrd_option=InitrdOption.AFTER_COMMAND_LINE)
RTMR_AT = 48 + 328
RECORDED = "tdx/dstack/dstack/verifier/fixtures/tdx-lite-getquote.json"


def measured(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def test_known_answers_of_another_calculator() -> None:
    assert calculate_rtmr1(BOOT).hex() == (
        "3cd0808520db2296b04fbf89e6533e40db48b6d33a8962f209e8c3e71e694d1b2c853840b5248410f5cef2fec73f0f40"
    )
    assert calculate_rtmr2(BOOT).hex() == (
        "c4c1ed5d768e1d1b90cb9a4457f45e4b8e86e6bbb057c24bec83f778a3841f028ba2cb4ec2633c4fb1d4e64911a25e9f"
    )


def test_the_kernel_is_measured_as_firmware_finds_it() -> None:
    as_it_is = replace(BOOT, patched_for_memory=None)
    assert list_rtmr1_events(as_it_is)[0].digest == hash_pe_image(FILES.kernel)
    assert list_rtmr1_events(BOOT)[0].digest != hash_pe_image(FILES.kernel)
    assert list_rtmr1_events(BOOT)[1:] == list_rtmr1_events(as_it_is)[1:]
    assert calculate_rtmr1(replace(BOOT, patched_for_memory=1 << 30)) != calculate_rtmr1(BOOT)


@pytest.mark.parametrize(
    ("command_line", "initrd", "option", "expected"),
    [
        ("a b", b"", InitrdOption.AFTER_COMMAND_LINE, "a b"),
        ("a b", b"i", InitrdOption.AFTER_COMMAND_LINE, "a b initrd=initrd"),
        ("a b", b"i", InitrdOption.BEFORE_COMMAND_LINE, "initrd=initrd a b"),
        ("", b"i", InitrdOption.AFTER_COMMAND_LINE, " initrd=initrd"),
        ("", b"i", InitrdOption.BEFORE_COMMAND_LINE, "initrd=initrd "),
    ],
)
def test_load_options_are_what_firmware_makes_of_the_command_line(
    command_line: str, initrd: bytes, option: InitrdOption, expected: str
) -> None:
    files = replace(FILES, command_line=command_line, initrd=initrd)
    events = list_rtmr2_events(replace(BOOT, files=files, initrd_option=option))
    assert events[0].digest == measured(f"{expected}\0".encode("utf-16-le"))
    assert [event.digest for event in events[1:]] == ([measured(initrd)] if initrd else [])


def test_nothing_is_measured_of_nothing() -> None:
    boot = replace(BOOT, files=replace(FILES, command_line="", initrd=b""))
    assert list_rtmr2_events(boot) == ()
    assert calculate_rtmr2(boot) == bytes(48)


def test_a_command_line_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not ASCII"):
        calculate_rtmr2(replace(BOOT, files=replace(FILES, command_line="a=\u00e4")))


def test_a_program_that_is_no_linux_kernel_is_refused() -> None:
    boot = replace(BOOT, files=replace(FILES, kernel=FILES.kernel.replace(b"HdrS", b"UKI.")), patched_for_memory=None)
    for calculate in (calculate_rtmr1, calculate_rtmr2):
        with pytest.raises(UnsupportedError, match="unified kernel image"):
            calculate(boot)


def test_a_kernel_that_is_no_program_for_uefi_is_refused() -> None:
    boot = replace(BOOT, files=replace(FILES, kernel=b"ZZ" + FILES.kernel[2:]), patched_for_memory=None)
    with pytest.raises(MalformedError, match="no PE file"):
        calculate_rtmr1(boot)


def test_a_register_is_extended_with_each_digest() -> None:
    one, two = measured(b"1"), measured(b"2")
    assert replay_events([]) == bytes(48)
    assert replay_events([BootEvent("one", one), BootEvent("two", two)]) == measured(measured(bytes(48) + one) + two)


@pytest.mark.parametrize("size", [0, 32, 47, 49])
def test_a_digest_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"has {size} bytes"):
        replay_events([BootEvent("it", bytes(size))])


@needs_vectors
def test_a_recorded_td_has_the_events_and_registers_that_are_computed() -> None:
    quote, log = _read_recorded()
    registers = [quote[RTMR_AT + 48 * number : RTMR_AT + 48 * number + 48] for number in range(4)]
    events = {
        number: [bytes.fromhex(event["digest"]) for event in log if event["imr"] == number] for number in range(3)
    }
    computed = list_rtmr1_events_of(events[1][0])
    assert [event.digest for event in computed] == events[1]
    assert replay_events(computed) == registers[1]
    assert len(events[2]) == 2  # load options, initrd
    assert replay_events([BootEvent("recorded", digest) for digest in events[2]]) == registers[2]


def _read_recorded() -> tuple[bytes, list[dict[str, Any]]]:
    recorded = json.loads(vector(RECORDED))
    return bytes.fromhex(recorded["quote"]), json.loads(recorded["event_log"])
