"""Finding a source of quotes, and refusing what it hands out where that is not what was asked for."""

import errno
import os
from pathlib import PurePosixPath
from threading import Thread

import pytest

from tests.unit.tees.sgx_ecdsa.attester_fakes import (
    OTHER_REPORT_DATA,
    REPORT_DATA,
    FakeGramine,
    FakeOcclum,
    LegacyDriver,
    build_quote,
)
from tests.vectors import needs_vectors, vector
from verdictd.core.attester import Attester
from verdictd.core.errors import AuthenticityError, ConfigError, MalformedError, UnsupportedError
from verdictd.tees.sgx_ecdsa.attester import SGXAttester, find_sgx_attester
from verdictd.tees.sgx_ecdsa.attester_devices import Device


class RecordedSource:
    """A source with one answer, whatever it is asked for."""

    label = "the recording"
    remedy = "record another"

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def fetch_quote(self, report_data: bytes) -> bytes:
        return self.answer


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_quote_that_carries_the_report_data_is_handed_on(version: int) -> None:
    attester: Attester = SGXAttester(RecordedSource(build_quote(version=version)))
    assert attester.quote(REPORT_DATA) == build_quote(version=version)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_padding_behind_a_quote_is_taken_off(version: int) -> None:
    attester = SGXAttester(RecordedSource(build_quote(version=version, padding=700)))
    assert attester.quote(REPORT_DATA) == build_quote(version=version)


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("byte", [0, 31, 32, 63])
def test_a_quote_whose_report_data_differs_in_one_bit_is_refused(version: int, byte: int) -> None:
    asked = bytearray(REPORT_DATA)
    asked[byte] ^= 0x80
    attester = SGXAttester(RecordedSource(build_quote(version=version)))
    with pytest.raises(
        AuthenticityError, match=f"carries the report data {REPORT_DATA.hex()}, asked for was"
    ) as caught:
        attester.quote(bytes(asked))
    assert "the recording" in caught.value.message


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_of_another_size_is_the_callers_mistake(size: int) -> None:
    with pytest.raises(ValueError, match=f"report data is {size} bytes long, expected 64"):
        SGXAttester(RecordedSource(build_quote())).quote(bytes(size))


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (b"", MalformedError, "at least 50 bytes"),
        (build_quote()[:-1], MalformedError, "cut off"),
        (build_quote() + b"\1", MalformedError, "not zero"),
        (b"\x02\0" + build_quote()[2:], UnsupportedError, "version is 2"),
        (b"\x04\0\x02\0\x81\0\0\0" + build_quote(version=4)[8:], UnsupportedError, "TDX"),
    ],
)
def test_what_is_no_sgx_quote_is_refused_by_the_name_of_its_source(
    answer: bytes, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=f"what the recording gave is no usable quote: .*{why}"):
        SGXAttester(RecordedSource(answer)).quote(REPORT_DATA)


@needs_vectors
def test_a_quote_recorded_from_hardware_is_handed_on_for_its_own_report_data_only() -> None:
    recorded = vector("sgx/intel-qvl/quote.dat")
    report_data = recorded[48 + 320 : 48 + 384]
    attester = SGXAttester(RecordedSource(recorded))
    assert recorded.startswith(attester.quote(report_data))
    with pytest.raises(AuthenticityError):
        attester.quote(bytes(64) if any(report_data) else b"\1" * 64)


def test_gramine_is_found_first() -> None:
    gramine, occlum = FakeGramine({}), FakeOcclum({REPORT_DATA: build_quote()})

    def both(path: PurePosixPath, flags: int) -> Device:
        return gramine.open(path, flags) if path.parent.name == "attestation" else occlum.open(path, flags)

    assert find_sgx_attester(open_device=both).label == "/dev/attestation (Gramine)"


def test_occlum_is_found_where_gramine_is_not() -> None:
    occlum = FakeOcclum({REPORT_DATA: build_quote()})
    attester = find_sgx_attester(open_device=occlum.open)
    assert attester.label == "/dev/sgx (Occlum)"
    assert attester.quote(REPORT_DATA) == build_quote()


def test_where_no_source_is_there_the_error_names_each_and_what_to_do() -> None:
    def nothing(path: PurePosixPath, flags: int) -> Device:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    with pytest.raises(ConfigError) as caught:
        find_sgx_attester(open_device=nothing)
    assert caught.value.message == (
        "no source of SGX quotes was found; looked for /dev/attestation (Gramine): No such file or directory;"
        " /dev/sgx (Occlum): No such file or directory"
    )
    assert "--simulate DIR" in caught.value.remedy
    assert "--quote-command" in caught.value.remedy


def test_another_driver_at_occlums_path_is_not_taken_for_occlum() -> None:
    with pytest.raises(ConfigError, match=r"/dev/sgx \(Occlum\): Inappropriate ioctl for device"):
        find_sgx_attester(open_device=LegacyDriver.open)


def test_an_absurd_size_announced_at_occlums_path_is_not_taken_for_occlum() -> None:
    with pytest.raises(ConfigError, match="announces a quote of 65537 bytes"):
        find_sgx_attester(open_device=FakeOcclum({}, announced_bytes=65537).open)


def test_a_gramine_without_dcap_is_named_with_the_line_its_manifest_lacks() -> None:
    with pytest.raises(ConfigError, match=r"attestation_type is 'none', expected 'dcap'; put sgx.remote_attestation"):
        find_sgx_attester(open_device=FakeGramine({}, attestation_type=b"none").open)


def test_this_machines_own_devices_are_asked_by_default() -> None:
    if os.path.exists("/dev/attestation") or os.path.exists("/dev/sgx"):  # noqa: PTH110 - whatever it is
        pytest.skip("this machine has a device of its own")
    with pytest.raises(ConfigError, match="no source of SGX quotes was found"):
        find_sgx_attester()


def test_a_named_program_is_used_even_where_a_device_is_there() -> None:
    def never(path: PurePosixPath, flags: int) -> Device:
        raise AssertionError(f"{path} was opened")

    assert find_sgx_attester(quote_command="quoter --now", open_device=never).label == "--quote-command quoter"


def test_threads_take_turns_so_that_each_gets_the_quote_for_its_own_report_data() -> None:
    # Without turns, a thread that writes between another's two steps gives that one a quote for other report data.
    recorded = {bytes([number]) * 64: build_quote(bytes([number]) * 64) for number in range(8)}
    gramine = FakeGramine(recorded)
    gramine.pause_s = 0.001
    attester = find_sgx_attester(open_device=gramine.open)
    failures: list[Exception] = []

    def ask(report_data: bytes) -> None:
        try:
            for _ in range(10):
                attester.quote(report_data)
        except Exception as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    threads = [Thread(target=ask, args=(report_data,)) for report_data in recorded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_report_data_without_a_quote_is_refused_with_what_to_look_after() -> None:
    attester = find_sgx_attester(open_device=FakeGramine({REPORT_DATA: build_quote()}).open)
    with pytest.raises(ConfigError, match=r"/dev/attestation \(Gramine\) gave no quote: .*Permission denied.*AESM"):
        attester.quote(OTHER_REPORT_DATA)
