"""Where an SGX quote comes from on hardware: the devices of Gramine and Occlum, or a program the operator names."""

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from verdictd.core.attester import REPORT_DATA_BYTES
from verdictd.core.errors import AuthenticityError, ConfigError, MalformedError, UnsupportedError, VerdictdError
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.sgx_ecdsa.attester_command import CommandSource, parse_quote_command
from verdictd.tees.sgx_ecdsa.attester_devices import GramineSource, OcclumSource, OpenDevice, open_device

_SIZE_FIELD_BYTES = 4


class QuoteSource(Protocol):
    """One way to a quote. Not necessarily safe to share between threads, nor does it look at what it hands on."""

    label: str
    """What to call it, for a person."""
    remedy: str
    """What to look after where it fails."""

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Return what is there, at most `MAX_QUOTE_BYTES`; raises `OSError` or an error of ours."""
        ...


class ProbedSource(QuoteSource, Protocol):
    """A source that may or may not be there."""

    def probe(self) -> None:
        """Raise `OSError` where it is not there, an error of ours where it is but makes no such quotes."""
        ...


class SGXAttester:
    """An `Attester` that takes turns on one source and checks what comes out of it."""

    __slots__ = ("_lock", "_source")

    def __init__(self, source: QuoteSource) -> None:
        self._source = source
        self._lock = Lock()

    @property
    def label(self) -> str:
        """Where the quotes come from, for a person."""
        return self._source.label

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote that carries `report_data`, without the padding that some quoting libraries append.

        Trust: format and report data are checked, so that a mistake shows here and not at the peer; nothing else is.

        Args:
            report_data: 64 bytes.

        Raises:
            ConfigError: the source is gone or refuses.
            AuthenticityError: the quote is for other report data.
            MalformedError, UnsupportedError, LimitExceededError: what came is not an SGX ECDSA quote of known version.
        """
        if len(report_data) != REPORT_DATA_BYTES:
            raise ValueError(f"report data is {len(report_data)} bytes long, expected {REPORT_DATA_BYTES}")
        try:
            with self._lock:
                data = self._source.fetch_quote(report_data)
        except OSError as error:
            raise ConfigError(f"{self.label} gave no quote: {error}", remedy=self._source.remedy) from error
        return self._check(data, report_data)

    def _check(self, data: bytes, report_data: bytes) -> bytes:
        try:
            quote = parse_quote(data)
        except (MalformedError, UnsupportedError) as error:
            raise type(error)(
                f"what {self.label} gave is no usable quote: {error.message}", remedy=error.remedy
            ) from error
        found = quote.report.report_data
        if found != report_data:
            raise AuthenticityError(
                f"the quote from {self.label} carries the report data {found.hex()}, asked for was {report_data.hex()}",
                remedy="whatever makes the quote must put in all 64 bytes as given, neither hashed nor cut",
            )
        size = int.from_bytes(data[len(quote.signed) : len(quote.signed) + _SIZE_FIELD_BYTES], "little")
        return data[: len(quote.signed) + _SIZE_FIELD_BYTES + size]


def find_sgx_attester(*, quote_command: str | None = None, open_device: OpenDevice = open_device) -> SGXAttester:
    """Find where this machine's SGX quotes come from.

    A program that was named is used and nothing else is looked for; otherwise Gramine's files, then Occlum's device.

    Args:
        quote_command: a command line, see `attester_command`; split into words, never given to a shell.
        open_device: opens devices.

    Raises:
        ConfigError: there is none; says what was looked for, what stood in the way of each, and what to do.
    """
    if quote_command is not None:
        return SGXAttester(CommandSource(parse_quote_command(quote_command)))
    return _first_present((GramineSource(open_device), OcclumSource(open_device)))


def _first_present(sources: Sequence[ProbedSource]) -> SGXAttester:
    absences = []
    for source in sources:
        try:
            source.probe()
        except (OSError, VerdictdError) as error:
            absences.append(f"{source.label}: {_describe(error)}")
        else:
            return SGXAttester(source)
    raise ConfigError(
        f"no source of SGX quotes was found; looked for {'; '.join(absences)}",
        remedy="run inside Gramine or Occlum, name a program with --quote-command, or simulate a platform with"
        " --simulate DIR",
    )


def _describe(error: OSError | VerdictdError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
