"""Reports through configfs: how an entry is asked for one, and asked again where something came between."""

import errno
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final, NamedTuple, TypeVar

from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_QUOTE_BYTES
from verdictd.tees.kernel.interface import KernelFiles
from verdictd.tees.kernel.refusals import Refusal, explain_refusal
from verdictd.tees.kernel.report_entry import ReportEntry, open_entry

REPORT_DIRECTORY: Final = PurePosixPath("/sys/kernel/config/tsm/report")
RETRY_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
"""How long to wait before each further try."""
_Answer = TypeVar("_Answer")
_PASSING: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EEXIST})


class Provider(NamedTuple):
    """One module of the kernel that makes reports.

    Attributes:
        name: as the attribute `provider` says it.
        guest: what runs on such a kernel, for a person.
        has_privilege_levels: whether reports are asked for at a privilege level.
        refusals: what its errors mean.
    """

    name: str
    guest: str
    has_privilege_levels: bool
    refusals: Mapping[int, Refusal]


class KernelReport(NamedTuple):
    """What an entry gave. Trust: none of it was looked at.

    Attributes:
        outblob: the report itself, at most `MAX_QUOTE_BYTES`.
        auxblob: what goes with it; empty where there is nothing, or it was not asked for.
    """

    outblob: bytes
    auxblob: bytes


class ReportDirectory:
    """The directory in which each request makes an entry of its own. Safe to share between threads."""

    __slots__ = ("_files", "_provider", "_sleep", "label")

    def __init__(self, files: KernelFiles, provider: Provider, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._files = files
        self._provider = provider
        self._sleep = sleep
        self.label = f"{REPORT_DIRECTORY} ({provider.name})"

    def probe(self) -> None:
        """Find out whether this kernel has the provider, without asking it for a report.

        Raises:
            ConfigError: it has not; says why.
            MalformedError: the kernel's answers are not understood.
        """
        self._persist(self._require_provider)

    def fetch(
        self, report_data: bytes, *, privilege_level: int | None = None, with_auxblob: bool = False
    ) -> KernelReport:
        """Ask for one report, again where something came between, up to `len(RETRY_PAUSES_S)` times more.

        Args:
            report_data: 64 bytes.
            privilege_level: to ask at, of a provider that has such; the guest's own where ``None``.
            with_auxblob: whether to read `auxblob`, of a provider that has one.

        Raises:
            ConfigError: the kernel refuses, another provider is there, or something comes between each time.
            LimitExceededError: a blob is longer than `MAX_QUOTE_BYTES`.
            MalformedError: the kernel's answers are not understood.
        """

        def ask(entry: ReportEntry) -> KernelReport:
            self._require_provider(entry)
            if self._provider.has_privilege_levels:
                level = entry.read_privilege_floor() if privilege_level is None else privilege_level
                entry.write("privlevel", str(level).encode("ascii"))
            entry.write("inblob", report_data)
            # Before as well: reading without a report data that was taken fails in a way that looks like another fault.
            entry.require_undisturbed()
            outblob = entry.read("outblob", max_bytes=MAX_QUOTE_BYTES)
            auxblob = entry.read("auxblob", max_bytes=MAX_QUOTE_BYTES) if with_auxblob else b""
            entry.require_undisturbed()
            return KernelReport(outblob, auxblob)

        return self._persist(ask)

    def _require_provider(self, entry: ReportEntry) -> None:
        found = entry.read_text("provider")
        if found != self._provider.name:
            raise ConfigError(
                f"the kernel's reports are made by {found!r}, expected {self._provider.name!r}",
                remedy=f"this is no {self._provider.guest}: name the attester of the guest that it is",
            )

    def _persist(self, use: Callable[[ReportEntry], _Answer]) -> _Answer:
        pauses = iter(RETRY_PAUSES_S)
        while True:
            try:
                with open_entry(self._files, REPORT_DIRECTORY / f"verdictd-{secrets.token_hex(8)}") as entry:
                    return use(entry)
            except OSError as error:
                pause = next(pauses, None) if error.errno in _PASSING else None
                if pause is None:
                    raise explain_refusal(self.label, error, self._provider.refusals) from error
            self._sleep(pause)
