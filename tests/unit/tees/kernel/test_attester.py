"""Guests that attest, against stand-ins for their kernels fed with recorded and with simulated evidence."""

import json
import shlex
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePosixPath
from threading import Lock
from time import sleep
from typing import Protocol

import pytest

from tests.unit.tees.kernel.configfs_fake import FakeConfigfs, failure
from tests.unit.tees.kernel.device_fakes import FakeDevices, FakeSEVGuest, FakeTDXGuest
from tests.unit.tees.kernel.inputs import OTHER_REPORT_DATA, REPORT_DATA, TABLE, snp_report, td_quote
from tests.unit.tees.simulated import platform
from tests.unit.tees.tdx_ecdsa.inputs import Input
from tests.vectors import needs_vectors, vector
from verdictd.core.attester import Attester
from verdictd.core.errors import AuthenticityError, ConfigError, LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_QUOTE_BYTES
from verdictd.tees.kernel.attester import (
    CheckedEvidence,
    GuestAttester,
    check_snp_evidence,
    check_td_quote,
    find_snp_attester,
    find_tdx_attester,
)
from verdictd.tees.kernel.interface import KernelFiles
from verdictd.tees.sgx_ecdsa.attester_devices import Device
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote


class RecordedSource:
    """A source with one answer, whatever it is asked for."""

    label = "the recording"
    remedy = "record another"

    def __init__(self, answer: bytes | OSError) -> None:
        self.answer = answer

    def fetch_quote(self, report_data: bytes) -> bytes:
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


class Finder(Protocol):
    def __call__(self, *, files: KernelFiles, sleep: Callable[[float], None]) -> GuestAttester: ...


def no_wait(seconds: float) -> None:
    pass


def recorded(*reports: tuple[bytes, bytes, bytes], provider: str) -> FakeConfigfs:
    """A fake kernel whose host knows the reports that were recorded, by their report data, and makes no others."""
    known: Mapping[bytes, tuple[bytes, bytes]] = {data: (outblob, auxblob) for data, outblob, auxblob in reports}

    def look_up(report_data: bytes, level: int) -> tuple[bytes, bytes]:
        if report_data not in known:
            raise failure(5)
        return known[report_data]

    return FakeConfigfs(look_up, provider=provider)


def simulated_tdx(version: int = 4) -> FakeConfigfs:
    def quote(report_data: bytes, level: int) -> tuple[bytes, bytes]:
        return platform().td_quote(report_data=report_data, quote_version=version), b""

    return FakeConfigfs(quote, provider="tdx_guest")


def fake_snp(auxblob: bytes = TABLE) -> FakeConfigfs:
    return FakeConfigfs(lambda data, level: (snp_report(data, level), auxblob), provider="sev_guest")


@pytest.mark.parametrize("version", [4, 5])
def test_a_simulated_td_attests_through_a_fake_configfs(version: int) -> None:
    configfs = simulated_tdx(version)
    attester: Attester = find_tdx_attester(files=configfs)
    for report_data in (REPORT_DATA, OTHER_REPORT_DATA):
        quote = parse_td_quote(attester.quote(report_data))
        assert (quote.version, quote.report.report_data) == (version, report_data)
    assert Input(quote=attester.quote(REPORT_DATA)).appraise().allowed
    assert not configfs.entries


@needs_vectors
@pytest.mark.parametrize(
    "path",
    [
        "tdx/intel-qvl/tdx/quote.dat",
        "tdx/automata-dcap-attestation/evm/forge-test/assets/quotes/alibaba_quote_5.dat",
        "tdx/google-go-tdx-guest/testing/ccel/cos-113-tdx-quote.dat",
        "tdx/google-go-tdx-guest/testing/quote_v5_sample.dat",
        "tdx/coco-trustee/verifier/tdx_quote_5.dat",
        "tdx/edgeless-go-tdx-qpl/quote",
    ],
)
def test_a_recorded_quote_out_of_a_fake_configfs_is_handed_on_for_its_own_report_data_only(path: str) -> None:
    data = vector(path)
    report_data = parse_td_quote(data).report.report_data
    attester = find_tdx_attester(files=recorded((report_data, data, b""), provider="tdx_guest"))
    given = attester.quote(report_data)
    assert data.startswith(given)
    assert not any(data[len(given) :])
    assert parse_td_quote(given) == parse_td_quote(data)
    other = bytes(63) + b"\1"
    with pytest.raises(ConfigError, match="host refused"):
        attester.quote(other)
    with pytest.raises(AuthenticityError, match=f"asked for was {other.hex()}"):
        find_tdx_attester(files=recorded((other, data, b""), provider="tdx_guest")).quote(other)


@needs_vectors
@pytest.mark.parametrize(
    "path",
    [
        "sev-snp/coco-trustee/verifier/snp/test-report.bin",
        "sev-snp/coco-trustee/verifier/snp/test-vlek-report.bin",
        "sev-snp/google-go-sev-guest/testdata/attestation.bin",
        "sev-snp/teekit/sampleQuotes/sev-gcp-x25519-bound.bin",
        "sev-snp/yaxi-routex-client/report_spec/verify_turin.bin",
    ],
)
def test_a_recorded_snp_report_is_handed_on_by_fake_configfs_and_fake_device_alike(path: str) -> None:
    report = vector(path)
    report_data = report[0x50:0x90]
    attester = find_snp_attester(files=recorded((report_data, report, TABLE), provider="sev_guest"))
    assert attester.quote(report_data) == report + TABLE
    device = FakeDevices({"/dev/sev-guest": lambda: FakeSEVGuest(lambda data, level: report, TABLE)})
    assert find_snp_attester(files=device).quote(report_data) == report + TABLE
    assert find_snp_attester(files=device, certificates=False).quote(report_data) == report
    flipped = bytes([report_data[0] ^ 1]) + report_data[1:]
    with pytest.raises(AuthenticityError, match=f"carries the report data {report_data.hex()}"):
        find_snp_attester(files=device).quote(flipped)


@needs_vectors
def test_what_a_real_configfs_gave_once_is_handed_on_by_a_fake_one() -> None:
    """Both blobs, as a Linux kernel wrote them; its certificates stand in a table of their own length."""
    entry = json.loads(vector("sev-snp/veraison-services/sevsnp/test/evidence/sevsnp-tsm-report.json"))
    report, table = (urlsafe_b64decode(entry[name] + "==") for name in ("outblob", "auxblob"))
    report_data = report[0x50:0x90]
    configfs = recorded((report_data, report, table), provider=entry["provider"].strip())
    assert find_snp_attester(files=configfs).quote(report_data) == report + table
    assert find_snp_attester(files=configfs, certificates=False).quote(report_data) == report
    page_padded = FakeSEVGuest(lambda data, level: report, table)
    device = FakeDevices({"/dev/sev-guest": lambda: page_padded})
    assert find_snp_attester(files=device).quote(report_data) == report + table


@pytest.mark.parametrize("byte", [0, 31, 32, 63])
@pytest.mark.parametrize(("data", "check"), [(td_quote(), check_td_quote), (snp_report() + TABLE, check_snp_evidence)])
def test_evidence_whose_report_data_differs_in_one_bit_is_refused(
    data: bytes, check: Callable[[bytes], CheckedEvidence], byte: int
) -> None:
    asked = bytearray(REPORT_DATA)
    asked[byte] ^= 0x80
    attester = GuestAttester(RecordedSource(data), check)
    with pytest.raises(AuthenticityError, match=f"carries the report data {REPORT_DATA.hex()}") as caught:
        attester.quote(bytes(asked))
    assert "the recording" in caught.value.message
    assert attester.quote(REPORT_DATA) == data


@pytest.mark.parametrize(
    ("data", "error", "why"),
    [
        (b"", MalformedError, "at least"),
        (td_quote()[:-1], MalformedError, "cut off"),
        (td_quote() + b"\1", MalformedError, "not zero"),
        (platform().quote(report_data=REPORT_DATA), UnsupportedError, "SGX"),
        (snp_report(), UnsupportedError, ""),
    ],
)
def test_what_is_no_td_quote_is_refused_by_the_name_of_its_source(
    data: bytes, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=f"what the recording gave is no usable evidence: .*{why}"):
        GuestAttester(RecordedSource(data), check_td_quote).quote(REPORT_DATA)


@pytest.mark.parametrize("data", [b"", snp_report()[:-1], snp_report() + b"\1", snp_report() + TABLE[:-1]])
def test_what_is_no_snp_evidence_is_refused_by_the_name_of_its_source(data: bytes) -> None:
    with pytest.raises(MalformedError, match="what the recording gave is no usable evidence"):
        GuestAttester(RecordedSource(data), check_snp_evidence).quote(REPORT_DATA)


def test_more_than_any_quote_has_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        GuestAttester(RecordedSource(td_quote().ljust(MAX_QUOTE_BYTES + 1, b"\0")), check_td_quote).quote(REPORT_DATA)


def test_a_source_that_fails_is_told_with_its_remedy() -> None:
    with pytest.raises(ConfigError, match=r"the recording gave no evidence: .*Permission denied") as caught:
        GuestAttester(RecordedSource(failure(13)), check_td_quote).quote(REPORT_DATA)
    assert caught.value.remedy == "record another"


def test_threads_that_share_an_attester_take_turns_on_its_source() -> None:
    class Exclusive:
        label = remedy = "a source for one at a time"
        lock = Lock()

        def fetch_quote(self, report_data: bytes) -> bytes:
            assert self.lock.acquire(blocking=False)
            sleep(0.002)
            self.lock.release()
            return snp_report(report_data)

    attester = GuestAttester(Exclusive(), check_snp_evidence)
    asked = [bytes([number]) * 64 for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attester.quote, asked)) == [snp_report(data) for data in asked]


@pytest.mark.parametrize("padding", [0, 1, 3000])
def test_padding_behind_a_quote_is_taken_off(padding: int) -> None:
    attester = GuestAttester(RecordedSource(td_quote() + bytes(padding)), check_td_quote)
    assert attester.quote(REPORT_DATA) == td_quote()


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_of_another_size_is_the_callers_mistake(size: int) -> None:
    configfs = simulated_tdx()
    attester = find_tdx_attester(files=configfs)
    with pytest.raises(ValueError, match=f"report data is {size} bytes long, expected 64"):
        attester.quote(bytes(size))
    assert not configfs.reports


def test_a_fake_snp_guest_without_certificates_sends_the_bare_report() -> None:
    assert find_snp_attester(files=fake_snp(b"")).quote(REPORT_DATA) == snp_report()
    assert find_snp_attester(files=fake_snp(), certificates=False).quote(REPORT_DATA) == snp_report()


@pytest.mark.parametrize("level", [0, 1, 3])
def test_a_fake_snp_guest_asks_at_the_level_that_was_named(level: int) -> None:
    device = FakeDevices({"/dev/sev-guest": lambda: FakeSEVGuest(snp_report)})
    for files in (fake_snp(b""), device):
        attester = find_snp_attester(files=files, privilege_level=level)
        assert attester.quote(REPORT_DATA) == snp_report(REPORT_DATA, level)


@pytest.mark.parametrize("level", [-1, 4])
def test_a_level_that_does_not_exist_is_refused_before_anything_is_asked(level: int) -> None:
    with pytest.raises(ConfigError, match=f"privilege level {level} does not exist"):
        find_snp_attester(files=fake_snp(), privilege_level=level)


def test_a_fake_guest_with_configfs_and_device_is_asked_through_configfs() -> None:
    opened: list[str] = []

    class Both(FakeConfigfs):
        def open(self, path: PurePosixPath, flags: int) -> Device:
            opened.append(str(path))
            return super().open(path, flags)

    made = Both(lambda data, level: (snp_report(data, level), TABLE), provider="sev_guest")
    find_snp_attester(files=made).quote(REPORT_DATA)
    assert not [path for path in opened if path.startswith("/dev/")]


def test_a_fake_td_with_a_device_alone_is_told_that_quotes_come_from_the_host() -> None:
    files = FakeDevices({"/dev/tdx_guest": FakeTDXGuest})
    with pytest.raises(ConfigError, match=r"no source of TDX quotes was found.*made by the host") as caught:
        find_tdx_attester(files=files)
    assert "--quote-command" in str(caught.value)


def test_a_fake_machine_of_neither_kind_is_told_what_was_looked_for() -> None:
    with pytest.raises(ConfigError, match="no source of TDX quotes") as caught:
        find_tdx_attester(files=FakeDevices())
    assert "/sys/kernel/config/tsm/report" in caught.value.message
    assert "/dev/tdx_guest" in caught.value.message
    with pytest.raises(ConfigError, match="no source of SEV-SNP reports") as caught:
        find_snp_attester(files=FakeDevices())
    assert "/sys/kernel/config/tsm/report" in caught.value.message
    assert "/dev/sev-guest" in caught.value.message


def test_a_fake_guest_of_one_kind_is_not_taken_for_the_other() -> None:
    with pytest.raises(ConfigError, match="made by 'tdx_guest', expected 'sev_guest'"):
        find_snp_attester(files=simulated_tdx())
    with pytest.raises(ConfigError, match="made by 'sev_guest', expected 'tdx_guest'"):
        find_tdx_attester(files=fake_snp())


@pytest.mark.parametrize(
    ("find", "configfs"), [(find_tdx_attester, simulated_tdx()), (find_snp_attester, fake_snp())], ids=["tdx", "snp"]
)
def test_a_fake_guest_that_is_busy_when_looked_for_is_waited_for(find: Finder, configfs: FakeConfigfs) -> None:
    waited: list[float] = []
    left = [2]

    def disturb(call: str, name: str, entry: object) -> None:
        if call == "mkdir" and left[0]:
            left[0] -= 1
            raise failure(16)

    configfs.disturb = disturb
    find(files=configfs, sleep=waited.append)
    assert len(waited) == 2


def test_this_machine_is_asked_where_no_other_is_given() -> None:
    """It may be a guest of either kind, but hardly of both."""
    found = []
    for find in (find_tdx_attester, find_snp_attester):
        with suppress(ConfigError):
            found.append(find(sleep=no_wait).label)
    assert len(found) <= 1


WRITES = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))"


@pytest.mark.parametrize("evidence", [td_quote(), snp_report() + TABLE], ids=["tdx", "snp"])
def test_a_program_that_was_named_is_used_and_nothing_else_is_looked_for(evidence: bytes) -> None:
    command = shlex.join([sys.executable, "-c", WRITES, evidence.hex()])
    files = FakeDevices()
    find = find_tdx_attester if evidence == td_quote() else find_snp_attester
    attester = find(quote_command=command, files=files)
    assert attester.quote(REPORT_DATA) == evidence
    with pytest.raises(AuthenticityError, match="--quote-command"):
        attester.quote(OTHER_REPORT_DATA)
    assert not files.opened
