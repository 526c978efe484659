"""Where a confidential guest's evidence comes from: its kernel, or a program that the operator names."""

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, NamedTuple

from verdictd.core.attester import REPORT_DATA_BYTES
from verdictd.core.errors import AuthenticityError, ConfigError, MalformedError, UnsupportedError, VerdictdError
from verdictd.tees.kernel.interface import KernelFiles, LinuxFiles
from verdictd.tees.kernel.sev_guest_device import SEVGuestSource
from verdictd.tees.kernel.snp_evidence import REPORT_BYTES, join_evidence, read_report_data
from verdictd.tees.kernel.sources import SNPReportSource, TDXReportSource
from verdictd.tees.kernel.tdx_guest_device import TDXGuestDevice
from verdictd.tees.sgx_ecdsa.attester import ProbedSource, QuoteSource
from verdictd.tees.sgx_ecdsa.attester_command import CommandSource, parse_quote_command
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote

MAX_PRIVILEGE_LEVEL: Final = 3
_SIZE_FIELD_BYTES: Final = 4


class CheckedEvidence(NamedTuple):
    """Evidence whose form was checked, and the report data in it."""

    data: bytes
    report_data: bytes


def check_td_quote(data: bytes) -> CheckedEvidence:
    """Check that these are a TDX quote, and take off padding behind it.

    Raises:
        MalformedError, UnsupportedError, LimitExceededError: they are not.
    """
    quote = parse_td_quote(data)
    end = len(quote.signed) + _SIZE_FIELD_BYTES
    size = int.from_bytes(data[len(quote.signed) : end], "little")
    return CheckedEvidence(data[: end + size], quote.report.report_data)


def check_snp_evidence(data: bytes) -> CheckedEvidence:
    """Check that these are an SEV-SNP report and perhaps a certificate table, and take off padding behind it.

    Raises:
        MalformedError: they are not.
    """
    evidence = join_evidence(data[:REPORT_BYTES], data[REPORT_BYTES:])
    return CheckedEvidence(evidence, read_report_data(evidence))


class GuestAttester:
    """An `Attester` that takes turns on one source and checks what comes out of it."""

    __slots__ = ("_check", "_lock", "_source")

    def __init__(self, source: QuoteSource, check: Callable[[bytes], CheckedEvidence]) -> None:
        self._source = source
        self._check = check
        self._lock = Lock()

    @property
    def label(self) -> str:
        """Where the evidence comes from, for a person."""
        return self._source.label

    def quote(self, report_data: bytes) -> bytes:
        """Return evidence that carries `report_data`: a TDX quote, or an SEV-SNP report with what goes with it.

        Trust: format and report data are checked, so that a mistake shows here and not at the peer; nothing else is.

        Args:
            report_data: 64 bytes.

        Raises:
            ConfigError: the source is gone or refuses.
            AuthenticityError: the evidence is for other report data.
            MalformedError, UnsupportedError, LimitExceededError: what came is no such evidence.
        """
        if len(report_data) != REPORT_DATA_BYTES:
            raise ValueError(f"report data is {len(report_data)} bytes long, expected {REPORT_DATA_BYTES}")
        try:
            with self._lock:
                data = self._source.fetch_quote(report_data)
        except OSError as error:
            raise ConfigError(f"{self.label} gave no evidence: {error}", remedy=self._source.remedy) from error
        try:
            evidence = self._check(data)
        except (MalformedError, UnsupportedError) as error:
            raise type(error)(
                f"what {self.label} gave is no usable evidence: {error.message}", remedy=error.remedy
            ) from error
        if evidence.report_data != report_data:
            raise AuthenticityError(
                f"the evidence from {self.label} carries the report data {evidence.report_data.hex()},"
                f" asked for was {report_data.hex()}",
                remedy="whatever makes the evidence must put in all 64 bytes as given, neither hashed nor cut",
            )
        return evidence.data


def find_tdx_attester(
    *, quote_command: str | None = None, files: KernelFiles | None = None, sleep: Callable[[float], None] = time.sleep
) -> GuestAttester:
    """Find where quotes of this trust domain come from: a program that was named, else the kernel's configfs.

    Args:
        quote_command: a command line, see `attester_command`; split into words, never given to a shell.
        files: the kernel; this machine's where none is given.
        sleep: waits for seconds between two tries.

    Raises:
        ConfigError: there is none; says what was looked for, what stood in the way of each, and what to do.
    """
    if quote_command is not None:
        return GuestAttester(CommandSource(parse_quote_command(quote_command)), check_td_quote)
    kernel = files or LinuxFiles()
    absences: list[VerdictdError] = []
    source = _first_present([TDXReportSource(kernel, sleep=sleep)], absences)
    if source is not None:
        return GuestAttester(source, check_td_quote)
    try:
        TDXGuestDevice(kernel).refuse()
    except VerdictdError as error:
        absences.append(error)
    raise _absent("TDX quotes", absences)


def find_snp_attester(
    *,
    quote_command: str | None = None,
    privilege_level: int | None = None,
    certificates: bool = True,
    files: KernelFiles | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> GuestAttester:
    """Find where reports of this SEV-SNP guest come from: a program that was named, else configfs, else the device.

    Args:
        quote_command: as of `find_tdx_attester`; what it writes is a report, and a certificate table if it has one.
        privilege_level: the VMPL to ask at, 0 to 3; the guest's own where ``None``. Peers of rats-tls ask at 1.
        certificates: whether the host's certificates go with the report. Without them it is the bare report that
            peers of rats-tls send, and a verifier has to fetch the certificates itself.
        files: the kernel; this machine's where none is given.
        sleep: waits for seconds between two tries.

    Raises:
        ConfigError: there is none; says what was looked for, what stood in the way of each, and what to do. Or there is
            no such privilege level.
    """
    if privilege_level is not None and not 0 <= privilege_level <= MAX_PRIVILEGE_LEVEL:
        raise ConfigError(f"privilege level {privilege_level} does not exist, there are 0 to {MAX_PRIVILEGE_LEVEL}")
    if quote_command is not None:
        return GuestAttester(CommandSource(parse_quote_command(quote_command)), check_snp_evidence)
    kernel = files or LinuxFiles()
    absences: list[VerdictdError] = []
    sources: list[ProbedSource] = [
        SNPReportSource(kernel, privilege_level=privilege_level, certificates=certificates, sleep=sleep),
        SEVGuestSource(kernel, privilege_level=privilege_level, certificates=certificates),
    ]
    source = _first_present(sources, absences)
    if source is None:
        raise _absent("SEV-SNP reports", absences)
    return GuestAttester(source, check_snp_evidence)


def _first_present(sources: Sequence[ProbedSource], absences: list[VerdictdError]) -> ProbedSource | None:
    for source in sources:
        try:
            source.probe()
        except VerdictdError as error:
            absences.append(error)
        else:
            return source
    return None


def _absent(what: str, absences: Sequence[VerdictdError]) -> ConfigError:
    remedies = dict.fromkeys(absence.remedy for absence in absences if absence.remedy)
    return ConfigError(
        f"no source of {what} was found; looked for {'; '.join(absence.message for absence in absences)}",
        remedy="; ".join(
            [*remedies, "or name a program with --quote-command, or simulate a platform with --simulate DIR"]
        ),
    )
