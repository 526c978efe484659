"""Asking a stand-in for the kernel's configfs for reports, while others are at work in it."""

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.tees.kernel.configfs_fake import Entry, FakeConfigfs, failure
from tests.unit.tees.kernel.inputs import OTHER_REPORT_DATA, REPORT_DATA
from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_QUOTE_BYTES
from verdictd.tees.kernel.report_directory import RETRY_PAUSES_S, KernelReport, ReportDirectory
from verdictd.tees.kernel.sources import SNP_PROVIDER, TDX_PROVIDER

TRIES = len(RETRY_PAUSES_S) + 1


def make_report(report_data: bytes, level: int) -> tuple[bytes, bytes]:
    return b"report %d of " % level + report_data, b"certificates"


class Waits:
    """Notes how long was waited for, in the place of waiting."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)


def tdx(configfs: FakeConfigfs, sleep: Callable[[float], None] | None = None) -> ReportDirectory:
    return ReportDirectory(configfs, TDX_PROVIDER, sleep=sleep or Waits())


def snp_configfs(floor: int = 0) -> FakeConfigfs:
    return FakeConfigfs(make_report, provider="sev_guest", privlevel_floor=floor)


def snp(configfs: FakeConfigfs) -> ReportDirectory:
    return ReportDirectory(configfs, SNP_PROVIDER, sleep=Waits())


def once(number: int, call: str, name: str) -> Callable[[str, str, Entry | None], None]:
    """Fail the first such system call."""
    return at_most(1, number, call, name)


def at_most(times: int, number: int, call: str, name: str) -> Callable[[str, str, Entry | None], None]:
    left = [times]

    def disturb(found_call: str, found_name: str, entry: Entry | None) -> None:
        if found_call == call and (call in {"mkdir", "rmdir"} or found_name == name) and left[0]:
            left[0] -= 1
            raise failure(number, found_name)

    return disturb


def test_a_fake_configfs_gives_a_report_and_keeps_no_entry() -> None:
    configfs = FakeConfigfs(make_report)
    assert tdx(configfs).fetch(REPORT_DATA) == KernelReport(b"report 0 of " + REPORT_DATA, b"")
    assert not configfs.entries
    assert configfs.reports == 1


def test_each_request_to_a_fake_configfs_has_an_entry_of_its_own() -> None:
    configfs = FakeConfigfs(make_report)
    directory = tdx(configfs)
    for _ in range(5):
        directory.fetch(REPORT_DATA)
    assert len(set(configfs.made)) == 5


@pytest.mark.parametrize("piece_bytes", [1, 7, 4096, 1 << 20])
def test_a_report_that_a_fake_configfs_gives_in_pieces_is_whole(piece_bytes: int) -> None:
    long = bytes(range(256)) * 40
    configfs = FakeConfigfs(lambda data, level: (long + data, b""), piece_bytes=piece_bytes)
    assert tdx(configfs).fetch(REPORT_DATA).outblob == long + REPORT_DATA


@pytest.mark.parametrize(("floor", "asked", "expected"), [(0, None, 0), (2, None, 2), (0, 1, 1), (2, 3, 3)])
def test_a_fake_configfs_is_asked_at_the_guests_own_privilege_level_or_the_one_named(
    floor: int, asked: int | None, expected: int
) -> None:
    report = snp(snp_configfs(floor)).fetch(REPORT_DATA, privilege_level=asked, with_auxblob=True)
    assert report == KernelReport(b"report %d of " % expected + REPORT_DATA, b"certificates")


def test_certificates_that_are_not_wanted_are_not_read_from_a_fake_configfs() -> None:
    configfs = snp_configfs()
    configfs.disturb = once(errno.EIO, "open", "auxblob")
    assert snp(configfs).fetch(REPORT_DATA).auxblob == b""


@pytest.mark.parametrize("level", [0, 1])
def test_a_level_with_more_rights_than_the_guest_is_refused_by_a_fake_configfs(level: int) -> None:
    configfs = snp_configfs(2)
    with pytest.raises(ConfigError, match="privilege level") as caught:
        snp(configfs).fetch(REPORT_DATA, privilege_level=level)
    assert "VMPL" in caught.value.remedy
    assert not configfs.entries
    assert not configfs.reports


PLACES = [
    ("mkdir", ""),
    ("open", "provider"),
    ("read", "generation"),
    ("open", "inblob"),
    ("write", "inblob"),
    ("close", "inblob"),
    ("open", "outblob"),
    ("read", "outblob"),
    ("rmdir", ""),
]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN])
@pytest.mark.parametrize(("call", "name"), PLACES)
def test_a_fake_configfs_that_is_busy_for_a_while_is_asked_again(call: str, name: str, number: int) -> None:
    configfs = FakeConfigfs(make_report, disturb=at_most(TRIES - 1, number, call, name))
    waits = Waits()
    assert tdx(configfs, waits).fetch(REPORT_DATA).outblob == b"report 0 of " + REPORT_DATA
    assert tuple(waits.waited) == RETRY_PAUSES_S


@pytest.mark.parametrize(("call", "name"), PLACES)
def test_a_fake_configfs_that_stays_busy_is_given_up(call: str, name: str) -> None:
    configfs = FakeConfigfs(make_report, disturb=at_most(99, errno.EBUSY, call, name))
    waits = Waits()
    with pytest.raises(ConfigError, match="gave no report") as caught:
        tdx(configfs, waits).fetch(REPORT_DATA)
    assert "quote generation service" in caught.value.remedy
    assert tuple(waits.waited) == RETRY_PAUSES_S
    if call != "rmdir":
        assert not configfs.entries


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.ENOMEM, errno.EINTR])
@pytest.mark.parametrize(("call", "name"), [place for place in PLACES if place[0] not in {"close", "rmdir"}])
def test_any_other_failure_of_a_fake_configfs_ends_it_at_once_and_leaves_no_entry(
    call: str, name: str, number: int
) -> None:
    configfs = FakeConfigfs(make_report, disturb=once(number, call, name))
    waits = Waits()
    with pytest.raises(ConfigError, match="gave no report"):
        tdx(configfs, waits).fetch(REPORT_DATA)
    assert not waits.waited
    assert not configfs.entries


def test_an_entry_that_cannot_be_removed_from_a_fake_configfs_is_not_kept_silent_about() -> None:
    configfs = FakeConfigfs(make_report, disturb=once(errno.EPERM, "rmdir", ""))
    with pytest.raises(ConfigError, match="gave no report"):
        tdx(configfs).fetch(REPORT_DATA)


def test_the_first_failure_is_told_where_removing_the_entry_fails_as_well() -> None:
    def disturb(call: str, name: str, entry: Entry | None) -> None:
        if (call, name) == ("read", "outblob"):
            raise failure(errno.ETIMEDOUT)
        if call == "rmdir":
            raise failure(errno.EPERM)

    with pytest.raises(ConfigError, match="did not make a quote in time"):
        tdx(FakeConfigfs(make_report, disturb=disturb)).fetch(REPORT_DATA)


class Intruder:
    """Someone else who finds our entry and writes to it just before one of our system calls."""

    def __init__(self, call: str, name: str, times: int) -> None:
        self.place = (call, name)
        self.times = times

    def __call__(self, call: str, name: str, entry: Entry | None) -> None:
        if (call, name) == self.place and self.times and entry is not None:
            self.times -= 1
            entry.inblob = OTHER_REPORT_DATA
            entry.generation += 1


INTRUSIONS = [
    ("open", "inblob"),
    ("write", "inblob"),
    ("close", "inblob"),
    ("open", "outblob"),
    ("read", "outblob"),
]


@pytest.mark.parametrize(("call", "name"), INTRUSIONS)
def test_a_report_with_someone_elses_data_in_a_fake_configfs_is_not_taken(call: str, name: str) -> None:
    configfs = FakeConfigfs(make_report, disturb=Intruder(call, name, times=2))
    assert tdx(configfs).fetch(REPORT_DATA).outblob == b"report 0 of " + REPORT_DATA
    assert len(configfs.made) > 1


@pytest.mark.parametrize(("call", "name"), INTRUSIONS)
def test_someone_who_writes_into_each_entry_of_a_fake_configfs_stops_it(call: str, name: str) -> None:
    configfs = FakeConfigfs(make_report, disturb=Intruder(call, name, times=999))
    with pytest.raises(ConfigError, match=r"the entry's generation is \d+, expected \d"):
        tdx(configfs).fetch(REPORT_DATA)
    assert len(configfs.made) == TRIES
    assert not configfs.entries


def test_a_write_that_a_fake_configfs_loses_silently_is_noticed_before_a_report_is_made() -> None:
    configfs = FakeConfigfs(make_report, disturb=at_most(99, errno.EBUSY, "close", "inblob"))
    with pytest.raises(ConfigError, match="generation is 0, expected 1"):
        tdx(configfs).fetch(REPORT_DATA)
    assert configfs.reports == 0


@pytest.mark.parametrize(("call", "name"), [place for place in PLACES if place[0] != "mkdir"])
def test_an_entry_that_vanishes_from_a_fake_configfs_is_made_anew(call: str, name: str) -> None:
    done: list[str] = []

    def vanish(found_call: str, found_name: str, entry: Entry | None) -> None:
        if found_call == call and (call == "rmdir" or found_name == name) and not done:
            done.append(name)
            (entry_name,) = configfs.entries
            configfs.forget(entry_name)

    configfs = FakeConfigfs(make_report, disturb=vanish)
    assert tdx(configfs).fetch(REPORT_DATA).outblob == b"report 0 of " + REPORT_DATA
    assert not configfs.entries


def test_a_name_that_is_taken_in_a_fake_configfs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["taken", "free"])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(names))
    configfs = FakeConfigfs(make_report, entries={"verdictd-taken": Entry(inblob=b"theirs")})
    tdx(configfs).fetch(REPORT_DATA)
    assert configfs.made == ["verdictd-free"]
    assert configfs.entries["verdictd-taken"].inblob == b"theirs"


@pytest.mark.parametrize(
    ("configfs", "says", "remedy"),
    [
        (FakeConfigfs(make_report, is_mounted=False), "no such interface", "Linux 6.7 or later"),
        (FakeConfigfs(make_report, is_root=False), "may not make reports", "root"),
        (FakeConfigfs(make_report, provider=None), "no module of the kernel makes reports", "load tdx_guest"),
        (
            FakeConfigfs(make_report, provider="sev_guest"),
            "made by 'sev_guest', expected 'tdx_guest'",
            "no trust domain",
        ),
    ],
)
def test_a_fake_machine_without_such_reports_says_what_is_missing(
    configfs: FakeConfigfs, says: str, remedy: str
) -> None:
    for use in (tdx(configfs).probe, lambda: tdx(configfs).fetch(REPORT_DATA)):
        with pytest.raises(ConfigError, match=says) as caught:
            use()
        assert remedy in caught.value.remedy
    assert not configfs.entries
    assert not configfs.reports


def test_probing_a_fake_configfs_makes_no_report() -> None:
    configfs = FakeConfigfs(make_report)
    tdx(configfs).probe()
    assert configfs.made
    assert not configfs.reports
    assert not configfs.entries


@pytest.mark.parametrize(
    ("number", "says", "remedy"),
    [
        (errno.ETIMEDOUT, "did not make a quote in time", "QGS"),
        (errno.EIO, "host refused", "QGS"),
        (errno.EAGAIN, "kept the interface busy", "try again"),
        (errno.ENXIO, "no module", "load tdx_guest"),
        (errno.ENOMEM, "Cannot allocate memory", "kernel's log"),
    ],
)
def test_what_a_hosts_failure_behind_a_fake_configfs_means_is_said(number: int, says: str, remedy: str) -> None:
    def refuse(report_data: bytes, level: int) -> tuple[bytes, bytes]:
        raise failure(number)

    configfs = FakeConfigfs(refuse)
    with pytest.raises(ConfigError, match=says) as caught:
        tdx(configfs).fetch(REPORT_DATA)
    assert remedy in caught.value.remedy
    assert not configfs.entries


@pytest.mark.parametrize(
    ("number", "says", "remedy"),
    [
        (errno.ETIMEDOUT, "wait for too long", "try again"),
        (errno.EAGAIN, "only so often", "later"),
        (errno.ENXIO, "the secure processor refused", "load sev-guest"),
        (errno.ENOTTY, "given up its key", "started anew"),
        (errno.EIO, "refused the request", "kernel's log"),
    ],
)
def test_what_a_secure_processors_failure_behind_a_fake_configfs_means_is_said(
    number: int, says: str, remedy: str
) -> None:
    configfs = snp_configfs()
    configfs.disturb = at_most(99, number, "read", "outblob")
    with pytest.raises(ConfigError, match=says) as caught:
        snp(configfs).fetch(REPORT_DATA)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("extra", [0, 1])
def test_a_fake_configfs_may_give_so_much_and_no_more(extra: int) -> None:
    configfs = FakeConfigfs(lambda data, level: (bytes(MAX_QUOTE_BYTES + extra), b""))
    if extra:
        with pytest.raises(LimitExceededError, match=f"outblob is longer than {MAX_QUOTE_BYTES} bytes"):
            tdx(configfs).fetch(REPORT_DATA)
    else:
        assert len(tdx(configfs).fetch(REPORT_DATA).outblob) == MAX_QUOTE_BYTES
    assert not configfs.entries


@pytest.mark.parametrize("shown", [b"", b"\n", b"-1\n", b"0x1\n", b"one\n", b"\xb2\n", b"\xff\n"])
def test_a_generation_of_a_fake_configfs_that_is_no_number_is_refused(shown: bytes) -> None:
    class Odd(FakeConfigfs):
        def show(self, entry: Entry, name: str) -> bytes:
            return shown if name == "generation" else super().show(entry, name)

    configfs = Odd(make_report)
    with pytest.raises(MalformedError, match="generation is"):
        tdx(configfs).fetch(REPORT_DATA)
    assert not configfs.entries


def test_a_write_that_a_fake_configfs_takes_in_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    configfs = FakeConfigfs(make_report)
    monkeypatch.setattr("tests.unit.tees.kernel.configfs_fake._BinaryFile.write", lambda self, data: 63)
    with pytest.raises(ConfigError, match="inblob took 63 of 64 bytes"):
        tdx(configfs).fetch(REPORT_DATA)
    assert not configfs.entries


def test_an_interruption_leaves_no_entry_in_a_fake_configfs() -> None:
    def interrupt(call: str, name: str, entry: Entry | None) -> None:
        if (call, name) == ("read", "outblob"):
            raise KeyboardInterrupt

    configfs = FakeConfigfs(make_report, disturb=interrupt)
    with pytest.raises(KeyboardInterrupt):
        tdx(configfs).fetch(REPORT_DATA)
    assert not configfs.entries


def test_threads_that_share_a_fake_configfs_get_each_their_own_report() -> None:
    configfs = FakeConfigfs(make_report, piece_bytes=1)
    directory = tdx(configfs)
    with ThreadPoolExecutor(8) as pool:
        asked = [bytes([number]) * 64 for number in range(40)]
        given = list(pool.map(directory.fetch, asked))
    assert [report.outblob for report in given] == [b"report 0 of " + data for data in asked]
    assert not configfs.entries
