"""The devices' protocols: against fakes that are fed with recorded quotes, and against plain files."""

import errno
import os
from pathlib import Path, PurePosixPath

import pytest

from tests.unit.tees.sgx_ecdsa.attester_fakes import REPORT_DATA, FakeGramine, FakeOcclum, build_quote
from tests.vectors import needs_vectors, vector
from verdictd.core.errors import LimitExceededError
from verdictd.tees.sgx_ecdsa.attester_devices import (
    SGXIOC_GEN_DCAP_QUOTE,
    SGXIOC_GET_DCAP_QUOTE_SIZE,
    GramineSource,
    OcclumSource,
    open_device,
)


def _ioctl_number(direction: int, letter: str, number: int, size: int) -> int:
    """As the kernel's ``include/uapi/asm-generic/ioctl.h`` puts them together."""
    return direction << 30 | size << 16 | ord(letter) << 8 | number


def test_the_ioctl_numbers_follow_from_their_definitions() -> None:
    read, read_and_write = 2, 3
    assert _ioctl_number(read, "s", 7, 4) == SGXIOC_GET_DCAP_QUOTE_SIZE
    assert _ioctl_number(read_and_write, "s", 8, 24) == SGXIOC_GEN_DCAP_QUOTE


def test_a_fake_gramine_gives_the_recorded_quote_for_the_report_data_written_last() -> None:
    other = b"\xff" * 64
    source = GramineSource(FakeGramine({REPORT_DATA: build_quote(), other: build_quote(other)}).open)
    assert source.fetch_quote(other) == build_quote(other)
    assert source.fetch_quote(REPORT_DATA) == build_quote()


@needs_vectors
def test_a_fake_gramine_gives_a_quote_recorded_from_hardware() -> None:
    recorded = vector("sgx/intel-qvl/quote.dat")
    report_data = recorded[368:432]
    assert GramineSource(FakeGramine({report_data: recorded}).open).fetch_quote(report_data) == recorded


@needs_vectors
def test_a_fake_occlum_gives_a_quote_recorded_from_hardware() -> None:
    recorded = vector("sgx/aggregion-occlum-sgx-quote/quote.raw")
    report_data = recorded[368:432]
    assert OcclumSource(FakeOcclum({report_data: recorded}).open).fetch_quote(report_data) == recorded


def test_probing_gramine_leaves_the_report_data_of_another_thread_alone() -> None:
    gramine = FakeGramine({})
    gramine.user_report_data = REPORT_DATA
    GramineSource(gramine.open).probe()
    assert gramine.user_report_data == REPORT_DATA


def test_report_data_that_was_taken_in_part_is_an_error() -> None:
    gramine = FakeGramine({REPORT_DATA[:32].ljust(64, b"\0"): build_quote()})
    gramine.takes_bytes = 32
    with pytest.raises(OSError, match="took 32 of 64 bytes"):
        GramineSource(gramine.open).fetch_quote(REPORT_DATA)


def test_a_gramine_quote_beyond_the_limit_is_refused() -> None:
    with pytest.raises(LimitExceededError, match="longer than 65536"):
        GramineSource(FakeGramine({REPORT_DATA: bytes(65537)}).open).fetch_quote(REPORT_DATA)


def test_a_fake_occlum_reads_and_writes_through_the_pointers_it_is_given() -> None:
    source = OcclumSource(FakeOcclum({REPORT_DATA: build_quote()}).open)
    source.probe()
    assert source.fetch_quote(REPORT_DATA) == build_quote()


def test_an_occlum_buffer_larger_than_the_quote_ends_in_zeros() -> None:
    source = OcclumSource(FakeOcclum({REPORT_DATA: build_quote()}, announced_bytes=5000).open)
    assert source.fetch_quote(REPORT_DATA) == build_quote().ljust(5000, b"\0")


def test_occlum_without_a_quoting_service_is_an_os_error() -> None:
    source = OcclumSource(FakeOcclum({REPORT_DATA: build_quote()}).open)
    with pytest.raises(OSError, match="Input/output error"):
        source.fetch_quote(b"\1" * 64)


@pytest.mark.parametrize("size", [0, 65537, 0xFFFFFFFF])
def test_a_quote_size_that_no_quote_has_is_refused_before_memory_is_spent(size: int) -> None:
    source = OcclumSource(FakeOcclum({REPORT_DATA: build_quote()}, announced_bytes=size).open)
    with pytest.raises(LimitExceededError, match=f"announces a quote of {size} bytes"):
        source.fetch_quote(REPORT_DATA)


def test_plain_files_stand_in_for_gramines_through_the_kernels_own_system_calls(tmp_path: Path) -> None:
    (tmp_path / "user_report_data").write_bytes(b"")
    (tmp_path / "attestation_type").write_text("dcap")
    (tmp_path / "quote").write_bytes(build_quote())
    source = GramineSource(open_device, PurePosixPath(tmp_path))
    source.probe()
    assert source.fetch_quote(REPORT_DATA) == build_quote()
    assert (tmp_path / "user_report_data").read_bytes() == REPORT_DATA


def test_the_kernels_refusal_of_an_ioctl_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "sgx").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        OcclumSource(open_device, PurePosixPath(tmp_path / "sgx")).probe()
    assert caught.value.errno in {errno.ENOTTY, errno.EINVAL}


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "user_report_data").write_bytes(b"")
    (tmp_path / "quote").write_bytes(build_quote())
    (tmp_path / "sgx").write_bytes(b"")
    gramine = GramineSource(open_device, PurePosixPath(tmp_path))
    occlum = OcclumSource(open_device, PurePosixPath(tmp_path / "sgx"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is all there is to it
    gramine.fetch_quote(REPORT_DATA)
    with pytest.raises(OSError):
        occlum.probe()
    with pytest.raises(OSError):
        occlum.fetch_quote(REPORT_DATA)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
