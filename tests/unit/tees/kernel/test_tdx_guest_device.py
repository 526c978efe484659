"""Asking a stand-in for /dev/tdx_guest for what it has, and being told that it is no quote."""

import errno

import pytest

from tests.unit.tees.kernel.device_fakes import FakeDevices, FakeTDXGuest
from tests.unit.tees.kernel.inputs import REPORT_DATA
from verdictd.core.errors import AuthenticityError, ConfigError
from verdictd.tees.kernel.tdx_guest_device import TDXGuestDevice


def device(fake: FakeTDXGuest) -> TDXGuestDevice:
    return TDXGuestDevice(FakeDevices({"/dev/tdx_guest": lambda: fake}))


def test_a_fake_device_gives_a_local_report_with_the_report_data() -> None:
    report = device(FakeTDXGuest()).fetch_local_report(REPORT_DATA)
    assert len(report) == 1024
    assert report[128:192] == REPORT_DATA


def test_a_local_report_of_a_fake_device_for_other_report_data_is_refused() -> None:
    with pytest.raises(AuthenticityError, match=f"asked for was {REPORT_DATA.hex()}"):
        device(FakeTDXGuest(changes=lambda data: data[::-1])).fetch_local_report(REPORT_DATA)


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EIO, "TDX module refused"), (errno.EACCES, "may not make reports"), (errno.ENOTTY, "Inappropriate ioctl")],
)
def test_a_failure_of_a_fake_device_is_put_into_words(number: int, says: str) -> None:
    with pytest.raises(ConfigError, match=f"/dev/tdx_guest gave no report: .*{says}"):
        device(FakeTDXGuest(fails_with=number)).fetch_local_report(REPORT_DATA)


def test_that_a_fake_device_makes_no_quotes_is_said_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="a quote of one is made by the host") as caught:
        device(FakeTDXGuest()).refuse()
    assert "6.7" in caught.value.remedy
    assert "--quote-command" in caught.value.remedy


def test_a_fake_machine_without_the_device_is_told_that_it_is_no_td() -> None:
    with pytest.raises(ConfigError, match="no trust domain") as caught:
        TDXGuestDevice(FakeDevices()).refuse()
    assert "run in a TD" in caught.value.remedy
