"""Asking a stand-in for /dev/sev-guest for reports."""

import errno

import pytest

from tests.unit.tees.kernel.device_fakes import PAGE, FakeDevices, FakeFile, FakeSEVGuest
from tests.unit.tees.kernel.inputs import REPORT_DATA, TABLE, certificate_table, snp_report
from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError
from verdictd.tees.kernel.sev_guest_device import SNP_GET_EXT_REPORT, SNP_GET_REPORT, SEVGuestSource

LEVEL_FILE = "/sys/devices/system/cpu/sev/vmpl"
LONG_TABLE = certificate_table(b"c" * (5 * PAGE))


def source(
    device: FakeSEVGuest, *, privilege_level: int | None = None, certificates: bool = True, own_level: bytes = b""
) -> SEVGuestSource:
    files = FakeDevices({"/dev/sev-guest": lambda: device})
    if own_level:
        files.devices[LEVEL_FILE] = lambda: FakeFile(own_level)
    return SEVGuestSource(files, privilege_level=privilege_level, certificates=certificates)


def test_a_fake_device_gives_report_and_certificates_at_one_request() -> None:
    device = FakeSEVGuest(snp_report, TABLE)
    assert source(device).fetch_quote(REPORT_DATA) == snp_report() + TABLE
    assert device.requests == [(SNP_GET_EXT_REPORT, 4 * PAGE)]
    assert device.is_closed


def test_a_fake_device_whose_host_gives_no_certificates_gives_the_bare_report() -> None:
    assert source(FakeSEVGuest(snp_report)).fetch_quote(REPORT_DATA) == snp_report()


def test_a_fake_device_is_not_asked_for_certificates_that_are_not_wanted() -> None:
    device = FakeSEVGuest(snp_report, TABLE)
    assert source(device, certificates=False).fetch_quote(REPORT_DATA) == snp_report()
    assert device.requests == [(SNP_GET_REPORT, 0)]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_fake_device_that_wants_more_room_for_certificates_gets_it(number: int) -> None:
    device = FakeSEVGuest(snp_report, LONG_TABLE, kernel_limit=16 * PAGE, too_small=number)
    assert source(device).fetch_quote(REPORT_DATA) == snp_report() + LONG_TABLE
    assert [length for _, length in device.requests] == [4 * PAGE, 6 * PAGE]


def test_a_fake_kernel_that_has_no_more_room_refuses() -> None:
    with pytest.raises(LimitExceededError, match=f"{6 * PAGE} bytes or more: the kernel has no room"):
        source(FakeSEVGuest(snp_report, LONG_TABLE)).fetch_quote(REPORT_DATA)


def test_a_fake_host_may_give_as_many_certificates_as_the_limit_allows_and_no_more() -> None:
    longest = certificate_table(b"c" * (16 * PAGE - 48))
    device = FakeSEVGuest(snp_report, longest, kernel_limit=1 << 20)
    assert source(device).fetch_quote(REPORT_DATA) == snp_report() + longest
    device.certificates += b"c"
    with pytest.raises(LimitExceededError):
        source(device).fetch_quote(REPORT_DATA)


def test_a_request_that_a_fake_kernel_does_not_take_is_not_blamed_on_certificates() -> None:
    with pytest.raises(ConfigError, match="did not take the report data or the privilege level"):
        source(FakeSEVGuest(snp_report, TABLE, fails_with=errno.EINVAL)).fetch_quote(REPORT_DATA)


def test_a_fake_host_that_wants_ever_more_room_is_given_up() -> None:
    device = FakeSEVGuest(snp_report, TABLE, kernel_limit=1 << 20, is_growing=True)
    with pytest.raises(LimitExceededError, match="bytes or more") as caught:
        source(device).fetch_quote(REPORT_DATA)
    assert "without certificates" in caught.value.remedy
    assert len(device.requests) == 3
    assert device.is_closed


def test_a_fake_host_that_wants_more_room_than_any_certificates_need_is_refused() -> None:
    device = FakeSEVGuest(snp_report, certificate_table(b"c" * (64 * 1024)), kernel_limit=1 << 20)
    with pytest.raises(LimitExceededError, match="69632 bytes"):
        source(device).fetch_quote(REPORT_DATA)
    assert len(device.requests) == 1


@pytest.mark.parametrize(
    ("own_level", "asked", "expected"), [(b"", None, 0), (b"2\n", None, 2), (b"2\n", 3, 3), (b"2\n", 0, 0), (b"", 1, 1)]
)
@pytest.mark.parametrize("certificates", [True, False])
def test_a_fake_device_is_asked_at_the_guests_own_privilege_level_or_the_one_named(
    own_level: bytes, asked: int | None, expected: int, certificates: bool
) -> None:
    made = source(
        FakeSEVGuest(snp_report), privilege_level=asked, certificates=certificates, own_level=own_level
    ).fetch_quote(REPORT_DATA)
    assert made == snp_report(REPORT_DATA, expected)


@pytest.mark.parametrize("own_level", [b"\n", b"4\n", b"-1\n", b"one\n", b"00\n", b"\xb2\n"])
def test_a_level_that_does_not_exist_is_not_taken_from_a_fake_kernel(own_level: bytes) -> None:
    with pytest.raises(MalformedError, match="expected one of 0 to 3"):
        source(FakeSEVGuest(snp_report), own_level=own_level).fetch_quote(REPORT_DATA)


@pytest.mark.parametrize(("status", "says"), [(0x16, "privilege level"), (0x27, "key"), (0x99, "AMD 56860")])
@pytest.mark.parametrize("certificates", [True, False])
def test_a_refusal_of_a_fake_secure_processor_is_put_into_words(status: int, says: str, certificates: bool) -> None:
    device = FakeSEVGuest(snp_report, TABLE, status=status)
    with pytest.raises(ConfigError, match=f"status 0x{status:x}: .*{says}"):
        source(device, certificates=certificates).fetch_quote(REPORT_DATA)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOTTY, "given up its key"),
        (errno.EIO, "refused the request"),
        (errno.ENOSPC, "No space left"),
        (errno.ETIMEDOUT, "wait for too long"),
        (errno.EACCES, "may not make reports"),
    ],
)
@pytest.mark.parametrize("certificates", [True, False])
def test_a_failure_of_a_fake_device_is_put_into_words(number: int, says: str, certificates: bool) -> None:
    device = FakeSEVGuest(snp_report, TABLE, fails_with=number)
    with pytest.raises(ConfigError, match=f"/dev/sev-guest gave no report: .*{says}"):
        source(device, certificates=certificates).fetch_quote(REPORT_DATA)
    assert device.is_closed


@pytest.mark.parametrize("size", [0, 1183, 1185, 3968])
def test_a_report_of_another_size_from_a_fake_device_is_refused(size: int) -> None:
    with pytest.raises(MalformedError, match="1184 bytes long"):
        source(FakeSEVGuest(lambda data, level: bytes(size))).fetch_quote(REPORT_DATA)


def test_a_fake_machine_without_the_device_says_so() -> None:
    with pytest.raises(ConfigError, match="no such interface"):
        SEVGuestSource(FakeDevices()).probe()


def test_probing_a_fake_device_asks_it_for_nothing() -> None:
    device = FakeSEVGuest(snp_report)
    source(device).probe()
    assert not device.requests
    assert device.is_closed
